"""A small shop whose engine comes from real fits: a dozen items, a few customers, three weeks."""

from __future__ import annotations

from functools import cache

import numpy as np

from features.catalog import Item
from features.events import DAY_US, Line, canonical
from features.ids import key64
from features.journey import Journey
from recommender.blend import Blend
from recommender.engine import Engine, Model, sources_of
from recommender.items import Items
from training.fit import Recipe, fit
from training.fitting.als import AlsParams
from training.fitting.repeat import RepeatParams, fit_repeat
from training.load import Material
from training.touches import TOUCH_OF_TYPE, Touches
from training.vocabulary import vocabulary_of

NOW = 20_021 * DAY_US
HOUR_US = 3_600_000_000
JOURNEY = Journey.load(None)

CATALOG = (
    Item(item_id="kettle", title="Steel kettle", category="home/kitchen"),
    Item(item_id="teapot", title="Glass teapot", category="home/kitchen"),
    Item(item_id="cup", title="Tea cup", category="home/kitchen"),
    Item(item_id="tray", title="Wooden tray", category="home/kitchen"),
    Item(item_id="spade", title="Garden spade", category="home/garden"),
    Item(item_id="hose", title="Garden hose", category="home/garden"),
    Item(item_id="ball", title="Red ball", category="toys"),
    Item(item_id="kite", title="Paper kite", category="toys", available=False),
    Item(item_id="çaydanlık", title="Çaydanlık", category="home/kitchen", locale="tr"),
    Item(item_id="brewing", kind="content", title="How to brew tea", category="guides/tea"),
    Item(item_id="descaling", kind="content", title="Descaling a steel kettle", category="guides/tea"),
    Item(item_id="planting", kind="content", title="Planting in spring", category="guides/garden"),
    Item(item_id="book-a-call", kind="action", title="Talk to us"),
    Item(item_id="write-review", kind="action", title="Review it", attributes=canonical({"stages": "transaction"})),
)
TITLES = {item.item_id: item.title for item in CATALOG}
CATEGORIES = {item.item_id: item.category for item in CATALOG}

TEA = ("kettle", "teapot", "cup", "tray")
HISTORY = {
    "ayla": [("item_view", item) for item in TEA] + [("purchase", "kettle"), ("purchase", "cup")],
    "bora": [("item_view", "kettle"), ("cart_add", "teapot"), ("purchase", "teapot"), ("content_read", "brewing")],
    "cem": [("item_view", "kettle"), ("item_view", "cup"), ("purchase", "kettle"), ("purchase", "cup")],
    "dina": [
        ("content_read", "brewing"),
        ("content_read", "descaling"),
        ("item_view", "teapot"),
        ("item_view", "kite"),
    ],
    "ece": [("item_view", "spade"), ("item_view", "hose"), ("purchase", "spade"), ("content_read", "planting")],
    "fadi": [("item_view", "hose"), ("item_view", "spade"), ("item_view", "ball"), ("item_view", "kettle")],
    "gul": [("item_view", "çaydanlık"), ("item_view", "cup"), ("content_read", "brewing"), ("item_view", "ball")],
}
"""Event types and items of each customer, ten minutes apart."""
TALK = ("like", "planting")
"""What is talked about elsewhere, by nobody that the shop knows."""


def line(customer: str | None, event_type: str, item: str | None, at: int, **more) -> Line:
    """One line of the log."""
    category = CATEGORIES.get(item or "")
    known = {
        "event_id": f"{customer}-{event_type}-{item}-{at}",
        "item_key": None if item is None else key64(item),
        "cat_key": None if category is None else key64(category),
        "received_at": at,
    }
    return Line(customer_id=customer, type=event_type, item_id=item, occurred_at=at, **{**known, **more})


def history() -> list[Line]:
    """The whole log."""
    own = [
        line(customer, event_type, item, NOW - (20 - day) * DAY_US + step * HOUR_US // 6)
        for day, (customer, events) in enumerate(HISTORY.items())
        for step, (event_type, item) in enumerate(events)
    ]
    return [*own, line(None, *TALK, NOW - DAY_US)]


def state_of(*lines: Line):
    """State of a customer of whom some lines are known."""
    schema = JOURNEY.schema
    return schema.merge_all(schema.lift(one) for one in lines)


def after(*events: tuple[str, str], customer: str = "new"):
    """State of a customer who just did some things, a minute apart, the last one a second ago."""
    start = NOW - 1_000_000 - (len(events) - 1) * 60_000_000
    return state_of(*(line(customer, what, item, start + n * 60_000_000) for n, (what, item) in enumerate(events)))


def touches_of(lines: list[Line], until: int = NOW) -> Touches:
    """The lines as interactions: the slow and obvious way."""
    rows = [row for row in lines if row.type in TOUCH_OF_TYPE and row.item_key is not None and row.counts]
    customers = sorted({row.customer_id for row in rows if row.customer_id is not None})
    keys = sorted({row.item_key for row in rows})
    coded = sorted(
        (
            -1 if row.customer_id is None else customers.index(row.customer_id),
            row.occurred_at,
            keys.index(row.item_key),
            TOUCH_OF_TYPE[row.type],
        )
        for row in rows
    )
    customer_idx, at, item_idx, touch = np.array(coded, np.int64).reshape(-1, 4).T
    return Touches(
        until=until,
        customer_ids=tuple(customers),
        locales=(None,) * len(customers),
        item_keys=np.array(keys, np.int64),
        customer_idx=customer_idx.astype(np.int32),
        item_idx=item_idx.astype(np.int32),
        at=at,
        touch=touch.astype(np.uint8),
    )


def material_of(lines: list[Line], catalog=CATALOG, until: int = NOW) -> Material:
    """What a fit may look at."""
    touches = touches_of(lines, until)
    first: dict[str, int] = {}
    for one in lines:
        if one.item_id is not None:
            first[one.item_id] = min(one.occurred_at, first.get(one.item_id, one.occurred_at))
    vocabulary = vocabulary_of(catalog, first, touches)
    return Material(vocabulary, touches.in_rows_of(vocabulary.item_keys))


def fitted(lines: list[Line], catalog=CATALOG):
    """Bundle arrays of a catalogue and a log."""
    return fit(material_of(lines, catalog), Recipe(als=AlsParams(n_factors=4, n_iterations=5)))


def engine_of(arrays) -> Engine:
    """An engine with the weights of experience."""
    return Engine(arrays, Blend.prior(sources_of(arrays)), JOURNEY, Model("small", "1", "0" * 64, NOW))


def habits() -> list[Line]:
    """Sixty customers over ten weeks: the kettle every week for half of them, the spade every other week for all."""
    return [
        line(f"habit-{customer:02}", "purchase", item, NOW - (70 - day) * DAY_US)
        for customer in range(60)
        for item, every in (("kettle", 7 if customer % 2 else 69), ("spade", 14))
        for day in range(customer % 7, 70, every)
    ]


@cache
def small_arrays():
    """Arrays of the small shop, read-only as a mapped bundle's are; what is due again is learned from habits."""
    arrays = fitted(history())
    items = Items(arrays)
    arrays |= fit_repeat(touches_of(habits()).in_rows_of(items.item_key), items, RepeatParams())
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


@cache
def small_engine() -> Engine:
    """The engine of the small shop."""
    return engine_of(small_arrays())
