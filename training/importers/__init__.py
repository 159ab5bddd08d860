"""Importers: the events of others into our log, and what could not be used into the rejects."""

from training.importers.importing import KINDS, ImportOptions, import_data
from training.importers.summary import ImportSummary

__all__ = ["KINDS", "ImportOptions", "ImportSummary", "import_data"]
