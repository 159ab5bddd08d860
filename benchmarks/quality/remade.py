"""Public datasets remade into shops of other kinds.

Customers without a name, days instead of times, no times at all, and content that ages twenty times as fast. All but
the one without times hold only what came before the cut at which their dataset is judged itself. No setting was chosen
on them as they stand here; events before the cuts were looked at in their own form when settings were chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from benchmarks.quality.sources import BASE, HELD_SHARE, Dataset, Frames, grocery_baskets, named

if TYPE_CHECKING:
    from pathlib import Path

SESSION_GAP_S: Final = 30 * 60
MIN_READ: Final = 5
EARLIER: Final = 0.8
"""Share of DeskDrop's events that lies before its cut."""
FASTER: Final = 20


def nameless_sessions(path: Path) -> Frames:
    """Views of RetailRocket, each session those of a customer of its own."""
    rows = pd.read_parquet(path / "events.parquet").sort_values(["user_id", "timestamp_s"])
    is_before = rows["timestamp_s"] < pd.Timestamp("2015-09-16", tz="UTC").timestamp()
    rows = rows[is_before & (rows["event_type"] == "view")]
    begins = rows["timestamp_s"].diff().gt(SESSION_GAP_S) | rows["user_id"].ne(rows["user_id"].shift())
    at = pd.to_datetime(rows["timestamp_s"], unit="s", utc=True)
    return Frames(named(rows.assign(session=begins.cumsum()), "session", "item_id", "item_view", at))


def dated_baskets(path: Path) -> Frames:
    """Baskets of Complete Journey of which only the day is known, and not what belongs to one order."""
    made = grocery_baskets(path)
    events = made.events[made.events["occurred_at"] < pd.Timestamp("2017-12-02", tz="UTC")].drop(columns="order_id")
    return Frames(events.assign(occurred_at=events["occurred_at"].dt.floor("D")))


def dated_purchases(path: Path) -> Frames:
    """Who bought what on which day of Online Retail, and nothing else."""
    rows = pd.read_parquet(path / "online_retail.parquet")
    rows = rows[rows["customer_id"].notna() & (rows["quantity"] > 0) & (rows["invoice_date"] < "2011-11-09")]
    rows = rows.assign(customer_id=rows["customer_id"].astype(int))
    at = rows["invoice_date"].dt.tz_localize("UTC").dt.floor("D")
    return Frames(named(rows, "customer_id", "stock_code", "purchase", at).drop_duplicates())


def timeless_articles(path: Path) -> Frames:
    """Who read what on DeskDrop, at no known time; a random fifth is held out."""
    rows = pd.read_parquet(path / "users_interactions.parquet")[["person_id", "content_id"]].drop_duplicates()
    rows = rows[rows.groupby("person_id")["content_id"].transform("size") >= MIN_READ]
    is_held = pd.Series(np.random.default_rng(0).random(len(rows)) < HELD_SHARE, rows.index)
    events = named(rows, "person_id", "content_id", "content_read", BASE)
    return Frames(events[~is_held], held=events[is_held])


def fast_articles(path: Path) -> Frames:
    """What was read on DeskDrop before its cut by events, at twenty times the pace."""
    rows = pd.read_parquet(path / "users_interactions.parquet").sort_values("timestamp_s")
    rows = rows.iloc[: int(EARLIER * len(rows))]
    start = rows["timestamp_s"].iloc[0]
    at = pd.to_datetime(start + (rows["timestamp_s"] - start) / FASTER, unit="s", utc=True).dt.floor("s")
    return Frames(named(rows, "person_id", "content_id", "content_read", at))


REMADE: Final = (
    Dataset("nameless-sessions", "retailrocket_8days", frames=nameless_sessions),
    Dataset("dated-baskets", "complete_journey_8451", frames=dated_baskets),
    Dataset("dated-purchases", "uci_online_retail", frames=dated_purchases),
    Dataset("timeless-articles", "cit_deskdrop", frames=timeless_articles),
    Dataset("fast-articles", "cit_deskdrop", frames=fast_articles),
)
