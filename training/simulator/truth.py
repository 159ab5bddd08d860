"""How people answer: the chances of a click, a cart and an order, from what is true of them and of the items.

The log and the environment both draw from these functions, so what is learned from one holds in the other.
Arrays have a row a person: ``who`` has shape (n,), ``items`` and the answers shape (n, m).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training.simulator.customer import NEED_HALF_LIFE_DAYS
from training.simulator.world import (
    ACTION,
    CONTENT,
    EBOOK,
    EVERYWHERE,
    GUIDE,
    POST,
    PROFILE,
    REFER,
    REORDER,
    REVIEW,
    SUBSCRIBE,
    SUPPORT,
    TUTORIAL,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.simulator.customer import People, State
    from training.simulator.world import Floats, Ints, World

N_ACTIONS: Final = 6
ANNOYED: Final = 0.03
READ_TRUST: Final = 0.035
READ_KNOWLEDGE: Final = 0.3
TAKEN_OUT: Final = 0.12
"""Chance that the last item of a cart is taken out before checkout."""
INSPIRED: Final = 0.1
"""Chance that a fitting read wakes a need within days."""


@dataclass(frozen=True)
class Truth:
    """The world, its people and their present state, and what follows from them."""

    world: World
    people: People
    state: State

    def need(self, who: Ints, leaf: Ints, day: float) -> Floats:
        """Level of the need for each category; a need that nobody meets halves in six days."""
        state, row = self.state, _beside(who, leaf)
        age = np.maximum(day - state.need_at[row, leaf], 0)
        return np.asarray(state.need[row, leaf] * np.exp2(-age / NEED_HALF_LIFE_DAYS), np.float32)

    def match(self, who: Ints, items: Ints) -> Floats:
        """Fit of style and taste, standard normal over items; those who know more are surer of it."""
        raw = np.einsum("nd,nmd->nm", self.people.taste[who], self.world.style[items])
        known = self.state.knowledge[who[:, None], self.world.leaf[items]]
        return np.asarray(raw * (0.75 + 0.5 * known), np.float32)

    def habit(self, who: Ints, items: Ints) -> Floats:
        """1 for the item that is used up and bought again, -1.5 for a lasting thing that is at home already."""
        at_home = self.state.home[who[:, None], self.world.leaf[items]] == items
        return np.where(at_home, np.where(self.world.cycle[items] > 0, 1.0, -1.5), 0).astype(np.float32)

    def cost(self, who: Ints, items: Ints) -> Floats:
        """Loss of utility by the price."""
        return np.asarray(self.people.thrift[who][:, None] * self.world.dearness[items], np.float32)

    def is_foreign(self, who: Ints, items: Ints) -> NDArray[np.bool_]:
        """Whether an item is in a language that is not theirs."""
        locale = self.world.locale[items]
        return np.asarray((locale != EVERYWHERE) & (locale != self.people.locale[who][:, None]))

    def pull(self, who: Ints, items: Ints, heat: Floats) -> Floats:
        """Log of how likely each item is chosen among others on its shelf; ``heat`` as of :meth:`World.heat`."""
        choice = heat[items] + 1.2 * self.match(who, items) - 0.7 * self.cost(who, items)
        choice += 2.5 * self.habit(who, items) - 1.8 * self.is_foreign(who, items)
        return np.where(items >= 0, choice, -np.inf).astype(np.float32)

    def click(self, who: Ints, items: Ints, heat: Floats, day: float) -> Floats:
        """Chance that an item is clicked when it is looked at."""
        kind = self.world.kind[items]
        logit = self._product_logit(who, items, heat, day)
        if (kind == CONTENT).any():
            logit = np.where(kind == CONTENT, self._content_logit(who, items, heat, day), logit)
        if (kind == ACTION).any():
            fit = np.take_along_axis(self.action_fit(who, day), self._form(items), axis=1)
            logit = np.where(kind == ACTION, fit - 4.4 - 3 * self.is_foreign(who, items), logit)
        return sigmoid(logit)

    def cart(self, who: Ints, items: Ints, day: float) -> Floats:
        """Chance that a product goes into the cart when it is viewed."""
        leaf = self.world.leaf[items]
        logit = -8.0 + 2.4 * self.need(who, leaf, day) + 0.8 * self.match(who, items)
        logit += 1.2 * self.state.knowledge[who[:, None], leaf] + 1.6 * (self.state.trust[who][:, None] - 0.5)
        logit += 1.8 * self.habit(who, items) - 0.6 * self.cost(who, items)
        return sigmoid(logit + 0.3 * self.world.appeal[items])

    def order(self, who: Ints) -> Floats:
        """Chance that a full cart is ordered; shape (n,)."""
        return sigmoid(0.2 + 3.2 * (self.state.trust[who] - 0.5))

    def relevance(self, who: Ints, items: Ints, day: float) -> Floats:
        """How much a read gives them, in (0, 1)."""
        leaf = self.world.leaf[items]
        liking = self.people.liking[who[:, None], leaf]
        unread = ~self.has_read(who, items) & ~self.is_foreign(who, items)
        return sigmoid(0.7 * liking + 1.5 * self.need(who, leaf, day) - 1.0) * unread

    def has_read(self, who: Ints, items: Ints) -> NDArray[np.bool_]:
        """Whether content is among what they read last."""
        return np.asarray((self.state.has_read[who][:, None, :] == items[:, :, None]).any(axis=2))

    def action_fit(self, who: Ints, day: float) -> Floats:
        """How much sense each action makes to them now, in logits; shape (n, N_ACTIONS)."""
        state, fit = self.state, np.full((len(who), N_ACTIONS), -3.0, np.float32)
        fit[:, REVIEW] = np.where(day - state.delivered_at[who] < 25, 3.0, -4)
        fit[:, SUPPORT] = np.where(state.is_in_trouble[who], 4.2, -4)
        fit[:, SUBSCRIBE] = np.where(state.is_subscribed[who], -4, 1.5 * state.trust[who] + 0.5)
        fit[:, PROFILE] = np.where(state.is_registered[who] & ~state.has_profile[who], 1.2, -4)
        fit[:, REFER] = np.where(state.n_orders[who] > 0, 5 * state.trust[who] - 2.6, -4)
        low = (day - state.runs_out[who]).max(axis=1)
        fit[:, REORDER] = np.where((low > -4) & (low < 30), 3.2, -4)
        return fit

    def used_up_first(self, who: Ints) -> Ints:
        """The item at home that is used up before any other; -1 for none; shape (n,)."""
        return np.asarray(self.state.home[who, self.state.runs_out[who].argmin(axis=1)])

    def read(self, who: Ints, items: Ints, day: float) -> Floats:
        """Reading changes them: trust and knowledge grow; returns what each read gave, shape (n,)."""
        gave = self.relevance(who, items[:, None], day)[:, 0]
        leaf, state = self.world.leaf[items], self.state
        state.trust[who] += READ_TRUST * gave * (1 - state.trust[who])
        state.knowledge[who, leaf] += READ_KNOWLEDGE * gave * (1 - state.knowledge[who, leaf])
        state.has_read[who, 1:] = state.has_read[who, :-1]
        state.has_read[who, 0] = items
        return gave

    def annoy(self, who: Ints, slates: Ints) -> None:
        """A slate that pleased nobody costs trust where it showed what is at home or was read already."""
        trust = self.state.trust
        trust[who] *= 1 - ANNOYED * self.stale_share(who, slates)

    def stale_share(self, who: Ints, slates: Ints) -> Floats:
        """Share of each slate that shows what is at home already, or was read; shape (n,)."""
        stale = (self.habit(who, slates) < 0) | self.has_read(who, slates)
        return np.asarray(stale.mean(axis=1), np.float32)

    def _product_logit(self, who: Ints, items: Ints, heat: Floats, day: float) -> Floats:
        leaf = self.world.leaf[items]
        logit = -3.9 + 1.9 * self.need(who, leaf, day) + 0.8 * self.match(who, items)
        logit += 0.35 * self.people.liking[who[:, None], leaf] - 0.45 * self.cost(who, items)
        logit += 1.8 * self.habit(who, items) - 1.5 * self.is_foreign(who, items)
        return np.asarray(logit + 0.25 * np.clip(heat[items], -3, 3), np.float32)

    def _content_logit(self, who: Ints, items: Ints, heat: Floats, day: float) -> Floats:
        leaf, row = self.world.leaf[items], who[:, None]
        fresh = 0.7 * np.clip(heat[items], -6, 2) + 0.3 * self.match(who, items)
        logit = -3.6 + 0.4 * self.people.liking[row, leaf] + self._form_fit(who, items, day) + fresh
        logit += 2.5 * (self.people.reading[who][:, None] - 0.2)
        return np.asarray(logit - 3.0 * self.is_foreign(who, items) - 3.0 * self.has_read(who, items), np.float32)

    def _form_fit(self, who: Ints, items: Ints, day: float) -> Floats:
        """Guides are for who knows little, tutorials for who has it, posts for who comes often, e-books for a need."""
        leaf, row, state = self.world.leaf[items], who[:, None], self.state
        recent = day - state.home_at[row, leaf] < 30
        need = self.need(who, leaf, day)
        fits: list[Any] = [np.float32(0)] * 4
        fits[GUIDE] = (1 - state.knowledge[row, leaf]) * (0.4 + 1.2 * need)
        fits[TUTORIAL] = np.where(recent, 1.9, -0.3)
        fits[POST] = 0.9 * (state.awareness[who] * state.trust[who])[:, None]
        fits[EBOOK] = 1.1 * need
        return np.choose(self._form(items) % 4, [np.broadcast_to(fit, items.shape) for fit in fits]).astype(np.float32)

    def _form(self, items: Ints) -> NDArray[np.int64]:
        return self.world.form[items].astype(np.int64)


def sigmoid(logit: Any) -> Floats:
    """Logistic function, float32."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))), np.float32)


def examination(n: int) -> Floats:
    """Chance that each of ``n`` slots is looked at; shape (n,)."""
    return (1 / (1 + 0.2 * np.arange(n))).astype(np.float32)


def first_click(chance: Floats) -> Floats:
    """Chance that each slot is the one clicked, when the first that pleases ends the look; shape (n, m).

    ``chance`` is that of a click on what is looked at. The cascade model of Craswell et al. 2008.
    """
    taken = chance * examination(chance.shape[1])
    passed = np.cumprod(np.column_stack([np.ones(len(taken)), 1 - taken[:, :-1]]), axis=1)
    return np.asarray(taken * passed, np.float32)


def _beside(who: Ints, leaf: Ints) -> Ints:
    return who[:, None] if leaf.ndim == 2 else who
