"""A walk through the running service over HTTP: visitors who pass all four stages, and what they are shown."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from features.errors import StoreUnavailable
from features.ids import to_path
from features.moments import to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

HOUR_US: Final = 3_600_000_000
TIMEOUT_S: Final = 10.0
ANSWERS_EACH: Final = 10
"""Answers in a row for each worker that show the model everywhere; of two, one is missed once in a million times."""
JOURNEY: Final = """\
# The demo's own journey: its goods arrive the same day, so what follows an order is over after six hours.
version = "demo"
[transaction]
after_fulfilled_days = 0.25
"""


@dataclass(frozen=True)
class Visitor:
    """Somebody whom the shop has never seen."""

    name: str
    locale: str
    channel: str


VISITORS: Final = (Visitor("Emma", "en", "web"), Visitor("Deniz", "tr", "app"), Visitor("ليلى", "ar", "web"))


class Client:
    """The service's HTTP API, as far as a visitor needs it; ``base`` without a slash at its end."""

    def __init__(self, base: str) -> None:
        self.base = base

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Answer of one request as JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the address is our own service
            self.base + path, data, {"content-type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)

    def slate(self, visitor_id: str, visitor: Visitor) -> Any:
        """Slate of a visitor."""
        options = urllib.parse.urlencode(
            {"placement": "home", "limit": 6, "locale": visitor.locale, "channel": visitor.channel, "explain": "short"}
        )
        return self.call("GET", f"/v1/customers/{urllib.parse.quote(to_path(visitor_id))}/recommendations?{options}")

    def wait_for_model(self, digest: str, n_workers: int, timeout_s: float = 60) -> bool:
        """Whether all workers answer with the bundle of that digest before the time is up.

        Each request may meet any of them: so many answers in a row leave hardly a worker that was not asked.
        """
        deadline, in_a_row = time.monotonic() + timeout_s, 0
        while time.monotonic() < deadline:
            in_a_row = in_a_row + 1 if self._serves(digest) else 0
            if in_a_row == ANSWERS_EACH * n_workers:
                return True
            if not in_a_row:
                time.sleep(0.2)
        return False

    def _serves(self, digest: str) -> bool:
        try:
            return digest in json.dumps(self.call("GET", "/v1/model"))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False  # not up yet


def walk(client: Client, say: Console) -> None:
    """Take each visitor from the first page to between orders, printing every slate.

    Raises
    ------
    StoreUnavailable
        A first page without a product: there is nothing to walk on from.
    """
    for visitor in VISITORS:
        visitor_id = f"demo-{visitor.name}-{uuid.uuid4().hex[:6]}"
        say.rule(f"{visitor.name} ({visitor.locale}, {visitor.channel})")
        slate = client.slate(visitor_id, visitor)
        _show(say, slate, "never seen before")
        for told, events in _story(slate, visitor):
            client.call("POST", "/v1/events", [event | {"customer_id": visitor_id} for event in events])
            slate = client.slate(visitor_id, visitor)
            _show(say, slate, told)


def curl_lines(base: str) -> Sequence[str]:
    """What to type to go on from here."""
    json_header = "-H 'content-type: application/json'"
    event = """'{"event_id":"e1","type":"search","customer_id":"me","occurred_at":"'$(date -u +%FT%TZ)'"}'"""
    return (
        f"curl '{base}/v1/customers/me/recommendations?limit=4&explain=full'",
        f"curl {json_header} {base}/v1/events -d {event}",
        f"curl {base}/v1/customers/me",
        f"curl {base}/v1/model",
        f"curl {base}/metrics",
    )


def _story(first: Any, visitor: Visitor) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What happens next, and the events that say so; dated within the last hours, as late events may be."""
    now = time.time_ns() // 1_000
    products = [item["item_id"] for item in first["items"] if item["kind"] == "product"]
    if not products:
        raise StoreUnavailable(f"the service showed {visitor.name} no product; it was {first['served_by']}")
    reads = [item["item_id"] for item in first["items"] if item["kind"] == "content"]
    touched = [("item_view", item) for item in products[:2]] + [("content_read", item) for item in reads[:1]]
    browsing = [_event(name, visitor, now - 10 * HOUR_US + n, item_id=item) for n, (name, item) in enumerate(touched)]
    yield "looked at two products and read something", browsing
    order = [{"item_id": products[0], "quantity": 1, "amount": 49.9}]
    yield "bought one of them", [_event("purchase", visitor, now - 9 * HOUR_US, items=order, currency="EUR")]
    yield "got it; what follows an order is over", [_event("fulfilled", visitor, now - 8 * HOUR_US)]


def _event(name: str, visitor: Visitor, at: int, **more: Any) -> dict[str, Any]:
    event = {"event_id": uuid.uuid4().hex, "type": name, "occurred_at": to_text(at), "channel": visitor.channel}
    return event | more


def _show(say: Console, slate: Any, told: str) -> None:
    stage, served = slate["stage"], slate["served_by"]
    phase = f" ({stage['phase']})" if stage.get("phase") else ""
    table = Table(
        "#", "kind", "item", "score", "because", title_justify="left",
        title=f"{told} → {stage['name']}{phase}; {served['strategy']}, model {served['version']}",
    )  # fmt: skip
    for item in slate["items"]:
        because = " + ".join(f"{reason['code']} {reason['weight']:.2f}" for reason in item["reasons"][:3])
        title = (item.get("attributes") or {}).get("title") or item["item_id"]
        table.add_row(str(item["rank"]), item["kind"], title, f"{item['score']:.3f}", because)
    say.print(table)
