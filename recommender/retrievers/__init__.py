"""Where candidates come from, one source a file (see ``recommender/contract.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recommender.retrievers.als import Als
from recommender.retrievers.category import CategoryPopular
from recommender.retrievers.content import ContentRetriever
from recommender.retrievers.cosine import Cosine
from recommender.retrievers.covisit import BoughtTogether, ReadBought, ReadNext, ViewedNext
from recommender.retrievers.ease import Ease
from recommender.retrievers.fresh import Fresh
from recommender.retrievers.kindred import Kindred
from recommender.retrievers.own import OwnFrequent, OwnRecent
from recommender.retrievers.popular import Popular
from recommender.retrievers.repeat import Repeat
from recommender.retrievers.rp3beta import Rp3Beta
from recommender.retrievers.tifu import Tifu
from recommender.retrievers.trending import Trending
from recommender.retrievers.vstan import Vstan

if TYPE_CHECKING:
    from recommender.contract import Retriever

RETRIEVERS: Final[tuple[type[Retriever], ...]] = (
    Popular,
    Trending,
    Fresh,
    CategoryPopular,
    OwnRecent,
    OwnFrequent,
    Repeat,
    Tifu,
    ViewedNext,
    BoughtTogether,
    ReadNext,
    ReadBought,
    Kindred,
    Vstan,
    Cosine,
    Rp3Beta,
    Ease,
    Als,
    ContentRetriever,
)
