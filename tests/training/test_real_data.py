"""A floor under the quality on public data: the blend is not worse than the best thing it is made of."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.events import DAY_US
from training.importers import import_data
from training.job import Sizes
from training.judging import SYSTEM
from training.load import Data
from training.moves import learn_moves
from training.rolling import evaluate_directory
from training.split import PROTOCOLS

SIZES = Sizes(validation=150, test=300)
KINDS = {"retailrocket_8days": "retailrocket", "cit_deskdrop": "deskdrop"}


@pytest.fixture(scope="module", params=sorted(KINDS))
def evaluation(request, datasets, tmp_path_factory, journey):
    directory = tmp_path_factory.mktemp(request.param) / "data"
    import_data(KINDS[request.param], datasets / request.param, directory)
    until = Data(directory).until - DAY_US
    return evaluate_directory(directory, journey=journey, until=until, n_origins=1, sizes=SIZES).evaluation


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


@pytest.mark.datasets
def test_moves_of_cdnow_beat_every_baseline_and_are_calibrated(datasets, tmp_path, journey):
    source, directory = tmp_path / "source", tmp_path / "data"
    source.mkdir()
    table = pq.read_table(datasets / "cdnow" / "cdnow_master.parquet")
    columns = {
        "customer_id": table["customer_id"].cast(pa.string()),
        "type": pa.array(["purchase"] * len(table)),
        "item_id": pa.array(["cd"] * len(table)),
        "occurred_at": table["date"].cast(pa.timestamp("us", "UTC")),
        "quantity": table["n_cds"],
    }
    pq.write_table(pa.table(columns), source / "events.parquet")
    import_data("events", source, directory)
    found = learn_moves(Data(directory), journey, seed=0)
    rows = [row for row in found.report if row.moments == "all"]
    assert {(row.move, row.stage) for row in rows} >= {("next_order", "retention"), ("lapse", "retention")}
    for row in rows:
        assert row.is_better
        assert row.brier_skill > 0
        if row.n >= 5_000:
            assert row.ece <= 0.02
        else:
            assert row.slope is not None
            assert row.slope[1] <= 1 <= row.slope[2]
