"""Models of moves made by hand, small enough to add up in the head."""

from __future__ import annotations

from recommender.move_features import Alive
from recommender.moves import TOP, MoveModel, Term, pack_moves

ALIVE = Alive(0.25, 30.0, 0.8, 2.5)
MODELS = (
    MoveModel(
        "first_intent",
        "engagement",
        1,
        -3.0,
        (
            Term("n_view", [0.0, 1.0, TOP], [0.0, 0.5, 1.5]),
            Term("last_view_age_days", [1.0, TOP], [0.25, 0.0]),
            Term("n_search", [0.0, TOP], [0.0, -0.125]),
        ),
    ),
    MoveModel("first_order", "engagement", 7, -4.0, (Term("n_cart", [0.0, TOP], [0.0, 2.0]),)),
    MoveModel("lapse", "retention", 90, 0.5, (Term("last_touch_age_days", [10.0, TOP], [0.0, 1.0]),)),
    MoveModel("next_order", "retention", 30, -1.0, (Term("p_alive", [0.5, TOP], [0.0, 0.75]),)),
)


def hand_arrays():
    """The bundle arrays of ``MODELS``."""
    return pack_moves(MODELS, ALIVE)
