from __future__ import annotations

from statistics import fmean

import pytest

from features.errors import ModelFromTheFuture
from features.events import DAY_US
from features.journey import STAGES
from recommender.blend import Blend
from recommender.engine import Engine, Model, empty_arrays
from tests.recommender.hand_moves import hand_arrays
from training.load import Data
from training.picks import everyone
from training.split import states_of
from training.stages import move_chances, stage_counts


def test_every_customer_stands_somewhere_and_is_counted_once(shop, journey):
    data = Data(shop)
    counts = stage_counts(data, journey)
    assert counts.n_customers == len(everyone(data)) == sum(counts.by_stage.values())
    assert tuple(counts.by_stage) == STAGES
    assert sum(counts.by_phase.values()) <= counts.by_stage["transaction"]
    assert counts.n_at_risk <= counts.by_stage["retention"]


def test_counts_are_those_of_one_customer_at_a_time(shop, journey):
    data = Data(shop)
    audience = everyone(data)
    table = states_of(data, audience.customer_ids, audience.as_of, journey.schema)
    stages = [journey.stage_of(table.state(i), data.until).stage for i in range(len(audience))]
    assert stage_counts(data, journey).by_stage == {stage: stages.count(stage) for stage in STAGES}


def test_the_clock_alone_moves_customers_on(shop, journey):
    end = Data(shop).until
    now, later = (stage_counts(Data(shop, end + days * DAY_US), journey) for days in (0, 300))
    assert later.n_customers == now.n_customers
    assert later.by_stage != now.by_stage
    assert later.by_stage["transaction"] == 0


@pytest.mark.parametrize("days", [0, 30])
def test_an_earlier_moment_knows_fewer_customers(shop, journey, days):
    data = Data(shop)
    earlier = stage_counts(Data(shop, data.start + days * DAY_US), journey)
    assert earlier.n_customers < stage_counts(data, journey).n_customers


def engine_with_moves(journey, until=0):
    return Engine(empty_arrays() | hand_arrays(), Blend.uniform(()), journey, Model("hand", "1", "", until))


def test_the_mean_chance_of_a_move_is_that_of_one_customer_at_a_time(shop, journey):
    data, engine = Data(shop), engine_with_moves(journey)
    audience = everyone(data)
    table = states_of(data, audience.customer_ids, audience.as_of, journey.schema)
    single = {}
    for i in range(len(audience)):
        standing = journey.stage_of(table.state(i), data.until)
        for move in engine.moves.of(table.state(i), standing, data.until):
            single.setdefault((standing.stage, move.move), []).append(move.probability)
    found = move_chances(data, engine)
    assert {(row.stage, row.move): row.n_customers for row in found} == {key: len(p) for key, p in single.items()}
    for row in found:
        assert row.probability == pytest.approx(fmean(single[row.stage, row.move]), abs=1e-9)


def test_a_model_that_has_seen_later_events_says_nothing_of_the_chances(shop, journey):
    data = Data(shop)
    with pytest.raises(ModelFromTheFuture):
        move_chances(data, engine_with_moves(journey, data.until + 1))
