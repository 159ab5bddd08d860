"""Learning to rank: LambdaMART over the candidates of cases at several cut-offs.

Burges, "From RankNet to LambdaRank to LambdaMART", 2010. Each case is a query; its rows are its targets and
some of its other candidates, drawn evenly. Cases are drawn before their features are made. Boosting starts from the
blend's score: trees say where it is wrong, so that few of them change little, and none at all nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from recommender.blend import Pool
from recommender.candidates import STAGE_FEATURES, Facts, blend_column, columns_of, feature_names, telling
from recommender.kernels_rank import best_rows
from recommender.ranker import N_OF_KIND, N_RANKED
from training.split import GAINS
from training.spread import n_threads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector, IntVector
    from recommender.items import Items
    from training.pools import Pools

MAX_ROWS: Final = 400_000
N_OTHERS: Final = 60
"""Candidates of a case that were not touched: so many of them are drawn."""
MIN_CASES: Final = 400
"""Cases with a target among their candidates below which nothing is learned."""
N_TREES: Final = 100
LOG_SLOPES: Final = (0.0, 5.0)
"""Where the logarithm of the slope on the blend's score is looked for."""
PATIENCE: Final = 20
PARAMS: Final[Mapping[str, Any]] = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [10],
    "label_gain": list(GAINS),
    "lambdarank_truncation_level": 20,
    "num_leaves": 31,
    "max_depth": 7,
    "min_data_in_leaf": 100,
    "learning_rate": 0.04,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "use_missing": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbose": -1,
}


class Boosted(NamedTuple):
    """A ranker as it was learned: ``slope`` times the blend's score of a row, in ``column``, and a LightGBM booster."""

    booster: Any
    slope: float
    column: int

    @property
    def n_trees(self) -> int:
        """As many as were best on later rows; all of them where there were none."""
        return int(self.booster.best_iteration) or int(self.booster.num_trees())

    def score(self, columns: FloatMatrix) -> FloatVector:
        """Of each item, float32, shape (n,), by ``columns`` of shape (n_features, n)."""
        added = self.booster.predict(columns.T, num_threads=n_threads())
        total: FloatVector = (self.slope * columns[self.column] + added).astype(np.float32)
        return total


class Rows(NamedTuple):
    """Training rows, grouped by case.

    ``features`` float32, shape (n_rows, n_features); ``level`` uint8, shape (n_rows,); ``sizes`` int64, shape
    (n_cases,); ``place`` int32, shape (n_rows,), where the item was shown, or None where nothing was logged.
    """

    features: FloatMatrix
    level: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    place: IntVector | None = None

    @classmethod
    def joined(cls, many: Sequence[Rows]) -> Rows:
        """Rows of several cut-offs."""
        places = [rows.place for rows in many if rows.place is not None]
        return cls(
            np.concatenate([rows.features for rows in many]),
            np.concatenate([rows.level for rows in many]),
            np.concatenate([rows.sizes for rows in many]),
            np.concatenate(places) if len(places) == len(many) else None,
        )

    def without_stage(self, sources: tuple[str, ...]) -> Rows:
        """The same for a ranker that is blind to stages."""
        features = self.features.copy()
        names = feature_names(sources)
        features[:, [names.index(name) for name in STAGE_FEATURES]] = 0
        return self._replace(features=features)


def rows_for(pools: Pools, blends: FloatMatrix, items: Items, facts: Facts, *, n_rows: int, seed: int) -> Rows:
    """Rows of the cases that have a target among the candidates that would be ranked.

    Parameters
    ----------
    blends : float32, shape (n_contexts, n_sources)
        Weights by context.
    n_rows : int
        At most about so many rows: cases are drawn until there are enough.
    """
    rng, told = np.random.default_rng(seed), telling(pools.sources)
    features: list[FloatMatrix] = []
    levels: list[NDArray[np.uint8]] = []
    total = 0
    for case in rng.permutation(len(pools)).tolist():
        pool, rows, score = _ranked(pools, case, blends[pools.context[case]], items)
        level = pools.level[pools.bounds[case] + rows]
        if not level.any():
            continue
        kept = _drawn(level, rng)
        # A candidate's places in its sources are those among all that would be ranked.
        columns = columns_of(pool, told, score, pools.queries[case], pools.standings[case], items, facts)
        features.append(columns[:, kept].T)
        levels.append(level[kept])
        total += len(kept)
        if total >= n_rows:
            break
    width = len(feature_names(pools.sources))
    return Rows(
        np.concatenate([np.empty((0, width), np.float32), *features]),
        np.concatenate([np.empty(0, np.uint8), *levels]),
        np.array([len(level) for level in levels], np.int64),
    )


def ranked_columns(
    pools: Pools, case: int, weights: FloatVector, items: Items, facts: Facts
) -> tuple[IntVector, FloatMatrix]:
    """Which of a case's candidates would be ranked, and their features, a row of ``columns`` each."""
    pool, kept, score = _ranked(pools, case, weights, items)
    told, query, standing = telling(pools.sources), pools.queries[case], pools.standings[case]
    return kept, columns_of(pool, told, score, query, standing, items, facts)


def _ranked(pools: Pools, case: int, weights: FloatVector, items: Items) -> tuple[Pool, IntVector, FloatVector]:
    """The candidates of a case that would be ranked, ascending by item; their rows in the case; the blend's score."""
    pool = pools.pool(case)
    score: FloatVector = pool.parts @ weights
    kept = best_rows(score, pool.item_idx, items.kind, N_RANKED, N_OF_KIND)
    return Pool(pool.item_idx[kept], pool.parts[kept], pool.best), kept, score[kept]


def _drawn(level: NDArray[np.uint8], rng: np.random.Generator) -> IntVector:
    """All targets, and some others whatever their score: to favour the hard ones would hide what the score says."""
    others = np.flatnonzero(level == 0)
    kept = rng.choice(others, min(len(others), N_OTHERS), replace=False)
    return np.sort(np.concatenate([np.flatnonzero(level), kept])).astype(np.int32)


def fit_trees(
    rows: Rows, sources: tuple[str, ...], *, seed: int, later: Rows | None = None, n_trees: int = N_TREES
) -> Boosted:
    """Trees that start from the blend's score; with ``later`` rows they stop where these are ranked no better.

    Where the place of each row is known, its bias is learned and left out (LightGBM's unbiased LambdaMART).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin cost a busy machine more than they gain
    import lightgbm

    names, column = list(feature_names(sources)), blend_column(sources)
    params = {**PARAMS, "seed": seed}
    slope = slope_of(rows.features[:, column], rows)
    options = {"feature_name": names, "free_raw_data": False, "params": {"use_missing": False, "verbose": -1}}

    def dataset(some: Rows, **more: Any) -> Any:
        start = slope * some.features[:, column].astype(np.float64)
        return lightgbm.Dataset(some.features, some.level, group=some.sizes, init_score=start, **options, **more)

    data = dataset(rows, position=rows.place)
    if later is None:
        return Boosted(lightgbm.train(params, data, n_trees), slope, column)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    judged = dataset(later, reference=data)
    return Boosted(lightgbm.train(params, data, n_trees, valid_sets=[judged], callbacks=[stop]), slope, column)


def slope_of(score: FloatVector, rows: Rows) -> float:
    """What a score is multiplied by for its softmax within a case to be likeliest to draw the targets, by their gains.

    Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach", 2007.
    """
    start = np.cumsum(rows.sizes) - rows.sizes
    case = np.repeat(np.arange(len(rows.sizes)), rows.sizes)
    gain = np.array(GAINS)[rows.level]
    wanted = gain / np.add.reduceat(gain, start)[case]

    def surprise(log_slope: float) -> float:
        logit = np.exp(log_slope) * score.astype(np.float64)
        top = np.maximum.reduceat(logit, start)
        whole = top + np.log(np.add.reduceat(np.exp(logit - top[case]), start))
        return float(wanted @ (whole[case] - logit))

    return float(np.exp(minimize_scalar(surprise, bounds=LOG_SLOPES, method="bounded").x))


def arrays_of(boosted: Boosted, n_sources: int, serves: NDArray[np.bool_]) -> dict[str, NDArray[np.generic]]:
    """What was learned as the arrays of :class:`recommender.ranker.Ranker`."""
    nodes, booster = _Nodes(), boosted.booster
    trees = booster.dump_model(num_iteration=booster.best_iteration or None)["tree_info"]
    root = [nodes.add(tree["tree_structure"]) for tree in trees]
    columns = {"feature": np.int32, "left": np.int32, "threshold": np.float32, "value": np.float32}
    arrays: dict[str, NDArray[np.generic]] = {
        f"ranker.{name}": np.array(getattr(nodes, name), dtype) for name, dtype in columns.items()
    }
    return arrays | {
        "ranker.root": np.array(root, np.int32),
        "ranker.depth": np.array([_depth(tree["tree_structure"]) for tree in trees], np.int32),
        "ranker.slope": np.array([boosted.slope], np.float32),
        "ranker.serves": serves,
        "ranker.n_sources": np.array([n_sources], np.int32),
    }


class _Nodes:
    """Nodes of trees as columns; the two children of a node lie side by side."""

    def __init__(self) -> None:
        self.feature: list[int] = []
        self.left: list[int] = []
        self.threshold: list[np.float32] = []
        self.value: list[float] = []

    def add(self, tree: Mapping[str, Any]) -> int:
        """Add a tree; its root."""
        root = self._room(1)
        self._fill(root, tree)
        return root

    def _room(self, n: int) -> int:
        at = len(self.feature)
        self.feature += [0] * n
        self.left += range(at, at + n)
        self.threshold += [np.finfo(np.float32).max] * n
        self.value += [0.0] * n
        return at

    def _fill(self, at: int, node: Mapping[str, Any]) -> None:
        if "split_feature" not in node:
            self.value[at] = node["leaf_value"]
            return
        self.feature[at] = node["split_feature"]
        self.threshold[at] = _down(node["threshold"])
        self.value[at] = node["internal_value"]
        self.left[at] = self._room(2)
        self._fill(self.left[at], node["left_child"])
        self._fill(self.left[at] + 1, node["right_child"])


def _down(threshold: float) -> np.float32:
    """The greatest float32 not above a threshold: a float32 is at most the one just when it is at most the other."""
    near = np.float32(threshold)
    return near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf))


def _depth(node: Mapping[str, Any]) -> int:
    if "split_feature" not in node:
        return 0
    return 1 + max(_depth(node["left_child"]), _depth(node["right_child"]))
