"""What visitors do in one visit each, all of them at once: arrive, see a slate, look around, fill a cart, pay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.events import Consent, EventType, canonical
from training.simulator import logging_policy
from training.simulator.customer import NOWHERE
from training.simulator.deeds import Deeds
from training.simulator.journal import KNOWN, SECOND_DEVICE, VISITOR
from training.simulator.life import NEED, draw, wake_now
from training.simulator.orders import Orders
from training.simulator.truth import INSPIRED, TAKEN_OUT, first_click
from training.simulator.visits import APP, CART_SIZE, PHONE, SOCIAL, Teller
from training.simulator.world import ACTION, CONTENT, PRODUCT

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.simulator.life import Crowd
    from training.simulator.visits import Visits
    from training.simulator.world import Flags, Floats, Ints

MAX_STEPS: Final = 24
N_SLOTS: Final = 6
SLATE_SHARE: Final = 0.12
PLACEMENT: Final = "home"
GOES_ON: Final = 0.5
"""Chance that a product in the cart leads on to what goes with it."""
REACTIONS: Final = (
    (EventType.LIKE, 0.08),
    (EventType.BOOKMARK, 0.05),
    (EventType.SHARE, 0.02),
    (EventType.COMMENT, 0.02),
)
"""How often a read that gave everything is followed by each."""


class Storefront:
    """Where visits take place on one sim-day.

    Parameters
    ----------
    crowd : Crowd
        Those who may come.
    rng : Generator
    day : float
        Sim-day.
    heat : float32, shape (n_items,)
        What is offered on it, as of :meth:`World.heat`.
    """

    def __init__(self, crowd: Crowd, rng: Generator, day: float, heat: Floats) -> None:
        self.truth, self.agenda, self.journal = crowd
        self.rng, self.day, self.heat = rng, day, heat
        self.orders = Orders(crowd, rng)
        self.teller = Teller(self.truth, self.journal, rng)
        self.deeds = Deeds(self)

    def receive(self, visits: Visits) -> None:
        """Everything that happens in a group of visits."""
        self.enter(visits)
        is_at_desk = visits.channel >= PHONE
        self.sell_at_desk(visits, rows(is_at_desk))
        online = rows(~is_at_desk)
        self.land(visits, online)
        self.show_slates(visits, online[self.chance(online) < SLATE_SHARE])
        self.deeds.on_their_own(visits, online)
        self.browse(visits, online)
        self.check_out(visits, online)

    def enter(self, visits: Visits) -> None:
        """Being here keeps the shop in mind; they look for what they need, else for what they like."""
        self.truth.state.awareness[visits.who] = 1.0
        self.choose_leaf(visits, np.arange(len(visits), dtype=np.int32))

    def choose_leaf(self, visits: Visits, at: Ints) -> None:
        """Turn to a category by need and liking."""
        truth, who, n_leaves = self.truth, visits.who[at], self.truth.world.n_leaves
        every = np.broadcast_to(np.arange(n_leaves, dtype=np.int32), (len(at), n_leaves))
        weight = np.exp(truth.people.liking[who] + 4.2 * truth.need(who, every, self.day))
        self.turn_to(visits, at, draw(weight, self.rng))

    def turn_to(self, visits: Visits, at: Ints, leaf: Ints) -> None:
        """Stand before the shelf of a category."""
        if not len(at):
            return
        visits.leaf[at] = leaf
        visits.shelf[at], visits.odds[at] = self._odds(visits.who[at], self.truth.world.shelves[PRODUCT][leaf])

    def land(self, visits: Visits, at: Ints) -> None:
        """The first seconds: who they are, a page, a search or a list, the cart of last time."""
        self._greet(visits, at)
        need = np.minimum(self.truth.need(visits.who[at], visits.leaf[at], self.day), 1)
        self._some(EventType.PAGE_VIEW, visits, at, 0.6)
        self._some(EventType.SEARCH, visits, at, 0.15 + 0.3 * need)
        self._some(EventType.LIST_VIEW, visits, at, 0.25)
        self._some(EventType.FOLLOW, visits, at[visits.channel[at] == SOCIAL], 0.05)
        self._pick_up_cart(visits, at)

    def show_slates(self, visits: Visits, at: Ints) -> None:
        """Slates of the logging policy, with their propensities, and the click that they get."""
        if not len(at):
            return
        slates = logging_policy.choose(self.truth.world.renown(self.heat), len(at), N_SLOTS, self.rng)
        number = self.journal.number("slate", len(at))
        for slot in range(slates.items.shape[1]):
            texts = [_slot_text(p) for p in slates.propensity[:, slot].tolist()]
            columns = {"item": slates.items[:, slot], "slate": number, "rank": slot + 1}
            self.teller.tell(EventType.IMPRESSION, visits, at, seconds=0.1, texts=texts, **columns)
        self.answer(visits, at, slates.items, number)

    def answer(self, visits: Visits, at: Ints, slates: Ints, number: NDArray[np.int64]) -> None:
        """The first item that pleases in each slate is clicked, and leads on."""
        chance = first_click(self.truth.click(visits.who[at], slates, self.heat, self.day))
        slot = (np.cumsum(chance, axis=1) <= self.rng.random((len(at), 1))).sum(axis=1)
        did, silent = np.flatnonzero(slot < slates.shape[1]), np.flatnonzero(slot == slates.shape[1])
        self.truth.annoy(visits.who[at[silent]], slates[silent])
        items = slates[did, slot[did]]
        columns = {"item": items, "slate": number[did], "rank": slot[did] + 1}
        self.teller.tell(EventType.SLATE_CLICK, visits, at[did], seconds=6, **columns)
        self.follow(visits, at[did], items)

    def follow(self, visits: Visits, at: Ints, items: Ints) -> None:
        """What a click leads to: a product page, a read or an action."""
        kind = self.truth.world.kind[items]
        goods, texts, deeds = (kind == k for k in (PRODUCT, CONTENT, ACTION))
        self.turn_to(visits, at[goods], self.truth.world.leaf[items[goods]])
        self.view(visits, at[goods], items[goods])
        self.read(visits, at[texts], items[texts])
        self.deeds.act(visits, at[deeds], items[deeds])

    def browse(self, visits: Visits, at: Ints) -> None:
        """Views and reads on their own account until each has had enough."""
        people, active = self.truth.people, at
        for _ in range(MAX_STEPS):
            if not len(active):
                return
            reads = self.chance(active) < 0.8 * people.reading[visits.who[active]]
            self._read_something(visits, active[reads])
            self._look(visits, active[~reads])
            active = active[self.chance(active) < self._stays(visits, active)]

    def view(self, visits: Visits, at: Ints, items: Ints) -> None:
        """A product page: some add it to the cart, keep it for later or show it to others."""
        self.teller.tell(EventType.ITEM_VIEW, visits, at, seconds=35, item=items)
        visits.last[at] = items
        wants = self.chance(at) < self.truth.cart(visits.who[at], items[:, None], self.day)[:, 0]
        has_it = (visits.cart[at] == items[:, None]).any(axis=1)
        adds = wants & ~has_it & (visits.n_in_cart[at] < CART_SIZE)
        self.put_in_cart(visits, at[adds], items[adds])
        self._some(EventType.WISHLIST, visits, at[~adds], 0.018, item=items[~adds])
        self._some(EventType.SHARE, visits, at[~adds], 0.004, item=items[~adds])

    def put_in_cart(self, visits: Visits, at: Ints, items: Ints) -> None:
        """One of each item; some go on to what goes with it."""
        visits.cart[at, visits.n_in_cart[at]] = items
        world = self.truth.world
        self.teller.tell(EventType.CART_ADD, visits, at, item=items, quantity=1, amount=world.price[items])
        goes_on = self.chance(at) < GOES_ON
        on, leaf = at[goes_on], draw(world.complement[world.leaf[items[goes_on]]], self.rng)
        wake_now(self.truth, visits.who[on], leaf, self.day)
        self.turn_to(visits, on, leaf)

    def read(self, visits: Visits, at: Ints, items: Ints) -> None:
        """A read: it changes them, and may wake a need for what it is about."""
        self.teller.tell(EventType.CONTENT_READ, visits, at, seconds=80, item=items)
        gave = self.truth.read(visits.who[at], items, self.day)
        woken = self.chance(at) < INSPIRED * gave
        day = self.day + self.rng.uniform(0.5, 5, int(woken.sum()))
        leaf, level = self.truth.world.leaf[items[woken]], self.rng.uniform(0.6, 1.2, len(day)).astype(np.float32)
        self.agenda.plan(NEED, day, visits.who[at[woken]], leaf, level)
        for kind, share in REACTIONS:
            self._some(kind, visits, at, share * gave, item=items)

    def check_out(self, visits: Visits, at: Ints) -> None:
        """The end of a visit: some log in or make an account; full carts are ordered, or left for another day."""
        self._log_in_elsewhere(visits, at)
        self.deeds.make_accounts(visits, at)
        full = at[visits.n_in_cart[at] > 0]
        self._take_out(visits, full[self.chance(full) < TAKEN_OUT])
        full = full[visits.n_in_cart[full] > 0]
        self._some(EventType.CART_VIEW, visits, full, 0.6)
        self.truth.state.parked[visits.who[full]] = visits.cart[full, 0]
        orders = self.chance(full) < self.truth.order(visits.who[full])
        self._pay(visits, full[orders])
        self.orders.ask_why_not(visits, full[~orders])

    def sell_at_desk(self, visits: Visits, at: Ints) -> None:
        """On the phone and in the store they buy at once, if there is something they need."""
        buys = at[self.truth.need(visits.who[at], visits.leaf[at], self.day) > 0.3]
        item = self._pick(visits.shelf[buys], visits.odds[buys])
        visits.cart[buys, 0] = item
        self.orders.take(visits, buys[item != NOWHERE])

    def chance(self, at: NDArray[Any]) -> NDArray[np.float64]:
        """An even draw in [0, 1) for each."""
        return self.rng.random(len(at))

    def _some(self, kind: EventType, visits: Visits, at: Ints, share: Any, **columns: Any) -> None:
        """An event in a share of the visits."""
        do = self.chance(at) < share
        self.teller.tell(kind, visits, at[do], seconds=12, **{name: value[do] for name, value in columns.items()})

    def _greet(self, visits: Visits, at: Ints) -> None:
        """New ones answer the banner; those with an account or the app say who they are."""
        state = self.truth.state
        new = at[~state.is_met[visits.who[at]]]
        state.is_met[visits.who[new]] = True
        self.teller.identify(visits, new[(visits.alias[new] == KNOWN) | (visits.channel[new] == APP)])
        answers = new[(visits.alias[new] == VISITOR) & (state.consent[visits.who[new]] > 0)]
        agrees = (state.consent[visits.who[answers]] & Consent.PERSONALISATION) > 0
        texts = [canonical({"personalisation": bool(agreed)}) for agreed in agrees]
        self.teller.tell(EventType.CONSENT, visits, answers, seconds=4, texts=texts)

    def _log_in_elsewhere(self, visits: Visits, at: Ints) -> None:
        state, stranger = self.truth.state, at[visits.alias[at] == SECOND_DEVICE]
        logs_in = ~state.is_linked[visits.who[stranger]] & (self.chance(stranger) < 0.35)
        state.is_linked[visits.who[stranger[logs_in]]] = True
        self.teller.log_in(visits, stranger[logs_in])

    def _pick_up_cart(self, visits: Visits, at: Ints) -> None:
        """Some come back for what they left in the cart, before it is forgotten."""
        state, who = self.truth.state, visits.who[at]
        parked = state.parked[who]
        state.parked[who] = NOWHERE
        back = (parked != NOWHERE) & np.isfinite(self.heat[parked]) & (self.chance(at) < 0.45)
        visits.cart[at[back], 0] = parked[back]
        self.turn_to(visits, at[back], self.truth.world.leaf[parked[back]])
        self.teller.tell(EventType.CART_VIEW, visits, at[back])

    def _odds(self, who: Ints, shelf: Ints) -> tuple[Ints, Floats]:
        pull = self.truth.pull(who, shelf, self.heat)
        highest = pull.max(axis=1, keepdims=True, initial=-1e9)
        return shelf, np.cumsum(np.exp(pull - highest), axis=1)

    def _pick(self, shelf: Ints, odds: Floats) -> Ints:
        """An item of each shelf by its running sums; -1 where nothing on it is offered."""
        spot = self.chance(shelf)[:, None].astype(np.float32) * odds[:, -1:]
        place = np.minimum((odds <= spot).sum(axis=1), shelf.shape[1] - 1)
        return np.where(odds[:, -1] > 0, shelf[np.arange(len(shelf)), place], NOWHERE).astype(np.int32)

    def _look(self, visits: Visits, at: Ints) -> None:
        """A product of the shelf, of another one, or once more the one before."""
        self.choose_leaf(visits, at[self.chance(at) < 0.1])
        items = self._pick(visits.shelf[at], visits.odds[at])
        again = (visits.last[at] >= 0) & (self.chance(at) < 0.14)
        items = np.where(again, visits.last[at], items)
        self.view(visits, at[items != NOWHERE], items[items != NOWHERE])

    def _read_something(self, visits: Visits, at: Ints) -> None:
        items = self._pick(*self._odds(visits.who[at], self.truth.world.shelves[CONTENT][visits.leaf[at]]))
        self.read(visits, at[items != NOWHERE], items[items != NOWHERE])

    def _stays(self, visits: Visits, at: Ints) -> Floats:
        who = visits.who[at]
        need = np.minimum(self.truth.need(who, visits.leaf[at], self.day), 1)
        stays = 0.40 + 0.40 * self.truth.people.curiosity[who] + 0.2 * need
        return np.asarray(np.where(visits.n_in_cart[at] > 0, 0.75 * stays, stays), np.float32)

    def _take_out(self, visits: Visits, at: Ints) -> None:
        last = visits.n_in_cart[at] - 1
        item = visits.cart[at, last]
        visits.cart[at, last] = NOWHERE
        self.teller.tell(EventType.CART_REMOVE, visits, at, item=item, quantity=1)

    def _pay(self, visits: Visits, at: Ints) -> None:
        """Checkout: visitors make an account unless they stay guests, other devices log in."""
        self.teller.tell(EventType.CHECKOUT, visits, at, seconds=30)
        stays_guest = self.chance(at) < 0.25
        self.teller.register(visits, at[(visits.alias[at] == VISITOR) & ~stays_guest])
        self.teller.log_in(visits, at[visits.alias[at] == SECOND_DEVICE])
        self.truth.state.parked[visits.who[at]] = NOWHERE
        self.orders.take(visits, at)


def rows(flags: Flags) -> Ints:
    """Rows where a flag is set."""
    return np.flatnonzero(flags).astype(np.int32)


def _slot_text(propensity: float) -> str:
    return canonical({"placement": PLACEMENT, "policy": logging_policy.NAME, "propensity": propensity})
