"""How the worker is: what it lacks, and how that shows in its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from features.errors import StoreError
from service.answers import model_names
from service.clock import moment_of

if TYPE_CHECKING:
    from service.epoch import Epoch
    from service.serving import Serving
    from service.store.coalesced import Coalesced


class Health:
    """The use case behind ``/readyz`` and ``/v1/model``."""

    def __init__(self, reads: Coalesced, serving: Serving, epoch: Epoch) -> None:
        self._reads, self._serving, self._epoch = reads, serving, epoch

    async def readiness(self) -> dict[str, Any]:
        """Ready, or degraded and why; a worker that can answer is ready either way."""
        reasons = [reason for reason in (await self._store_flaw(), self._epoch.flaw, self._bundle_flaw()) if reason]
        return {
            "status": "degraded" if reasons else "ready",
            "degraded": bool(reasons),
            "reasons": reasons,
            **model_names(self._serving),
        }

    def model(self) -> dict[str, Any]:
        """What is served, and why it may not be the newest."""
        engine = self._serving.engine
        return {
            **model_names(self._serving),
            "digest": engine.model.digest,
            "trained_until": moment_of(engine.model.until),
            "sources": list(engine.sources),
            "n_items": len(engine.items),
            "n_catalog_changes": len(self._serving.overlay.items),
            "definition_version": engine.journey.version,
            "feature_schema": engine.journey.schema.hash,
            "reason": self._bundle_flaw(),
        }

    async def _store_flaw(self) -> str | None:
        try:
            await self._reads.call("PING")
        except StoreError as error:
            return error.reason
        return None

    def _bundle_flaw(self) -> str | None:
        return self._serving.reason or (None if self._serving.has_bundle else "no_bundle")
