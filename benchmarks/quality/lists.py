"""Lists: the best items of scores, and how they are kept on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from benchmarks.quality.events import Queries, weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.quality.events import Past

    Scores = NDArray[np.float32]
    Model = Callable[[Queries], Scores]
    """Scores of all items, shape (n_queries, n_items); exactly 0 where there is no opinion."""

N: Final = 20
BLOCK: Final = 256
NOTHING: Final = -1
_FILL: Final = 1e-9
_FILL_HALF_LIFE_DAYS: Final = 30.0


def lists_of(model: Model, past: Past, queries: Queries, *, hide_seen: bool) -> NDArray[np.int64]:
    """The best ``N`` items that were known before the cut; popularity fills what a model leaves empty.

    Returns
    -------
    int64, shape (n_queries, N)
        Rows of the event table's items, ``NOTHING`` after the last one.
    """
    popular = _popularity(past)
    blocks = [
        _top(model(block), popular, block, hide_seen=hide_seen)
        for block in (queries.take(slice(a, a + BLOCK)) for a in range(0, len(queries), BLOCK))
    ]
    return np.concatenate(blocks) if blocks else np.empty((0, N), np.int64)


def _popularity(past: Past) -> NDArray[np.float64]:
    events = past.events
    value = weights(events.touch, past.now - events.at, _FILL_HALF_LIFE_DAYS, is_graded=False)
    count = np.bincount(events.item_idx, weights=value, minlength=past.n_items)
    # Made-up times lie years apart; what was touched at all may be listed all the same.
    known = np.bincount(events.item_idx, minlength=past.n_items) > 0
    return (count + known * 1e-6) / max(1e-6, float(count.max()))


def _top(scores: Scores, popular: NDArray[np.float64], queries: Queries, *, hide_seen: bool) -> NDArray[np.int64]:
    best = np.abs(scores).max(axis=1, keepdims=True)
    filled = np.where(scores != 0, scores / np.maximum(best, 1e-30), _FILL * popular)
    filled[:, popular == 0] = -np.inf
    if hide_seen:
        query, row = queries.rows()
        filled[query, queries.events.item_idx[row]] = -np.inf
    n = min(N, filled.shape[1])
    chosen = np.sort(np.argpartition(-filled, n - 1, axis=1)[:, :n], axis=1)
    value = np.take_along_axis(filled, chosen, axis=1)
    order = np.argsort(-value, axis=1, kind="stable")
    lists = np.full((len(scores), N), NOTHING, np.int64)
    lists[:, :n] = np.where(
        np.isneginf(np.take_along_axis(value, order, axis=1)), NOTHING, np.take_along_axis(chosen, order, axis=1)
    )
    return lists


class Cost(msgspec.Struct, frozen=True):
    """What lists cost: seconds to tune, to fit and to decide all of them, and the process's peak memory."""

    tune_s: float
    fit_s: float
    decide_s: float
    peak_mib: float | None


class Note(msgspec.Struct, frozen=True):
    """What is known about stored lists; ``digest`` names the cases they answer."""

    system: str
    digest: str
    setting: dict[str, Any]
    setting_no: int
    validation: float | None
    cost: Cost


@dataclass(frozen=True)
class Stored:
    """Lists of one system for one task.

    Attributes
    ----------
    keys : int64, shape (n_cases, N)
        Item keys, ``NOTHING`` where a list is shorter; no real key is that number.
    """

    keys: NDArray[np.int64]
    note: Note

    def save(self, path: Path) -> None:
        """Write lists and note beside each other; the note comes last and says that both are whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path.with_suffix(".npy"), self.keys)
        path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(self.note)))

    @classmethod
    def load(cls, path: Path, digest: str) -> Stored | None:
        """Lists that answer the cases of ``digest``; None where there are none."""
        note_path = path.with_suffix(".json")
        if not note_path.is_file():
            return None
        note = msgspec.json.decode(note_path.read_bytes(), type=Note)
        return cls(np.load(path.with_suffix(".npy")), note) if note.digest == digest else None
