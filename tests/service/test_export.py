from __future__ import annotations

import pytest

from tests.service.shop import SECOND, event
from tests.service.test_erasure import ago, drain


async def exported(caller, customer_id="c-1"):
    answer = await caller.http.get(f"/v1/customers/{customer_id}/export")
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(found):
    return sorted(line["event_id"] for line in found["events"])


async def live(caller, data):
    """A customer with everything there can be, half of it in the files and half of it in the streams."""
    await caller.send(event("e-1"), event("a-1", "anon:1"), event("x-1", "c-2"))
    said = {**event("s-1"), "type": "consent", "item_id": None, "properties": {"email": True}}
    await caller.send({**event("l-1"), "type": "link", "item_id": None, "properties": {"from": "anon:1"}}, said)
    await caller.slate(limit=2)
    await drain(caller.program.settings, data)
    await caller.send(event("e-2"))
    await caller.slate(limit=3, decision_key="CAMPAIGN.1")


def test_an_export_holds_all_that_is_known_from_files_and_streams(with_service, settings):
    async def body(caller):
        await live(caller, settings.home / "data")
        return await exported(caller)

    found = with_service(body)
    assert ids(found) == ["a-1", "e-1", "e-2", "l-1", "s-1"]
    assert sorted(len(each["slots"]) for each in found["decisions"]) == [2, 3]
    assert found["identities"] == ["c-1", "anon:1"]
    assert found["described"]["known"]["counts"]["views"] == 3
    head = found["records"][0]
    assert [(each["purpose"], each["is_given"]) for each in head["consent"]] == [("email", True)]
    assert [(each["to"], each["is_linked"]) for each in head["links"]] == [("anon:1", True)]
    assert len(head["exposure"]) == 5
    assert all(isinstance(each["item_id"], str) for each in head["exposure"])
    assert [len(each["items"]) for each in head["keyed_decisions"]] == [3]
    assert {each["customer_id"] for each in found["stage_changes"]} <= {"c-1", "anon:1"}
    assert "c-2" not in str(found)


def test_an_export_after_an_erasure_holds_what_came_later_alone(with_service, settings):
    async def body(caller):
        await live(caller, settings.home / "data")
        await caller.http.delete("/v1/customers/c-1")
        gone = await exported(caller)
        await caller.send(event("e-3", occurred_at=ago(-SECOND)))
        return gone, await exported(caller)

    gone, later = with_service(body)
    assert (gone["events"], gone["decisions"], gone["stage_changes"], gone["described"]) == ([], [], [], None)
    assert gone["records"][0]["exposure"] == gone["records"][0]["keyed_decisions"] == []
    assert ids(later) == ["e-3"]


@pytest.mark.parametrize("customer_id", ["nobody", "müşteri-9"])
def test_of_a_stranger_nothing_is_exported(with_service, customer_id):
    found = with_service(lambda caller: exported(caller, customer_id))
    assert found["events"] == found["decisions"] == found["stage_changes"] == []
    assert found["described"] is None
