"""Blending: one weight a source, learned per context on a validation slice of time.

A context is a stage and whether the customer is in the middle of a session, or that nothing is known of them; a task is
whether things already touched may be shown. The weights of a context lie on the simplex, so a score lies in [0, 1].
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recommender.kernels import united

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector, IntVector, Query, Retriever

STAGES = ("awareness", "engagement", "transaction", "retention")
TASKS = ("any", "new")
N_CANDIDATES = 100
"""How many candidates each source is asked for."""


STRANGER: Final = "stranger"
"""The context of those of whom nothing is known: only what is impersonal has something for them."""
COMPARING: Final = "engagement"
"""The stage of an unknown visitor on an item's page, or who searches, as far as weights go."""


def context_of(stage: str, *, live: bool) -> str:
    """Name of a blend context."""
    return f"{stage}/{'live' if live else 'between'}"


def context_for(query: Query, stage: str, *, live: bool) -> str:
    """Name of the context that a query is weighed in: who is unknown and on an item's page compares."""
    if query.has_past:
        return context_of(stage, live=live)
    return context_of(COMPARING, live=live) if query.has_page else STRANGER


PRIOR: Final[Mapping[str, Mapping[str, float]]] = {
    "any": {
        "popular": 0.1,
        "trending": 0.02,
        "fresh": 0.02,
        "category": 0.1,
        "recent": 0.2,
        "frequent": 0.15,
        "repeat": 0.1,
        "tifu": 0.1,
        "viewed_next": 0.1,
        "bought_together": 0.03,
        "read_next": 0.05,
        "read_bought": 0.05,
        "kindred": 0.05,
        "vstan": 0.15,
        "cosine": 0.04,
        "rp3beta": 0.04,
        "ease": 0.02,
        "als": 0.1,
        "content": 0.05,
    },
    "new": {
        "popular": 0.2,
        "trending": 0.05,
        "fresh": 0.05,
        "category": 0.1,
        "viewed_next": 0.15,
        "bought_together": 0.1,
        "read_next": 0.1,
        "read_bought": 0.05,
        "kindred": 0.1,
        "vstan": 0.15,
        "cosine": 0.05,
        "rp3beta": 0.05,
        "ease": 0.05,
        "tifu": 0.05,
        "als": 0.15,
        "content": 0.1,
    },
}
"""Rounded means of what was learned on data sets of several kinds."""

CONTEXTS = (*(context_of(stage, live=live) for stage in STAGES for live in (False, True)), STRANGER)


class Pool(NamedTuple):
    """The union of all sources' candidates.

    ``item_idx`` int32, shape (m,), ascending; ``parts`` float32, shape (m, n_sources): each source's score
    over its best one in this query, 0 where the source did not propose the item; ``best`` float32, shape (n_sources,),
    that best one as the source said it, 0 where it proposed nothing.
    """

    item_idx: IntVector
    parts: FloatMatrix
    best: FloatVector


def pool_of(retrievers: Sequence[Retriever], query: Query, n_items: int, n: int = N_CANDIDATES) -> Pool:
    """Candidates of every retriever for one query."""
    found = [retriever.retrieve(query, n) for retriever in retrievers]
    if not found:
        return Pool(np.empty(0, np.int32), np.zeros((0, 0), np.float32), np.zeros(0, np.float32))
    item_idx, score = zip(*found, strict=True)
    bounds = np.fromiter(itertools.accumulate(map(len, item_idx), initial=0), np.int64, len(found) + 1)
    return Pool(*united(np.concatenate(item_idx), np.concatenate(score), bounds, n_items))


@dataclass(frozen=True)
class Blend:
    """Learned weights.

    Attributes
    ----------
    sources : tuple of str
    weights : float32 arrays of shape (n_contexts, n_sources) by task
        Rows as ``CONTEXTS``.
    n_cases : sequences of shape (n_contexts,) by task
        How many cases each context was learned from; empty where nothing was learned.
    """

    sources: tuple[str, ...]
    weights: Mapping[str, NDArray[np.float32]]
    n_cases: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def of(self, task: str, context: str) -> FloatVector:
        """Weights of one context, shape (n_sources,), summing to 1."""
        row: FloatVector = self.weights[task][CONTEXTS.index(context)]
        return row

    def to_document(self) -> dict[str, object]:
        """As plain JSON."""
        n_cases = {task: list(n) for task, n in self.n_cases.items()}
        weights = {task: w.tolist() for task, w in self.weights.items()}
        return {"sources": list(self.sources), "weights": weights, "n_cases": n_cases}

    @classmethod
    def of_document(cls, document: Mapping[str, object]) -> Blend:
        """Inverse of :meth:`to_document`.

        Raises
        ------
        LookupError, TypeError, ValueError
            A document of another shape.
        """
        by_task: Mapping[str, object] = document["weights"]  # type: ignore[assignment]
        sources: tuple[str, ...] = tuple(document["sources"])  # type: ignore[arg-type]
        weights = {task: np.array(by_task[task], np.float32) for task in TASKS}
        if any(rows.shape != (len(CONTEXTS), len(sources)) for rows in weights.values()):
            raise ValueError(f"expected {len(CONTEXTS)} contexts of {len(sources)} weights")
        counted: Mapping[str, Sequence[int]] = dict(document.get("n_cases", {}))  # type: ignore[call-overload]
        n_cases = {task: tuple(int(n) for n in counted[task]) for task in TASKS if task in counted}
        if any(len(n) != len(CONTEXTS) or min(n) < 0 for n in n_cases.values()):
            raise ValueError(f"expected numbers of cases for {len(CONTEXTS)} contexts")
        return cls(sources, weights, n_cases)

    def pooled(self) -> Blend:
        """The same weights blind to the stage: in every stage the mean over stages, by their cases.

        Being in a session is no stage, nor is being unknown: they stay told apart.
        """
        n_staged = len(CONTEXTS) - 1
        weights: dict[str, NDArray[np.float32]] = {}
        for task, rows in self.weights.items():
            by_stage = rows[:n_staged].reshape(len(STAGES), -1, len(self.sources))
            counted = self.n_cases.get(task, [0] * len(CONTEXTS))[:n_staged]
            n = np.asarray(counted, np.float64).reshape(len(STAGES), -1)
            share = np.where(n.sum(axis=0) > 0, n, 1.0)
            mean = np.einsum("sl,sln->ln", share / share.sum(axis=0), by_stage)
            weights[task] = np.concatenate([np.tile(mean, (len(STAGES), 1)), rows[n_staged:]]).astype(np.float32)
        return replace(self, weights=weights)

    def projected(self, sources: tuple[str, ...]) -> Blend:
        """The same weights for another list of sources; one that is new to the blend gets none."""
        columns = [self.sources.index(source) if source in self.sources else -1 for source in sources]
        weights = {}
        for task, rows in self.weights.items():
            kept = np.pad(rows, ((0, 0), (0, 1)))[:, columns]
            total = kept.sum(axis=1, keepdims=True)
            weights[task] = np.where(total > 0, kept / np.where(total > 0, total, 1), 1 / max(1, len(sources))).astype(
                np.float32
            )
        return Blend(sources, weights, self.n_cases)

    @classmethod
    def only(cls, source: str, sources: tuple[str, ...]) -> Blend:
        """One source alone."""
        row = np.array([name == source for name in sources], np.float32)
        return cls(sources, dict.fromkeys(TASKS, np.tile(row, (len(CONTEXTS), 1))))

    @classmethod
    def prior(cls, sources: tuple[str, ...]) -> Blend:
        """Weights from experience, for where there is too little to learn from."""
        weights = {}
        for task, by_source in PRIOR.items():
            row = np.array([by_source.get(source, 0.0) for source in sources], np.float32)
            weights[task] = np.tile(row / max(float(row.sum()), 1e-9), (len(CONTEXTS), 1))
        return cls(sources, weights)

    @classmethod
    def uniform(cls, sources: tuple[str, ...]) -> Blend:
        """Equal weights everywhere: what is used where there was nothing to learn from."""
        equal = np.full((len(CONTEXTS), len(sources)), 1 / max(1, len(sources)), np.float32)
        return cls(sources, dict.fromkeys(TASKS, equal))
