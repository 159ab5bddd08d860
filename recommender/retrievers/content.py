"""Items that read alike: free-text search, and neighbours by text and category of what a customer touched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from features.ids import key64
from recommender.contract import (
    NOTHING,
    TOUCHES,
    ArraySpec,
    Candidates,
    FloatVector,
    IntVector,
    LongVector,
    Query,
    best,
)
from recommender.items import KINDS
from recommender.kernels import reached
from recommender.kernels_history import weighed_seeds
from recommender.text import GRAM, weigh, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recommender.items import Items

MAX_QUERY_CHARACTERS = 500
MAX_QUERY_WORDS = 32
MAX_POSTINGS = 50_000
"""Postings read for the words of one text and for its letters, rarest first: bounds the time of common words."""

MIN_COSINE = 0.05
"""A match of letters below it is no match; one of a whole word or its stem counts however long the text is."""

MIN_OF_BEST = 0.1
"""Part of the best match's cosine that a match must have."""

N_SEEDS = 10
RECENCY = 0.7
"""Weight of a seed over that of the seed after it."""
_BY_PLACE: NDArray[np.float64] = RECENCY ** np.arange(N_SEEDS, dtype=np.float64)

TOUCHED_SHARE = 0.3
"""Weight of what was touched where the page is about something; the anchors count 1."""

_STRENGTH = {"views": 1, "reads": 2, "likes": 2, "carts": 3, "uncarts": -3, "buys": 1}
STRENGTH = np.asarray([_STRENGTH[touch] for touch in TOUCHES], np.int64)
MIN_STRENGTH, MAX_STRENGTH = 0.25, 6.0

EVERY_KIND = frozenset(KINDS)
OTHER_LANGUAGE = 0.7
"""Factor of an item in another language than the customer's."""


class TextIndex:
    """Inverted index of items with vectors of length 1, so that a search score is a cosine.

    Attributes
    ----------
    token : int64, shape (n_tokens,)
        ``key64`` of each token, ascending.
    idf : float32, shape (n_tokens,)
        Inverse document frequency, > 0.
    indptr : int64, shape (n_tokens + 1,)
    item_idx : int32, shape (n_postings,)
    weight : float16, shape (n_postings,)
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], n_items: int) -> None:
        self.token: LongVector = arrays["content.token"]  # type: ignore[assignment]
        self.idf: FloatVector = arrays["content.idf"]  # type: ignore[assignment]
        self.indptr: LongVector = arrays["content.posting_indptr"]  # type: ignore[assignment]
        self.item_idx: IntVector = arrays["content.posting_item_idx"]  # type: ignore[assignment]
        self.weight: NDArray[np.float16] = arrays["content.posting_weight"]  # type: ignore[assignment]
        self._n_items = n_items
        self._rarest = float(self.idf.max(initial=1.0))

    def search(self, text: str) -> tuple[IntVector, FloatVector]:
        """Items, ascending, that say something of what a text says, and the cosine of both."""
        tokens = weigh(words(text[:MAX_QUERY_CHARACTERS])[:MAX_QUERY_WORDS])
        if not tokens or not len(self.token):
            return NOTHING
        row, share = self._known(tokens)
        is_gram = np.fromiter((token.startswith(GRAM) for token in tokens), np.bool_, len(tokens))
        exact = self._cosine(row[~is_gram], share[~is_gram])
        cosine = exact + self._cosine(row[is_gram], share[is_gram])
        is_match = ((exact > 0) | (cosine >= MIN_COSINE)) & (cosine >= MIN_OF_BEST * cosine.max(initial=0))
        item_idx = np.flatnonzero(is_match).astype(np.int32)
        return item_idx, cosine[item_idx].astype(np.float32)

    def _known(self, tokens: Mapping[str, float]) -> tuple[LongVector, NDArray[np.float64]]:
        """Row of each token and its coordinate in the text's unit vector; 0 where no item has it."""
        key = np.fromiter(map(key64, tokens), np.int64, len(tokens))
        row = np.minimum(np.searchsorted(self.token, key), len(self.token) - 1)
        is_known = self.token[row] == key
        # A word that no item has is as rare as can be: it lowers every score alike.
        weight = np.fromiter(tokens.values(), np.float64, len(tokens)) * np.where(is_known, self.idf[row], self._rarest)
        return row, np.where(is_known, weight, 0.0) / np.linalg.norm(weight)

    def _cosine(self, row: LongVector, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """What some tokens add to the cosine of every item, shape (n_items,); rarest first, while affordable."""
        row, share = row[share > 0], share[share > 0]
        rarest_first = np.argsort(self.indptr[row + 1] - self.indptr[row], kind="stable")
        edges, length = edges_of(self.indptr, row[rarest_first], MAX_POSTINGS)
        weight = np.repeat(share[rarest_first], length) * self.weight[edges]
        return np.bincount(self.item_idx[edges], weight, self._n_items).astype(np.float64, copy=False)


class ContentRetriever:
    """Content similarity: a text index, and the most similar items of every kind for each item.

    Attributes
    ----------
    indptr : int64, shape (n_items + 1,)
    item_idx : int32, shape (n_edges,)
    weight : float32, shape (n_edges,)
        Cosine of text and category.
    """

    name: ClassVar[str] = "content"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "content.token": ArraySpec("int64", 1),
        "content.idf": ArraySpec("float32", 1),
        "content.posting_indptr": ArraySpec("int64", 1),
        "content.posting_item_idx": ArraySpec("int32", 1),
        "content.posting_weight": ArraySpec("float16", 1),
        "content.indptr": ArraySpec("int64", 1),
        "content.item_idx": ArraySpec("int32", 1),
        "content.weight": ArraySpec("float32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        self.indptr: LongVector = arrays["content.indptr"]  # type: ignore[assignment]
        self.item_idx: IntVector = arrays["content.item_idx"]  # type: ignore[assignment]
        self.weight: FloatVector = arrays["content.weight"]  # type: ignore[assignment]
        self._text = TextIndex(arrays, len(items))
        self._kind, self._locale = items.kind, items.locale
        self._languages = [language_of(locale) for locale in items.locales]

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Matches of the query's text where it has some, else neighbours of the anchors and the last touches."""
        found = query.allow(*self._text.search(query.text)) if query.text else self._alike(query)
        item_idx, score = self._of_kinds(query.kinds, *found)
        if not len(item_idx):
            return NOTHING
        return best(item_idx, self._in_language(query.locale, item_idx, score), n)

    def _alike(self, query: Query) -> tuple[IntVector, FloatVector]:
        """Neighbours of the seeds that may be proposed, and the mean of their cosines, weighted by seed."""
        seeds, share = seeds_of(query)
        n_items = len(self.indptr) - 1
        return reached(self.indptr, self.item_idx, self.weight, seeds, share, query.mask, n_items)

    def _of_kinds(self, kinds: Sequence[str], item_idx: IntVector, score: FloatVector) -> tuple[IntVector, FloatVector]:
        if EVERY_KIND.issubset(kinds):
            return item_idx, score
        is_wanted = np.asarray([kind in kinds for kind in KINDS])
        keep = is_wanted[self._kind[item_idx]]
        return item_idx[keep], score[keep]

    def _in_language(self, locale: str | None, item_idx: IntVector, score: FloatVector) -> FloatVector:
        if locale is None or not self._languages:
            return score
        wanted = language_of(locale)
        # The last entry is that of items for every locale, whose code is -1.
        factor = [1.0 if language == wanted else OTHER_LANGUAGE for language in self._languages] + [1.0]
        return score * np.asarray(factor, np.float32)[self._locale[item_idx]]


def seeds_of(query: Query) -> tuple[IntVector, FloatVector]:
    """Items to look around: the anchors, then the last distinct touches; at most ``N_SEEDS``.

    Returns
    -------
    seeds : int32, shape (m,)
    share : float32, shape (m,)
        By order and by what was done; sums to 1.
    """
    touches = (query.touch_idx, query.touch_counts)
    bounds = (MIN_STRENGTH, MAX_STRENGTH, TOUCHED_SHARE)
    return weighed_seeds(query.anchor_idx, *touches, STRENGTH, N_SEEDS, _BY_PLACE, *bounds)


def edges_of(indptr: LongVector, row: NDArray[np.integer], limit: int | None = None) -> tuple[LongVector, LongVector]:
    """Positions of some rows' entries in a compressed sparse matrix, row after row, and each row's length.

    Rows past ``limit`` entries in all come out empty.
    """
    start = indptr[row]
    length = indptr[row + 1] - start
    end = np.cumsum(length)
    if limit is not None and len(end) and end[-1] > limit:
        length = np.where(end <= limit, length, 0)
        end = np.cumsum(length)
    return np.repeat(start - end + length, length) + np.arange(end[-1] if len(end) else 0), length


def language_of(locale: str) -> str:
    """Primary language of a locale: tr of tr-TR."""
    return re.split("[-_]", locale, maxsplit=1)[0].lower()
