from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from features.settings import load_settings
from service.current import Current, write_current
from service.embedded import MAX_SOCKET_PATH, EmbeddedStore
from service.supervisor import check_port, locked
from tests.service.shop import ITEM_IDS, bundle, children_of, event, publish, until

pytestmark = pytest.mark.alone  # it measures how soon a whole service is ready, and kills parts of it

HEAVY = {"mlflow", "lightgbm", "sklearn", "pandas", "matplotlib", "duckdb", "ibis", "pyarrow"}
N_CHILDREN = 7
"""The nursery, the store, two workers, drainer, sweeper and follower."""
SERVE = """
from features.settings import load_settings
from service.supervisor import run
raise SystemExit(run(load_settings()))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    """A supervisor in a process of its own, as ``rihla serve`` runs it."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.started = time.monotonic()
        environment = {"RIHLA_HOME": str(home), "RIHLA_PORT": str(self.port), "RIHLA_DRAIN_EVERY_S": "0.2"}
        with (home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE],
                env={**os.environ, **environment, "PYTHONPATH": str(Path.cwd())},
                stderr=log,
            )
        until(self.is_ready)
        self.took_s = time.monotonic() - self.started
        until(lambda: len(self.children()) == N_CHILDREN)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def children(self) -> dict[int, str]:
        """Living processes by id, named after what they run."""
        return children_of(self.process.pid)

    def child(self, name: str) -> int:
        return next(pid for pid, command in self.children().items() if name in command)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    home = tmp_path_factory.mktemp("served")
    publish(home)
    service = Served(home)
    yield service
    if service.process.poll() is None:
        service.end()


def post(served, **fields):
    body = event(f"e-{time.time_ns()}", **fields)
    answer = httpx.post(f"{served.url}/v1/events", json=body)
    assert answer.status_code == 202, answer.text
    return body["event_id"]


def slate(served, *, dry_run=True):
    """Of one customer, by default reserving nothing: who asks often is shown no more of a small catalogue."""
    body = {"subject": {"customer_id": "c-1"}, "dry_run": dry_run}
    answer = httpx.post(f"{served.url}/v1/recommendations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def logged(served, kind="events"):
    paths = served.home.glob(f"data/{kind}/*/*.parquet")
    return [row for path in paths for row in pq.read_table(path, partitioning=None).to_pylist()]


def test_it_is_soon_ready_with_the_bundle_on_disk(served):
    assert served.took_s < 10  # 3 s on a machine of one's own
    ready = httpx.get(f"{served.url}/readyz").json()
    assert (ready["model"], ready["version"], ready["alias"]) == ("rihla", "1", "champion")


def test_a_home_without_its_registry_says_so_and_answers_in_full(served):
    reasons = ["registry_unavailable"]
    until(lambda: all(httpx.get(f"{served.url}/readyz").json()["reasons"] == reasons for _ in range(6)))
    assert slate(served)["served_by"]["degraded"] == {"level": 0, "reason": "registry_unavailable"}


def test_an_accepted_event_is_in_every_workers_slates_and_soon_in_the_log(served):
    event_id = post(served, customer_id="c-1", item_id="sku-7")
    answers = [slate(served, dry_run=False) for _ in range(8)]  # a connection each, so that both workers are asked
    assert {answer["served_by"]["strategy"] for answer in answers} == {"personal"}
    until(lambda: event_id in {row["event_id"] for row in logged(served)})
    wanted = {answer["slate_id"] for answer in answers}
    until(lambda: wanted <= {row["slate_id"] for row in logged(served, "decisions")})


def test_workers_carry_no_training_stack(served):
    for pid, command in served.children().items():
        if "service.worker" in command:
            maps = Path(f"/proc/{pid}/maps").read_text()
            assert not {name for name in HEAVY if f"site-packages/{name}/" in maps}
            sizes = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            own_kib = sum(int(line.split()[1]) for line in sizes if line.startswith("Private_"))
            assert own_kib < 100 * 1024
    code = "import sys, service.worker; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(loaded.stdout.split())


def test_deciding_needs_no_scipy_though_numba_takes_it_where_it_is():
    code = "import sys; sys.modules['scipy'] = None; import recommender.engine"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_killed_worker_is_replaced_and_the_other_one_answers(served):
    victim = served.child("service.worker")
    os.kill(victim, signal.SIGKILL)
    with suppress(httpx.TransportError):  # the one request that it may have had in hand
        slate(served)
    assert slate(served)["items"]
    until(lambda: victim not in served.children() and len(served.children()) == N_CHILDREN)
    until(lambda: all(slate(served)["items"] for _ in range(6)))


def test_a_killed_nursery_takes_nobody_along_and_is_replaced(served):
    victim, others = served.child("service.nursery"), served.children()
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in served.children() and len(served.children()) == N_CHILDREN)
    assert set(others) - {victim} <= set(served.children())
    assert slate(served)["items"]


def test_a_worker_is_replaced_without_a_nursery(served):
    nursery, victim = served.child("service.nursery"), served.child("service.worker")
    os.kill(nursery, signal.SIGKILL)
    os.kill(victim, signal.SIGKILL)
    until(lambda: not {nursery, victim} & set(served.children()) and len(served.children()) == N_CHILDREN)
    until(lambda: all(slate(served)["items"] for _ in range(6)))


def test_a_killed_store_comes_back_with_everything_it_acknowledged(served):
    ids = [post(served, customer_id="c-durable") for _ in range(20)]
    os.kill(served.child("valkey-server"), signal.SIGKILL)

    def known():
        answer = httpx.get(f"{served.url}/v1/customers/c-durable")
        return answer.json() if answer.status_code == 200 else {"degraded": {"level": None}}

    described = until(lambda: (found := known())["degraded"]["level"] == 0 and found)
    assert described["known"]["counts"]["views"] == 20
    until(lambda: set(ids) <= {row["event_id"] for row in logged(served)})
    assert len([row for row in logged(served) if row["customer_id"] == "c-durable"]) == 20


def test_bundles_are_swapped_under_load_without_a_failed_request(served):
    versions, failures, stop = set(), [], threading.Event()

    def ask():
        with httpx.Client() as client:
            while not stop.is_set():
                try:
                    answer = client.post(f"{served.url}/v1/recommendations", json={"subject": {"customer_id": "c-9"}})
                    versions.add(answer.json()["served_by"]["version"])
                    if answer.status_code != 200:
                        failures.append(answer.text)
                except httpx.TransportError as error:
                    failures.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in ("2", "3", "4"):
        publish(served.home, version=version, item_ids=ITEM_IDS[: 8 + int(version)])
        until(lambda version=version: version in versions)
        until(lambda version=version: all(slate(served)["served_by"]["version"] == version for _ in range(8)))
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_broken_bundle_is_refused_and_the_old_one_goes_on_even_in_a_new_worker(served):
    before = slate(served)["served_by"]["version"]
    path = bundle(served.home, version="9", item_ids=ITEM_IDS[:5])
    victim = path / "popular.score.npy"
    raw = bytearray(victim.read_bytes())
    raw[-1] ^= 1
    victim.write_bytes(raw)
    write_current(served.home, Current(path.name, "rihla", "9", "champion"))
    os.kill(served.child("service.worker"), signal.SIGKILL)
    until(lambda: len(served.children()) == N_CHILDREN)

    def refused():
        answers = [slate(served) for _ in range(6)]
        assert {answer["served_by"]["version"] for answer in answers} == {before}
        assert all(answer["items"] for answer in answers)
        return all(answer["served_by"]["degraded"] == {"level": 0, "reason": "bundle_refused"} for answer in answers)

    until(refused)
    assert httpx.get(f"{served.url}/readyz").json()["reasons"] == ["bundle_refused"]


def test_a_home_and_a_port_have_one_supervisor(served):
    with pytest.raises(InputError, match="no other rihla serve"), locked(served.home):
        pass
    with pytest.raises(InputError, match="free port"):
        check_port("127.0.0.1", served.port)


def test_sigterm_ends_everything_it_started_and_the_next_start_knows_all(served):
    event_id = post(served, customer_id="c-last")
    children = list(served.children())
    assert served.end() == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert event_id in {row["event_id"] for row in logged(served)}


def test_a_killed_supervisor_takes_its_children_along_and_the_next_one_starts(tmp_path):
    publish(tmp_path)
    first = Served(tmp_path)
    event_id = post(first, customer_id="c-1")
    children = list(first.children())
    first.end(signal.SIGKILL)
    until(lambda: not [pid for pid in children if is_alive(pid)])
    second = Served(tmp_path)
    try:
        assert slate(second)["served_by"]["strategy"] == "personal"
        until(lambda: event_id in {row["event_id"] for row in logged(second)})
    finally:
        assert second.end(signal.SIGINT) == 0


@pytest.mark.filterwarnings("ignore")  # what MLflow says about its own dependencies
def test_it_follows_the_registry_to_a_promoted_version_and_back(tmp_path):
    """Whole: versions in MLflow, a supervisor that knows nothing yet, the alias moved while it serves."""
    from training.registry import Registry

    registry, took_s = Registry(tmp_path), []
    for version in ("1", "2"):
        registry.publish(bundle(tmp_path / "made", version=version), params={}, metrics={})
    served = Served(tmp_path)

    def follow(version):
        started = time.monotonic()
        until(lambda: {slate(served)["served_by"]["version"] for _ in range(6)} == {version}, 30)
        took_s.append(time.monotonic() - started)

    try:
        follow("1")
        registry.promote(2)
        follow("2")
        registry.rollback()
        follow("1")
        assert httpx.get(f"{served.url}/readyz").json()["status"] == "ready"
    finally:
        assert served.end() == 0
    assert max(took_s[1:]) < 10  # 5 s on a machine of one's own


def is_alive(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_deep_home_gets_its_socket_under_the_temporary_directory(tmp_path):
    deep = EmbeddedStore(tmp_path / ("d" * 120))
    assert len(os.fsencode(deep.socket)) <= MAX_SOCKET_PATH
    assert deep.socket == EmbeddedStore(tmp_path / ("d" * 120)).socket
    assert load_settings(home=tmp_path).home == tmp_path


STARTED_FOR_ANOTHER = """
import os, subprocess, sys
ours = {"RIHLA_PARENT_PID": str(os.getpid())}
service = subprocess.Popen([sys.executable, "rihla.py", "serve"], env=os.environ | ours)
print(service.pid, flush=True)
service.wait()
"""


def test_a_service_that_was_started_for_another_process_ends_with_it_even_killed(tmp_path):
    environment = os.environ | {"RIHLA_HOME": str(tmp_path), "RIHLA_PORT": str(free_port())}
    command = [sys.executable, "-c", STARTED_FOR_ANOTHER]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        service = int(parent.stdout.readline())
        until(lambda: children_of(service), 60)
        parent.kill()
    until(lambda: not Path(f"/proc/{service}").exists(), 30)
