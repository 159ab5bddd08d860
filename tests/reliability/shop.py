"""Requests of the tiny shop as bytes, and customers who are known."""

from __future__ import annotations

import json
import time

import httpx

from tests.reliability.load import post
from tests.service.shop import event, until

N_CUSTOMERS = 50


def know(http: httpx.Client, n: int = N_CUSTOMERS) -> None:
    """Three views for each of some customers, as soon as the store takes them: a test before may have broken it."""
    for start in range(0, n, 10):
        views = [
            event(f"know-{c}-{k}-{time.monotonic_ns()}", f"c-{c}", item_id=f"sku-{k + 1}")
            for c in range(start, start + 10)
            for k in range(3)
        ]
        until(lambda views=views: http.post("/v1/events", json=views).status_code == 202, 10)


def slates(n: int = N_CUSTOMERS, headers: str = "") -> list[bytes]:
    """One page view of each customer."""
    return [
        post("/v1/recommendations", json.dumps({"subject": {"customer_id": f"c-{c}"}}).encode(), headers)
        for c in range(n)
    ]


def batch(n_subjects: int = 100) -> bytes:
    """A bulk request."""
    subjects = [{"customer_id": f"c-{c % N_CUSTOMERS}"} for c in range(n_subjects)]
    return post("/v1/recommendations:batch", json.dumps({"subjects": subjects, "placement": "email"}).encode())


def view(event_id: str, customer_id: str = "c-1") -> bytes:
    """One event."""
    return post("/v1/events", json.dumps(event(event_id, customer_id)).encode())
