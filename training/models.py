"""Which model a command means: a data directory's own, a version or alias of the registry, or a bundle's path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from features.errors import InvalidData
from recommender.engine import Engine

if TYPE_CHECKING:
    from training.registry import Registry


_USER_INFO: Final = re.compile(r"//[^/?#]*@")


class ModelNote(msgspec.Struct):
    """What ``rihla train`` leaves in ``DIR/model.json``; ``until`` in microseconds."""

    version: str
    name: str
    digest: str
    bundle: str
    until: int
    registry: str


def without_credentials(uri: str) -> str:
    """A registry's URI without user, password and query, which may hold a password as well."""
    return _USER_INFO.sub("//", uri).partition("?")[0]


def read_note(directory: Path) -> ModelNote:
    """The note of the last training on a data directory.

    Raises
    ------
    InvalidData
        There is none, or it is damaged.
    """
    path = directory / "model.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelNote)
    except FileNotFoundError:
        raise InvalidData(f"{path}: expected a model; make one with: rihla train {directory}") from None
    except (msgspec.MsgspecError, OSError):
        raise InvalidData(f"{path}: expected what rihla train writes there") from None


def open_model(directory: Path, named: str | None, registry: Registry, *, verify_key: bytes | None = None) -> Engine:
    """The engine of a named model, or of the last training on ``directory``.

    Parameters
    ----------
    named
        Path of a bundle, version or alias; None for ``DIR/model.json``.
    """
    if named is None:
        note = read_note(directory)
        return Engine.open(_kept(note, registry), verify_key=verify_key)
    path = Path(named)
    if path.is_dir():
        return Engine.open(path, verify_key=verify_key)
    return Engine.open(registry.fetch(named, registry.home / "bundles"), verify_key=verify_key)


def _kept(note: ModelNote, registry: Registry) -> Path:
    """The bundle where it was written, or fetched anew where it is no longer there."""
    path = Path(note.bundle)
    return path if path.is_dir() else registry.fetch(note.version, registry.home / "bundles")
