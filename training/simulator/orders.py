"""Orders and what they bring about: parcels, returns, reviews, questions, stock at home and needs that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.events import DAY_US, EventType, canonical
from training.simulator.customer import NOWHERE
from training.simulator.life import BAD_DELIVERY, GOOD_DELIVERY, HELP, NEED, use_up
from training.simulator.truth import sigmoid
from training.simulator.visits import EMAIL, PHONE, STORE

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.simulator.life import Crowd
    from training.simulator.visits import Visits
    from training.simulator.world import Codes, Ints, Longs

HOUR_US: Final = 3_600_000_000
GOES_BADLY: Final = 0.09
MORE_UNITS: Final = 0.2
"""Units beyond the first, on average, of what is used up."""
TOPICS: Final = ("delivery", "product", "billing", "account")
"""What support is asked about; the first when a delivery went badly."""


@dataclass(frozen=True)
class Placed:
    """Orders in rows, and their lines: ``order`` holds the row of each line's order."""

    who: Ints
    at: Longs
    alias: Codes
    channel: Codes
    consent: Codes
    number: Longs
    order: NDArray[np.int64]
    item: Ints
    quantity: Ints

    def columns(self, rows: NDArray[Any], delay: NDArray[Any] | float) -> dict[str, Any]:
        """Columns of events that follow from orders ``delay`` days later."""
        return {
            "who": self.who[rows],
            "at": self.at[rows] + (np.asarray(delay) * DAY_US).astype(np.int64),
            "alias": self.alias[rows],
            "channel": np.where(self.channel[rows] == EMAIL, 0, self.channel[rows]),
            "consent": self.consent[rows],
        }

    def lines_of(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Rows of the lines of some orders."""
        return np.flatnonzero(chosen[self.order])

    @property
    def line_no(self) -> NDArray[np.int64]:
        return np.arange(len(self.order)) - np.searchsorted(self.order, self.order)


class Orders:
    """Takes orders and tells their story to the end."""

    def __init__(self, crowd: Crowd, rng: Generator) -> None:
        self.truth, self.agenda, self.journal = crowd
        self.rng = rng

    def take(self, visits: Visits, at: Ints) -> Placed:
        """Order the carts of the visits ``at``; what follows is told and planned at once."""
        placed = self._place(visits, at)
        texts = [canonical({"order_id": name}) for name in _order_ids(placed.number)]
        self._tell_lines(EventType.PURCHASE, placed, np.ones(len(placed.who), np.bool_), 0.0, texts, visits.session[at])
        self._bring_home(placed)
        self._deliver(placed, texts)
        visits.cart[at] = NOWHERE
        return placed

    def ask_why_not(self, visits: Visits, at: Ints) -> None:
        """Some of those who leave a full cart say why."""
        at = at[self.rng.random(len(at)) < 0.06]
        who, item = visits.who[at], visits.cart[at, 0]
        people, state, world = self.truth.people, self.truth.state, self.truth.world
        unsure = state.knowledge[who, world.leaf[item]] < 0.2
        dear = people.thrift[who] * world.dearness[item] > 0.5
        code = np.where(state.trust[who] < 0.35, "trust", np.where(dear, "price", np.where(unsure, "unsure", "later")))
        self._survey(
            "why-not", "engagement", code, item, who=who, at=visits.clock[at] + 60_000_000, **_of(visits, at, state)
        )

    def review(self, visits: Visits, at: Ints) -> None:
        """They review what they bought last."""
        state, who = self.truth.state, visits.who[at]
        item = state.home[who, state.home_at[who].argmax(axis=1)]
        at, who, item = at[item != NOWHERE], who[item != NOWHERE], item[item != NOWHERE]
        state.delivered_at[who] = -1e6
        columns = {"who": who, "at": visits.clock[at] + 90_000_000, **_of(visits, at, state)}
        self._review(EventType.REVIEW, item, was_bad=state.is_in_trouble[who], **columns)

    def ask_support(self, visits: Visits, at: Ints) -> None:
        """They ask for help with what went wrong."""
        who = visits.who[at]
        columns = {"who": who, "at": visits.clock[at] + 60_000_000, **_of(visits, at, self.truth.state)}
        self._ticket(columns, np.zeros(len(at), np.int64))

    def _place(self, visits: Visits, at: Ints) -> Placed:
        order, place = np.nonzero(visits.cart[at] >= 0)
        item = visits.cart[at[order], place]
        lasts = self.truth.world.cycle[item] == 0
        number = self.journal.number("order", len(at))
        return Placed(
            who=visits.who[at],
            at=visits.clock[at] + 20_000_000,
            alias=visits.alias[at],
            channel=visits.channel[at],
            consent=self.truth.state.consent[visits.who[at]],
            number=number,
            order=order,
            item=item,
            quantity=np.where(lasts, 1, 1 + self.rng.poisson(MORE_UNITS, len(item))).astype(np.int32),
        )

    def _bring_home(self, placed: Placed) -> None:
        """Needs are met, stock lasts for a cycle a unit, and what goes with it is needed soon."""
        truth, world, state = self.truth, self.truth.world, self.truth.state
        who, leaf = placed.who[placed.order], world.leaf[placed.item]
        day = ((placed.at[placed.order] - world.start) / DAY_US).astype(np.float32)
        state.need[who, leaf] = 0
        state.urge[who] *= 0.3
        state.n_orders[placed.who] += 1
        state.home[who, leaf], state.home_at[who, leaf] = placed.item, day
        lasts = world.cycle[placed.item] * placed.quantity * self.rng.lognormal(0, 0.12, len(who))
        used = lasts > 0
        runs_out = (day + lasts)[used].astype(np.float32)
        use_up(truth, self.agenda, who[used], leaf[used], runs_out, self.rng)
        row, other = np.nonzero(self.rng.random((len(who), world.n_leaves)) < world.complement[leaf])
        level = self.rng.uniform(1.1, 1.9, len(row)).astype(np.float32)
        self.agenda.plan(NEED, day[row] + self.rng.uniform(0.3, 5, len(row)), who[row], other.astype(np.int32), level)

    def _deliver(self, placed: Placed, texts: list[str]) -> None:
        n = len(placed.who)
        is_at_desk = placed.channel == STORE
        is_cancelled = ~is_at_desk & (self.rng.random(n) < 0.02)
        is_bad = ~is_at_desk & ~is_cancelled & (self.rng.random(n) < GOES_BADLY)
        delay = np.where(is_at_desk, 0.001, self.rng.lognormal(0.95, 0.35, n) + np.where(is_bad, 5.0, 0.0))
        self._refund_order(placed, is_cancelled, self.rng.uniform(0.05, 0.8, n))
        arrives = ~is_cancelled
        self._tell_lines(EventType.FULFILLED, placed, arrives, delay, texts)
        day = (placed.at - self.truth.world.start) / DAY_US + delay
        self.agenda.plan(GOOD_DELIVERY, day[arrives & ~is_bad], placed.who[arrives & ~is_bad])
        self.agenda.plan(BAD_DELIVERY, day[is_bad], placed.who[is_bad])
        self._after_delivery(placed, arrives, is_bad, delay)

    def _after_delivery(
        self, placed: Placed, arrives: NDArray[np.bool_], is_bad: NDArray[np.bool_], delay: Any
    ) -> None:
        n = len(placed.who)
        voice = self.truth.people.voice[placed.who]
        asks = _at(arrives & (self.rng.random(n) < np.where(is_bad, 0.45, 0.03)))
        topic = np.where(is_bad[asks], 0, self.rng.integers(1, len(TOPICS), len(asks)))
        self._ticket(placed.columns(asks, delay[asks] + self.rng.uniform(0.05, 1, len(asks))), topic)
        for kind, share in ((EventType.RATING, 0.6), (EventType.REVIEW, 0.3)):
            tells = placed.lines_of(arrives & (self.rng.random(n) < share * voice))
            order = placed.order[tells]
            columns = placed.columns(order, delay[order] + self.rng.uniform(0.5, 12, len(tells)))
            self._review(kind, placed.item[tells], was_bad=is_bad[order], **columns)
        answers = _at(arrives & (self.rng.random(n) < 0.3 * voice))
        code = np.where(is_bad[answers], "late", np.where(delay[answers] < 2, "fast", "fine"))
        first = np.searchsorted(placed.order, answers)
        columns = placed.columns(answers, delay[answers] + 1.0)
        self._survey("delivery", "transaction", code, placed.item[first], **columns)
        self._return(placed, arrives, is_bad, delay)

    def _return(self, placed: Placed, arrives: NDArray[np.bool_], is_bad: NDArray[np.bool_], delay: Any) -> None:
        """Single lines come back when they do not fit the taste, or were damaged."""
        who = placed.who[placed.order]
        match = self.truth.match(who, placed.item[:, None])[:, 0]
        chance = sigmoid(-3.2 - 0.5 * match + 1.6 * is_bad[placed.order])
        back = np.flatnonzero(arrives[placed.order] & (self.rng.random(len(who)) < chance))
        order = placed.order[back]
        is_whole = np.bincount(placed.order, minlength=len(placed.who))[order] == 1
        reason = np.where(is_bad[order], "damaged", "unwanted")
        facts = zip(_order_ids(placed.number[order]), is_whole.tolist(), reason.tolist(), strict=True)
        texts = [canonical({"order_id": name, "full": whole, "reason": why}) for name, whole, why in facts]
        columns = placed.columns(order, delay[order] + self.rng.uniform(1, 10, len(back)))
        self.journal.tell(EventType.REFUND, len(back), texts=texts, **self._goods(placed, back), **columns)

    def _refund_order(self, placed: Placed, chosen: NDArray[np.bool_], delay: NDArray[Any]) -> None:
        facts = [{"order_id": name, "full": True, "reason": "cancelled"} for name in _order_ids(placed.number)]
        self._tell_lines(EventType.REFUND, placed, chosen, delay, [canonical(fact) for fact in facts])

    def _tell_lines(
        self,
        kind: EventType,
        placed: Placed,
        chosen: NDArray[np.bool_],
        delay: NDArray[Any] | float,
        texts: list[str],
        session: Longs | None = None,
    ) -> None:
        """One event an order, with a line a product."""
        lines = placed.lines_of(chosen)
        order = placed.order[lines]
        late = np.broadcast_to(np.asarray(delay, np.float64), len(placed.who))[order]
        columns = {**placed.columns(order, late), **self._goods(placed, lines), "line_no": placed.line_no[lines]}
        columns["event"] = self.journal.number("event", len(placed.who))[order]
        if session is not None:
            columns["session"] = session[order]
        self.journal.tell(kind, len(lines), texts=[texts[row] for row in order], **columns)

    def _goods(self, placed: Placed, lines: NDArray[Any]) -> dict[str, Any]:
        item, quantity = placed.item[lines], placed.quantity[lines]
        return {"item": item, "quantity": quantity, "amount": self.truth.world.price[item] * quantity}

    def _review(self, kind: EventType, item: Ints, *, was_bad: NDArray[np.bool_], **columns: Any) -> None:
        match = self.truth.match(columns["who"], item[:, None])[:, 0]
        stars = np.clip(np.round(3.9 + 0.7 * match - 1.8 * was_bad + self.rng.normal(0, 0.7, len(item))), 1, 5)
        texts = [canonical({"stars": int(n)}) for n in stars]
        self.journal.tell(kind, len(item), texts=texts, item=item, **columns)

    def _ticket(self, columns: dict[str, Any], topic: NDArray[Any]) -> None:
        n = len(topic)
        channel = self.rng.choice(["chat", "email", "phone"], n, p=(0.5, 0.3, 0.2))
        names = [f"t-{number:07d}" for number in self.journal.number("ticket", n).tolist()]
        facts = zip(names, channel.tolist(), [TOPICS[row] for row in topic], strict=True)
        texts = [canonical({"ticket_id": name, "channel": by, "topic": what}) for name, by, what in facts]
        columns["channel"] = np.where(channel == "phone", PHONE, np.where(channel == "email", EMAIL, 0))
        self.journal.tell(EventType.SUPPORT_OPEN, n, texts=texts, **columns)
        columns["at"] = columns["at"] + (self.rng.lognormal(2.2, 1, n) * HOUR_US).astype(np.int64)
        self.journal.tell(EventType.SUPPORT_CLOSE, n, texts=texts, **columns)
        self.agenda.plan(HELP, (columns["at"] - self.truth.world.start) / DAY_US, columns["who"])

    def _survey(self, question: str, stage: str, code: NDArray[Any], item: Ints, **columns: Any) -> None:
        ids = [self.truth.world.items[row].item_id for row in item]
        texts = [
            canonical({"question_id": question, "code": str(answer), "stage": stage, "item": item_id})
            for answer, item_id in zip(code, ids, strict=True)
        ]
        self.journal.tell(EventType.SURVEY_ANSWER, len(item), texts=texts, item=item, **columns)


def _order_ids(number: Longs) -> list[str]:
    return [f"o-{n:07d}" for n in number.tolist()]


def _of(visits: Visits, at: Ints, state: Any) -> dict[str, Any]:
    return {
        "alias": visits.alias[at],
        "session": visits.session[at],
        "channel": visits.channel[at],
        "consent": state.consent[visits.who[at]],
    }


def _at(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.flatnonzero(flags)
