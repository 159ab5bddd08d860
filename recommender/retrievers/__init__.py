"""Where candidates come from, one source a file (see ``recommender/contract.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recommender.retrievers.als import Als
from recommender.retrievers.category import CategoryPopular
from recommender.retrievers.content import ContentRetriever
from recommender.retrievers.covisit import BoughtTogether, ReadNext, ViewedBought, ViewedNext
from recommender.retrievers.neighbours import Neighbours
from recommender.retrievers.own import OwnFrequent, OwnRecent
from recommender.retrievers.popular import Popular
from recommender.retrievers.repeat import Repeat
from recommender.retrievers.tifu import Tifu

if TYPE_CHECKING:
    from recommender.contract import Retriever

RETRIEVERS: Final[tuple[type[Retriever], ...]] = (
    Popular,
    CategoryPopular,
    OwnRecent,
    OwnFrequent,
    Repeat,
    Tifu,
    ViewedNext,
    ViewedBought,
    BoughtTogether,
    ReadNext,
    Neighbours,
    Als,
    ContentRetriever,
)
