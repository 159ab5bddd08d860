"""What a slate is worth to the shop, exactly: margin now, and what trust, knowledge and needs bring later.

All in minor currency units. The worth of trust, knowledge and needs was measured by letting the simulated
shop go on for 60 days with and without more of each (12,000 people, 8 repetitions): per unit it grows with
the square of how active a person is, or nearly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from training.simulator.life import HELPED, LET_DOWN, PLEASED
from training.simulator.orders import GOES_BADLY, MORE_UNITS
from training.simulator.truth import ANNOYED, INSPIRED, READ_KNOWLEDGE, READ_TRUST, TAKEN_OUT, examination, first_click
from training.simulator.world import ACTION, CONTENT, PRODUCT, PROFILE, REFER, REORDER, REVIEW, SUBSCRIBE, SUPPORT

if TYPE_CHECKING:
    from training.simulator.truth import Truth
    from training.simulator.world import Floats, Ints

TRUST_WORTH: Final = 3_000.0
"""Of one unit of trust, times activity squared."""
KNOWLEDGE_WORTH: Final = 1.7
"""Of one unit of knowledge of a category, times activity squared, its share of liking and its mean margin."""
NEED_WORTH: Final = 0.47
"""Of a need, times activity to the 1.5 and the mean margin of its category."""
DEED_WORTH: Final = {REVIEW: 60.0, SUPPORT: 0.0, SUBSCRIBE: 30.0, PROFILE: 15.0, REFER: 250.0, REORDER: 0.0}
"""What the shop says an action carried out is worth in itself."""


def slate_value(truth: Truth, who: Ints, slates: Ints, heat: Floats, day: float) -> Floats:
    """Expected worth of showing each slate to each person; shape (n,).

    Parameters
    ----------
    who : int32, shape (n,)
    slates : int32, shape (n, m)
        Item rows, best first.
    """
    clicked = first_click(truth.click(who, slates, heat, day))
    worth = (clicked * click_value(truth, who, slates, heat, day)).sum(axis=1)
    return np.asarray(worth - (1 - clicked.sum(axis=1)) * _annoyance(truth, who, slates), np.float32)


def click_value(truth: Truth, who: Ints, items: Ints, heat: Floats, day: float) -> Floats:
    """Expected worth of a click on each item; shape (n, m)."""
    kind = truth.world.kind[items]
    worth = {PRODUCT: _product(truth, who, items, day)}
    if (kind == CONTENT).any():
        worth[CONTENT] = _content(truth, who, items, day)
    if (kind == ACTION).any():
        worth[ACTION] = _action(truth, who, items, heat, day)
    return np.select([kind == code for code in worth], list(worth.values())).astype(np.float32)


def best_slate(truth: Truth, who: int, n: int, heat: Floats, day: float) -> Ints:
    """The slate of ``n`` items of greatest worth to one person: greedy, then slot by slot until nothing improves."""
    person = np.array([who], np.int32)
    offered = np.flatnonzero(np.isfinite(heat)).astype(np.int32)
    chance = truth.click(person, offered[None], heat, day)[0]
    worth = click_value(truth, person, offered[None], heat, day)[0]
    seen = examination(n)[:, None] * chance
    slate = np.argsort(-chance * worth, kind="stable")[:n].astype(np.int32)
    for _ in range(3):
        before = slate.copy()
        for slot in reversed(range(len(slate))):
            gain = seen[slot] * (worth - _continued(seen, worth, slate, slot + 1))
            gain[np.delete(slate, slot)] = -np.inf
            slate[slot] = gain.argmax()
        if (slate == before).all():
            break
    return offered[slate]


def _continued(seen: Floats, worth: Floats, slate: Ints, first: int) -> float:
    """Worth of the rest of a slate from slot ``first``, when nothing before it was clicked."""
    value = 0.0
    for slot in reversed(range(first, len(slate))):
        taken = float(seen[slot, slate[slot]])
        value = taken * float(worth[slate[slot]]) + (1 - taken) * value
    return value


def _product(truth: Truth, who: Ints, items: Ints, day: float) -> Floats:
    trust = truth.state.trust[who][:, None]
    delivered = (1 - GOES_BADLY) * PLEASED * (1 - trust) - GOES_BADLY * LET_DOWN * trust
    bought = truth.cart(who, items, day) * _order(truth, who)
    return np.asarray(bought * (_margin(truth, items) + _trust_worth(truth, who) * delivered), np.float32)


def _content(truth: Truth, who: Ints, items: Ints, day: float) -> Floats:
    gave, leaf = truth.relevance(who, items, day), truth.world.leaf[items]
    activity = truth.people.activity[who][:, None]
    liking = truth.people.liking[who]
    share = np.exp(liking - np.log(np.exp(liking).sum(axis=1, keepdims=True)))
    learned = KNOWLEDGE_WORTH * READ_KNOWLEDGE * activity**2 * np.take_along_axis(share, leaf.astype(np.int64), axis=1)
    learned *= 1 - truth.state.knowledge[who[:, None], leaf]
    margin = truth.world.leaf_margin[leaf]
    trusted = _trust_worth(truth, who) * READ_TRUST * (1 - truth.state.trust[who][:, None])
    return np.asarray(gave * (trusted + learned * margin + INSPIRED * NEED_WORTH * activity**1.5 * margin), np.float32)


def _action(truth: Truth, who: Ints, items: Ints, heat: Floats, day: float) -> Floats:
    """Worth of each action to those for whom it makes sense."""
    worth = np.tile(np.array([DEED_WORTH[form] for form in range(len(DEED_WORTH))], np.float32), (len(who), 1))
    worth[:, SUPPORT] += _trust_worth(truth, who)[:, 0] * HELPED * (1 - truth.state.trust[who])
    again = truth.used_up_first(who)
    worth[:, REORDER] += (_order(truth, who) * _margin(truth, again[:, None]))[:, 0] * np.isfinite(heat[again])
    worth *= truth.action_fit(who, day) > 0
    return np.take_along_axis(worth, truth.world.form[items].astype(np.int64) % len(DEED_WORTH), axis=1)


def _order(truth: Truth, who: Ints) -> Floats:
    """Chance that what is in the cart is ordered; shape (n, 1)."""
    return np.asarray((1 - TAKEN_OUT) * truth.order(who)[:, None], np.float32)


def _margin(truth: Truth, items: Ints) -> Floats:
    units = np.where(truth.world.cycle[items] > 0, 1 + MORE_UNITS, 1)
    return np.asarray(truth.world.margin[items] * units, np.float32)


def _trust_worth(truth: Truth, who: Ints) -> Floats:
    return np.asarray(TRUST_WORTH * truth.people.activity[who][:, None] ** 2, np.float32)


def _annoyance(truth: Truth, who: Ints, slates: Ints) -> Floats:
    lost = ANNOYED * truth.stale_share(who, slates) * truth.state.trust[who]
    return np.asarray(_trust_worth(truth, who)[:, 0] * lost, np.float32)
