"""Where candidates come from, one source a file (see ``recommender/contract.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recommender.retrievers.als import Als
from recommender.retrievers.category import CategoryPopular
from recommender.retrievers.content import ContentRetriever
from recommender.retrievers.cosine import Cosine
from recommender.retrievers.covisit import BoughtTogether, ReadNext, ViewedBought, ViewedNext
from recommender.retrievers.ease import Ease
from recommender.retrievers.own import OwnFrequent, OwnRecent
from recommender.retrievers.popular import Popular
from recommender.retrievers.rp3beta import Rp3Beta

if TYPE_CHECKING:
    from recommender.contract import Retriever

RETRIEVERS: Final[tuple[type[Retriever], ...]] = (
    Popular,
    CategoryPopular,
    OwnRecent,
    OwnFrequent,
    ViewedNext,
    ViewedBought,
    BoughtTogether,
    ReadNext,
    Cosine,
    Rp3Beta,
    Ease,
    Als,
    ContentRetriever,
)
