"""Baselines: each written from its paper over the plain event table, none of them with our retrievers' code.

A setting is tried on a validation window strictly before the cut; the first is the default. No baseline gets more than
``BUDGET`` trials.
"""

from __future__ import annotations

from benchmarks.quality.peers.base import BUDGET, Peer
from benchmarks.quality.peers.baskets import TIFU
from benchmarks.quality.peers.blends import PERSONAL_BLEND, SESSION_BLEND
from benchmarks.quality.peers.factors import ALS, ALS_DEFAULT, EASE
from benchmarks.quality.peers.neighbours import KNN, RP3BETA
from benchmarks.quality.peers.rules import RULES
from benchmarks.quality.peers.sessions import VSTAN
from benchmarks.quality.peers.simple import OWN, POPULAR, RECENT

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        *(POPULAR, OWN, RECENT, RULES, VSTAN, KNN, RP3BETA, TIFU, ALS_DEFAULT, ALS),
        *(SESSION_BLEND, PERSONAL_BLEND, EASE),
    )
}

__all__ = ["BUDGET", "PEERS", "Peer"]
