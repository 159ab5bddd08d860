"""Fills the shop: draws the items of a world, their words and their truth, from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.catalog import KINDS, Item
from features.events import DAY_US, canonical
from training.simulator import titles
from training.simulator.words import FORMS, LOCALES, words
from training.simulator.world import ACTION, CONTENT, EVERYWHERE, N_INTEREST, N_STYLE, NEVER, POST, PRODUCT, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.simulator.titles import Wording
    from training.simulator.words import Leaf, Words
    from training.simulator.world import Codes, Floats, Ints, Longs

ACTIONS_PATH: Final = "service"
HALF_LIFE_DAYS: Final = (60.0, 90.0, 5.0, 120.0)
FORM_SHARE: Final = (0.26, 0.24, 0.40, 0.10)
"""Guides, tutorials, posts and e-books, as in ``FORMS``."""
CONTENT_LOCALES: Final = (0.5, 0.3, 0.2)
PRODUCT_LOCALES: Final = (0.5, 0.18, 0.12, 0.2)
"""English, Turkish, Arabic; the last share of products is sold everywhere under an English title."""
COMPLEMENT_CHANCE: Final = 0.25
N_NOUNS: Final = 3


class Stock(NamedTuple):
    """Items of one kind, column by column; see :class:`~training.simulator.world.World`."""

    kind: Codes
    form: Codes
    leaf: Ints
    locale: Codes
    style: Floats
    appeal: Floats
    half_life: Floats
    price: Longs
    margin: Longs
    dearness: Floats
    cycle: Floats
    published_at: Longs
    retired_at: Longs


class Label(NamedTuple):
    """What the catalogue says of one item in words."""

    item_id: str
    wording: Wording
    category: str
    attributes: str


class Span(NamedTuple):
    """The simulated time, microseconds."""

    start: int
    end: int


def n_products(n_events: int) -> int:
    """Products of a shop with a log of that length: 240 to 5,000."""
    return int(np.clip(round(2.5 * n_events**0.5), 240, 5_000))


def make_world(*, n_events: int, seed: int, days: int, end: int) -> World:
    """A shop whose catalogue fits a log of ``n_events`` over the ``days`` before ``end`` (microseconds)."""
    table, rng, span = words(), np.random.default_rng([seed, 0]), Span(end - days * DAY_US, end)
    parts = (
        _products(table, rng, n_products(n_events), span),
        _content(table, rng, round(0.35 * n_products(n_events)), span),
        _actions(table, span),
    )
    stock = Stock(*(np.concatenate(columns) for columns in zip(*(part for part, _ in parts), strict=True)))
    labels = [label for _, part in parts for label in part]
    leaf_of = {leaf.path: row for row, leaf in enumerate(table.leaf)}
    return World(
        seed=seed,
        start=span.start,
        end=span.end,
        items=tuple(_item(table, stock, row, label, end) for row, label in enumerate(labels)),
        buzz=_buzz(rng, int((stock.kind != ACTION).sum()), days),
        shelves=(_shelves(stock, PRODUCT, len(leaf_of)), _shelves(stock, CONTENT, len(leaf_of))),
        topic=rng.normal(0, 0.75, (N_INTEREST, len(leaf_of))).astype(np.float32),
        complement=_complements(table.leaf, leaf_of),
        season=np.array([leaf.season or np.nan for leaf in table.leaf], np.float32),
        leaf_weight=np.array([leaf.weight for leaf in table.leaf], np.float32),
        **stock._asdict(),
    )


def _blank(kind: int, n: int, span: Span) -> Stock:
    zeros, longs, codes = np.zeros(n, np.float32), np.zeros(n, np.int64), np.zeros(n, np.int8)
    return Stock(
        kind=np.full(n, kind, np.int8),
        form=codes,
        leaf=np.zeros(n, np.int32),
        locale=codes,
        style=np.zeros((n, N_STYLE), np.float32),
        appeal=zeros,
        half_life=np.full(n, np.inf, np.float32),
        price=longs,
        margin=longs,
        dearness=zeros,
        cycle=zeros,
        published_at=np.full(n, span.start - 700 * DAY_US),
        retired_at=np.full(n, NEVER, np.int64),
    )


def _products(table: Words, rng: Generator, n_wanted: int, span: Span) -> tuple[Stock, list[Label]]:
    leaf, brand, noun, variant = _combinations(table, rng, n_wanted)
    n = len(leaf)
    locale = rng.choice([*range(len(LOCALES)), EVERYWHERE], n, p=PRODUCT_LOCALES)
    dearness = 0.6 * rng.normal(size=len(table.brand))[brand] + 0.8 * rng.normal(size=n)
    published_at = _published(rng, n, span, share_before=0.82, before_days=700)
    price = _prices(table, leaf, dearness)
    cycle = np.array([table.leaf[row].cycle for row in leaf]) * rng.choice([0.8, 1.0, 1.25], n)
    stock = _blank(PRODUCT, n, span)._replace(
        leaf=leaf,
        locale=locale.astype(np.int8),
        style=_style(rng, (brand, leaf * 8 + variant, leaf * N_NOUNS + noun)),
        appeal=_zipf(rng, leaf),
        price=price,
        margin=(price * rng.uniform(0.22, 0.45, n)).astype(np.int64),
        dearness=dearness.astype(np.float32),
        cycle=cycle.astype(np.float32),
        published_at=published_at,
        retired_at=_retired(rng, published_at, span),
    )
    facts = zip(leaf, brand, noun, variant, locale, strict=True)
    return stock, [_product_label(table, row, *fact) for row, fact in enumerate(facts, 1)]


def _product_label(table: Words, row: int, leaf: int, brand: int, noun: int, variant: int, locale: int) -> Label:
    shelf, maker = table.leaf[leaf], table.brand[brand]
    phrase = table.variant["consumable" if shelf.cycle else "durable"][variant]
    wording = titles.product(table, shelf, maker, noun, phrase, LOCALES[max(locale, 0)])
    return Label(f"prod-{row:05d}", wording, shelf.path, canonical({"brand": maker.en}))


def _content(table: Words, rng: Generator, n: int, span: Span) -> tuple[Stock, list[Label]]:
    leaf = rng.choice(len(table.leaf), n, p=_leaf_share(table)).astype(np.int32)
    form = rng.choice(len(FORMS), n, p=FORM_SHARE)
    locale = rng.choice(len(LOCALES), n, p=CONTENT_LOCALES)
    fresh = _published(rng, n, span, share_before=0.15, before_days=20)
    lasting = _published(rng, n, span, share_before=0.65, before_days=400)
    stock = _blank(CONTENT, n, span)._replace(
        form=form.astype(np.int8),
        leaf=leaf,
        locale=locale.astype(np.int8),
        style=_style(rng, (leaf, leaf * len(FORMS) + form)),
        appeal=rng.normal(0, 0.8, n).astype(np.float32),
        half_life=np.array(HALF_LIFE_DAYS, np.float32)[form],
        published_at=np.where(form == POST, fresh, lasting),
    )
    facts = list(zip(leaf, form, rng.integers(0, 3, n), locale, strict=True))
    wordings = (
        titles.content(table, table.leaf[c], FORMS[f], pattern, LOCALES[place]) for c, f, pattern, place in facts
    )
    labels = [
        Label(f"read-{row:05d}", wording, table.leaf[c].path, canonical({"form": FORMS[f]}))
        for row, (wording, (c, f, *_)) in enumerate(zip(titles.numbered(wordings), facts, strict=True), 1)
    ]
    return stock, labels


def _actions(table: Words, span: Span) -> tuple[Stock, list[Label]]:
    form, locale = np.indices((len(table.action), len(LOCALES)), np.int8).reshape(2, -1)
    labels = [
        Label(
            f"act-{offer.id}-{language}",
            titles.action(offer, language),
            ACTIONS_PATH,
            canonical({"stages": offer.stages}),
        )
        for offer in table.action
        for language in LOCALES
    ]
    return _blank(ACTION, len(labels), span)._replace(form=form, locale=locale), labels


def _item(table: Words, stock: Stock, row: int, label: Label, end: int) -> Item:
    is_product = bool(stock.kind[row] == PRODUCT)
    return Item(
        item_id=label.item_id,
        kind=KINDS[stock.kind[row]],
        title=label.wording.title,
        text=label.wording.text,
        category=label.category,
        price_minor=int(stock.price[row]) if is_product else None,
        currency=table.currency if is_product else None,
        available=bool(stock.retired_at[row] > end),
        locale=None if stock.locale[row] == EVERYWHERE else LOCALES[stock.locale[row]],
        published_at=int(stock.published_at[row]),
        attributes=label.attributes,
    )


def _combinations(table: Words, rng: Generator, n: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Leaf, brand, noun and variant of about ``n`` products; no two of a leaf are the same."""
    shape = (len(table.brand), N_NOUNS, len(table.variant["durable"]))
    n_leaves, n_kinds = len(table.leaf), int(np.prod(shape))
    sizes = N_NOUNS + np.bincount(
        rng.choice(n_leaves, n - N_NOUNS * n_leaves, p=_leaf_share(table)), minlength=n_leaves
    )
    codes = [rng.choice(n_kinds, size, replace=False) for size in np.minimum(sizes, n_kinds)]
    leaf = np.repeat(np.arange(n_leaves, dtype=np.int32), [len(code) for code in codes])
    brand, noun, variant = (column.astype(np.int32) for column in np.unravel_index(np.concatenate(codes), shape))
    return leaf, brand, noun, variant


def _leaf_share(table: Words) -> NDArray[np.float64]:
    size = np.array([0.6 + leaf.weight for leaf in table.leaf])
    return np.asarray(size / size.sum())


def _style(rng: Generator, sources: Sequence[Ints]) -> Floats:
    """Unit vectors of items that share something: a draw for each value of each source, and one of their own."""
    total = 0.7 * rng.normal(size=(len(sources[0]), N_STYLE))
    for source in sources:
        total += 0.8 * rng.normal(size=(int(source.max()) + 1, N_STYLE))[source]
    return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True), np.float32)


def _zipf(rng: Generator, leaf: Ints) -> Floats:
    """Log-appeal by a random rank on the shelf: share of the r-th about 1/r, centred a shelf."""
    appeal = np.empty(len(leaf), np.float32)
    for row in np.unique(leaf):
        here = np.flatnonzero(leaf == row)
        appeal[rng.permutation(here)] = -1.1 * np.log(np.arange(1, len(here) + 1))
        appeal[here] -= appeal[here].mean()
    return appeal


def _prices(table: Words, leaf: Ints, dearness: NDArray[np.float64]) -> Longs:
    """Prices between the lowest and the highest of the leaf, ending in 9 as prices do."""
    low, high = np.array([table.leaf[row].price for row in leaf], np.float64).T
    price = low * (high / low) ** np.clip(0.45 + 0.2 * dearness, 0, 1)
    return np.asarray(price // 10 * 10 + 9, np.int64)


def _published(rng: Generator, n: int, span: Span, *, share_before: float, before_days: int) -> Longs:
    before = span.start - rng.integers(0, before_days * DAY_US, n)
    during = rng.integers(span.start, span.end, n)
    return np.where(rng.random(n) < share_before, before, during)


def _retired(rng: Generator, published_at: Longs, span: Span) -> Longs:
    leaves = rng.random(len(published_at)) < 0.06
    at = np.maximum(published_at + 20 * DAY_US, rng.integers(span.start, span.end, len(published_at)))
    return np.where(leaves & (at < span.end), at, NEVER).astype(np.int64)


def _buzz(rng: Generator, n_items: int, days: int) -> Floats:
    """Bursts of talk about a few items: row, sim-day, strength."""
    n = 3 + n_items * days // 4_000
    return np.column_stack(
        [rng.integers(0, n_items, n), rng.uniform(-7, days, n), rng.uniform(1.0, 2.5, n)],
    ).astype(np.float32)


def _shelves(stock: Stock, kind: int, n_leaves: int) -> Ints:
    """Rows of the items of each leaf, filled up with -1."""
    rows = np.flatnonzero(stock.kind == kind)
    rows = rows[np.argsort(stock.leaf[rows], kind="stable")].astype(np.int32)
    sizes = np.bincount(stock.leaf[rows], minlength=n_leaves)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    shelves = np.full((n_leaves, max(1, sizes.max())), -1, np.int32)
    shelves[stock.leaf[rows], place] = rows
    return shelves


def _complements(leaves: Sequence[Leaf], leaf_of: dict[str, int]) -> Floats:
    chance = np.zeros((len(leaves), len(leaves)), np.float32)
    for row, leaf in enumerate(leaves):
        for path in leaf.complements:
            chance[row, leaf_of[path]] = COMPLEMENT_CHANCE
    return chance
