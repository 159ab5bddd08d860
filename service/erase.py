"""Forgetting a customer: at once where answers are made, then in the log, its files and the models.

The store is told first and in one step an identity, so whatever was read before cannot be written back.
Everything else follows from the entry that this step leaves for the log.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from service.clock import moment_of
from service.problems import NotFound
from service.store.erasures import Erasure

if TYPE_CHECKING:
    from service.clock import Clock
    from service.memories import Memories
    from service.serving import Serving
    from service.store.customers import Customers
    from service.store.erasures import Erasures, Receipt

LEFT_OUT: Final = "every reader of the log leaves this customer out"
REWRITTEN: Final = "files of the log that held a line of this customer are rewritten without it"
FILE: Final = "the store's append-only file is rewritten"
ROWS: Final = "a model that was trained without this customer's rows is served"
NO_ROWS: Final = "no model is served"
ONLINE: Final = "state, consent, links, exposure and keyed decisions are gone from the store"


class EraseCustomer:
    """The use case behind ``DELETE /v1/customers/{id}``."""

    def __init__(
        self, customers: Customers, erasures: Erasures, memories: Memories, progress: DescribeErasure, clock: Clock
    ) -> None:
        self._customers, self._erasures, self._progress, self._clock = customers, erasures, progress, clock
        self._memories = memories

    async def __call__(self, customer_id: str) -> dict[str, Any]:
        """Erase a customer and the identities linked to them; the receipt. Whether they were known is not told.

        Raises
        ------
        StoreError
            Something may have been erased; asking again erases the rest.
        """
        receipt_id, at = secrets.token_hex(16), self._clock()
        identities = (await self._customers.load(customer_id, at)).ids
        await self._erasures.open_receipt(receipt_id, at, len(identities))
        for place, identity in enumerate(identities):
            where = self._customers.keys_of(identity)
            await self._erasures.erase(where, Erasure(receipt_id, place, identity, where.member, at))
            self._memories.forget((where.member,))
        await self._erasures.note((receipt_id,), "online", self._clock())
        return await self._progress(receipt_id)


class DescribeErasure:
    """The use case behind ``GET /v1/erasures/{id}``."""

    def __init__(self, erasures: Erasures, serving: Serving) -> None:
        self._erasures, self._serving = erasures, serving

    async def __call__(self, receipt_id: str) -> dict[str, Any]:
        """How far an erasure has come, part by part.

        Raises
        ------
        NotFound
            No such receipt.
        StoreUnavailable
        """
        receipt = await self._erasures.receipt(receipt_id)
        if receipt is None:
            raise NotFound("expected the id of a receipt")
        parts = {
            "online": _part(receipt.online_at, ONLINE),
            "log": _part(receipt.left_out_at, LEFT_OUT),
            "log_files": _part(receipt.log_at, REWRITTEN),
            "append_only_file": _part(receipt.file_at, FILE, receipt.file_flaw),
            "model_rows": _part(self._without_rows_since(receipt), ROWS if self._serving.has_bundle else NO_ROWS),
        }
        return {
            "receipt_id": receipt_id,
            "erased_at": moment_of(receipt.erased_at),
            "identities": receipt.n_identities,
            "status": "done" if all(part["status"] == "done" for part in parts.values()) else "pending",
            "progress": parts,
        }

    def _without_rows_since(self, receipt: Receipt) -> int | None:
        """When the model in use began to read a log without the customer; a model that has none holds no rows."""
        if not self._serving.has_bundle:
            return receipt.online_at
        read_at = self._serving.engine.model.log_read_at
        is_later = receipt.left_out_at is not None and read_at >= receipt.left_out_at
        return read_at if is_later else None


def _part(at: int | None, meaning: str, flaw: str | None = None) -> dict[str, Any]:
    """One part of the progress: done with its time, impossible with the reason, or pending."""
    status = "done" if at is not None else "impossible" if flaw else "pending"
    part: dict[str, Any] = {"status": status, "at": None if at is None else moment_of(at), "means": meaning}
    return part | ({"reason": flaw} if status == "impossible" else {})
