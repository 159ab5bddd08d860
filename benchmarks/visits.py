"""Models that serve the visitors of a simulated shop: what is remembered of them, and what slates were truly worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import ibis
import numpy as np
import pyarrow as pa

from features.events import DAY_US
from recommender.slate import SlateRequest
from training.metrics import Interval, mean_interval
from training.relational import state_table
from training.touches import TOUCH_OF_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from features.events import Line
    from features.journey import Journey
    from recommender.engine import Engine
    from training.simulator.trial import Policy

END: Final = 20_500 * DAY_US
N_SLOTS: Final = 8


class Memory:
    """States of customers as they go on, of all that they do or of all but what they do with content.

    Parameters
    ----------
    lines : Table
        The log, from which the states of ``customer_ids`` start at ``now``.
    content : dict of int to str
        Keys and ids of content; what is done with it is forgotten when ``reads`` is off.
    """

    def __init__(
        self,
        lines: ir.Table,
        customer_ids: Sequence[str],
        now: int,
        journey: Journey,
        content: Mapping[int, str],
        *,
        reads: bool,
    ) -> None:
        self._schema, self._content, self._reads = journey.schema, content, reads
        if not reads:
            is_reading = lines.item_id.isin(sorted(content.values())) & lines.type.isin(list(TOUCH_OF_TYPE))
            lines = lines.filter(~is_reading.fill_null(False))
        cases = pa.table(
            {
                "case_idx": pa.array(np.arange(len(customer_ids), dtype=np.int64)),
                "customer_id": pa.array(customer_ids, pa.string()),
                "as_of": pa.array(np.full(len(customer_ids), now)).cast(pa.timestamp("us", "UTC")),
            }
        )
        table = state_table(lines, ibis.memtable(cases), self._schema)
        self._states = {customer_id: table.state(row) for row, customer_id in enumerate(customer_ids)}

    def of(self, customer_id: str) -> Any:
        """The state of a customer; the empty one for somebody unknown."""
        return self._states.get(customer_id) or self._schema.empty()

    def read_by(self, customer_id: str) -> tuple[str, ...]:
        """Ids of the content among what is known of a customer."""
        keys = (record[1] for record in self.of(customer_id).seen)
        return tuple({self._content[key]: None for key in keys if key in self._content})

    def observe(self, lines: Iterable[Line]) -> None:
        """Remember what happened."""
        for line in lines:
            is_reading = line.type in TOUCH_OF_TYPE and line.item_key in self._content
            if line.customer_id is not None and (self._reads or not is_reading):
                self._states[line.customer_id] = self._schema.merge(self.of(line.customer_id), self._schema.lift(line))


class Trial(NamedTuple):
    """True values of the slates of each way of serving the same visits, and who each visit was."""

    customer_ids: list[str]
    runs: dict[str, tuple[float, ...]]

    def worth(self, name: str, keep: NDArray[np.bool_], to: str | None = None) -> Interval:
        """Mean true value of a slate, minor units, or its paired difference to another run; by customer."""
        values = np.array(self.runs[name]) - (np.array(self.runs[to]) if to else 0)
        _, customer = np.unique(np.array(self.customer_ids)[keep], return_inverse=True)
        return mean_interval(np.bincount(customer, values[keep]) / np.bincount(customer))

    def n_customers(self, keep: NDArray[np.bool_]) -> int:
        """How many customers some visits are of."""
        return len(set(np.array(self.customer_ids)[keep].tolist()))


def policy_of(engine: Engine, memory: Memory, left_out: Memory | None = None) -> Policy:
    """The model as a policy over what a memory holds; what was read according to ``left_out`` is not offered."""

    def policy(customer_id: str, now: int, n: int) -> list[str]:
        exclude = left_out.read_by(customer_id) if left_out else ()
        slate = engine.decide(memory.of(customer_id), SlateRequest(limit=n, exclude=exclude), now)
        return [item.item_id for item in slate.items]

    return policy


def text_of(interval: Interval) -> str:
    """An interval as a table shows it."""
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
