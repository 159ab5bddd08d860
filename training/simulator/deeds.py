"""Actions carried out: a review, a question, a subscription, a profile, a referral, an order repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features.events import EventType, canonical
from training.simulator.journal import VISITOR
from training.simulator.visits import CART_SIZE
from training.simulator.words import LOCALES
from training.simulator.world import ACTION, PROFILE, REFER, REORDER, REVIEW, SUBSCRIBE, SUPPORT

if TYPE_CHECKING:
    from training.simulator.storefront import Storefront
    from training.simulator.visits import Visits
    from training.simulator.world import Ints

ON_THEIR_OWN: Final = 0.03
"""Chance a visit that someone looks for what makes sense to them, without being shown it."""
REGISTERS: Final = 0.008


class Deeds:
    """What the actions of the catalogue do."""

    def __init__(self, front: Storefront) -> None:
        self.front, self.truth, self.teller = front, front.truth, front.teller
        self.of_form = {
            REVIEW: front.orders.review,
            SUPPORT: front.orders.ask_support,
            SUBSCRIBE: self.teller.subscribe,
            PROFILE: self._complete_profile,
            REFER: self._refer,
            REORDER: self._reorder,
        }
        world = self.truth.world
        self.row_of = np.flatnonzero(world.kind == ACTION).reshape(len(self.of_form), len(LOCALES)).astype(np.int32)

    def act(self, visits: Visits, at: Ints, items: Ints) -> None:
        """An action is opened, and those for whom it makes sense carry it out."""
        self.teller.tell(EventType.ITEM_CLICK, visits, at, seconds=10, item=items)
        form = self.truth.world.form[items]
        makes_sense = self.truth.action_fit(visits.who[at], self.front.day)[np.arange(len(at)), form] > 0
        for deed, carry_out in self.of_form.items():
            carry_out(visits, at[makes_sense & (form == deed)])

    def on_their_own(self, visits: Visits, at: Ints) -> None:
        """Some look for the action that makes most sense to them, and some make an account."""
        at = at[self.front.chance(at) < ON_THEIR_OWN]
        fit = self.truth.action_fit(visits.who[at], self.front.day)
        does = fit.max(axis=1, initial=-9) > 0
        at, form = at[does], fit[does].argmax(axis=1)
        self.act(visits, at, self.row_of[form, self.truth.people.locale[visits.who[at]]])

    def make_accounts(self, visits: Visits, at: Ints) -> None:
        """A few visitors make an account before they buy anything."""
        visitor = at[visits.alias[at] == VISITOR]
        self.teller.register(visits, visitor[self.front.chance(visitor) < REGISTERS])

    def _complete_profile(self, visits: Visits, at: Ints) -> None:
        self.truth.state.has_profile[visits.who[at]] = True
        self.teller.identify(visits, at)

    def _refer(self, visits: Visits, at: Ints) -> None:
        self.teller.tell(EventType.SHARE, visits, at, texts=canonical({"what": "referral"}))

    def _reorder(self, visits: Visits, at: Ints) -> None:
        """What is used up first goes into the cart again."""
        who = visits.who[at]
        item = self.truth.used_up_first(who)
        there = np.isfinite(self.front.heat[item]) & (visits.n_in_cart[at] < CART_SIZE)
        there &= ~(visits.cart[at] == item[:, None]).any(axis=1)
        self.front.put_in_cart(visits, at[there], item[there])
