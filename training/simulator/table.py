"""What was told, as lines of the event log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.events import DAY_US, LATE_AFTER_US, SCHEMA_VERSION, TRUST_LEVELS, Line
from features.state import CHANNELS
from training.log import SCHEMA
from training.simulator.journal import KNOWN, SECOND_DEVICE, TYPES, VISITOR
from training.simulator.visits import APP, anonymous_ids, known_id

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.simulator.customer import People
    from training.simulator.world import World

SOURCE: Final = "simulated"
OFFLINE_SHARE: Final = 0.004
"""Share of the app's events that arrive hours or days after they happened."""


class Names(NamedTuple):
    """The ids that numbers stand for; the prefix keeps those of several groups of people apart."""

    world: World
    people: People
    prefix: str


def to_table(lines: NDArray[Any], texts: list[str], names: Names, rng: Generator) -> pa.Table:
    """Lines of :data:`~training.simulator.journal.LINE` up to the end of the simulated time, in order of time.

    Raises
    ------
    KeyError
        A code that stands for nothing.
    """
    lines = lines[(lines["at"] <= names.world.end)]
    lines = lines[np.lexsort((lines["line_no"], lines["event"], lines["at"]))]
    received_at = _received(lines, names.world.end, rng)
    columns = {
        **_ids(lines, names),
        **_goods(lines, names.world),
        "type": _named(lines["type"], [str(kind) for kind in TYPES]),
        "channel": _named(lines["channel"], list(CHANNELS)),
        "properties": _named(lines["properties"], texts),
        "line_no": lines["line_no"],
        "occurred_at": lines["at"].view("datetime64[us]"),
        "received_at": received_at.view("datetime64[us]"),
        "day": (lines["at"] // DAY_US).astype(np.int32),
        "late": lines["at"] < received_at - LATE_AFTER_US,
        "consent": lines["consent"].astype(np.int32),
        "rank": _unless(lines["rank"], lines["rank"] < 0),
    }
    constants = {"trust": TRUST_LEVELS["normal"], "source": SOURCE, "schema_version": SCHEMA_VERSION}
    arrays = {name: _array(column, SCHEMA.field(name).type) for name, column in columns.items()}
    for name, value in constants.items():
        arrays[name] = pa.repeat(pa.scalar(value, SCHEMA.field(name).type), len(lines))
    return pa.table([arrays[name] for name in SCHEMA.names], SCHEMA)


def to_lines(lines: NDArray[Any], texts: list[str], names: Names) -> list[Line]:
    """A few lines as events that arrive at once; equal to the rows of :func:`to_table` otherwise."""
    ids = anonymous_ids(names.people, lines["who"], lines["alias"])
    facts = zip(lines, ids, strict=True)
    return [_line(record, name, texts, names) for record, name in facts]


def _line(record: Any, anonymous_id: str, texts: list[str], names: Names) -> Line:
    world, item, has_amount = names.world, int(record["item"]), record["amount"] >= 0
    is_known = record["alias"] == KNOWN
    return Line(
        event_id=f"sim{names.prefix}-{record['event']}",
        line_no=int(record["line_no"]),
        customer_id=known_id(names.people.number[record["who"]]) if is_known else anonymous_id,
        type=str(TYPES[record["type"]]),
        item_id=world.items[item].item_id if item >= 0 else None,
        item_key=int(world.item_keys[item]) if item >= 0 else None,
        cat_key=int(world.cat_keys[item]) if item >= 0 else None,
        occurred_at=int(record["at"]),
        received_at=int(record["at"]),
        session_id=f"ses{names.prefix}-{record['session']}" if record["session"] >= 0 else None,
        slate_id=f"slate{names.prefix}-{record['slate']}" if record["slate"] >= 0 else None,
        rank=int(record["rank"]) if record["rank"] >= 0 else None,
        channel=CHANNELS[record["channel"]],
        amount_minor=int(record["amount"]) if has_amount else None,
        currency=world.currency if has_amount else None,
        quantity=int(record["quantity"]) or None,
        consent=int(record["consent"]),
        source=SOURCE,
        properties=texts[record["properties"]],
    )


def customer_ids(people: People) -> list[list[str]]:
    """Ids of each person, a list for each of the aliases VISITOR, KNOWN and SECOND_DEVICE."""
    who = np.arange(len(people), dtype=np.int32)
    ids: list[list[str]] = [[], [], []]
    for alias in (VISITOR, SECOND_DEVICE):
        ids[alias] = anonymous_ids(people, who, np.full(len(people), alias, np.int8))
    ids[KNOWN] = [known_id(number) for number in people.number.tolist()]
    return ids


def _ids(lines: NDArray[Any], names: Names) -> dict[str, Any]:
    ids = [name for column in customer_ids(names.people) for name in column]
    row = lines["alias"].astype(np.int64) * len(names.people) + lines["who"]
    return {
        "event_id": _numbered(f"sim{names.prefix}-", lines["event"]),
        "customer_id": _named(np.where(lines["who"] < 0, -1, row), ids),
        "session_id": _numbered(f"ses{names.prefix}-", lines["session"]),
        "slate_id": _numbered(f"slate{names.prefix}-", lines["slate"]),
    }


def _goods(lines: NDArray[Any], world: World) -> dict[str, Any]:
    item, has_amount = lines["item"], lines["amount"] >= 0
    return {
        "item_id": _named(item, [entry.item_id for entry in world.items]),
        "item_key": _unless(world.item_keys[item], item < 0),
        "cat_key": _unless(world.cat_keys[item], item < 0),
        "amount_minor": _unless(lines["amount"], ~has_amount),
        "currency": _named(np.where(has_amount, 0, -1), [world.currency]),
        "quantity": _unless(lines["quantity"], lines["quantity"] == 0),
    }


def _received(lines: NDArray[Any], end: int, rng: Generator) -> NDArray[np.int64]:
    """Most arrive within seconds; the app sends what happened offline when it is online again."""
    n = len(lines)
    delay = rng.integers(20_000, 3_000_000, n)
    offline = (lines["channel"] == APP) & (rng.random(n) < OFFLINE_SHARE)
    delay = np.where(offline, rng.exponential(10 * 3_600e6, n).astype(np.int64), delay)
    return np.minimum(lines["at"] + delay, end)


def _named(code: NDArray[Any], names: list[str]) -> pa.Array:
    """The name of each code; null below 0."""
    return pa.array(names, pa.string()).take(_unless(code.astype(np.int64), code < 0))


def _numbered(prefix: str, number: NDArray[Any]) -> pa.Array:
    """``prefix`` and the number; null below 0."""
    return pc.binary_join_element_wise(prefix, pc.cast(_unless(number, number < 0), pa.string()), "")


def _unless(values: NDArray[Any], is_null: NDArray[np.bool_]) -> pa.Array:
    return pa.array(values, mask=is_null)


def _array(column: Any, kind: pa.DataType) -> pa.Array:
    return (column if isinstance(column, pa.Array) else pa.array(column)).cast(kind)
