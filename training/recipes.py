"""The recipe that a search left in a data directory, for every later training to start from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import msgspec

from features.errors import InvalidData
from training.fit import Recipe

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = "tune"
FILE: Final = "recipe.json"


class Saved(msgspec.Struct, frozen=True):
    """A recipe, and the moment from which on nothing was seen when it was chosen, microseconds."""

    until: int
    recipe: Recipe


def saved_recipe(path: Path, before: int) -> Recipe | None:
    """What a search left in a data directory; None without one, or where it saw what happened at or after ``before``.

    Raises
    ------
    InvalidData
        The file was damaged.
    """
    file = path / FOLDER / FILE
    if not file.is_file():
        return None
    try:
        saved = msgspec.json.decode(file.read_bytes(), type=Saved)
    except msgspec.MsgspecError as error:
        raise InvalidData(f"{file}: expected a recipe as rihla tune writes it ({error}); remove it") from None
    return saved.recipe if saved.until <= before else None


def save_recipe(path: Path, saved: Saved) -> None:
    """Keep a recipe in a data directory; the file appears whole or not at all."""
    draft = path / FOLDER / f".{FILE}"
    plain = {"until": saved.until, "recipe": asdict(saved.recipe)}
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(plain)))
    draft.replace(path / FOLDER / FILE)
