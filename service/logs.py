"""Structured JSON lines: a constant event name, facts as fields. Never ids, keys, bodies or addresses.

A field is written when its name is on the list below and its value is plain; any other is dropped and counted,
so that a careless line loses a fact and gives nothing away.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from service.metrics import LOG_FIELDS_DROPPED

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import EventDict, Processor

FIELDS: Final = frozenset(
    {
        *("event", "level", "timestamp", "process", "pid"),
        *("calls", "child", "code", "digest", "error", "n_found", "n_items", "places", "reason", "url", "version"),
        *("waited_s", "why", "workers"),
    }
)
"""Names of the facts that a line may hold; none of them is an id, a key or a body."""
MAX_TEXT: Final = 1_000
MAX_LIST: Final = 10
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def configure_logs(level: str, process: str) -> None:
    """Write log lines of ``level`` and above to standard error, each with the name of its process."""
    structlog.configure(
        processors=[
            _naming(process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            plain_facts,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )


class _StandardError(io.TextIOBase):
    """Standard error as it is when a line is written: loggers are kept for good, the stream may be replaced."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _naming(process: str) -> Processor:
    facts = {"process": process, "pid": os.getpid()}
    return lambda _logger, _method, event: {**facts, **event}


def plain_facts(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Processor: the facts on the list, with control characters escaped and texts cut."""
    facts = {name: _plain(value) for name, value in event.items() if name in FIELDS and _is_plain(value)}
    if dropped := len(event) - len(facts):
        LOG_FIELDS_DROPPED.inc(dropped)
    return facts


def places_of(error: BaseException) -> list[str]:
    """Where an error came from: file and line of its last three frames."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[-3:]]


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= MAX_LIST and all(isinstance(each, str | int | float) for each in value)
    return value is None or isinstance(value, str | int | float)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if not isinstance(value, str):
        return value
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", value[:MAX_TEXT])
