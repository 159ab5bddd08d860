"""Content arrays: weighted token vectors of all items, turned into an inverted index and neighbour lists."""

from __future__ import annotations

from array import array
from collections import Counter
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from features.ids import key64
from recommender.contract import Candidates, FloatVector, IntVector, best
from recommender.text import GRAM, damped, normalise, tokens, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

PATH: Final = "/"
"""First character of a token that is a category path; no token of a text starts with it."""

TITLE_WEIGHT: Final = 1.0
CATEGORY_WEIGHT: Final = 0.6
TEXT_WEIGHT: Final = 0.4
"""Length of each field's vector before they are added up."""

MAX_TEXT_WORDS: Final = 200
N_NEIGHBOURS: Final = 50
N_OTHER_KIND: Final = 20
MIN_COSINE: Final = 0.05
BLOCK_ROWS: Final = 512

MAX_SHARE: Final = 0.02
MAX_CATEGORY_SHARE: Final = 0.25
MIN_COMMON: Final = 1_000
"""Words and categories of a larger share of the items, and of more than so many, say little and cost most:
neighbours are found without them."""

POPULARITY_SHARE: Final = 1e-3
"""Part of a neighbour's weight that is its popularity: enough to order items that read the same."""

_NO_ITEMS: Final = np.empty(0, np.int32)
_NO_SCORES: Final = np.empty(0, np.float32)


class Description(NamedTuple):
    """What an item says of itself; ``category`` is a path, "a/b/c"."""

    kind: str
    title: str | None = None
    text: str | None = None
    category: str | None = None


class Vectors(NamedTuple):
    """Items in token space.

    ``token`` names of tokens, ordered by ``key64``; ``idf`` float32, shape (n_tokens,); ``df`` int64, shape
    (n_tokens,); ``rows`` float32, shape (n_items, n_tokens), each of length 1, or 0 where an item says nothing.
    """

    token: list[str]
    idf: FloatVector
    df: NDArray[np.int64]
    rows: sp.csr_array


def fit_content(items: Sequence[Description], popularity: FloatVector | None = None) -> dict[str, NDArray[np.generic]]:
    """Bundle arrays of the content retriever (see ``recommender.retrievers.content``).

    Parameters
    ----------
    items
        In the order of the bundle's rows. Whatever an item lacks is left out; items that say nothing have no
        postings and no neighbours.
    popularity : float32, shape (n_items,), optional
        >= 0, any scale; orders neighbours that are equally similar, as in a catalogue of bare categories.

    Notes
    -----
    Sublinear TF-IDF with a length per field, cosine similarity. Neighbours cost the sum over tokens of df squared,
    for which the commonest tokens are left out; memory is that of the vectors and of one block of rows.
    """
    vectors = _vectors(items)
    appeal = np.zeros(len(items), np.float32) if popularity is None else popularity
    appeal = appeal / max(float(appeal.max(initial=0)), 1e-12)
    return {**_index(vectors), **_neighbours(vectors, [item.kind for item in items], appeal)}


def text_rows(items: Sequence[Description]) -> sp.csr_array:
    """TF-IDF of whole words, their stems and category paths, rows of length 1; shape (n_items, n_tokens)."""
    return _whole_words(_vectors(items))


def path_words(category: str) -> list[str]:
    """A category path as its prefixes ("/a", "/a/b") and its words, so that like-named branches meet too."""
    segments = [segment for part in category.split("/") if (segment := normalise(part).strip())]
    return [*accumulate(PATH + segment for segment in segments), *words(" ".join(segments))]


def _vectors(items: Sequence[Description]) -> Vectors:
    vocabulary: dict[str, int] = {}
    title = _bags((words(item.title or "") for item in items), vocabulary)
    category = _bags((path_words(item.category or "") for item in items), vocabulary)
    text = _bags((words(item.text or "")[:MAX_TEXT_WORDS] for item in items), vocabulary)
    token, expansion = _expansion(vocabulary)
    # n-grams of whole texts would be most of the index and match everything a little.
    exact = _columns_times(expansion, ~_marked(token, GRAM))
    fields = [_counts(title, expansion), _counts(category, expansion), _counts(text, exact)]
    df = np.diff((fields[0] + fields[1] + fields[2]).tocsc().indptr)
    idf = np.log1p((len(items) - df + 0.5) / (df + 0.5)).astype(np.float32)
    unit = [_of_length_one(_columns_times(field, idf)) for field in fields]
    rows = _of_length_one(TITLE_WEIGHT * unit[0] + CATEGORY_WEIGHT * unit[1] + TEXT_WEIGHT * unit[2])
    return Vectors(token, idf, df, rows)


def _marked(token: Sequence[str], mark: str) -> NDArray[np.bool_]:
    return np.fromiter((name.startswith(mark) for name in token), np.bool_, len(token))


class _Bags(NamedTuple):
    """Word counts of one field, damped: a sparse matrix whose width is not known yet."""

    indptr: array[int]
    column: array[int]
    weight: array[float]


def _bags(texts: Iterable[list[str]], vocabulary: dict[str, int]) -> _Bags:
    bags = _Bags(array("q", [0]), array("i"), array("f"))
    for found in texts:
        for word, count in Counter(found).items():
            bags.column.append(vocabulary.setdefault(word, len(vocabulary)))
            bags.weight.append(damped(count))
        bags.indptr.append(len(bags.column))
    return bags


def _counts(bags: _Bags, expansion: sp.csr_array) -> sp.csr_array:
    """Damped token counts of a field, float32, shape (n_items, n_tokens)."""
    weight, column = np.asarray(bags.weight, np.float32), np.asarray(bags.column, np.int32)
    shape = (len(bags.indptr) - 1, expansion.shape[0])
    return sp.csr_array((weight, column, np.asarray(bags.indptr)), shape=shape) @ expansion


def _expansion(vocabulary: Mapping[str, int]) -> tuple[list[str], sp.csr_array]:
    """Tokens ordered by key, and the weights of each word's tokens, float32, shape (n_words, n_tokens)."""
    rows = [{word: 1.0} if word.startswith(PATH) else tokens(word) for word in vocabulary]
    token = sorted({name for row in rows for name in row}, key=key64)
    column = {name: i for i, name in enumerate(token)}
    weight = np.fromiter((weight for row in rows for weight in row.values()), np.float32)
    indices = np.fromiter((column[name] for row in rows for name in row), np.int32)
    indptr = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return token, sp.csr_array((weight, indices, indptr), shape=(len(rows), len(token)))


def _columns_times(matrix: sp.csr_array, factor: NDArray[np.generic]) -> sp.csr_array:
    """Each column times its factor; entries that become zero are gone."""
    scaled = sp.csr_array((matrix.data * factor[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)
    scaled = scaled.copy()
    scaled.eliminate_zeros()
    return scaled


def _of_length_one(matrix: sp.csr_array) -> sp.csr_array:
    """Rows divided by their lengths; empty rows stay empty."""
    length = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    per_entry = np.repeat(np.maximum(length, 1e-12), np.diff(matrix.indptr))
    return sp.csr_array((matrix.data / per_entry, matrix.indices, matrix.indptr), shape=matrix.shape, dtype=np.float32)


def _index(vectors: Vectors) -> dict[str, NDArray[np.generic]]:
    """Postings of every token that a text can have."""
    searchable = np.flatnonzero(~_marked(vectors.token, PATH))
    postings = vectors.rows.tocsc()[:, searchable]
    postings.sort_indices()
    return {
        "content.token": np.asarray([key64(vectors.token[i]) for i in searchable], np.int64),
        "content.idf": vectors.idf[searchable],
        "content.posting_indptr": postings.indptr.astype(np.int64),
        "content.posting_item_idx": postings.indices.astype(np.int32),
        "content.posting_weight": postings.data.astype(np.float16),
    }


def _whole_words(vectors: Vectors) -> sp.csr_array:
    """Rows without n-grams: between whole items stems do what those do for a short query, at a tenth of the cost."""
    return _of_length_one(_columns_times(vectors.rows, ~_marked(vectors.token, GRAM)))


def _is_common(vectors: Vectors) -> NDArray[np.bool_]:
    share = np.where(_marked(vectors.token, PATH), MAX_CATEGORY_SHARE, MAX_SHARE)
    is_common: NDArray[np.bool_] = vectors.df > np.maximum(share * vectors.rows.shape[0], MIN_COMMON)
    return is_common


def _neighbours(vectors: Vectors, kind: Sequence[str], appeal: FloatVector) -> dict[str, NDArray[np.generic]]:
    """Most similar items of the same kind and of each other kind, most similar first."""
    rows = _columns_times(_whole_words(vectors), ~_is_common(vectors))
    members = {name: np.flatnonzero(np.asarray(kind) == name).astype(np.int32) for name in sorted(set(kind))}
    quota = {True: N_NEIGHBOURS, False: N_OTHER_KIND}
    found = [_nearest(rows, members[a], members[b], appeal, quota[a == b]) for a in members for b in members]
    source = np.concatenate([_NO_ITEMS, *(edges.source for edges in found)])
    target = np.concatenate([_NO_ITEMS, *(edges.target for edges in found)])
    weight = np.concatenate([_NO_SCORES, *(edges.weight for edges in found)])
    order = np.lexsort((target, -weight, source))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=len(kind)))])
    return {
        "content.indptr": indptr.astype(np.int64),
        "content.item_idx": target[order],
        "content.weight": weight[order],
    }


class _Edges(NamedTuple):
    source: IntVector
    target: IntVector
    weight: FloatVector


def _nearest(rows: sp.csr_array, of: IntVector, among: IntVector, appeal: FloatVector, n: int) -> _Edges:
    """The ``n`` items of ``among`` most similar to each of ``of``, an item itself left out."""
    columns = rows[among].T.tocsr()
    blocks = [of[start : start + BLOCK_ROWS] for start in range(0, len(of), BLOCK_ROWS)]
    lists = [
        _most_similar(similar, among, int(item), appeal, n)
        for block in blocks
        for item, similar in zip(block, _rows_of(rows[block] @ columns), strict=True)
    ]
    return _Edges(
        np.repeat(of, [len(found.item_idx) for found in lists]),
        np.concatenate([_NO_ITEMS, *(found.item_idx for found in lists)]),
        np.concatenate([_NO_SCORES, *(found.score for found in lists)]),
    )


def _rows_of(matrix: sp.csr_array) -> Iterator[tuple[IntVector, FloatVector]]:
    for start, end in pairwise(matrix.indptr):
        yield matrix.indices[start:end], matrix.data[start:end]


def _most_similar(
    similar: tuple[IntVector, FloatVector], among: IntVector, item: int, appeal: FloatVector, n: int
) -> Candidates:
    column, cosine = similar
    target = among[column]
    keep = (cosine >= MIN_COSINE) & (target != item)
    target, cosine = target[keep], cosine[keep]
    # Equal cosines differ in the last bit by the order of addition; rounding makes them ties again.
    weight = np.round(cosine, 4) * (1 - POPULARITY_SHARE) + appeal[target] * POPULARITY_SHARE
    return best(target, weight.astype(np.float32), n)
