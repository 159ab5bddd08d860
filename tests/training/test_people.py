from __future__ import annotations

import ibis
import pyarrow as pa
import pytest

from features.events import Consent, Line
from features.identity import MAX_GROUP
from features.state import Schema
from tests.features.histories import SIGNALS
from tests.training.engines import log_table
from training.load import Data
from training.log import EventLog
from training.people import counts, heads_of, learnable, refusing, resolved
from training.picks import everyone
from training.split import states_of

AT = 1_700_000_000_000_000


def said(n, one, other, event_type="link", at=AT, **fields):
    properties = f'{{"from":"{other}"}}'
    return Line(
        event_id=f"l-{n}",
        type=event_type,
        occurred_at=at,
        received_at=at,
        customer_id=one,
        properties=properties,
        **fields,
    )


def view(n, customer_id, at=AT, **fields):
    shared = {"event_id": f"e-{n}", "type": "item_view", "occurred_at": at, "received_at": at}
    return Line(**shared, customer_id=customer_id, item_id="a", item_key=1, **fields)


@pytest.fixture(scope="module")
def duckdb():
    return ibis.duckdb.connect()


def table(duckdb, lines):
    return duckdb.create_table("people", log_table(lines), overwrite=True)


def heads(duckdb, lines):
    return heads_of(table(duckdb, lines))


def test_linked_identities_stand_under_one_head(duckdb):
    found = heads(duckdb, [said(1, "c-1", "anon:1"), said(2, "anon:2", "anon:1")])
    assert found == dict.fromkeys(["c-1", "anon:1", "anon:2"], "c-1")


def test_of_a_pair_the_latest_word_holds_whoever_said_it(duckdb):
    link, unlink = said(1, "c-1", "anon:1", at=AT + 5), said(2, "anon:1", "c-1", "unlink", at=AT + 9)
    assert heads(duckdb, [unlink, link]) == {}
    assert heads(duckdb, [link, unlink, said(3, "c-1", "anon:1", at=AT + 10)]) != {}


def test_links_that_came_late_or_say_nothing_do_not_count(duckdb):
    nothing = Line(event_id="x", type="link", occurred_at=AT, received_at=AT, customer_id="c-1")
    assert heads(duckdb, [said(1, "c-1", "anon:1", late=True), said(2, "c-1", "c-1"), nothing]) == {}


def test_the_link_that_would_make_too_many_of_one_customer_does_not_count(duckdb):
    found = heads(duckdb, [said(n, "c-1", f"anon:{n}", at=AT + n) for n in range(MAX_GROUP)])
    assert set(found) == {"c-1", *(f"anon:{n}" for n in range(MAX_GROUP - 1))}


def test_lines_move_under_the_head_and_keep_everything_else(duckdb):
    lines = table(duckdb, [view(1, "anon:1"), view(2, "c-2"), view(3, None)])
    moved = resolved(lines, {"anon:1": "c-1", "c-1": "c-1"}).order_by("event_id").to_pyarrow()
    assert moved["customer_id"].to_pylist() == ["c-1", "c-2", None]
    assert moved.drop_columns("customer_id") == lines.order_by("event_id").to_pyarrow().drop_columns("customer_id")


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("consent", range(32))
def test_both_engines_count_the_same_lines(duckdb, consent, late):
    line = view(1, "c-1", consent=consent, late=late)
    found = table(duckdb, [line])
    assert found.filter(counts(found)).count().execute() == line.counts
    assert learnable(found).count().execute() == (consent & 3 != Consent.KNOWN)


@pytest.fixture
def data(tmp_path):
    lines = [
        view(1, "anon:1"),
        view(2, "c-1", at=AT + 1),
        view(3, "c-1", at=AT + 2, consent=int(Consent.KNOWN | Consent.EMAIL)),
        view(4, "c-2", at=AT + 3, consent=int(Consent.KNOWN)),
        said(1, "c-1", "anon:1", at=AT + 4, consent=int(Consent.KNOWN)),
    ]
    EventLog(tmp_path).write(log_table(lines), "log")
    return Data(tmp_path)


def test_training_learns_from_whole_customers_and_not_from_what_was_refused(data):
    assert data.touches.customer_ids == ("c-1",)
    assert data.touches.at.tolist() == [AT, AT + 1]
    assert everyone(data).customer_ids == ["c-1"]


def test_whichever_identity_is_asked_about_the_whole_customer_is_meant(data):
    schema = Schema(SIGNALS)
    states = states_of(data, ["anon:1", "c-1", "c-2"], pa.array([data.until] * 3).to_numpy(), schema)
    assert states.total("n_view").tolist() == [2, 2, 0]


def test_whose_last_word_on_personalisation_was_no_is_known_by_the_head(duckdb):
    def word(n, customer_id, properties, **fields):
        at = AT + n
        shared = {"event_id": f"c-{n}", "type": "consent", "occurred_at": at, "received_at": at, **fields}
        return Line(customer_id=customer_id, properties=properties, **shared)

    lines = [
        word(1, "anon:1", '{"personalisation":true}'),
        word(2, "c-1", '{"personalisation":false}', late=True),
        word(3, "c-1", '{"email":true}'),
        word(4, "c-2", '{"personalisation":false}'),
        word(5, "c-2", "{}", consent=int(Consent.KNOWN | Consent.PERSONALISATION)),
    ]
    assert refusing(table(duckdb, lines), {"anon:1": "c-1", "c-1": "c-1"}) == {"c-1"}


def test_a_link_does_not_count_before_it_was_made(data):
    before = Data(data.path, AT + 4)
    assert before.heads == {}
    assert before.touches.customer_ids == ("anon:1", "c-1")
