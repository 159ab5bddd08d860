"""What a slate is decided on: the customer as the store knows them, or what is left further down the ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from features.consent import NOTHING_SAID, PURPOSE_OF_CHANNEL, may_be_sent
from features.errors import StoreError
from recommender.exposure import NOTHING_SHOWN
from service.answers import Consented
from service.deadline import Step
from service.ladder import Degraded, Footing, Level, Reason

if TYPE_CHECKING:
    from recommender.exposure import Exposure
    from service.ask import Ask
    from service.deadline import Floors
    from service.epoch import Epoch
    from service.models import SlateOptions
    from service.serving import Serving
    from service.store.customers import Customers
    from service.store.known import Known

NOBODY_ASKED: Final = Consented(personalised=False, channel=True)
"""For a slate that is of no customer."""


class Given(NamedTuple):
    """The customer's state, how good a source it came from, what they agreed to, and what they were shown.

    ``known`` is None below level 0. Where the customer does not agree to personalisation, or it is not known, the
    state is the empty one.
    """

    state: Any
    degraded: Degraded
    consented: Consented
    known: Known | None = None

    @property
    def memory(self) -> Exposure:
        """What the customer was shown, over all channels; nothing below level 0."""
        return NOTHING_SHOWN if self.known is None else self.known.exposure


class Grounds:
    """Reads of the customers for slates; reads fail open."""

    def __init__(self, serving: Serving, customers: Customers, floors: Floors, epoch: Epoch) -> None:
        self._serving, self._customers, self._floors, self._epoch = serving, customers, floors, epoch

    async def of(self, ask: Ask) -> Given:
        """What one answer may stand on; with too little time left for it the store is not asked."""
        if self._epoch.flaw is not None:
            return self._beside_a_lost_store(ask.options, self._epoch.flaw)
        if not self._floors.fits(ask.deadline, Step.READ, Step.DECIDE):
            return self._below(ask.customer_id, ask.options, Reason.DEADLINE)
        return await self._read(ask)

    async def _read(self, ask: Ask) -> Given:
        options = ask.options
        try:
            with self._floors.timed(Step.READ):
                async with ask.deadline.within(reserve_s=self._floors[Step.DECIDE]):
                    known = await self._customers.read_at(ask.where, ask.customer_id)
        except StoreError as error:
            return self._below(ask.customer_id, options, error.reason)
        except TimeoutError:
            return self._below(ask.customer_id, options, Reason.DEADLINE)
        if not self._floors.fits(ask.deadline, Step.DECIDE):
            return self.without_profile(options, Consented(False, known.may_be_sent(options.channel)), Reason.DEADLINE)
        consented = Consented(known.is_personalised, known.may_be_sent(options.channel))
        state = known.state if consented.personalised else self._customers.empty
        return Given(state, self._degraded(Footing(is_fresh=True), None), consented, known)

    def of_nobody(self) -> Given:
        """For a slate that is of no customer."""
        return Given(self._customers.empty, self._degraded(Footing(is_fresh=True), None), NOBODY_ASKED)

    def without_profile(self, options: SlateOptions, consented: Consented, reason: str) -> Given:
        """What the request itself carries."""
        has_context = bool(options.anchor_items or options.context.cart or options.context.text)
        degraded = self._degraded(Footing(has_context=has_context), reason)
        return Given(self._customers.empty, degraded, consented._replace(personalised=False))

    def _beside_a_lost_store(self, options: SlateOptions, flaw: str) -> Given:
        """What was agreed to may be lost as well as the profile, so nothing is taken for given."""
        return self.without_profile(options, Consented(False, options.channel not in PURPOSE_OF_CHANNEL), flaw)

    def _below(self, customer_id: str, options: SlateOptions, reason: str) -> Given:
        """Without the store: the customer as this worker saw them and their consent of late, else the request."""
        seen = self._customers.remembered(customer_id)
        consents = NOTHING_SAID if seen is None else seen.consents
        consented = Consented(False, may_be_sent(consents, options.channel, self._customers.defaults))
        if seen is None or not seen.raw_states:
            return self.without_profile(options, consented, reason)
        degraded = self._degraded(Footing(is_remembered=True), reason)
        return Given(self._customers.state_of(seen), degraded, consented._replace(personalised=True))

    def _degraded(self, footing: Footing, reason: str | None) -> Degraded:
        if not self._serving.has_bundle:
            return Degraded(Level.STATIC, self._serving.reason or Reason.NO_BUNDLE)
        return Degraded(footing.level, reason or self._serving.reason)
