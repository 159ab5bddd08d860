"""A group of visits that happen side by side: who comes, by which way, and where each of them stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.events import EventType, canonical
from training.simulator.customer import SEGMENTS
from training.simulator.journal import KNOWN, SECOND_DEVICE, VISITOR
from training.simulator.words import LOCALES

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.simulator.customer import People
    from training.simulator.journal import Journal
    from training.simulator.truth import Truth
    from training.simulator.world import Codes, Floats, Ints, Longs

WEB, APP, EMAIL, SOCIAL, PHONE, STORE = range(6)
"""Rows of ``features.state.CHANNELS``."""
CART_SIZE: Final = 4
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class Visits:
    """Visits in rows, one a person.

    Attributes
    ----------
    who : int32, shape (n,)
        Rows of the people, unique.
    clock : int64, shape (n,)
        Microseconds; moves on with everything they do.
    channel, alias : int8, shape (n,)
    session : int64, shape (n,)
    leaf : int32, shape (n,)
        The category they are looking at.
    shelf, odds : int32, float32, shape (n, width)
        Its products, -1 filled up, and the running sum of the chances that each is looked at.
    last : int32, shape (n,)
        Item viewed last; -1 before the first.
    cart : int32, shape (n, CART_SIZE)
        Items in the cart from the left; -1 for a free place.
    """

    who: Ints
    clock: Longs
    channel: Codes
    alias: Codes
    session: Longs
    leaf: Ints
    shelf: Ints
    odds: Floats
    last: Ints
    cart: Ints

    def __len__(self) -> int:
        return len(self.who)

    @property
    def n_in_cart(self) -> NDArray[np.int64]:
        return np.asarray((self.cart >= 0).sum(axis=1))


def begin(truth: Truth, who: Ints, clock: Longs, channel: Codes, session: Longs, rng: Generator) -> Visits:
    """Visits that begin at ``clock``; some known people come on another device without logging in."""
    n, width, is_known = len(who), truth.world.shelves[0].shape[1], truth.state.is_registered[who]
    elsewhere = is_known & (channel < EMAIL) & (rng.random(n) < 0.1)
    alias = np.where(elsewhere, SECOND_DEVICE, np.where(is_known, KNOWN, VISITOR))
    return Visits(
        who=who,
        clock=clock.copy(),
        channel=channel,
        alias=alias.astype(np.int8),
        session=session,
        leaf=np.zeros(n, np.int32),
        shelf=np.full((n, width), -1, np.int32),
        odds=np.zeros((n, width), np.float32),
        last=np.full(n, -1, np.int32),
        cart=np.full((n, CART_SIZE), -1, np.int32),
    )


class Teller:
    """Tells the journal what visitors do, and moves their clocks on."""

    def __init__(self, truth: Truth, journal: Journal, rng: Generator) -> None:
        self.truth, self.journal, self.rng = truth, journal, rng

    def tell(self, kind: EventType, visits: Visits, at: Ints, *, seconds: float = 20.0, **columns: Any) -> None:
        """An event of a type in each of the visits ``at`` (rows), about ``seconds`` after the last one."""
        if not len(at):
            return
        pause = 1_000_000 + self.rng.exponential(seconds * 1e6, len(at)).astype(np.int64)
        visits.clock[at] += np.minimum(pause, 20 * 60 * 1_000_000)
        self.journal.tell(kind, len(at), **self.where(visits, at), **columns)

    def where(self, visits: Visits, at: Ints) -> dict[str, Any]:
        """The columns that every event of a visit has."""
        who = visits.who[at]
        return {
            "who": who,
            "alias": visits.alias[at],
            "at": visits.clock[at],
            "session": visits.session[at],
            "channel": visits.channel[at],
            "consent": self.truth.state.consent[who],
        }

    def log_in(self, visits: Visits, at: Ints) -> None:
        """What was done on this device becomes known as theirs."""
        old = anonymous_ids(self.truth.people, visits.who[at], visits.alias[at])
        visits.alias[at] = KNOWN
        self.tell(EventType.LINK, visits, at, seconds=2, texts=[canonical({"from": name}) for name in old])

    def register(self, visits: Visits, at: Ints) -> None:
        """Visitors make an account: their ids are linked, and they say who they are."""
        state, who = self.truth.state, visits.who[at]
        state.is_registered[who] = True
        self.log_in(visits, at)
        self.identify(visits, at)
        self.subscribe(visits, at[self.rng.random(len(at)) < 0.6])

    def identify(self, visits: Visits, at: Ints) -> None:
        """They declare locale and, where they have an account, segment."""
        texts = [_traits(self.truth.people, who, has_account=alias == KNOWN) for who, alias in _pairs(visits, at)]
        self.tell(EventType.IDENTIFY, visits, at, seconds=1, texts=texts)

    def subscribe(self, visits: Visits, at: Ints) -> None:
        """They agree to letters; only an account can receive them."""
        state, who = self.truth.state, visits.who[at]
        state.is_subscribed[who] = state.is_registered[who]
        state.consent[who] |= 1 | 4
        self.tell(EventType.CONSENT, visits, at, seconds=3, texts=canonical({"email": True}))


def known_id(number: int) -> str:
    """Id of a person's account."""
    return f"cust-{number:07d}"


def anonymous_ids(people: People, who: Ints, alias: Codes) -> list[str]:
    """Ids under which people act without logging in, one a device."""
    code = people.number[who].astype(np.uint64) * np.uint64(2) + (alias == SECOND_DEVICE).astype(np.uint64)
    return [f"anon:{mixed:016x}" for mixed in (code + np.uint64(1)) * _MIX]


def _traits(people: People, who: int, *, has_account: bool) -> str:
    traits = {"locale": LOCALES[people.locale[who]]}
    return canonical({**traits, "segment": SEGMENTS[people.segment[who]]} if has_account else traits)


def _pairs(visits: Visits, at: Ints) -> zip[tuple[int, int]]:
    return zip(visits.who[at].tolist(), visits.alias[at].tolist(), strict=True)
