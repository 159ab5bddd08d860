from __future__ import annotations

import errno
from itertools import accumulate, chain

import pytest
from hiredis import pack_command
from hypothesis import given
from hypothesis import strategies as st

from service.holes import cut_holes, holes_of

TRICKY = b"\r\n\0\0*1\r\n$4\r\nPING\r\n"
values = st.one_of(st.binary(max_size=20), st.just(TRICKY), st.just(b"\0\0\0"))
commands = st.lists(st.lists(values, min_size=1, max_size=4).map(tuple), min_size=1, max_size=6)


def incr_file(directory, content: bytes):
    path = directory / "appendonlydir" / "appendonly.aof.2.incr.aof"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


@given(commands, st.lists(st.integers(0, 9), min_size=6, max_size=6))
def test_zeros_between_commands_are_holes_and_those_within_values_are_not(found, n_zeros) -> None:
    packed = [pack_command(command) for command in found]
    parts = list(chain.from_iterable(zip(packed, [b"\0" * n for n in n_zeros], strict=False)))
    ends = [0, *accumulate(len(part) for part in parts)]
    wanted = [slice(*span) for span in zip(ends[1::2], ends[2::2], strict=True) if span[0] < span[1]]
    assert holes_of(b"".join(parts)) == wanted


def test_a_file_that_begins_with_a_hole_is_mended(tmp_path) -> None:
    """The first command after a rewrite was the one that did not fit."""
    command = pack_command(("SELECT", "0"))
    path = incr_file(tmp_path, b"\0" * 9 + command)
    assert cut_holes(tmp_path) == 9
    assert path.read_bytes() == command


def test_a_hole_is_cut_out_and_nothing_else(tmp_path) -> None:
    before, after = pack_command(("SET", "a", TRICKY)), pack_command(("SET", "b", "2"))
    path = incr_file(tmp_path, before + b"\0" * 535 + after + b"\0" * 7)
    assert cut_holes(tmp_path) == 542
    assert path.read_bytes() == before + after
    assert cut_holes(tmp_path) == 0
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        pack_command(("SET", "a", TRICKY)),
        pack_command(("SET", "a", "1")) + pack_command(("SET", "b", "2"))[:-5],
        b"\r\n\0\0*1\r\n$4\r\nPING\r\n",
    ],
    ids=["empty", "sound", "cut short", "damaged otherwise"],
)
def test_any_other_file_is_left_as_it_is(tmp_path, content) -> None:
    path = incr_file(tmp_path, content)
    was = path.stat()
    assert cut_holes(tmp_path) == 0
    assert path.read_bytes() == content
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (was.st_ino, was.st_mtime_ns)


def test_a_store_that_was_never_started_has_no_holes(tmp_path) -> None:
    assert cut_holes(tmp_path) == 0


def test_a_file_that_cannot_be_written_anew_stays_and_nothing_beside_it(tmp_path, monkeypatch) -> None:
    def full(_):
        raise OSError(errno.ENOSPC, "no space")

    content = pack_command(("SET", "a", "1")) + b"\0" * 9 + pack_command(("SET", "b", "2"))
    path = incr_file(tmp_path, content)
    monkeypatch.setattr("service.current.os.fsync", full)
    assert cut_holes(tmp_path) == 0
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == [path.name]
