"""Structured JSON lines: a constant event name, facts as fields. Never ids, keys, bodies or addresses."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor


def configure_logs(level: str, process: str) -> None:
    """Write log lines of ``level`` and above to standard error, each with the name of its process."""
    structlog.configure(
        processors=[
            _naming(process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _naming(process: str) -> Processor:
    facts = {"process": process, "pid": os.getpid()}
    return lambda _logger, _method, event: {**facts, **event}
