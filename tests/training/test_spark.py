"""The same expressions on Spark: the same states and the same bytes of features as from events one by one."""

from __future__ import annotations

import itertools
from random import Random

import ibis
import numpy as np
import pyarrow.parquet as pq
import pytest

from features.events import DAY_US, Line, canonical
from features.vector import vectors
from tests.features.histories import N_DAYS, SCHEMA, START_US, state_of
from tests.training.engines import CUSTOMERS, case_table, log_table, made_up, online
from tests.training.test_erased import erase, ids, log_of
from tests.training.test_log import T0
from training.people import heads_of, learnable, resolved
from training.relational import all_cases, state_table

# What Spark, Ibis and pandas tell one another is not ours to mend.
pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]

OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.driver.memory": "1g",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": "UTC",
}


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    from pyspark.sql import SparkSession  # Spark is an extra: importing it must not fail where it is absent

    builder = SparkSession.builder.master("local[2]").appName("rihla")
    for name, value in OPTIONS.items():
        builder = builder.config(name, value)
    session = builder.config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse"))).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield ibis.pyspark.connect(session)
    session.stop()


def test_spark_gives_the_same_states_and_the_same_bytes_of_features(spark, tmp_path):
    random = Random(7)
    history = made_up(600, random)
    pq.write_table(log_table(history), tmp_path / "log.parquet")
    lines = spark.read_parquet(str(tmp_path / "log.parquet"))
    moments = [START_US + random.randrange(N_DAYS * DAY_US) for _ in range(6)]
    moments += [START_US + DAY_US, START_US + DAY_US + 1, START_US + N_DAYS * DAY_US]
    asked = [(customer, at) for at in moments for customer in (*CUSTOMERS, "nobody")]

    offline = state_table(lines, case_table(asked), SCHEMA)

    expected = online(history, asked, random)
    assert [offline.state(i) for i in range(len(asked))] == [expected.state(i) for i in range(len(asked))]
    now = np.array([at for _, at in asked])
    assert vectors(offline, now).tobytes() == vectors(expected, now).tobytes()
    everybody = all_cases(lines, moments[0]).to_pyarrow()
    assert everybody["customer_id"].to_pylist() == sorted(CUSTOMERS)


def test_spark_leaves_out_whom_the_log_has_erased(spark, tmp_path):
    log = log_of(tmp_path)
    erase(tmp_path, ann=T0 + DAY_US)
    assert ids(log, spark) == ["e2", "e3", "e4"]


def test_spark_puts_linked_identities_under_the_same_head(spark, tmp_path):
    random = Random(11)
    history = made_up(300, random)
    link = {"type": "link", "occurred_at": START_US, "received_at": START_US}
    history += [
        Line(event_id=f"l-{one}", customer_id=one, properties=canonical({"from": other}), **link)
        for one, other in itertools.pairwise(CUSTOMERS)
    ]
    pq.write_table(log_table(history), tmp_path / "log.parquet")
    lines = spark.read_parquet(str(tmp_path / "log.parquet"))
    heads = heads_of(lines)
    assert heads == dict.fromkeys(CUSTOMERS, min(CUSTOMERS))
    asked = [(min(CUSTOMERS), START_US + N_DAYS * DAY_US)]

    offline = state_table(resolved(learnable(lines), heads), case_table(asked), SCHEMA)

    whole = [line for line in history if line.customer_id in CUSTOMERS and line.occurred_at < asked[0][1]]
    assert offline.state(0) == state_of(SCHEMA, whole)
