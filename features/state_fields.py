"""What is known of a customer, declared as data: event signals, and the fields that count them.

Both engines are generated from this declaration: the merge of events one by one (``features/state.py``)
and the GROUP BY over the log (``training/relational.py``). Four atoms cover everything:

* ``Total``    integer sum over all time
* ``Extreme``  first or last time
* ``Recent``   integer records whose key starts with time; equal keys add up, the ``keep`` greatest keys survive
* ``Last``     declared fact: the value with the greatest ``(occurred_at, event_id)``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from features.events import Channel, canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from features.events import Line


class Predicate(NamedTuple):
    """Lines of some event types that, where given, have all of some properties.

    ``where`` holds ``(name, value)`` pairs. They are looked for in the canonical property text, which is
    the same text in every engine: quotes inside a value are escaped there, so the text of a whole
    ``"name":value`` occurs nowhere else.
    """

    types: tuple[str, ...]
    where: tuple[tuple[str, str | int | bool], ...] = ()

    def needles(self) -> tuple[tuple[str, str], ...]:
        """For each property the two texts of which one must occur in the canonical JSON."""
        bodies = [canonical({name: value})[1:-1] for name, value in self.where]
        return tuple((f"{body},", f"{body}}}") for body in bodies)


class Signal(NamedTuple):
    """A set of lines: those for which any of the predicates holds."""

    any_of: tuple[Predicate, ...]

    @classmethod
    def of(cls, *types: str) -> Signal:
        """All lines of some event types."""
        return cls((Predicate(types),))

    @property
    def types(self) -> tuple[str, ...]:
        """Every event type that a line of this signal can have, sorted."""
        return tuple(sorted({event_type for predicate in self.any_of for event_type in predicate.types}))


class Total(NamedTuple):
    """Integer sum of ``col`` over the lines of signal ``of``."""

    name: str
    of: str
    col: str = "event"


class Extreme(NamedTuple):
    """First or last ``occurred_at`` of signal ``of``, in microseconds."""

    name: str
    of: str
    last: bool


class Recent(NamedTuple):
    """Records keyed by ``by`` (time first), summing ``sums`` = name → (signal, column); ``keep`` greatest keys."""

    name: str
    by: tuple[str, ...]
    sums: tuple[tuple[str, str, str], ...]
    keep: int


class Last(NamedTuple):
    """Value of property ``name`` of the latest line of signal ``of`` that carries it."""

    name: str
    of: str


Field = Total | Extreme | Recent | Last

COLUMN_VALUES: Final[Mapping[str, Callable[[Line], int]]] = {
    "event": lambda line: int(line.line_no == 0),
    "line": lambda _: 1,
    "quantity": lambda line: line.quantity or 0,
    "cents": lambda line: line.amount_minor or 0,
}
"""What can be summed: 1 an event, 1 a line, units, minor currency units."""

KEY_VALUES: Final[Mapping[str, Callable[[Line], int | None]]] = {
    "t": lambda line: line.occurred_at,
    "day": lambda line: line.day,
    "item": lambda line: line.item_key,
    "cat": lambda line: line.cat_key or 0,
}
"""What can be a key; ``item`` drops lines without an item, a missing category is 0."""

CHANNELS: Final = tuple(str(channel) for channel in Channel)

SIGNALS: Final[Mapping[str, Signal]] = {
    "page": Signal.of("page_view", "list_view"),
    "search": Signal.of("search"),
    "view": Signal.of("item_view", "item_click"),
    "read": Signal.of("content_read"),
    "like": Signal.of("wishlist", "share", "like", "bookmark", "comment", "follow"),
    "cart": Signal.of("cart_add"),
    "uncart": Signal.of("cart_remove"),
    "checkout": Signal.of("checkout"),
    "buy": Signal.of("purchase"),
    "return": Signal.of("refund"),
    "review": Signal.of("review", "rating"),
    "support": Signal.of("support_open"),
    "survey": Signal.of("survey_answer"),
    "open": Signal.of("message_open"),
    "click": Signal.of("message_click", "slate_click"),
    "unsubscribe": Signal.of("message_unsubscribe"),
    "identify": Signal.of("identify"),
    "touch": Signal.of(
        *("page_view", "search", "list_view", "item_view", "item_click", "content_read", "wishlist", "share", "like"),
        *("bookmark", "comment", "follow", "cart_add", "cart_remove", "cart_view", "checkout", "purchase", "refund"),
        *("review", "rating", "support_open", "survey_answer", "message_open", "message_click", "slate_click"),
    ),
}
"""Built-in signals; ``touch`` is anything the customer did themselves."""

JOURNEY_SIGNALS: Final = ("interest", "intent", "order", "fulfilled", "cancelled")
"""Signals that a journey definition must give."""

ITEM_SUMS: Final = (
    ("views", "view", "line"),
    ("reads", "read", "line"),
    ("likes", "like", "line"),
    ("carts", "cart", "line"),
    ("uncarts", "uncart", "line"),
    ("buys", "buy", "line"),
)

SEEN_KEEP: Final = 400
"""How many of the last interactions with items are known one by one."""

FIELDS: Final[tuple[Field, ...]] = (
    *(Total(f"n_{s}", s) for s in ("touch", "page", "search", "view", "read", "like", "cart", "uncart", "checkout")),
    *(Total(f"n_{s}", s) for s in ("buy", "return", "review", "support", "survey", "open", "click", "unsubscribe")),
    *(Total(f"n_{channel}", f"channel:{channel}") for channel in CHANNELS),
    *(Total(f"n_{s}", s) for s in ("order", "cancelled")),
    Total("n_units", "buy", "quantity"),
    Total("spend", "buy", "cents"),
    Total("returned", "return", "cents"),
    Extreme("first_touch", "touch", last=False),
    *(Extreme(f"last_{s}", s, last=True) for s in ("touch", "view", "read", "search", "cart", "checkout", "support")),
    Extreme("first_order", "order", last=False),
    *(Extreme(f"last_{s}", s, last=True) for s in ("order", "fulfilled", "cancelled")),
    Recent(
        "days",
        ("day",),
        (
            *((f"{s}", s, "event") for s in ("touch", "view", "read", "search", "like", "cart", "buy")),
            ("units", "buy", "quantity"),
            ("cents", "buy", "cents"),
        ),
        keep=400,
    ),
    Recent("seen", ("t", "item", "cat"), ITEM_SUMS, keep=SEEN_KEEP),
    Recent(
        "bought",
        ("day", "item", "cat"),
        (("n", "buy", "line"), ("units", "buy", "quantity"), ("cents", "buy", "cents")),
        keep=400,
    ),
    Recent("evidence", ("t",), (("interest", "interest", "event"), ("intent", "intent", "event")), keep=64),
    Last("locale", "identify"),
    Last("segment", "identify"),
)
"""What is known of a customer, in the order in which it is stored. The order is part of the schema."""
