"""Where an import is put: prepared aside, then moved into place.

Until the move begins nothing of the data directory is touched, so a failed import leaves it as it was.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from features.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS: Final = frozenset(
    {
        *("events", "catalog.parquet", "decisions", "rejects.ndjson", "import.json", "model.json"),
        *("erased", "base", "rebuilt.json"),
    }
)


def check_out(out: Path, source: str, *, add: bool) -> None:
    """Refuse a directory that an import of ``source`` would spoil.

    Raises
    ------
    InvalidData
        It is a file, holds something that is no data of ours, or data of another source without ``add``.
    """
    if out.exists() and not out.is_dir():
        raise InvalidData(f"{out}: expected a directory to write to, got a file")
    strangers = [name for name in entries(out) if name not in OURS]
    if strangers and not any(name in OURS for name in entries(out)):
        raise InvalidData(f"{out}: expected an empty directory or a data directory, got one that holds {strangers[0]}")
    others = other_sources(out, source)
    if others and not add:
        raise InvalidData(
            f"{out}: expected an empty directory or one of {source}, got one that holds {', '.join(others)}; "
            "give another directory, or say that the sources belong together (--add)"
        )


def entries(out: Path) -> list[str]:
    """What is in a directory, without hidden files; nothing where there is none."""
    return sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) if out.is_dir() else []


def other_sources(out: Path, source: str) -> list[str]:
    """Names of the event files that are not of ``source``; a served system writes many."""
    names = {path.stem for path in (out / "events").glob("*/*.parquet")} - {source}
    known = set(read_imports(out))
    return sorted(names & known) + (["events of the service"] if names - known else [])


def read_imports(out: Path) -> dict[str, Any]:
    """``import.json``: what was imported so far, by source; empty where nothing was.

    Raises
    ------
    InvalidData
        The file is there and is not what an import writes.
    """
    path = out / "import.json"
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError:
        raise InvalidData(f"{path}: expected what an import writes there") from None
    return found


@contextmanager
def prepared(out: Path, source: str) -> Iterator[Path]:
    """A directory to write the import to, which then takes its place in ``out``.

    It lies inside ``out`` where that exists (which may be a mount of its own), beside it otherwise.
    """
    aside = out / ".importing" if out.is_dir() else out.with_name(f".{out.name}.importing")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
    except OSError as error:
        raise InvalidData(f"{out}: expected a place that can be written to ({error.strerror})") from None
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    _move(aside, out, source)
    # Reached only after a whole move: what is left of a broken one tells `check` that there was one.
    shutil.rmtree(aside, ignore_errors=True)


def is_cut_off(out: Path) -> bool:
    """Whether an import stopped while it was being moved into place, and left a mixture."""
    return (out / ".importing" / "import.json").exists() and not (out / "import.json").exists()


def _move(aside: Path, out: Path, source: str) -> None:
    if not out.exists():
        aside.rename(out)
        return
    # The list of imports goes first and comes last: without it a half-done move cannot pass for a whole one.
    (out / "import.json").unlink(missing_ok=True)
    new = {path.relative_to(aside) for path in aside.rglob("*") if path.is_file()}
    for old in (out / "events").glob(f"*/{source}.parquet"):
        if old.relative_to(out) not in new:
            old.unlink()
    for name in sorted(new, key=lambda name: (name.name == "import.json", name)):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).replace(out / name)
    for folder in (out / "events").iterdir():
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
