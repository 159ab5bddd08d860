"""Public datasets: how each becomes a data directory, by the same import as a shop's own events.

Where a dataset has no times, made-up ones stand in: days after a date for what has an order, one moment for what has
none. What such a dataset holds out is kept away from the data directory.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.quality.events import Events
from features.errors import InvalidData
from features.ids import key64
from training.importers import import_data
from training.load import Data

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BASE: Final = pd.Timestamp("2024-01-01", tz="UTC")
"""Made-up beginning of what has no times."""

N_HOUSEHOLDS: Final = 800
MIN_BUYERS: Final = 10
HELD_SHARE: Final = 0.2


class Held(NamedTuple):
    """Interactions kept out of the data directory: row by row a customer and an item."""

    customer_ids: NDArray[np.str_]
    item_keys: NDArray[np.int64]


class Frames(NamedTuple):
    """Events to import (``customer_id, type, item_id, occurred_at``), a catalog, and what is held out."""

    events: pd.DataFrame
    items: pd.DataFrame | None = None
    held: pd.DataFrame | None = None


@dataclass(frozen=True)
class Dataset:
    """A public dataset.

    Attributes
    ----------
    folder : str
        Directory below the root of all datasets.
    kind : str
        Kind of import; ``events`` for what ``frames`` makes of it.
    """

    name: str
    folder: str
    kind: str = "events"
    frames: Callable[[Path], Frames] | None = None


@dataclass(frozen=True)
class Prepared:
    """A dataset as a data directory, its event table, and what it holds out."""

    directory: Path
    events: Events
    held: Held | None

    @classmethod
    def load(cls, path: Path) -> Prepared:
        """Read what :func:`prepare` wrote."""
        held = None
        if (path / "held.npz").is_file():
            with np.load(path / "held.npz") as stored:
                held = Held(**stored)
        return cls(path / "data", Events.load(path / "events.npz"), held)


def prepare(dataset: Dataset, root: Path, path: Path) -> None:
    """Import a dataset into ``path`` unless it is there.

    Raises
    ------
    InvalidData
        The dataset is not below ``root``; the message names the directory that was expected.
    """
    if path.is_dir():
        return
    source = root / dataset.folder
    if not source.is_dir():
        raise InvalidData(f"{source}: expected the dataset {dataset.folder}, got no such directory")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        draft = Path(work) / "draft"
        draft.mkdir()
        if dataset.frames is None:
            import_data(dataset.kind, source, draft / "data")
        else:
            _import_frames(dataset.frames(source), Path(work) / "source", draft)
        Events.of_touches(Data(draft / "data").touches).save(draft / "events.npz")
        shutil.move(draft, path)


def _import_frames(frames: Frames, source: Path, draft: Path) -> None:
    source.mkdir()
    frames.events.to_parquet(source / "events.parquet")
    if frames.items is not None:
        frames.items.to_parquet(source / "items.parquet")
    import_data("events", source, draft / "data")
    if frames.held is not None:
        keys = np.array([key64(item) for item in frames.held["item_id"]], np.int64)
        np.savez(draft / "held.npz", customer_ids=frames.held["customer_id"].to_numpy(np.str_), item_keys=keys)


def named(frame: pd.DataFrame, customer: str, item: str, kind: str, at: object) -> pd.DataFrame:
    """Events of one type from the columns that hold customers and items, with ids that are no numbers."""
    return pd.DataFrame(
        {
            "customer_id": "c" + frame[customer].astype(str),
            "type": kind,
            "item_id": "i" + frame[item].astype(str),
            "occurred_at": at,
        }
    )


def amazon_sequences(path: Path) -> Frames:
    """Positions as days; the last of each customer is held out."""
    rows = pd.read_parquet(path / "sequences.parquet").sort_values(["user_id", "position"])
    at = BASE + pd.to_timedelta(rows["position"], unit="D")
    events = named(rows, "user_id", "item_id", "purchase", at)
    is_last = ~rows["user_id"].duplicated(keep="last")
    return Frames(events[~is_last], held=events[is_last])


def split_purchases(path: Path) -> Frames:
    """Its own split, all at one moment, as purchases."""
    return _of_split(path, "purchase")


def split_views(path: Path) -> Frames:
    """Its own split, all at one moment, as views."""
    return _of_split(path, "item_view")


def _of_split(path: Path, kind: str) -> Frames:
    rows = pd.read_parquet(path / "interactions.parquet")
    events = named(rows, "user_id", "item_id", kind, BASE)
    is_test = rows["split"] == "test"
    return Frames(events[~is_test], held=events[is_test])


def tagged_articles(path: Path) -> Frames:
    """Bookmarked articles whose text is their tags; a random fifth of each customer's is held out."""
    rows = pd.read_parquet(path / "user_article.parquet").sort_values(["user_id", "article_id"])
    draw = pd.Series(np.random.default_rng(0).random(len(rows)), rows.index)
    place = draw.groupby(rows["user_id"]).rank(method="first")
    size = rows.groupby("user_id")["article_id"].transform("size")
    is_held = place <= (size * HELD_SHARE).round()
    events = named(rows, "user_id", "article_id", "bookmark", BASE)
    tags = pd.read_parquet(path / "article_tag.parquet").merge(pd.read_parquet(path / "tags.parquet"), on="tag_id")
    text = tags.groupby("article_id")["tag"].agg(" ".join).reset_index()
    items = pd.DataFrame({"item_id": "i" + text["article_id"].astype(str), "kind": "content", "text": text["tag"]})
    return Frames(events[~is_held], items, events[is_held])


def grocery_baskets(path: Path) -> Frames:
    """Baskets of some households, of the products that at least ten households bought."""
    rows = pd.read_parquet(path / "transactions.parquet")
    buyers = rows.groupby("product_id")["household_id"].nunique()
    rows = rows[rows["product_id"].isin(buyers.index[buyers >= MIN_BUYERS])]
    households = np.sort(rows["household_id"].unique())
    chosen = np.random.default_rng(0).choice(households, min(N_HOUSEHOLDS, len(households)), replace=False)
    rows = rows[rows["household_id"].isin(chosen)]
    at = rows["transaction_timestamp"].dt.tz_localize("UTC")
    events = named(rows, "household_id", "product_id", "purchase", at)
    events["order_id"] = rows["basket_id"].astype(str)
    products = pd.read_parquet(path / "products.parquet")
    products = products[products["product_id"].isin(rows["product_id"].unique())]
    items = pd.DataFrame(
        {
            "item_id": "i" + products["product_id"].astype(str),
            "title": products["product_type"],
            "category": products["product_category"],
        }
    )
    return Frames(events, items)


def rated_films(path: Path) -> Frames:
    """Ratings of any value as views, with their times."""
    rows = pd.read_parquet(path / "data.parquet")
    at = pd.to_datetime(rows["timestamp"], unit="s", utc=True)
    films = pd.read_parquet(path / "items.parquet")
    genres = films.columns[5:]
    text = [" ".join(genres[row]) for row in films[genres].to_numpy(bool)]
    items = pd.DataFrame({"item_id": "i" + films["movie_id"].astype(str), "title": films["movie_title"], "text": text})
    return Frames(named(rows, "user_id", "movie_id", "item_view", at), items)


PUBLIC: Final = (
    Dataset("retailrocket", "retailrocket_8days", "retailrocket"),
    Dataset("online-retail", "uci_online_retail", "online-retail"),
    Dataset("deskdrop", "cit_deskdrop", "deskdrop"),
    Dataset("amazon-beauty", "amazon_beauty_5core", frames=amazon_sequences),
    Dataset("amazon-toys", "amazon_toys_5core", frames=amazon_sequences),
    Dataset("amazon-book", "amazon_book_kgat", frames=split_purchases),
    Dataset("movielens-1m", "movielens_1m_implicit", frames=split_views),
    Dataset("complete-journey", "complete_journey_8451", frames=grocery_baskets),
    Dataset("citeulike", "citeulike_a", frames=tagged_articles),
    Dataset("movielens-100k", "movielens_100k", frames=rated_films),
)
