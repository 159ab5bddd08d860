"""A floor under the quality on public data: the blend is not worse than the best thing it is made of."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_limits

from features.events import DAY_US
from training.importers import import_data
from training.job import Sizes, fit_all, load, split
from training.judging import SYSTEM
from training.load import Data
from training.split import PROTOCOLS, windows_of

SIZES = Sizes(validation=150, test=300)
KINDS = {"retailrocket_8days": "retailrocket", "cit_deskdrop": "deskdrop"}


def silent(_name, _share):
    """Progress that nobody looks at."""


@pytest.fixture(scope="module", params=sorted(KINDS))
def evaluation(request, datasets, tmp_path_factory, journey):
    directory = tmp_path_factory.mktemp(request.param) / "data"
    import_data(KINDS[request.param], datasets / request.param, directory)
    with threadpool_limits(1, "blas"):
        data = load(directory, Data(directory).until - DAY_US, silent)
        windows = windows_of(data)
        learned = split(data, windows, journey, silent, n=SIZES.validation, seed=0)
        return fit_all(data, windows, learned, journey, silent, n=SIZES.test).evaluation


@pytest.mark.datasets
@pytest.mark.timeout(900)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_blend_is_not_below_the_best_baseline_by_more_than_noise(evaluation, protocol):
    wanted = ("any", protocol, "all", SYSTEM, "ndcg@10")
    (row,) = [row for row in evaluation.rows if row[:5] == wanted]
    assert row.n_cases >= 100
    assert row.delta is not None
    assert row.delta.high >= 0
    assert row.delta.mean >= -0.05 * (row.value.mean - row.delta.mean)
