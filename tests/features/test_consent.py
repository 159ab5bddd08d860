from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.consent import KEEP, NOTHING_SAID, PURPOSES, Consents, Defaults, consents_of, may_be_sent
from features.events import Consent
from features.ingest import lines_of

AT = 1_786_440_600_000_000
DENIED = Defaults(personalisation=False, email=False, sms=False, push=False)
changes = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abcd"), st.booleans()), max_size=12)
consents = st.builds(
    lambda *said: Consents(*(tuple(sorted(set(each))[-KEEP:]) for each in said)), changes, changes, changes, changes
)


@given(consents, consents, consents)
def test_merging_consent_is_commutative_associative_and_idempotent(a, b, c):
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(a) == a
    assert a.merge(NOTHING_SAID) == NOTHING_SAID.merge(a) == a


@given(consents, consents)
def test_of_two_identities_the_latest_word_holds(a, b):
    for purpose in PURPOSES:
        said = [change for side in (a, b) for change in getattr(side, purpose)]
        assert a.merge(b).last(purpose) == max(said, default=None)


def line(event_type, **fields):
    record = {"event_id": "e-1", "type": event_type, "customer_id": "c-1", "occurred_at": AT, **fields}
    return lines_of(record, received_at=AT, source="test")[0]


def test_a_consent_event_changes_the_purposes_that_it_names_and_no_other():
    said = consents_of(line("consent", properties={"personalisation": False, "text": "banner"}))
    assert said == Consents(personalisation=((AT, "e-1", False),))
    said = consents_of(line("consent", consent={"email": True}))
    assert said == Consents(email=((AT, "e-1", True),))


@pytest.mark.parametrize(
    ("channel", "purpose"), [("email", "email"), ("web", "email"), ("phone", "sms"), ("app", "push")]
)
def test_who_unsubscribes_withdraws_consent_for_the_channel(channel, purpose):
    said = consents_of(line("message_unsubscribe", channel=channel))
    assert said == Consents(**{purpose: ((AT, "e-1", False),)})


def test_other_events_say_nothing_of_consent():
    assert consents_of(line("page_view", consent={"email": True})) is NOTHING_SAID


def test_an_event_gets_the_consent_that_held_when_it_happened():
    said = Consents(personalisation=((AT, "e-1", False), (AT + 10, "e-2", True)))
    agreed = int(Consent.KNOWN | Consent.PERSONALISATION | Consent.EMAIL | Consent.SMS | Consent.PUSH)
    assert said.bits_at(AT - 1, Defaults()) == 0
    assert said.bits_at(AT, Defaults()) == agreed - Consent.PERSONALISATION
    assert said.bits_at(AT + 10, Defaults()) == agreed
    assert NOTHING_SAID.bits_at(AT, DENIED) == Consent.KNOWN


def test_of_a_time_before_all_that_is_kept_no_consent_is_assumed():
    said = Consents(email=tuple((AT + n, f"e-{n}", True) for n in range(KEEP)))
    assert not said.allows("email", Defaults(), AT - 1)
    assert said.allows("email", DENIED, AT)


def test_only_email_needs_consent_to_be_offered():
    assert not may_be_sent(NOTHING_SAID, "email", DENIED)
    assert all(may_be_sent(NOTHING_SAID, channel, DENIED) for channel in ("web", "app", "store", "phone", "social"))
