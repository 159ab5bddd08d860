"""Every dataset by its name."""

from __future__ import annotations

from typing import Final

from benchmarks.quality.remade import REMADE
from benchmarks.quality.sources import PUBLIC

DATASETS: Final = {dataset.name: dataset for dataset in (*PUBLIC, *REMADE)}
