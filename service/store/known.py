"""A whole customer: the identities that are one person, read together. Everybody who decides reads through this."""

from __future__ import annotations

import functools
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from features.consent import Consents, may_be_sent
from features.identity import groups_of, links_among
from service.store.exposures import exposure_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.consent import Defaults
    from recommender.exposure import Exposure
    from service.store.record import Record


class Known:
    """What the store knows of a customer, whichever of their identities was asked about.

    Attributes
    ----------
    asked : Record
        Of the identity asked about.
    members : tuple of Record
        All identities, the head first; of a customer without links ``asked`` alone.
    consents : Consents
        Of the members together.
    """

    def __init__(self, asked: Record, members: tuple[Record, ...], defaults: Defaults) -> None:
        self.asked, self.members, self._defaults = asked, members, defaults
        self.consents = asked.consents
        if len(members) > 1:
            self.consents = functools.reduce(Consents.merge, (each.consents for each in members))

    @property
    def head(self) -> Record:
        """The identity with which everything lives that there is once for a customer."""
        return self.members[0]

    @property
    def others(self) -> tuple[Record, ...]:
        """The members beside the one asked about."""
        return tuple(each for each in self.members if each is not self.asked)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the members, the head's first."""
        return tuple(each.customer_id for each in self.members)

    @property
    def exists(self) -> bool:
        """Whether anything was ever stored of any of them."""
        return any(each.version and not each.is_tombstone for each in self.members)

    @property
    def erased_at(self) -> int | None:
        """When the identity asked about was erased, microseconds."""
        return self.asked.erased_at

    @property
    def exposures(self) -> tuple[bytes, ...]:
        """Exposures of all members, as stored."""
        return tuple(each.exposure for each in self.members if each.exposure is not None)

    @property
    def raw_states(self) -> tuple[bytes, ...]:
        """States of all members, as stored, less those that cannot be trusted."""
        return tuple(each.raw_state for each in self.members if each.raw_state is not None and not each.is_damaged)

    @cached_property
    def exposure(self) -> Exposure:
        """What the customer was shown under all of their identities."""
        return exposure_of(self)

    @cached_property
    def state(self) -> Any:
        """State of the whole customer; the codec's own empty one where nothing is known."""
        return self.asked.codec.merged([each.state for each in self.members])

    def with_state(self, state: Any) -> Any:
        """State of the whole customer if the identity asked about had another one."""
        return self.asked.codec.merged([state, *(each.state for each in self.others)])

    def allows(self, purpose: str, at: int | None = None) -> bool:
        """Whether the customer agrees to a purpose, or did at a moment (microseconds)."""
        return self.consents.allows(purpose, self._defaults, at)

    @property
    def is_personalised(self) -> bool:
        """Whether what is known of the customer may be used at all."""
        return self.allows("personalisation")

    def may_be_sent(self, channel: str) -> bool:
        """Whether a slate may be offered in a channel."""
        return may_be_sent(self.consents, channel, self._defaults)


class Remembered(NamedTuple):
    """What a process keeps of a customer for when the store is away; ``at`` (microseconds) is when it was seen.

    ``raw_states`` is empty where the profile may not be used, so that it cannot be.
    """

    raw_states: tuple[bytes, ...]
    consents: Consents
    at: int


def members_among(customer_id: str, found: Mapping[str, Record]) -> Sequence[str]:
    """Ids of a customer's group, the head's first, from the records that could belong to it."""
    links = links_among({each: record.edges for each, record in found.items()})
    return groups_of(links).get(customer_id, (customer_id,))
