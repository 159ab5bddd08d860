from __future__ import annotations

import base64
import copy

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Item
from features.errors import BundleCorrupt, BundleIncompatible
from features.events import DAY_US
from features.ids import key64
from features.journey import STAGES, Journey
from recommender.blend import CONTEXTS, STRANGER, TASKS, Blend, pool_of
from recommender.bundle import BundleContent, BundleMeta, write_bundle
from recommender.engine import KNOWN_ARRAYS, MAX_SUPPRESSED, Engine
from recommender.golden import N_GOLDEN, check_golden, golden_of
from recommender.items import KINDS
from recommender.moves import Moves
from recommender.overlay import NO_OVERLAY, CatalogOverlay
from recommender.ranker import Ranker
from recommender.reasons import REASON_TEXTS
from recommender.scale import Scale
from recommender.slate import SlateRequest
from tests.recommender.small import (
    CATALOG,
    CATEGORIES,
    JOURNEY,
    NOW,
    after,
    engine_of,
    fitted,
    history,
    line,
    small_arrays,
    small_engine,
    state_of,
)

ENGINE = small_engine()
EMPTY = JOURNEY.schema.empty()
EVERYTHING = {item.item_id for item in CATALOG}
KIND_OF = {item.item_id: item.kind for item in CATALOG}
names = st.sampled_from(sorted(EVERYTHING))
deeds = st.lists(
    st.tuples(st.sampled_from(["item_view", "content_read", "cart_add", "cart_remove", "purchase", "wishlist"]), names),
    max_size=10,
)


@st.composite
def requests(draw) -> SlateRequest:
    some = st.lists(names | st.just("unheard-of"), max_size=4, unique=True).map(tuple)
    return SlateRequest(
        limit=draw(st.integers(1, 20)),
        kinds=tuple(draw(st.lists(st.sampled_from(KINDS), min_size=1, unique=True))),
        anchors=draw(some),
        candidates=draw(st.none() | some),
        locale=draw(st.sampled_from([None, "tr-TR", "ar"])),
        cart=draw(some),
        exclude=draw(some),
        categories=draw(st.sampled_from([(), ("home",), ("toys", "guides")])),
        text=draw(st.sampled_from([None, "tea"])),
        unseen_only=draw(st.booleans()),
        apply_rules=draw(st.booleans()),
    )


def decided(state=EMPTY, now=NOW, engine=ENGINE, overlay=NO_OVERLAY, **request):
    return engine.decide(state, SlateRequest(**request), now, overlay=overlay)


def ids(slate) -> list[str]:
    return [item.item_id for item in slate.items]


def why(slate) -> dict[str, str]:
    return {item.item_id: item.why for item in slate.suppressed}


def row_of(item_id: str) -> int:
    return int(ENGINE.items.rows_of(np.array([key64(item_id)]))[0])


@given(deeds, requests())
def test_reasons_sum_to_the_score_and_the_greatest_names_the_source(events, request) -> None:
    for item in ENGINE.decide(after(*events), request, NOW).items:
        weights = [reason.weight for reason in item.reasons]
        assert sum(weights) == pytest.approx(item.score, abs=1e-6)
        assert 0 < item.score <= 1 + 1e-6
        assert weights == sorted(weights, reverse=True)
        assert min(weights) > 0
        assert item.source == item.reasons[0].code
        assert all(reason.text == REASON_TEXTS[reason.code] for reason in item.reasons)


@given(deeds, requests())
def test_a_slate_keeps_every_filter_and_shows_nothing_twice(events, request) -> None:
    slate = ENGINE.decide(after(*events), request, NOW)
    shown = ids(slate)
    assert len(set(shown)) == len(shown) <= request.limit
    assert [item.rank for item in slate.items] == list(range(1, len(shown) + 1))
    assert not set(shown) & set(request.exclude)
    assert {KIND_OF[item] for item in shown} <= set(request.kinds)
    if request.candidates is not None:
        assert set(shown) <= set(request.candidates)
    if request.categories:
        assert all((CATEGORIES[item] or "").startswith(request.categories) for item in shown)
    if request.unseen_only:
        assert not set(shown) & {item for _, item in events}


@given(deeds, requests())
def test_what_rules_hold_back_is_never_shown(events, request) -> None:
    slate = ENGINE.decide(after(*events), request, NOW)
    shown = set(ids(slate))
    assert not shown & set(why(slate))
    if request.apply_rules:
        assert not shown & {"kite", *request.cart}
        assert not shown & {item for what, item in events if what == "purchase"}
    else:
        assert not slate.suppressed


@given(deeds, requests())
def test_the_same_question_gets_the_same_answer(events, request) -> None:
    assert ENGINE.decide(after(*events), request, NOW) == ENGINE.decide(after(*events), request, NOW)


@given(deeds, requests())
def test_what_was_asked_before_need_not_be_asked_again(events, request) -> None:
    state = after(*events)
    asked = ENGINE.asked(state, request, NOW)
    assert ENGINE.decide(state, request, NOW, asked=asked) == ENGINE.decide(state, request, NOW)


@given(deeds, requests())
def test_every_item_names_itself_as_the_catalogue_does(events, request) -> None:
    for item in ENGINE.decide(after(*events), request, NOW).items:
        assert item.item_key == key64(item.item_id)
        assert item.item_idx == row_of(item.item_id)
        assert item.kind == KIND_OF[item.item_id]
        assert item.propensity == 1


@given(deeds)
def test_without_rules_and_limits_the_order_is_that_of_the_scores(events) -> None:
    scores = [item.score for item in decided(after(*events), limit=50, apply_rules=False).items]
    assert scores == sorted(scores, reverse=True)


def test_an_unknown_customer_gets_what_is_popular_and_is_told_so() -> None:
    slate = decided()
    assert slate.strategy == "popular"
    assert slate.standing.stage == "awareness"
    assert {item.source for item in slate.items} == {"popular"}
    assert len(slate.items) == 8


def test_a_page_about_an_item_is_related_to_it_though_the_customer_is_unknown() -> None:
    assert decided(anchors=("kettle",)).strategy == "related"
    assert decided(text="garden").strategy == "related"


def test_a_customer_with_a_history_gets_a_personal_slate() -> None:
    slate, popular = decided(after(("item_view", "spade")), limit=20), decided(limit=20)
    assert slate.strategy == "personal"
    assert ids(slate)[0] == "spade"
    assert ids(slate).index("hose") < ids(popular).index("hose")


def test_a_slate_of_popular_items_is_called_popular_whoever_asks() -> None:
    engine = ENGINE.with_blend(Blend.only("popular", ENGINE.sources))
    assert decided(after(("item_view", "spade")), engine=engine).strategy == "popular"


def test_what_was_bought_a_second_ago_changes_the_slate() -> None:
    before = after(("item_view", "kettle"), ("cart_add", "cup"))
    bought = JOURNEY.schema.merge(before, JOURNEY.schema.lift(line("new", "purchase", "kettle", NOW - 1_000_000)))
    first, second = decided(before), decided(bought)
    assert "kettle" in ids(first)
    assert "kettle" not in ids(second)
    assert why(second)["kettle"] == "just_bought"
    assert (first.standing.stage, second.standing.stage) != ("transaction", "transaction")
    assert second.standing.stage == "transaction"


def test_each_held_back_item_says_why() -> None:
    slate = decided(after(("purchase", "kettle"), ("cart_add", "cup")), cart=("ball",))
    assert why(slate) == {"kettle": "just_bought", "cup": "in_cart", "ball": "in_cart", "kite": "unavailable"}


def test_no_more_held_back_items_are_told_than_a_reader_can_use() -> None:
    catalog = [Item(item_id=f"gone-{n}", available=False) for n in range(MAX_SUPPRESSED + 5)]
    slate = decided(engine=engine_of(fitted([], catalog)))
    assert slate.strategy == "empty"
    assert len(slate.suppressed) == MAX_SUPPRESSED


def test_fewer_items_come_rather_than_padding() -> None:
    slate = decided(limit=8, candidates=("cup", "tray", "kite", "unheard-of"))
    assert sorted(ids(slate)) == ["cup", "tray"]
    assert why(slate) == {"kite": "unavailable"}


def test_where_everything_is_filtered_the_slate_is_empty() -> None:
    for filters in ({"candidates": ()}, {"categories": ("nowhere",)}, {"exclude": tuple(EVERYTHING)}):
        slate = decided(after(("item_view", "cup")), **filters)
        assert (slate.items, slate.strategy) == ((), "empty")


def test_kinds_that_the_catalogue_lacks_give_an_empty_slate() -> None:
    engine = engine_of(fitted([], CATALOG[:3]))
    assert decided(engine=engine, kinds=("content",)).strategy == "empty"
    assert len(decided(engine=engine).items) == 3


def test_an_engine_without_a_catalogue_answers_with_nothing() -> None:
    engine = Engine.empty()
    for state in (EMPTY, after(("item_view", "cup"), ("purchase", "cup"))):
        slate = decided(state, engine=engine, anchors=("cup",), candidates=("cup",), text="cup", categories=("home",))
        assert (slate.items, slate.suppressed, slate.strategy) == ((), (), "empty")


def test_a_catalogue_that_nobody_touched_has_something_to_show() -> None:
    slate = decided(engine=engine_of(fitted([])), limit=20)
    assert set(ids(slate)) == EVERYTHING - {"kite", "write-review"}


def test_unseen_only_shows_no_reminder() -> None:
    state = after(("item_view", "cup"), ("item_view", "tray"))
    assert {"cup", "tray"} <= set(ids(decided(state, limit=20)))
    assert not {"cup", "tray"} & set(ids(decided(state, limit=20, unseen_only=True)))


def test_the_task_chooses_the_weights() -> None:
    any_task, new_task = Blend.only("recent", ENGINE.sources), Blend.only("popular", ENGINE.sources)
    blend = Blend(ENGINE.sources, {"any": any_task.weights["any"], "new": new_task.weights["new"]})
    engine = ENGINE.with_blend(blend)
    state = after(("item_view", "cup"))
    assert {item.source for item in decided(state, engine=engine).items} == {"recent"}
    assert {item.source for item in decided(state, engine=engine, unseen_only=True).items} == {"popular"}


def test_an_engine_whose_weights_and_mix_know_no_stage_is_its_own_twin() -> None:
    blind = ENGINE.with_blend(Blend.prior(ENGINE.sources))
    assert blind.without_stage() is not blind
    assert blind.without_stage().without_stage().mean_mix() == pytest.approx(blind.mean_mix())
    alike = blind.with_mix(blind.mean_mix())
    assert alike.without_stage() is alike


@pytest.mark.parametrize("kind", KINDS)
def test_a_slate_is_made_of_what_the_definition_says(kind) -> None:
    """And what one kind alone is asked of is filled up by the others once it has run out."""
    document = JOURNEY.to_document()
    only = {name: float(name == kind) for name in KINDS}
    own = Journey.of_document(document | {"mix": dict.fromkeys(STAGES, only)})
    engine = Engine(small_arrays(), ENGINE.blend, own, ENGINE.model)
    of_kind = [item.kind for item in decided(engine=engine, limit=20).items]
    n = of_kind.count(kind)
    assert 0 < n < len(of_kind)
    assert of_kind[:n] == [kind] * n


def test_without_the_stage_customers_of_two_stages_are_ranked_by_the_same_weights() -> None:
    names = ("popular", "recent")
    rows = np.zeros((len(CONTEXTS), len(ENGINE.sources)), np.float32)
    for at, context in enumerate(CONTEXTS):
        rows[at, ENGINE.sources.index(names[context.startswith("transaction")])] = 1
    engine = ENGINE.with_blend(Blend(ENGINE.sources, dict.fromkeys(TASKS, rows)))
    state = after(("purchase", "kettle"), ("item_view", "cup"))
    assert {item.source for item in decided(state, engine=engine).items} == {"recent"}
    blind = decided(state, engine=engine.without_stage(), limit=20)
    assert {code for item in blind.items for code, _, _ in item.reasons} == set(names)


def test_a_change_of_the_catalogue_shows_at_once() -> None:
    shown = ids(decided(limit=20))
    changes = (Item(item_id="cup", available=False), Item(item_id="kite", title="Kite, back again"))
    overlay = CatalogOverlay().with_item(changes[0]).with_item(changes[1])
    slate = decided(limit=20, overlay=overlay)
    assert set(ids(slate)) ^ set(shown) == {"cup", "kite"}
    assert {item.title for item in slate.items if item.item_id == "kite"} == {"Kite, back again"}
    assert why(slate) == {"cup": "unavailable"}


def test_items_that_replace_the_held_back_ones_are_looked_for() -> None:
    """More popular items than one source is asked for are sold out, and the slate is full all the same."""
    catalog = [Item(item_id=f"item-{n:03}") for n in range(300)]
    sold = {f"item-{n:03}" for n in range(200)}
    log = [line(f"c{n}", "item_view", item, NOW - DAY_US) for item in sorted(sold) for n in range(1)]
    engine = engine_of(fitted(log, catalog))
    overlay = CatalogOverlay({key64(item): Item(item_id=item, available=False) for item in sold})
    slate = decided(engine=engine, overlay=overlay)
    assert len(slate.items) == 8
    assert not sold & set(ids(slate))


def test_what_the_last_retrieval_finds_is_held_back_as_well(monkeypatch) -> None:
    """More is sold out than all retrievals together can pass over, and none of it is shown."""
    catalog = [Item(item_id=f"item-{n:03}") for n in range(60)]
    engine = engine_of(fitted([line("x", "item_view", item.item_id, NOW - DAY_US) for item in catalog], catalog))
    overlay = CatalogOverlay({key64(item.item_id): Item(item_id=item.item_id, available=False) for item in catalog})
    monkeypatch.setattr("recommender.engine.pool_of", lambda *asked: pool_of(*asked, n=2))
    slate = decided(engine=engine, overlay=overlay)
    assert ids(slate) == []
    assert len(slate.suppressed) < len(catalog)


def test_a_catalogue_whose_old_favourites_are_gone_still_fills_its_slates() -> None:
    catalog = [Item(item_id=f"item-{n:03}", available=n >= 500) for n in range(520)]
    log = [line("x", "item_view", f"item-{n:03}", NOW - DAY_US - n * DAY_US // 600) for n in range(520)]
    engine = engine_of(fitted(log, catalog))
    slate = decided(engine=engine)
    assert ids(slate) == [f"item-{n}" for n in range(500, 508)]
    back = CatalogOverlay().with_item(Item(item_id="item-000"))
    assert ids(decided(engine=engine, overlay=back))[0] == "item-000"


def test_what_goes_with_an_item_is_not_the_item() -> None:
    slate = ENGINE.related(row_of("kettle"), 5)
    assert slate.strategy == "related"
    assert "kettle" not in ids(slate)
    assert {"cup", "teapot"} <= set(ids(slate))
    assert {item.kind for item in ENGINE.related(row_of("kettle"), 5, ("content",)).items} == {"content"}


def test_kinds_are_mixed_by_stage_and_only_where_rules_apply() -> None:
    kinds = {item.kind for item in decided(limit=8).items}
    assert kinds == set(KINDS)


def test_a_blend_of_other_sources_gives_way_to_equal_weights() -> None:
    engine = Engine(small_arrays(), Blend.prior(("popular",)), JOURNEY, ENGINE.model)
    assert engine.blend.of("any", "awareness/live").tolist() == pytest.approx(
        [1 / len(engine.sources)] * len(engine.sources)
    )


def test_a_source_that_was_not_fitted_takes_no_part() -> None:
    arrays = {name: array for name, array in small_arrays().items() if name != "als.spectrum"}
    engine = engine_of(arrays)
    assert "als" not in engine.sources
    assert "als" not in {reason.code for item in decided(engine=engine).items for reason in item.reasons}


CASES = [(after(("item_view", "cup")), NOW), (EMPTY, NOW), (after(("purchase", "kettle")), NOW + DAY_US)]


def bundle_in(root, golden=None, **others):
    documents = {
        "blend": ENGINE.blend.to_document(),
        "journey": JOURNEY.to_document(),
        "golden": golden_of(ENGINE, CASES) if golden is None else golden,
        "facts": {},
    } | others
    meta = BundleMeta(
        name="rihla",
        feature_schema=JOURNEY.schema.hash,
        journey_version=JOURNEY.version,
        journey_digest=JOURNEY.digest,
        until=NOW,
        data_digest="0" * 32,
        created_at=NOW,
    )
    return write_bundle(root, BundleContent(small_arrays(), meta, documents))


def test_an_engine_comes_back_from_its_bundle_and_answers_as_before(tmp_path) -> None:
    path = bundle_in(tmp_path)
    engine = Engine.open(path, schema_hash=JOURNEY.schema.hash)
    assert engine.model.digest == path.name
    assert engine.model.until == NOW
    assert engine.sources == ENGINE.sources
    for state, now in CASES:
        assert decided(state, now, engine) == decided(state, now)


@pytest.mark.parametrize(
    "blend",
    [{}, [], {"sources": ["als"], "weights": {}}, {"sources": ["als"], "weights": {"any": [[1]], "new": [[1]]}}],
)
def test_a_bundle_whose_weights_make_no_sense_is_refused(tmp_path, blend) -> None:
    with pytest.raises(BundleCorrupt, match="blend"):
        Engine.open(bundle_in(tmp_path, blend=blend))


def test_a_bundle_of_another_schema_is_refused(tmp_path) -> None:
    with pytest.raises(BundleIncompatible, match="feature schema"):
        Engine.open(bundle_in(tmp_path), schema_hash="0" * 16)


def test_a_bundle_that_answers_otherwise_than_its_maker_is_refused(tmp_path) -> None:
    golden = copy.deepcopy(golden_of(ENGINE, CASES))
    golden[1]["item_keys"][0] = key64("kite")
    with pytest.raises(BundleIncompatible, match="request 1 "):
        Engine.open(bundle_in(tmp_path, golden))


def test_golden_requests_come_back_from_json() -> None:
    document = msgspec.json.decode(msgspec.json.encode(golden_of(ENGINE, CASES)))
    check_golden(ENGINE, document)
    assert len(document) == len(CASES) <= N_GOLDEN
    assert all(golden["item_keys"] for golden in document)


@pytest.mark.parametrize("shift", [5e-4, -5e-4])
def test_a_score_that_is_further_away_than_cpus_differ_is_refused(shift) -> None:
    golden = golden_of(ENGINE, CASES)
    golden[0]["scores"][2] += shift
    with pytest.raises(BundleIncompatible):
        check_golden(ENGINE, golden)


def test_a_score_as_far_away_as_cpus_differ_is_let_through() -> None:
    golden = golden_of(ENGINE, CASES)
    golden[0]["scores"][2] += 5e-5
    check_golden(ENGINE, golden)


def test_an_answer_that_is_shorter_or_longer_is_refused() -> None:
    golden = golden_of(ENGINE, CASES)
    golden[0]["scores"].pop()
    golden[0]["item_keys"].pop()
    with pytest.raises(BundleIncompatible):
        check_golden(ENGINE, golden)


torn = base64.b64encode(JOURNEY.schema.encode(state_of())[:-1]).decode()
short_record = base64.b64encode(
    JOURNEY.schema.encode(msgspec.structs.replace(EMPTY, seen=((NOW - 1, key64("cup")),)))
).decode()


@pytest.mark.parametrize("state", ["not base64!", torn, "AAAA", short_record])
def test_golden_requests_of_another_shape_are_corrupt(state) -> None:
    golden = golden_of(ENGINE, CASES)
    golden[0]["state"] = state
    with pytest.raises(BundleCorrupt, match="golden"):
        check_golden(ENGINE, golden)


def test_a_golden_document_that_is_no_list_of_requests_is_corrupt() -> None:
    for document in ([{}], [1], {"state": ""}):
        with pytest.raises(BundleCorrupt):
            check_golden(ENGINE, document)


def test_a_bundle_holds_no_array_that_no_reader_knows() -> None:
    assert set(small_arrays()) == set(KNOWN_ARRAYS) - set(Ranker.arrays) - set(Scale.arrays) - set(Moves.arrays)


def test_equal_logs_make_equal_arrays() -> None:
    again = fitted(history())
    assert all(small_arrays()[name].tobytes() == array.tobytes() for name, array in again.items())


def test_strangers_have_weights_of_their_own_unless_the_page_says_what_it_is_about() -> None:
    alone = {name: Blend.only(name, ENGINE.sources).weights["any"][0] for name in ("popular", "viewed_next")}
    rows = np.stack([alone["popular" if name == STRANGER else "viewed_next"] for name in CONTEXTS])
    engine = ENGINE.with_blend(Blend(ENGINE.sources, dict.fromkeys(TASKS, rows)))
    assert {item.source for item in decided(engine=engine).items} == {"popular"}
    assert {item.source for item in decided(engine=engine, anchors=("kettle",)).items} == {"viewed_next"}
