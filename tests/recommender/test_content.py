"""The content retriever: labelled queries in three languages, neighbours across kinds, thin catalogues."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.contract import NOTHING, TOUCHES, Candidates, Query
from recommender.items import KINDS, Items, pack_text
from recommender.retrievers.content import N_SEEDS, ContentRetriever, seeds_of
from training.fitting import content as fitting
from training.fitting.content import Description, fit_content

LABELLED = Path(__file__).parent / "labelled_text"
LANGUAGES = ("en", "tr", "ar")


def items_of(described: list[Description], locales: list[str | None] | None = None) -> Items:
    n = len(described)
    codes = sorted({locale for locale in locales or [] if locale})
    arrays: dict[str, Any] = {
        "items.item_key": np.arange(n, dtype=np.int64),
        "items.kind": np.asarray([KINDS.index(item.kind) for item in described], np.uint8),
        "items.category": np.full(n, -1, np.int32),
        "items.is_available": np.ones(n, np.bool_),
        "items.published_at": np.zeros(n, np.int64),
        "items.price_minor": np.full(n, -1, np.int64),
        "items.locale": np.asarray([codes.index(x) if x else -1 for x in locales or [None] * n], np.int32),
        "items.stages": np.zeros(n, np.uint8),
    }
    for name, texts in {"id": map(str, range(n)), "title": [""] * n, "categories": [], "locales": codes}.items():
        arrays[f"items.{name}_bytes"], arrays[f"items.{name}_at"] = pack_text(texts)
    return Items(arrays)


def retriever_of(described: list[Description], locales: list[str | None] | None = None) -> ContentRetriever:
    return ContentRetriever(fit_content(described), items_of(described, locales))


def query_of(*, anchors: list[int] | None = None, touches: list[tuple[int, str]] | None = None, **given: Any) -> Query:
    counts = np.zeros((len(touches or []), len(TOUCHES)), np.int32)
    for row, (_, touch) in enumerate(touches or []):
        counts[row, TOUCHES.index(touch)] = 1
    return Query(
        now=1_000,
        touch_idx=np.asarray([item for item, _ in touches or []], np.int32),
        touch_at=np.arange(len(counts), dtype=np.int64),
        touch_counts=counts,
        anchor_idx=np.asarray(anchors or [], np.int32),
        **given,
    )


@cache
def labelled(language: str) -> dict[str, Any]:
    return tomllib.loads((LABELLED / f"{language}.toml").read_text(encoding="utf-8"))


@cache
def corpus() -> tuple[list[str], list[str], ContentRetriever]:
    """All labelled items of all languages as one shop: slugs, languages and the retriever."""
    rows = [(language, *item) for language in LANGUAGES for item in labelled(language)["items"]]
    described = [Description(kind, title, None, category) for _, _, kind, category, title in rows]
    locales = [language for language, *_ in rows]
    return [slug for _, slug, *_ in rows], locales, retriever_of(described, list(locales))


@cache
def titles_of(language: str) -> ContentRetriever:
    return retriever_of([Description(kind, title) for _, kind, _, title in labelled(language)["items"]])


def similar_to(slug: str, language: str, n: int, **given: Any) -> list[str]:
    slugs, locales, retriever = corpus()
    item = next(i for i, found in enumerate(slugs) if (found, locales[i]) == (slug, language))
    return [slugs[i] for i in retriever.retrieve(query_of(anchors=[item], **given), n).item_idx]


def hits(language: str, part: str, n: int) -> float:
    slugs = [item[0] for item in labelled(language)["items"]]
    answered = [
        any(slugs[i] in wanted for i in titles_of(language).retrieve(query_of(text=text), n).item_idx)
        for text, _, wanted in labelled(language)[part]
    ]
    return float(np.mean(answered))


def assert_same(one: Candidates, other: Candidates) -> None:
    assert one.item_idx.tolist() == other.item_idx.tolist()
    assert one.score.tolist() == other.score.tolist()


@pytest.mark.parametrize(("language", "first", "among_five"), [("en", 0.9, 0.95), ("tr", 0.9, 0.95), ("ar", 0.8, 0.95)])
def test_labelled_queries_find_what_they_mean(language, first, among_five):
    """Sizes and weights were chosen on ``dev``; these are the queries of ``test``, on bare titles.

    Measured: first in 94, 98 and 87 %, among five in 100 % of all three. Plain words, case-folded only: 70, 56
    and 29 %; among five 83, 73 and 44 %.
    """
    assert len(labelled(language)["test"]) >= 50
    assert hits(language, "test", 1) >= first
    assert hits(language, "test", 5) >= among_five


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_name_items_that_exist_and_no_query_is_a_title(language):
    data = labelled(language)
    slugs, titles = {item[0] for item in data["items"]}, {item[3].casefold() for item in data["items"]}
    assert len(slugs) == len(data["items"]) >= 150
    for text, _, wanted in data["dev"] + data["test"]:
        assert set(wanted) <= slugs
        assert text.casefold() not in titles


@pytest.mark.parametrize(
    ("language", "variants"),
    [
        (
            "tr",
            ["istanbul kahvaltı", "İSTANBUL KAHVALTI", "ISTANBUL KAHVALTI", "ıstanbul kahvalti", "İstanbul Kahvaltı"],
        ),
        ("tr", ["ilik çorbası", "İLİK ÇORBASI", "ILIK CORBASI", "ılık çorbasi"]),
        ("tr", ["çay bardağı", "cay bardagi", "ÇAY BARDAĞI", "c\u0327ay bardag\u0306ı"]),
        ("ar", ["قهوة عربية", "قَهْوَةٌ عَرَبِيَّة", "قهـــوة عربيـة", "قهوه عربيه"]),
        ("ar", ["أحمر شفاه", "احمر شفاه", "إحمر شفاه", "آحمر شفاه", "ٱحمر شفاه"]),
        ("ar", ["شاي أسود", "شاى اسود", "شَايٌ أَسْوَد"]),
        ("ar", ["آيفون ١٥", "ايفون 15", "أيفون ۱۵", "\u200fآيفون\u200e 15"]),
        ("en", ["café table", "CAFE TABLE", "cafe\u0301 table", "ｃａｆｅ table"]),
    ],
)
def test_spellings_of_one_query_get_the_same_answer(language, variants):
    answers = [titles_of(language).retrieve(query_of(text=text), 20) for text in variants]
    assert len(answers[0].item_idx)
    for answer in answers[1:]:
        assert_same(answers[0], answer)


def test_a_title_finds_its_own_item_first_with_a_cosine_of_one():
    for row, (_, _, _, title) in enumerate(labelled("en")["items"]):
        found = titles_of("en").retrieve(query_of(text=title), 5)
        assert found.item_idx[0] == row
        assert found.score[0] == pytest.approx(1, abs=0.01)


def test_category_and_text_are_searched_too_but_the_title_counts_most():
    retriever = retriever_of(
        [
            Description("product", "Merlin", "A grinder for people in a hurry"),
            Description("product", "Arthur", None, "kitchen/grinder"),
            Description("product", "Grinder Lancelot"),
            Description("product", "Gawain", "A kettle"),
            *(Description("product", f"Knight {i}") for i in range(20)),
        ]
    )
    assert retriever.retrieve(query_of(text="grinder"), 10).item_idx.tolist() == [2, 1, 0]


def test_one_word_of_a_long_text_is_found_where_no_title_has_it():
    tale = " ".join(one + other for one in "abcdefghjkl" for other in ("arthur", "merlin", "galahad")) + " grinder"
    described = [Description("product", "Parsifal", f"{tale} {tale}"), Description("product", "Knight")]
    retriever = retriever_of([*described, *(Description("product", f"Squire {i}") for i in range(20))])
    for text in ("grinder", "grinders"):
        assert retriever.retrieve(query_of(text=text), 5).item_idx.tolist() == [0]


def test_guides_are_found_for_products_and_products_for_guides():
    assert set(similar_to("espresso-machine", "en", 3, kinds=("content",))) == {
        "guide-descale",
        "guide-espresso",
        "guide-grind",
    }
    assert similar_to("kahve-makinesi", "tr", 1, kinds=("content",))[0].startswith("rehber-k")
    assert similar_to("tent", "ar", 1, kinds=("content",)) == ["guide-tent"]
    assert "tomato-seeds" in similar_to("guide-tomatoes", "en", 3, kinds=("product",))


def test_neighbours_read_alike():
    assert set(similar_to("iphone-15", "en", 2)) == {"iphone-14", "iphone-15-pro"}
    assert "running-shoes-women" in similar_to("running-shoes-men", "en", 3)
    assert all("kahve" in slug for slug in similar_to("kahve-makinesi", "tr", 2))


@pytest.mark.parametrize("given", [{"anchors": [0]}, {"text": "coffee"}, {"touches": [(0, "views")]}])
def test_only_wanted_kinds_and_allowed_items_are_proposed(given):
    _, _, retriever = corpus()
    kinds = retriever._kind
    found = retriever.retrieve(query_of(kinds=("content", "action"), **given), 50).item_idx
    assert len(found)
    assert set(kinds[found]) <= {1, 2}
    allowed = np.zeros(len(kinds), np.bool_)
    allowed[found[:2]] = True
    assert set(retriever.retrieve(query_of(is_allowed=allowed, **given), 50).item_idx) == set(found[:2])


def test_items_in_the_customers_language_come_first_and_others_stay():
    described = [Description("content", f"Espresso {word}") for word in ("guide", "rehber", "book")]
    retriever = retriever_of([*described, Description("product", "Espresso")], ["en", "tr-TR", None, None])
    anywhere = retriever.retrieve(query_of(anchors=[3]), 10)
    turkish = retriever.retrieve(query_of(anchors=[3], locale="tr"), 10)
    assert turkish.item_idx[-1] == 0
    assert set(turkish.item_idx) == set(anywhere.item_idx) == {0, 1, 2}
    score = dict(zip(turkish.item_idx.tolist(), turkish.score.tolist(), strict=True))
    neutral = dict(zip(anywhere.item_idx.tolist(), anywhere.score.tolist(), strict=True))
    assert score[1] == neutral[1]
    assert score[2] == neutral[2]
    assert 0.5 < score[0] / neutral[0] < 1


def test_seeds_are_anchors_then_the_newest_distinct_touches():
    touches = [(item, "views") for item in (*range(5), *range(6, 20), 5)]
    seeds, share = seeds_of(query_of(anchors=[30, 19], touches=touches))
    assert seeds.tolist() == [30, 19, 5, 18, 17, 16, 15, 14, 13, 12]
    assert len(seeds) == N_SEEDS
    assert share.sum() == pytest.approx(1)
    assert (np.diff(share) < 0).all()


def test_what_was_carted_or_read_counts_more_than_what_was_seen():
    for stronger in ("carts", "reads", "likes"):
        _, share = seeds_of(query_of(touches=[(1, "views"), (2, "views")]))
        _, raised = seeds_of(query_of(touches=[(1, stronger), (2, "views")]))
        assert raised[1] > share[1]
    _, lowered = seeds_of(query_of(touches=[(1, "views"), (2, "carts"), (2, "uncarts")]))
    assert lowered[0] > 0


@given(
    anchors=st.lists(st.integers(0, 466), max_size=4),
    touches=st.lists(st.tuples(st.integers(0, 466), st.sampled_from(TOUCHES)), max_size=30),
    text=st.none() | st.text(max_size=40) | st.sampled_from([q[0] for x in LANGUAGES for q in labelled(x)["dev"]]),
    locale=st.none() | st.sampled_from(["tr", "ar-EG", "xx", ""]),
    n=st.integers(1, 60),
)
def test_candidates_are_unique_positive_and_ordered(anchors, touches, text, locale, n):
    _, _, retriever = corpus()
    query = query_of(anchors=anchors, touches=touches, text=text, locale=locale)
    found = retriever.retrieve(query, n)
    assert len(found.item_idx) == len(set(found.item_idx.tolist())) <= n
    assert (found.item_idx.dtype, found.score.dtype) == (np.int32, np.float32)
    order = sorted(zip((-found.score).tolist(), found.item_idx.tolist(), strict=True))
    assert [item for _, item in order] == found.item_idx.tolist()
    assert all(0 < score <= 1.001 for score in found.score)
    assert_same(found, retriever.retrieve(query, n))


@pytest.mark.parametrize("text", ["", " ", "?!", "\ud800", "\u200f", "qqqqqq", "x" * 100_000, "qj " * 10_000, "☕️"])
def test_texts_that_say_nothing_find_nothing(text):
    assert titles_of("en").retrieve(query_of(text=text), 5).item_idx.tolist() == []


def test_a_cold_customer_gets_nothing():
    assert corpus()[2].retrieve(query_of(), 5) is NOTHING


@pytest.mark.parametrize("described", [[], [Description("product")], [Description("content", "", " ", "/")] * 3])
def test_a_catalogue_that_says_nothing_fits_and_finds_nothing(described):
    retriever = retriever_of(described)
    assert len(retriever.item_idx) == 0
    assert retriever.retrieve(query_of(text="anything"), 5) is NOTHING
    if described:
        assert retriever.retrieve(query_of(anchors=[0]), 5) is NOTHING


def test_a_single_item_can_be_searched_and_has_no_neighbours():
    retriever = retriever_of([Description("product", "Moka pot")])
    assert retriever.retrieve(query_of(text="moka"), 5).item_idx.tolist() == [0]
    assert retriever.retrieve(query_of(anchors=[0]), 5) is NOTHING


def test_bare_categories_give_the_popular_items_of_the_category_and_no_more_than_a_few():
    described = [Description("product", None, None, f"{i % 3}") for i in range(900)]
    popularity = np.random.default_rng(1).permutation(900).astype(np.float32)
    retriever = ContentRetriever(fit_content(described, popularity), items_of(described))
    assert np.diff(retriever.indptr).tolist() == [fitting.N_NEIGHBOURS] * 900
    found = retriever.retrieve(query_of(anchors=[7]), 20).item_idx
    same = [i for i in np.argsort(-popularity) if i % 3 == 1 and i != 7]
    assert found.tolist() == same[:20]
    without = retriever_of(described).retrieve(query_of(anchors=[7]), 20).item_idx
    assert without.tolist() == [i for i in range(900) if i % 3 == 1 and i != 7][:20]


def test_a_category_that_everything_is_in_says_nothing(monkeypatch):
    monkeypatch.setattr(fitting, "MIN_COMMON", 10)
    assert len(fit_content([Description("product", None, None, "all")] * 40)["content.item_idx"]) == 0


def test_items_of_sibling_categories_are_near_and_those_of_the_same_category_nearer():
    paths = ["home/kitchen/knives", "home/kitchen/knives", "home/kitchen/pans", "home/office", "sport/yoga"]
    others = [f"other{i}/deep{i}" for i in range(20)]
    retriever = retriever_of([Description("product", None, None, path) for path in paths + others])
    assert retriever.retrieve(query_of(anchors=[0]), 10).item_idx.tolist() == [1, 2, 3]


def test_arrays_are_as_declared_and_equal_for_equal_input():
    described = [Description(kind, title, title, path) for _, kind, path, title in labelled("ar")["items"]]
    once, again = fit_content(described), fit_content(described)
    assert set(once) == set(ContentRetriever.arrays)
    for name, spec in ContentRetriever.arrays.items():
        assert (once[name].dtype.name, once[name].ndim) == tuple(spec)
        assert once[name].tobytes() == again[name].tobytes()
    assert (np.diff(once["content.token"]) > 0).all()
    assert (once["content.idf"] > 0).all()


def test_neighbours_do_not_depend_on_the_size_of_a_block(monkeypatch):
    described = [Description(kind, title, None, path) for _, kind, path, title in labelled("tr")["items"]]
    whole = fit_content(described)
    monkeypatch.setattr(fitting, "BLOCK_ROWS", 7)
    for name, array in fit_content(described).items():
        assert array.tobytes() == whole[name].tobytes()


def test_what_shoppers_buy_next_reads_like_what_they_bought(datasets):
    """UCI Online Retail, titles only: the next new product is among 20 in 24 % of cases; the 20 popular ones: 6 %."""
    log = pd.read_parquet(datasets / "uci_online_retail" / "online_retail.parquet")
    log = log[(log.quantity > 0) & log.customer_id.notna() & log.description.notna()]
    log = log.sort_values("invoice_date", kind="stable")
    codes, names = pd.factorize(log.stock_code, sort=True)
    log = log.assign(item=codes)
    titles = log.groupby("item").description.last()
    retriever = retriever_of([Description("product", titles[i]) for i in range(len(names))])
    popular = set(log.item.value_counts().index[:20])
    found, usual = [], []
    for _, own in log.groupby("customer_id").item:
        *before, after = own.tolist()
        if before and after not in before:
            query = query_of(touches=[(item, "buys") for item in before[-200:]])
            proposed = [i for i in retriever.retrieve(query, 300).item_idx if i not in before][:20]
            found.append(after in proposed)
            usual.append(after in popular)
    assert np.mean(found) > 0.2
    assert np.mean(found) > 2 * np.mean(usual)
