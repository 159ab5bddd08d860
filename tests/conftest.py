"""What every test may ask for: the public datasets, Java, a quiet machine, and Hypothesis within a sensible time.

``make test`` runs two workers, which take a module each at a time. The longest come first, so that nobody is left with
one at the end, and last those whose tests measure time or hurt a store under load (marked ``alone``).
"""

from __future__ import annotations

import fcntl
import os

# Before anything imports numpy: deciding one slate is too little work to be shared among threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# And before anything imports LightGBM: its threads sleep while they wait, or two workers take each other's cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

FOLDERS = ("cdnow", "cit_deskdrop", "retailrocket_8days", "uci_online_retail")
ONE_MODEL = ("evaluate", "job", "judging", "kinds", "picks", "pools", "rolling")
"""Modules of ``tests/training`` that read the model which is trained once a session."""
LONGEST = (
    "training/test_real_data.py",
    *(f"training/test_{name}.py" for name in ONE_MODEL),
    "training/test_spark.py",
    "test_command_line.py",
    "training/test_moves.py",
    "training/test_split.py",
)
HOUSE = os.open(__file__, os.O_RDONLY)
"""What the workers of one checkout lock: shared, or by one of them."""
IN_CI = os.environ.get("CI", "").lower() == "true"

# Two shared cores are slow and uneven: time limits are pytest's, examples are few by default and more in CI.
settings.register_profile("default", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), max_examples=100, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "default"))


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The directory of the public datasets; a test that asks for it is skipped where there is none."""
    named = os.environ.get("RIHLA_DATASETS")
    if not named:
        missing("RIHLA_DATASETS is not set: the public datasets are not here")
    directory = Path(named)
    absent = [name for name in FOLDERS if not (directory / name).is_dir()]
    if absent:
        pytest.fail(f"RIHLA_DATASETS={directory} has no folder {', '.join(absent)}")
    return directory


@pytest.fixture(scope="session", autouse=True)
def _no_environment_leaks() -> None:
    """Tests see the settings' defaults, whatever the caller's shell has set."""
    for name in [key for key in os.environ if key.startswith("RIHLA_") and key != "RIHLA_DATASETS"]:
        del os.environ[name]
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, what must be alone last, and between them all as they were."""
    items.sort(key=lambda item: (is_alone(item), place_of(item)))


def is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def place_of(item: pytest.Item) -> int:
    name = item.path.relative_to(Path(__file__).parent).as_posix()
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


class Modules(LoadScopeScheduling):
    """A module goes to one worker, and those that read one model go together."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", 1)[0]
        return "one model" if Path(module).stem.removeprefix("test_") in ONE_MODEL else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return Modules(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Workers share the machine until one comes to a test that must be alone: it waits until the others are done.

    Waiting comes before the test's fixtures and is no part of its time.
    """
    if is_worker(item.config):
        fcntl.flock(HOUSE, fcntl.LOCK_EX if is_alone(item) else fcntl.LOCK_SH)
    return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if is_worker(session.config):
        fcntl.flock(HOUSE, fcntl.LOCK_UN)


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("spark") and shutil.which("java") is None:
        missing("no java on PATH: Spark needs Java 17 (Debian: openjdk-17-jre-headless)")


def missing(what: str) -> None:
    """Skip with the reason on a person's machine; fail in CI, where everything must run."""
    if IN_CI:
        pytest.fail(what, pytrace=False)
    pytest.skip(what)
