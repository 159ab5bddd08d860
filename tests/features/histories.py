"""Made-up histories: small enough that times, items and keys meet, odd enough to tell two engines apart."""

from __future__ import annotations

from hypothesis import strategies as st

from features.events import DAY_US, EventType, Line, canonical
from features.ids import key64
from features.state import Schema
from features.state_fields import CHANNELS, JOURNEY_SIGNALS, Predicate, Signal

START_DAY = 20_000
START_US = START_DAY * DAY_US
N_DAYS = 5

ODD_VALUES = (
    True,
    False,
    1,
    10,
    "a",
    "",
    'say "full":true,',
    "tab\tand \\ back",
    "İstanbul ı",
    "مَرْحَبًا",
    "🙂",
    "line\nend",
    "'--",
)

SIGNALS = {
    "interest": Signal((Predicate(("item_view", "content_read")), Predicate(("identify",), (("locale", "tr"),)))),
    "intent": Signal.of("cart_add", "checkout"),
    "order": Signal(
        (Predicate(("purchase",)), Predicate(("checkout",), (("full", True), ("note", 'say "full":true,'))))
    ),
    "fulfilled": Signal((Predicate(("fulfilled",)),)),
    "cancelled": Signal(
        (Predicate(("refund",), (("full", True),)), Predicate(("refund",), (("note", "tab\tand \\ back"),)))
    ),
}
"""A journey's signals with every form that a predicate can take."""

SCHEMA = Schema(SIGNALS)
assert set(SIGNALS) == set(JOURNEY_SIGNALS)

times = st.builds(
    lambda day, offset: START_US + day * DAY_US + offset,
    st.integers(0, N_DAYS - 1),
    st.sampled_from([0, 1, 3_600_000_000, 3_600_000_001, DAY_US // 2, DAY_US - 1]),
)
"""Few enough to collide, at and around the ends of days."""

properties = st.dictionaries(
    st.sampled_from(["full", "note", "locale", "segment", "notlocale"]),
    st.sampled_from(ODD_VALUES),
    max_size=3,
).map(canonical)

_items = st.sampled_from([None, "a", "b", "c"])
_amounts = st.sampled_from([None, 0, 1, 999, 2**40, -5])


@st.composite
def lines(draw, customers=("anna",)):
    """One line; its event id and line number are given by :func:`histories`."""
    occurred_at = draw(times)
    item = draw(_items)
    category = draw(_items)
    return Line(
        event_id="",
        type=draw(st.sampled_from(sorted(EventType))),
        occurred_at=occurred_at,
        received_at=occurred_at,
        customer_id=draw(st.sampled_from(customers)),
        item_id=item,
        item_key=None if item is None else key64(item),
        cat_key=None if category is None else key64(category),
        channel=draw(st.sampled_from([*CHANNELS, "fax"])),
        amount_minor=draw(_amounts),
        quantity=draw(st.sampled_from([None, 1, 3])),
        late=draw(st.sampled_from([False, False, False, True])),
        consent=draw(st.sampled_from([0, 0, 0, 1, 3, 7, 13])),
        properties=draw(properties),
    )


@st.composite
def histories(draw, customers=("anna",), max_size=25):
    """Lines in order of arrival; some are further lines of the event before them, some event ids sort oddly."""
    found: list[Line] = []
    for n, line in enumerate(draw(st.lists(lines(customers), max_size=max_size))):
        if found and draw(st.booleans()) and draw(st.booleans()):
            before = found[-1]
            found.append(further_line(line, before))
        else:
            found.append(_replace(line, event_id=f"{draw(st.sampled_from(['e', 'E', 'é', '🙂', '9']))}{n}"))
    return found


def further_line(line: Line, before: Line) -> Line:
    """A line as the next one of the event of another line."""
    names = ("event_id", "type", "occurred_at", "customer_id", "late", "consent")
    shared = {name: getattr(before, name) for name in names}
    return _replace(line, **shared, line_no=before.line_no + 1)


def _replace(line: Line, **changes) -> Line:
    return Line(**{name: changes.get(name, getattr(line, name)) for name in line.__struct_fields__})


def state_of(schema: Schema, history) -> object:
    """State of all lines, one by one in the order given."""
    return schema.merge_all(schema.lift(line) for line in history)
