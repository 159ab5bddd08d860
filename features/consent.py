"""What a customer agreed to, and when: per purpose the last changes, of which the greatest moment wins.

The merge is a union, so it is commutative, associative and idempotent: an order of arrival, a repeat and a
linked identity all come to the same.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from features.events import Channel, Consent, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from features.events import Line

KEEP: Final = 8
"""Changes kept a purpose: enough to know what held at the time of any event that is not late."""

PURPOSES: Final[Mapping[str, Consent]] = {
    "personalisation": Consent.PERSONALISATION,
    "email": Consent.EMAIL,
    "sms": Consent.SMS,
    "push": Consent.PUSH,
}
PURPOSE_OF_CHANNEL: Final[Mapping[str, str]] = {Channel.EMAIL: "email"}
"""Channels in which a slate may be offered only to who agreed to it."""

LEFT_OF_CHANNEL: Final[Mapping[str, str]] = {Channel.PHONE: "sms", Channel.APP: "push"}
"""What ``message_unsubscribe`` withdraws, by its channel; e-mail where it says another, or none."""

Change = tuple[int, str, bool]
"""When (microseconds), by which event, and whether it was given."""


class Defaults(NamedTuple):
    """What holds for a customer who has not said."""

    personalisation: bool = True
    email: bool = True
    sms: bool = True
    push: bool = True


class Consents(msgspec.Struct, frozen=True, array_like=True):
    """Changes of each purpose, ascending; the greatest ``KEEP`` of them."""

    personalisation: tuple[Change, ...] = ()
    email: tuple[Change, ...] = ()
    sms: tuple[Change, ...] = ()
    push: tuple[Change, ...] = ()

    def merge(self, other: Consents) -> Consents:
        """What both know together."""
        if other is NOTHING_SAID or other == self:
            return self
        return Consents(*(_merged(getattr(self, name), getattr(other, name)) for name in PURPOSES))

    def last(self, purpose: str, at: int | None = None) -> Change | None:
        """The change that holds at a moment, by default now; None where nothing was said before it."""
        changes: tuple[Change, ...] = getattr(self, purpose)
        if at is not None:
            changes = tuple(change for change in changes if change[0] <= at)
        return changes[-1] if changes else None

    def allows(self, purpose: str, defaults: Defaults, at: int | None = None) -> bool:
        """Whether a purpose is agreed to; of a time before all that is kept of many changes nothing is assumed."""
        if (change := self.last(purpose, at)) is not None:
            return change[2]
        return len(getattr(self, purpose)) < KEEP and bool(getattr(defaults, purpose))

    def bits_at(self, at: int, defaults: Defaults) -> int:
        """Bits of an event that states none itself; 0, not known, where nobody has said and personalisation is given.

        A purpose that is denied by default has to be written down, or both engines would take it for granted.
        """
        is_silent = self is NOTHING_SAID or all(self.last(purpose, at) is None for purpose in PURPOSES)
        if is_silent and defaults.personalisation:
            return 0
        given = (bit for purpose, bit in PURPOSES.items() if self.allows(purpose, defaults, at))
        return int(sum(given, Consent.KNOWN))


NOTHING_SAID: Final = Consents()


def may_be_sent(consents: Consents, channel: str, defaults: Defaults) -> bool:
    """Whether a slate may be offered in a channel; most need nobody's consent."""
    purpose = PURPOSE_OF_CHANNEL.get(channel)
    return purpose is None or consents.allows(purpose, defaults)


def consents_of(line: Line) -> Consents:
    """What one line of the log says of consent: a ``consent`` event, or one who unsubscribes."""
    if line.type == EventType.MESSAGE_UNSUBSCRIBE:
        said = {LEFT_OF_CHANNEL.get(line.channel, "email"): False}
    elif line.type == EventType.CONSENT:
        said = _said(line)
    else:
        return NOTHING_SAID
    return Consents(**{purpose: ((line.occurred_at, line.event_id, given),) for purpose, given in said.items()})


def consents_said(lines: Iterable[Line]) -> Consents:
    """What some lines say together; ``NOTHING_SAID`` itself where none says anything."""
    said = [consents for consents in map(consents_of, lines) if consents is not NOTHING_SAID]
    return functools.reduce(Consents.merge, said) if said else NOTHING_SAID


def _said(line: Line) -> dict[str, bool]:
    """Purposes named in the properties; where none is, all of them by the bits of the line."""
    properties = msgspec.json.decode(line.properties)
    said = {name: bool(properties[name]) for name in PURPOSES if isinstance(properties.get(name), bool)}
    if said or not line.consent & Consent.KNOWN:
        return said
    return {name: bool(line.consent & bit) for name, bit in PURPOSES.items()}


def _merged(a: tuple[Change, ...], b: tuple[Change, ...]) -> tuple[Change, ...]:
    if not b or a == b:
        return a
    return tuple(sorted({*a, *b})[-KEEP:]) if a else b
