from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.identity import (
    MAX_EDGES,
    MAX_GROUP,
    MAX_REACH,
    Edge,
    Link,
    groups_of,
    kept_edges,
    links_among,
    merge_edges,
)

IDS = ("c-1", "c-2", *(f"anon:{n}" for n in range(10)))
edge = st.builds(Edge, st.integers(0, 5), st.sampled_from("abc"), st.booleans())
edges = st.dictionaries(st.sampled_from(IDS), edge, max_size=6)
links = st.lists(
    st.builds(Link, st.integers(0, 9), st.sampled_from("abc"), st.sampled_from(IDS), st.sampled_from(IDS)).filter(
        lambda link: link.one < link.other
    ),
    max_size=24,
)


@given(edges, edges, edges)
def test_merging_edges_is_commutative_associative_and_idempotent(a, b, c):
    assert merge_edges(a, b) == merge_edges(b, a)
    assert merge_edges(merge_edges(a, b), c) == merge_edges(a, merge_edges(b, c))
    assert merge_edges(a, a) == a


@given(links, st.randoms())
def test_groups_do_not_depend_on_the_order_in_which_links_came(found, dice):
    shuffled = found[:]
    dice.shuffle(shuffled)
    groups = groups_of(found)
    assert groups == groups_of(shuffled)
    for customer_id, group in groups.items():
        assert customer_id in group
        assert 2 <= len(group) <= MAX_GROUP
        assert all(groups[member] == group for member in group)


def chain(n, start=0):
    return [Link(start + k, "e", f"anon:{k:03d}", f"anon:{k + 1:03d}") for k in range(n)]


def test_a_known_customer_is_the_head_whatever_their_id():
    groups = groups_of([Link(1, "a", "anon:1", "zoe"), Link(2, "b", "anon:1", "yan")])
    assert groups["anon:1"] == ("yan", "zoe", "anon:1")


def test_the_link_that_would_make_a_group_too_large_is_the_newest_and_does_not_count():
    groups = groups_of(chain(8))
    assert set(groups) == {f"anon:{k:03d}" for k in range(MAX_GROUP)}
    backwards = [Link(100 - link.occurred_at, *link[1:]) for link in chain(8)]
    assert set(groups_of(backwards)) == {f"anon:{k:03d}" for k in range(1, MAX_GROUP + 1)}


def test_a_tangle_of_identities_is_no_person():
    assert groups_of(chain(MAX_REACH)) == {}
    assert groups_of(chain(MAX_REACH - 1)) != {}


@pytest.mark.parametrize("back", [{}, {"a": Edge(5, "e-9", False)}])
def test_a_link_that_one_end_does_not_hold_does_not_count_for_either(back):
    assert links_among({"a": {"b": Edge(4, "e-1", True)}, "b": back}) == []


def test_a_link_that_both_ends_hold_counts():
    held = {"a": {"b": Edge(4, "e-1", True)}, "b": {"a": Edge(4, "e-1", True)}}
    assert links_among(held) == [Link(4, "e-1", "a", "b")]


def test_an_unlink_is_kept_while_an_earlier_link_could_still_arrive():
    told = {"a": Edge(5, "e", False), "b": Edge(9, "e", False), "c": Edge(1, "e", True)}
    assert set(kept_edges(told, since=6)) == {"b", "c"}
    many = {f"a-{n}": Edge(n, "e", True) for n in range(200)}
    assert len(kept_edges(many, since=0)) == MAX_EDGES


@given(links)
def test_what_every_end_holds_gives_the_groups_of_the_links_themselves(found):
    latest = {}
    for link in found:
        pair = (link.one, link.other)
        latest[pair] = max(latest.get(pair, link), link)
    held = defaultdict(dict)
    for link in latest.values():
        held[link.one][link.other] = held[link.other][link.one] = Edge(link.occurred_at, link.event_id, True)
    assert groups_of(links_among(held)) == groups_of(latest.values())
