"""Every Redis key, built here and nowhere else.

A customer's keys and the stream of their events share the hash tag of their partition, so that on a
cluster one function call may touch them all. Customer ids never enter a key (``features.ids.customer_key``).

==========================================  ======  ====================================================
``rihla:{pNN}:c:<customer_key>``            hash    id, s state, v version, d dedupe ids, st standing, c consent,
                                                    e edges to linked identities, x exposure, t erased at
``rihla:{pNN}:k:<customer_key>``            hash    decisions that were asked for under a key
``rihla:{pNN}:events``                      stream  events, decision records and erasures, until drained
``rihla:{pNN}:due``                         zset    customer keys by when the clock changes their stage
``rihla:{pNN}:in:<stage>``                  zset    customer keys by when they entered the stage
``rihla:{pNN}:changes``                     stream  stage changes of the last days
``rihla:{pNN}:e:<digest>``                  string  seen id of an event without a customer, for a day
``rihla:{control}:stream``                  stream  what every worker must hear: items, who is erased
``rihla:{control}:epoch``                   hash    id, beat: tells a store that lost its data from a whole one
``rihla:{control}:items``                   hash    items put over the API, by item key
``rihla:{erasures}:r:<receipt id>``         hash    how far an erasure has come; no id of a customer
``rihla:{erasures}:pending``                zset    receipts of what is not erased everywhere, by when
``rihla:{drain}:lease``                     string  who may drain
``rihla:{drain}:wanted``                    string  whom the lease is to be left to: a rebuild
``rihla:{drain}:claim``                     hash    token the last fencing token, claim the ranges being written
==========================================  ======  ====================================================
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

from features.ids import N_PARTITIONS, customer_key, key64, partition_of
from features.journey import STAGES

PARTITIONS: Final = tuple(range(N_PARTITIONS))
CONTROL: Final = "rihla:{control}:stream"
EPOCH: Final = "rihla:{control}:epoch"
ITEMS: Final = "rihla:{control}:items"
DRAIN_WANTED: Final = "rihla:{drain}:wanted"
PENDING_ERASURES: Final = "rihla:{erasures}:pending"
DRAIN_LEASE: Final = "rihla:{drain}:lease"
DRAIN_CLAIM: Final = "rihla:{drain}:claim"


class CustomerKeys(NamedTuple):
    """Where one customer's things are: the hash, and the zset member that stands for them."""

    member: str
    partition: int
    record: str


def customer_keys(customer_id: str, pepper: bytes) -> CustomerKeys:
    """Keys of a customer by the shop's own id."""
    return keys_of_member(customer_key(customer_id, pepper))


def keys_of_member(member: str) -> CustomerKeys:
    """Keys of a customer by ``customer_key``, as the zsets hold it."""
    partition = partition_of(member)
    return CustomerKeys(member, partition, f"rihla:{{p{partition:02d}}}:c:{member}")


def events(partition: int) -> str:
    """Stream of a partition's events and decision records."""
    return f"rihla:{{p{partition:02d}}}:events"


def keyed_decisions(where: CustomerKeys) -> str:
    """Decisions of a customer that were asked for under a key."""
    return f"rihla:{{p{where.partition:02d}}}:k:{where.member}"


def receipt(receipt_id: str) -> str:
    """How far an erasure has come."""
    return f"rihla:{{erasures}}:r:{receipt_id}"


def changes(partition: int) -> str:
    """Stream of a partition's stage changes."""
    return f"rihla:{{p{partition:02d}}}:changes"


def due(partition: int) -> str:
    """Who changes by the clock alone, by when (microseconds)."""
    return f"rihla:{{p{partition:02d}}}:due"


def stage(partition: int, name: str) -> str:
    """Who stands in a stage, by since when (microseconds)."""
    return f"rihla:{{p{partition:02d}}}:in:{name}"


def stages(partition: int) -> tuple[str, ...]:
    """The zsets of all stages, in the journey's order."""
    return tuple(stage(partition, name) for name in STAGES)


def seen_event(partition: int, event_id: str) -> str:
    """Marks the id of an event that belongs to no customer."""
    return f"rihla:{{p{partition:02d}}}:e:{blake2b(event_id.encode(), digest_size=16).hexdigest()}"


def partition_of_nobody(text: str) -> int:
    """Partition of what concerns no customer, by the id of the event or item."""
    return key64(text) % N_PARTITIONS
