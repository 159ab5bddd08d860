"""VSTAN: past sessions like the running one, and what customers touched in them.

Ludewig, Mauro, Latifi and Jannach, "Empirical analysis of session-based recommendation algorithms", UMUAI
2021: V-SkNN's weighting by position joined with STAN's decays (Garg et al. 2019). The extension of a short
session by the customer's last items before it is theirs too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np

from features.errors import BundleCorrupt
from features.events import DAY_US
from recommender.contract import NOTHING, ArraySpec, Candidates, FloatVector, IntVector, LongVector, Query
from recommender.kernels_session import decays, nearest_sessions, running_session, voted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.items import Items

MINUTE_US: Final = 60_000_000
OFF: Final = 1e9
"""A lambda that changes nothing."""


class VstanParams(NamedTuple):
    """Settings, as ``vstan.params`` holds them in this order; names as in the paper.

    ``k`` nearest of the ``sample_size`` most recent sessions vote. ``lambda_spw`` and ``lambda_ipw`` are in
    items back from the newest, ``lambda_inh`` in positions within a past session, ``lambda_snh`` in days of
    its age; ``lambda_idf`` is what rareness adds. A similarity is divided by the session's length to
    ``length_power``. A pause of ``gap_minutes`` ends a session; up to ``extend`` items before it count
    ``carry`` times as much. ``remind`` says whether items of the session itself are proposed (1) or not (0).
    """

    k: int = 500
    sample_size: int = 1000
    lambda_spw: float = 1.81
    lambda_snh: float = 40.0
    lambda_inh: float = 3.62
    lambda_ipw: float = 3.62
    lambda_idf: float = 0.0
    length_power: float = 0.5
    gap_minutes: float = 30.0
    extend: int = 5
    carry: float = 0.3
    remind: int = 1


class Vstan:
    """What comes near the shared items in the nearest of the recent sessions.

    ``sessions.day`` is the UTC day on which a session ended; sessions are numbered by their end.
    """

    name: ClassVar[str] = "vstan"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "vstan.indptr": ArraySpec("int64", 1),
        "vstan.session": ArraySpec("int32", 1),
        "vstan.sessions.indptr": ArraySpec("int64", 1),
        "vstan.sessions.item_idx": ArraySpec("int32", 1),
        "vstan.sessions.day": ArraySpec("int32", 1),
        "vstan.idf": ArraySpec("float32", 1),
        "vstan.params": ArraySpec("float32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self._indptr: LongVector = arrays["vstan.indptr"]  # type: ignore[assignment]
        self._session: IntVector = arrays["vstan.session"]  # type: ignore[assignment]
        self._sessions_indptr: LongVector = arrays["vstan.sessions.indptr"]  # type: ignore[assignment]
        self._item_idx: IntVector = arrays["vstan.sessions.item_idx"]  # type: ignore[assignment]
        self._day: IntVector = arrays["vstan.sessions.day"]  # type: ignore[assignment]
        n_sessions = len(self._day)
        if len(self._session) and not 0 <= self._session.min() <= self._session.max() < n_sessions:
            raise BundleCorrupt(f"vstan.session: expected rows of {n_sessions} sessions.")
        params = VstanParams(*arrays["vstan.params"].tolist())
        self._params = params._replace(k=int(params.k), sample_size=int(params.sample_size), extend=int(params.extend))
        idf: FloatVector = arrays["vstan.idf"]  # type: ignore[assignment]
        self._item_weight = 1 + np.float32(params.lambda_idf) * idf
        self._length = np.diff(self._sessions_indptr).astype(np.float32) ** np.float32(params.length_power)

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Votes of the nearest sessions for the anchors and the running session, or else the last one."""
        items, share = self._running(query)
        if not len(items):
            return NOTHING
        params = self._params
        session, similarity = nearest_sessions(
            self._indptr,
            self._session,
            items,
            share,
            self._day,
            self._length,
            query.now // DAY_US,
            params.lambda_snh,
            params.lambda_ipw,
            params.sample_size,
            params.k,
        )
        return Candidates(*self._votes(session, similarity, items, query, n))

    def _running(self, query: Query) -> tuple[IntVector, FloatVector]:
        """Items newest first, and what each counts."""
        params = self._params
        gap_us = int(params.gap_minutes * MINUTE_US)
        items, n_own = running_session(
            query.anchor_idx, query.touch_idx, query.touch_at, query.now, gap_us, params.extend
        )
        share = decays(params.lambda_spw, len(items))
        share[n_own:] *= np.float32(params.carry)
        return items, share

    def _votes(
        self, session: IntVector, similarity: FloatVector, items: IntVector, query: Query, n: int
    ) -> tuple[IntVector, FloatVector]:
        params = self._params
        return voted(
            self._sessions_indptr,
            self._item_idx,
            session,
            similarity,
            items,
            params.lambda_inh,
            self._item_weight,
            query.mask,
            params.remind > 0,
            n,
        )
