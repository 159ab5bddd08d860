from __future__ import annotations

import pytest

from features.events import DAY_US
from features.journey import STAGES
from training.load import Data
from training.picks import everyone
from training.split import states_of
from training.stages import stage_counts


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
