"""Reading in the simulated shop: one customer more or less informed, and the paired comparison."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.content_value import BLIND, KNOWS, learned
from benchmarks.visits import END, Memory, Trial, policy_of
from features.events import Line
from features.ids import key64
from features.journey import Journey
from training.load import Data
from training.simulator import simulate

JOURNEY = Journey.load(None)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    home = tmp_path_factory.mktemp("shop")
    simulate(home, events=6_000, seed=1, end=END)
    data = Data(home, END)
    content = {key64(item.item_id): item.item_id for item in data.catalog if item.kind == "content"}
    return data, content, learned(data, JOURNEY)


def read(customer: str, item: str, minutes: int) -> Line:
    at = END - minutes * 60_000_000
    return Line(
        event_id=f"{customer}-{item}-{minutes}",
        type="content_read",
        customer_id=customer,
        item_id=item,
        item_key=key64(item),
        occurred_at=at,
        received_at=at,
    )


def test_a_change_in_what_a_customer_reads_changes_the_products_they_are_offered(shop) -> None:
    data, content, engine = shop
    kinds = {item.item_id: item.kind for item in data.catalog}
    leaves = {item.category: item.item_id for item in data.catalog if item.kind == "content" and item.available}
    slates = []
    for item in list(leaves.values())[:4]:
        memory = Memory(data.lines, [], END, JOURNEY, content, reads=True)
        memory.observe([read("anon:x", item, 5)])
        slates.append(policy_of(engine, memory)("anon:x", END, 8))
    assert all({kinds[item] for item in slate} >= {"product", "content"} for slate in slates)
    offered = {tuple(item for item in slate if kinds[item] == "product") for slate in slates}
    assert len(offered) == len(slates)


def test_a_memory_blind_to_reading_forgets_what_was_read_and_nothing_else(shop) -> None:
    data, content, _ = shop
    ids = list(data.touches.customer_ids)
    seeing, blind = (Memory(data.lines, ids, END, JOURNEY, content, reads=reads) for reads in (True, False))
    assert sum(seeing.of(name).n_read for name in ids) > 0
    assert sum(blind.of(name).n_read for name in ids) == 0
    assert all(seeing.of(name).n_view == blind.of(name).n_view for name in ids)
    article = next(iter(content.values()))
    for memory in (seeing, blind):
        memory.observe([read("anon:x", article, 5)])
    assert seeing.read_by("anon:x") == (article,)
    assert blind.of("anon:x") == JOURNEY.schema.empty()


def test_a_comparison_counts_customers_and_pairs_their_visits() -> None:
    runs = {KNOWS: (3.0, 5.0, 1.0), BLIND: (1.0, 1.0, 2.0)}
    found = Trial(["a", "a", "b"], runs)
    everybody = np.ones(3, np.bool_)
    assert found.worth(KNOWS, everybody).mean == pytest.approx((4 + 1) / 2)
    assert found.worth(KNOWS, everybody, BLIND).mean == pytest.approx((3 - 1) / 2)
    assert found.worth(KNOWS, np.array([True, True, False]), BLIND) == pytest.approx((3, 3, 3))
    assert found.n_customers(everybody) == 2
