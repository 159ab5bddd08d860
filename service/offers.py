"""Answers: what goes out to the caller for a slate that was decided, or given before under the same key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from service.answers import Made, Reserved, slate_answer
from service.deciding import Decided
from service.keyed import key_answer
from service.metrics import DEGRADED, ITEMS_DROPPED, RESERVATIONS, SLATES, child
from service.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from service.ask import Ask
    from service.grounds import Given
    from service.keyed import Key
    from service.serving import Serving
    from service.store.kept import Kept

RESERVED: Final = Reserved("reserved", None)
NOT_ASKED_FOR: Final = Reserved("none", None)
"""Of a dry run, and of a slate that is of nobody."""


class Offered(NamedTuple):
    """An answer, whose it is (the id of the customer's head) and which items it shows."""

    answer: dict[str, Any]
    customer_id: str
    item_ids: Sequence[str]


class Offers:
    """Makes answers, and counts them."""

    def __init__(self, serving: Serving) -> None:
        self._serving, self._repeats = serving, Repeats(serving)

    def fresh(
        self,
        ask: Ask,
        given: Given,
        decided: Decided,
        reserved: Reserved,
        *,
        status: str = "first",
        replaces: str | None = None,
    ) -> Offered:
        """A slate that was just decided; ``status`` and ``replaces`` are for one with a key."""
        told = None if ask.key is None else key_answer(status, replaces)
        return self._offered(ask, given, decided, reserved, told)

    def repeated(self, ask: Ask, given: Given, key: Key, kept: Kept, reserved: Reserved) -> Offered:
        """A slate that was given before under the same key."""
        shown = self._repeats.of(ask, key.field, kept)
        at, ends = kept.decided_at, kept.decided_at + kept.ttl_s * 1_000_000
        consented = given.consented._replace(personalised=kept.is_personalised)
        made = Made(shown.again.slate, kept.slate_id, at, ends, given.degraded, consented, kept.version)
        decided = Decided(ask.customer_id, ask.request, made, shown.items)
        return self._offered(ask, given, decided, reserved, key_answer("repeated", None, shown.again.missing))

    def forget(self, members: Iterable[str]) -> None:
        """Keep nothing of what some customers were given: they were erased."""
        self._repeats.forget(members)

    def forget_all(self) -> None:
        """Keep nothing of what anybody was given."""
        self._repeats.clear()

    def plain(self, decided: Decided, explain: str, reserved: Reserved = NOT_ASKED_FOR) -> dict[str, Any]:
        """The body of an answer."""
        _count(decided.made)
        child(RESERVATIONS, reserved.status).inc()
        return slate_answer(decided.made, decided.items, self._serving, explain, reserved)

    def _offered(
        self, ask: Ask, given: Given, decided: Decided, reserved: Reserved, told: dict[str, Any] | None
    ) -> Offered:
        answer = self.plain(decided, ask.options.explain, reserved)
        if told is not None:
            answer["decision_key"] = told
        return Offered(answer, head_of(ask, given), ids_of(decided))


def head_of(ask: Ask, given: Given) -> str:
    """Id of the identity that stands for a customer; the one asked about, where the store did not say."""
    return ask.customer_id if given.known is None else given.known.head.customer_id


def ids_of(decided: Decided) -> list[str]:
    """The items of a slate."""
    return [item.item_id for item in decided.made.slate.items]


def _count(made: Made) -> None:
    child(SLATES, int(made.degraded.level), made.slate.strategy, made.slate.standing.stage).inc()
    for held in made.slate.suppressed:
        if held.why == "no_score":
            ITEMS_DROPPED.labels(held.why).inc()
    if made.degraded.reason is not None:
        child(DEGRADED, int(made.degraded.level), made.degraded.reason).inc()
