"""What every test may ask for: the public datasets, Java, and Hypothesis within a sensible time."""

from __future__ import annotations

import os

# Before anything imports numpy: deciding one slate is too little work to be shared among threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

FOLDERS = ("cdnow", "cit_deskdrop", "retailrocket_8days", "uci_online_retail")
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


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("spark") and shutil.which("java") is None:
        missing("no java on PATH: Spark needs Java 17 (Debian: openjdk-17-jre-headless)")


def missing(what: str) -> None:
    """Skip with the reason on a person's machine; fail in CI, where everything must run."""
    if IN_CI:
        pytest.fail(what, pytrace=False)
    pytest.skip(what)
