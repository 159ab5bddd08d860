from __future__ import annotations

import ast
import io
import json
import re
from pathlib import Path

import structlog

from service.logs import FIELDS, configure_logs, plain_facts
from service.metrics import LOG_FIELDS_DROPPED

SERVICE = Path(__file__).parents[2] / "service"


def test_a_field_that_is_on_no_list_is_dropped_and_counted():
    before = LOG_FIELDS_DROPPED._value.get()
    facts = plain_facts(None, "info", {"event": "e", "customer_id": "c-1", "why": {"body": 1}, "code": "x"})
    assert facts == {"event": "e", "code": "x"}
    assert LOG_FIELDS_DROPPED._value.get() - before == 2


def test_no_control_character_reaches_a_line(capsys):
    configure_logs("info", "worker")
    try:
        structlog.get_logger().warning("refused", why="a\r\nb\x1b[31m\u2028c\u202ed\x85")
    finally:
        structlog.reset_defaults()
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["why"] == "a\\u000d\\u000ab\\u001b[31m\\u2028c\\u202ed\\u0085"


def test_a_logger_that_was_used_before_follows_standard_error(monkeypatch):
    """Loggers are cached at their first line; what replaces the stream later gets the next one."""
    configure_logs("info", "worker")
    log = structlog.get_logger()
    try:
        for _ in range(2):
            monkeypatch.setattr("sys.stderr", stream := io.StringIO())
            log.warning("refused")
            assert json.loads(stream.getvalue())["event"] == "refused"
    finally:
        structlog.reset_defaults()


def test_every_line_of_the_service_uses_listed_fields_and_a_constant_name():
    """What the list would drop is found here, before it is missed in a log."""
    calls = [
        call
        for path in SERVICE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "log"
    ]
    assert len(calls) > 10
    for call in calls:
        assert {keyword.arg for keyword in call.keywords} <= FIELDS, ast.unparse(call)
        names = [node.value for node in ast.walk(call.args[0]) if isinstance(node, ast.Constant)]
        assert all(isinstance(name, str) and re.fullmatch(r"[a-z_]+", name) for name in names if name is not None)
