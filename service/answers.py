"""What a slate looks like to its caller. Encoded by msgspec; no response model stands in the hot path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from service.clock import moment_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.journey import Journey, Standing
    from recommender.slate import Move, Slate, SlateItem
    from service.ladder import Degraded
    from service.serving import Serving

encode: Final = msgspec.json.Encoder().encode
VARIANT: Final = "default"


class Consented(NamedTuple):
    """Whether what is known of the customer could be used, and whether a slate may be offered in its channel."""

    personalised: bool
    channel: bool


class Made(NamedTuple):
    """A slate with what its answer and its decision record say beside it; times in microseconds.

    ``version`` is of the model that made it, where that need not be the one in use.
    """

    slate: Slate
    slate_id: str
    generated_at: int
    expires_at: int
    degraded: Degraded
    consented: Consented
    version: str | None = None


class Reserved(NamedTuple):
    """Whether the items of a slate count as shown: ``reserved``, ``unreserved`` for a reason, or ``none``."""

    status: str
    reason: str | None


def slate_answer(made: Made, items: object, serving: Serving, explain: str, reserved: Reserved) -> dict[str, Any]:
    """The body of an answer, as plain values; ``items`` as :func:`items_answer` gives them."""
    slate = made.slate
    answer: dict[str, Any] = {
        "slate_id": made.slate_id,
        "generated_at": moment_of(made.generated_at),
        "expires_at": moment_of(made.expires_at),
        "stage": stage_answer(slate.standing, serving.engine.journey, slate.moves),
        "items": items,
        "served_by": served_by(made, serving),
        "consent": made.consented._asdict(),
        "reservation": reserved._asdict(),
    }
    if explain == "full":
        answer["suppressed"] = [held._asdict() for held in slate.suppressed]
        answer["faded"] = [faded._asdict() for faded in slate.faded]
    return answer


def items_answer(slate: Slate, serving: Serving, explain: str) -> list[dict[str, Any]]:
    """The items of an answer, in order."""
    return [_item(item, serving, explain) for item in slate.items]


def stage_answer(standing: Standing, journey: Journey, moves: Sequence[Move]) -> dict[str, Any]:
    """Where a customer stands, and the chances of what may come next."""
    return {
        "name": standing.stage,
        "phase": standing.phase,
        "at_risk": standing.at_risk,
        "definition_version": journey.version,
        "since": None if standing.since is None else moment_of(standing.since),
        "moves": [_move(move) for move in moves],
    }


def _move(move: Move) -> dict[str, Any]:
    return {
        "move": move.move,
        "horizon_days": move.horizon_days,
        "probability": move.probability,
        "reasons": [reason._asdict() for reason in move.reasons],
    }


def served_by(made: Made, serving: Serving) -> dict[str, Any]:
    """Which model, strategy and fallback made the answer."""
    names = model_names(serving)
    return {
        **(names if made.version is None else names | {"version": made.version}),
        "strategy": made.slate.strategy,
        "variant": VARIANT,
        "degraded": {"level": int(made.degraded.level), "reason": made.degraded.reason},
    }


def model_names(serving: Serving) -> dict[str, Any]:
    """Name, version and alias of the model in use."""
    current, model = serving.current, serving.engine.model
    if current is None:
        return {"model": model.name, "version": model.version, "alias": None}
    return {"model": current.model, "version": current.version, "alias": current.alias}


def _item(item: SlateItem, serving: Serving, explain: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "rank": item.rank,
        "item_id": item.item_id,
        "kind": item.kind,
        "score": item.score,
        "propensity": item.propensity,
        "attributes": _attributes(item, serving),
    }
    if explain != "none":
        told = item.reasons if explain == "full" else item.reasons.short
        answer["reasons"] = [{"code": code, "text": text, "weight": weight} for code, text, weight in told]
    return answer


def _attributes(item: SlateItem, serving: Serving) -> dict[str, Any]:
    items, changed = serving.engine.items, serving.changed(item.item_key)
    if changed is not None:
        return {"title": item.title, "category": changed.category, "price_minor": changed.price_minor}
    price = int(items.price_minor[item.item_idx])
    category = items.category_of(item.item_idx)
    return {"title": item.title, "category": category, "price_minor": None if price < 0 else price}
