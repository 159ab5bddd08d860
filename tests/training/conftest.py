"""One small simulated shop and one model trained on it, for every test that only reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from features.journey import Journey
from training.job import Published, Sizes, train
from training.registry import Registry
from training.simulator import simulate

if TYPE_CHECKING:
    from pathlib import Path

SIZES = Sizes(validation=120, test=120)


@pytest.fixture(scope="session")
def journey() -> Journey:
    return Journey.load(None)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory of about 4,000 events; tests that write take a copy."""
    directory: Path = tmp_path_factory.mktemp("shop") / "data"
    simulate(directory, events=4_000, seed=1, days=90)
    return directory


@pytest.fixture(scope="session")
def model_registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def published(shop: Path, model_registry: Registry, journey: Journey) -> Published:
    return train(shop, registry=model_registry, until=None, journey=journey, sizes=SIZES)
