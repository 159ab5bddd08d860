"""The engine: one bundle, loaded, that decides slates. Immutable; a worker swaps one reference to change models."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from features.errors import BundleCorrupt, InputError
from features.journey import Journey
from recommender.blend import Blend, Pool, pool_of
from recommender.bundle import open_bundle
from recommender.candidates import Facts, feature_names
from recommender.codes import Codes
from recommender.compose import in_order, mixed, within_room
from recommender.golden import check_golden
from recommender.items import KINDS, Items
from recommender.kernels_rank import places_without
from recommender.moves import Moves
from recommender.overlay import NO_OVERLAY, CatalogOverlay
from recommender.query import is_live, query_of
from recommender.ranker import Ranker
from recommender.ranking import Ranks
from recommender.retrievers import RETRIEVERS
from recommender.rules import Rules, held_back
from recommender.scale import Scale
from recommender.slate import Faded, Slate, SlateItem, SlateRequest, Suppressed
from recommender.soundness import check_indices, check_shapes, check_trees

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from features.journey import Standing
    from recommender.allowance import Allowance
    from recommender.contract import ArraySpec, FloatMatrix, IntVector, Query, Retriever
    from recommender.ranking import Ranking

KNOWN_ARRAYS: Final[Mapping[str, ArraySpec]] = {
    **Items.arrays,
    **Moves.arrays,
    **{name: spec for retriever in RETRIEVERS for name, spec in retriever.arrays.items()},
    **Facts.arrays,
    **Ranker.arrays,
    **Scale.arrays,
    **Codes.arrays,
}
"""Every array that a bundle may hold; a retriever that was not fitted is absent with all of its arrays, and so are
moves."""
DOCUMENTS: Final = ("blend", "journey", "golden", "facts")
UNPERSONAL: Final = frozenset({"popular", "trending", "fresh"})
MAX_SUPPRESSED: Final = 20
MAX_AGAIN: Final = 4
"""Retrievals for one slate after the first, each without what the ones before it had to hold back."""


@dataclass(frozen=True)
class Model:
    """What an answer says about who made it."""

    name: str
    version: str
    digest: str
    until: int
    content_digest: str = ""
    log_read_at: int = 0
    """When training began to read the log, microseconds: who was erased before is in no row of the model."""


class Asked(NamedTuple):
    """A query with the candidates of all sources; ``live`` says that a session is running."""

    query: Query
    standing: Standing
    live: bool
    pool: Pool


class Engine:
    """Decides slates from a customer's state.

    Attributes
    ----------
    model : Model
    items : Items
    journey : features.journey.Journey
        The definition that the model was trained with; states must be of ``journey.schema``.
    retrievers : tuple of Retriever
        Those whose arrays the bundle holds.
    blend : Blend
    ranker : Ranker or None
    scale : Scale
    moves : Moves
        Without models where the bundle holds none.
    mix : mapping of str to float64, shape (n_kinds,)
        By stage the shares of ``KINDS`` that a slate is made of.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        blend: Blend,
        journey: Journey,
        model: Model,
        rules: Rules | None = None,
        *,
        is_ranked: bool = True,
        blind: Mapping[str, NDArray[np.generic]] | None = None,
    ) -> None:
        self._arrays, self._blind = arrays, blind
        self.model = model
        self.items = Items(arrays)
        self.journey = journey
        self.retrievers: tuple[Retriever, ...] = tuple(
            retriever(arrays, self.items) for retriever in RETRIEVERS if set(retriever.arrays) <= set(arrays)
        )
        self.sources = sources_of(arrays)
        self.blend = blend if blend.sources == self.sources else Blend.uniform(self.sources)
        self.moves = Moves(arrays)
        self._rules = rules or Rules()
        self.mix = {stage: np.array(shares, np.float64) for stage, shares in journey.mix.items()}
        self.scale = Scale.of_arrays(arrays) if is_ranked else Scale.plain()
        is_ranked = is_ranked and blend.sources == self.sources and Ranker.fits(arrays, self.sources)
        self.ranker = Ranker(arrays, self.items, self.sources) if is_ranked else None
        self._ranks = Ranks(self.retrievers, self.blend, self.ranker, self.scale, self.items)
        self._is_personal = np.array([source not in UNPERSONAL for source in self.sources], np.float32)

    @classmethod
    def open(cls, path: Path, *, schema_hash: str | None = None, verify_key: bytes | None = None) -> Engine:
        """Check a bundle, map it, and see that it answers its golden requests as its maker did.

        Raises
        ------
        BundleCorrupt, BundleIncompatible
            As :func:`recommender.bundle.open_bundle`, or an answer differs.
        """
        optional = frozenset(KNOWN_ARRAYS) - frozenset(Items.arrays)
        bundle = open_bundle(
            path,
            known=KNOWN_ARRAYS,
            documents=DOCUMENTS,
            optional=optional,
            schema_hash=schema_hash,
            verify_key=verify_key,
        )
        documents: Mapping[str, Any] = bundle.documents
        model = Model(
            bundle.manifest.name,
            bundle.manifest.digest[:12],
            bundle.manifest.digest,
            bundle.manifest.until,
            bundle.manifest.content_digest,
            _log_read_at(documents["facts"]),
        )
        check_indices(bundle.arrays, len(bundle.arrays["items.item_key"]))
        check_shapes(bundle.arrays)
        blend, journey = _decisions(documents)
        if Ranker.fits(bundle.arrays, blend.sources):
            check_trees(bundle.arrays, "ranker", len(feature_names(blend.sources)))
        engine = cls(bundle.arrays, blend, journey, model)
        check_golden(engine, documents["golden"])
        return engine

    @classmethod
    def empty(cls, journey: Journey | None = None) -> Engine:
        """An engine without a catalogue: what answers before the first bundle has come."""
        definition = journey or Journey.load(None)
        return cls(empty_arrays(), Blend.uniform(()), definition, Model("none", "0", "", 0))

    def with_blend(self, blend: Blend) -> Engine:
        """The same engine with other weights, without the ranker and the scale that belong to its own."""
        return Engine(self._arrays, blend, self.journey, self.model, self._rules, is_ranked=False)

    def without_stage(self) -> Engine:
        """The same engine blind to the stage, to measure what knowing it is worth; itself where it is blind already.

        Its ranker is the one of the arrays ``blind`` that the engine was made with; without them it has none. Its
        slates are made of the same kinds in every stage, the mean of the stages.
        """
        blend, shares = self.blend.pooled(), self.mean_mix()
        is_same = all(np.allclose(blend.weights[task], rows, atol=1e-6) for task, rows in self.blend.weights.items())
        is_mixed_alike = all(np.allclose(own, shares) for own in self.mix.values())
        if is_same and is_mixed_alike and self.ranker is None:
            return self
        arrays = {**self._arrays, **(self._blind or {})}
        blind = Engine(arrays, blend, self.journey, self.model, self._rules, is_ranked=bool(self._blind))
        return blind.with_mix(shares)

    def with_mix(self, shares: NDArray[np.float64]) -> Engine:
        """The same engine whose slates are made of the same shares of kinds in every stage, to measure their worth."""
        engine = copy(self)
        engine.mix = dict.fromkeys(self.mix, shares)
        return engine

    def mean_mix(self) -> NDArray[np.float64]:
        """Shares of kinds, float64, shape (n_kinds,), the mean over the stages."""
        mean: NDArray[np.float64] = np.mean(list(self.mix.values()), axis=0)
        return mean

    def asked(self, state: Any, request: SlateRequest, now: int) -> Asked:
        """What every source proposes to a customer, before anything is weighed."""
        standing = self.journey.stage_of(state, now)
        query = query_of(state, request, self.items, now, standing.stage)
        return Asked(query, standing, is_live(state, now), pool_of(self.retrievers, query, len(self.items)))

    def best(self, asked: Asked, n: int) -> IntVector:
        """The first ``n`` of what was proposed by this engine or by one that differs in its weights alone.

        Returns
        -------
        int32, shape (at most n,)
            Rows of items as :meth:`decide` orders them without rules.
        """
        ranking = self._ranks.rank(asked.query, asked.standing, asked.pool, live=asked.live)
        best: IntVector = ranking.item_idx[in_order(ranking.score, ranking.item_idx, n)]
        return best

    def decide(
        self,
        state: Any,
        request: SlateRequest,
        now: int,
        *,
        overlay: CatalogOverlay = NO_OVERLAY,
        allowance: Allowance | None = None,
        asked: Asked | None = None,
        with_faded: bool = True,
    ) -> Slate:
        """The slate of one customer at one moment.

        Parameters
        ----------
        state : features.state.Schema.State
            Of ``journey.schema``; the empty state for a customer of whom nothing is known.
        now : int
            Microseconds.
        allowance : Allowance, optional
            What the memory of earlier slates leaves to this one; None where nothing was shown.
        asked : Asked, optional
            What :meth:`asked` gave for an equal state and request a moment ago, so that no source is asked again.
        with_faded : bool
            Whether the slate tells what lost most because it was shown before.

        Notes
        -----
        When what is held back leaves fewer items than asked for, retrieval runs again without those, until it finds
        nothing more that is.
        """
        asked = self.asked(state, request, now) if asked is None else asked
        query, standing = asked.query, asked.standing
        ranking = self._ranked(asked, allowance)
        held: dict[int, str] = {}
        free = self._free(ranking.item_idx, held)
        limit = request.limit if allowance is None else allowance.limit(request.limit)
        for left in reversed(range(MAX_AGAIN + 1) if request.apply_rules else ()):
            n_known = len(held)
            if allowance is not None:
                held |= allowance.held(ranking.item_idx, self.items, request.channel)
            held |= held_back(query, ranking.item_idx, request, self.items, overlay, self._rules)
            free = self._free(ranking.item_idx, held)
            if len(held) == n_known or not left or len(free) >= limit:
                break
            query = self._without(query, ranking.item_idx, held, allowance)
            ranking = self._ranked(self._asked_again(asked, query), allowance)
        if not np.isfinite(ranking.score.sum()):
            held |= dict.fromkeys(ranking.item_idx[~np.isfinite(ranking.score)].tolist(), "no_score")
            free = self._free(ranking.item_idx, held)
        chosen = free[self._ordered(ranking.item_idx[free], ranking.score[free], request, standing, allowance)]
        blended = ranking.blended(chosen)
        items = self._items(ranking, chosen, blended, overlay)
        strategy = self._strategy(query, blended)
        moves = self.moves.of(state, standing, now) if request.with_moves else ()
        return Slate(
            items,
            self._suppressed(held),
            standing,
            strategy,
            len(ranking.item_idx),
            moves,
            () if ranking.faded is None or not with_faded else self._faded(ranking.item_idx, ranking.faded),
        )

    def related(self, item_idx: int, n: int, kinds: tuple[str, ...] = KINDS) -> Slate:
        """What goes with one item, whoever looks at it."""
        request = SlateRequest(placement="product", limit=n, kinds=kinds, anchors=(self.items.item_id(item_idx),))
        request = replace(request, exclude=request.anchors)
        return self.decide(self.journey.schema.empty(), request, self.model.until)

    def _free(self, item_idx: IntVector, held: Mapping[int, str]) -> IntVector:
        """Places of some ascending rows that are not held back."""
        return places_without(item_idx, np.fromiter(held, np.int32, len(held)))

    def _without(
        self, query: Query, item_idx: IntVector, held: Mapping[int, str], allowance: Allowance | None
    ) -> Query:
        """The query less what is held back and what the bundle knows to be gone, unless an overlay brought it back.

        What was shown enough is left out whole, or each retrieval would find the next of it.
        """
        allowed = self.items.is_available.copy()
        allowed[item_idx] = True
        allowed[list(held)] = False
        if allowance is not None:
            allowed[allowance.rows_capped(self.items)] = False
        return replace(query, is_allowed=allowed if query.is_allowed is None else allowed & query.is_allowed)

    def _asked_again(self, asked: Asked, query: Query) -> Asked:
        """The same with another query, proposed anew."""
        return asked._replace(query=query, pool=pool_of(self.retrievers, query, len(self.items)))

    def _ranked(self, asked: Asked, allowance: Allowance | None) -> Ranking:
        ranking = self._ranks.rank(asked.query, asked.standing, asked.pool, live=asked.live)
        return ranking if allowance is None else self._ranks.fade(ranking, allowance)

    def _ordered(
        self,
        item_idx: IntVector,
        score: NDArray[np.floating],
        request: SlateRequest,
        standing: Standing,
        allowance: Allowance | None,
    ) -> NDArray[np.integer]:
        if not request.apply_rules:
            return in_order(score, item_idx, request.limit)
        kind = self.items.kind[item_idx]
        if allowance is None:
            return mixed(score, item_idx, kind, self.mix[standing.stage], request.limit)
        limit = allowance.limit(request.limit)
        if min(allowance.room.values(), default=limit) >= limit:
            return mixed(score, item_idx, kind, self.mix[standing.stage], limit)
        order = mixed(score, item_idx, kind, self.mix[standing.stage], len(score))
        return within_room(order, kind, allowance.room, limit)

    def _items(
        self, ranking: Ranking, chosen: IntVector, blended: FloatMatrix, overlay: CatalogOverlay
    ) -> tuple[SlateItem, ...]:
        """Slots of some rows of a ranking, best first."""
        item_idx = ranking.item_idx[chosen]
        parts = self._ranks.explain(ranking, chosen, blended)
        keys, kinds = self.items.item_key[item_idx].tolist(), self.items.kind[item_idx].tolist()
        titles = self.items.texts("title", item_idx)
        columns = (
            range(1, len(keys) + 1),
            item_idx.tolist(),
            self.items.texts("id", item_idx),
            keys,
            [KINDS[kind] for kind in kinds],
            map(overlay.title, keys, titles) if overlay.items else titles,
            parts.scores(),
            repeat(1.0),
            parts.sources(),
            map(parts.of, range(len(keys))),
        )
        return tuple(map(SlateItem, *columns))

    def _strategy(self, query: Query, contributions: FloatMatrix) -> str:
        if not len(contributions):
            return "empty"
        if not (contributions @ self._is_personal).any():
            return "popular"
        return "personal" if len(query.touch_idx) or len(query.bought_idx) else "related"

    def _faded(self, item_idx: IntVector, faded: NDArray[np.float64]) -> tuple[Faded, ...]:
        """What lost most because it was shown before."""
        most = np.argsort(-faded, kind="stable")[: min(MAX_SUPPRESSED, int((faded > 0).sum()))]
        return tuple(map(Faded, self.items.texts("id", item_idx[most]), (-faded[most]).tolist()))

    def _suppressed(self, held: Mapping[int, str]) -> tuple[Suppressed, ...]:
        if not held:
            return ()
        first = sorted(held.items())[:MAX_SUPPRESSED]
        ids = self.items.texts("id", np.array([row for row, _ in first], np.int32))
        return tuple(Suppressed(item_id, why) for item_id, (_, why) in zip(ids, first, strict=True))


def _decisions(documents: Mapping[str, Any]) -> tuple[Blend, Journey]:
    """The blend and the journey definition that a bundle carries."""
    try:
        return Blend.of_document(documents["blend"]), Journey.of_document(documents["journey"])
    except (InputError, LookupError, TypeError, ValueError) as error:
        raise BundleCorrupt(f"blend.json, journey.json: expected weights and a journey definition ({error}).") from None


def _log_read_at(facts: Mapping[str, Any]) -> int:
    found = facts.get("log_read_at", 0)
    return found if isinstance(found, int) else 0


def sources_of(arrays: Collection[str]) -> tuple[str, ...]:
    """Names of the retrievers whose arrays are all there, in the order of ``RETRIEVERS``."""
    return tuple(retriever.name for retriever in RETRIEVERS if set(retriever.arrays) <= set(arrays))


def empty_arrays() -> dict[str, NDArray[np.generic]]:
    """Arrays of a catalogue without items."""
    arrays: dict[str, NDArray[np.generic]] = {
        name: np.zeros((0,) * spec.ndim, spec.dtype) for name, spec in Items.arrays.items()
    }
    return arrays | {
        name: np.zeros(1, np.int64) for name in arrays if name.endswith("_at") and name != "items.published_at"
    }
