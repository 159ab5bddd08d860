"""Policies compared on the same visitors of a simulated shop."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from features.events import Line
    from training.simulator.environment import Environment, Visit

    Policy = Callable[[str, int, int], Sequence[str]]
    """``policy(customer_id, now, n)`` → at most ``n`` item ids, best first."""


class Outcome(NamedTuple):
    """What a policy brought about.

    ``value`` is the sum of the true values of its slates at their moments, free of sampling noise;
    ``margin`` that of the orders placed. Both are in minor units. ``values`` has one entry a visit.
    """

    n_visits: int
    value: float
    margin: float
    n_clicks: int
    n_reads: int
    n_orders: int
    values: tuple[float, ...]


def run_policy(
    environment: Environment,
    policy: Policy,
    n_visits: int,
    *,
    n: int = 8,
    observe: Callable[[list[Line]], None] | None = None,
) -> Outcome:
    """Show the slates of a policy to the next visitors of an environment, which is left as it was.

    Every visitor looks around, is shown a slate and answers; ``observe`` is told all of it, in time, as a
    tracker on the site would be. Other policies meet the same visitors at the same moments.
    """
    return _run(environment.fresh(), environment.visitors(n_visits), policy, n, observe)


def run_oracle(environment: Environment, n_visits: int, *, n: int = 8) -> Outcome:
    """The same for the policy that knows the truth: the ceiling."""
    trial = environment.fresh()
    return _run(
        trial, environment.visitors(n_visits), lambda who, now, size: trial.oracle_slate(who, size, now), n, None
    )


def _run(
    trial: Environment,
    visits: Sequence[Visit],
    policy: Policy,
    n: int,
    observe: Callable[[list[Line]], None] | None,
) -> Outcome:
    told: list[Line] = []
    values: list[float] = []
    for visit in visits:
        before = trial.due(visit.now) + trial.arrive(visit)
        _tell(told, before, observe)
        now = max([visit.now, *(line.occurred_at for line in before)]) + 1_000_000
        slate = policy(visit.customer_id, now, n)
        values.append(trial.true_value(visit.customer_id, slate, now))
        _tell(told, trial.respond(visit.customer_id, slate, now, visit.channel), observe)
    return _outcome(trial, told, values)


def _tell(told: list[Line], lines: list[Line], observe: Callable[[list[Line]], None] | None) -> None:
    told.extend(lines)
    if observe is not None:
        observe(lines)


def _outcome(environment: Environment, told: Sequence[Line], values: Sequence[float]) -> Outcome:
    world = environment.world
    bought = [line for line in told if line.type == "purchase"]
    return Outcome(
        n_visits=len(values),
        value=sum(values),
        margin=float(sum(world.margin[world.row_of[str(x.item_id)]] * (x.quantity or 1) for x in bought)),
        n_clicks=sum(line.type == "slate_click" for line in told),
        n_reads=sum(line.type == "content_read" for line in told),
        n_orders=len({line.event_id for line in bought}),
        values=tuple(values),
    )
