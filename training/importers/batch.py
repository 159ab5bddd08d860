"""What a source's own reader hands to the common part of an import."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from features.errors import InvalidData
from training.importers.columns import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from features.catalog import Item
    from training.importers.sheet import Sheet


@dataclass
class Batch:
    """Sheets by our field names, and what is known beside them.

    Attributes
    ----------
    items : list of Item
        Rows of a catalog that came with the events.
    types : mapping
        Event names of this source → ours.
    needs_customer : bool
        Whether a row without a customer is a mistake.
    left_out : Counter
        Rows that were left out by decision, by reason.
    notes : list of str
        Decisions to tell the user, a sentence each.
    """

    sheets: list[Sheet]
    items: list[Item] = field(default_factory=list)
    types: Mapping[str, str] = field(default_factory=dict)
    needs_customer: bool = True
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def find(path: Path, names: Iterable[str]) -> Path:
    """The file itself, or the one of these names in a directory.

    Raises
    ------
    InvalidData
        There is none; the message names what was expected.
    """
    wanted = list(names)
    if path.is_file():
        return path
    if not path.is_dir():
        raise InvalidData(f"{path}: expected a file or a directory, got nothing")
    found = next((path / name for name in wanted if (path / name).is_file()), None)
    if found is None:
        raise InvalidData(f"{path}: expected a directory with {' or '.join(wanted)}")
    return found


def fitting(sheet: Sheet, shapes: Sequence[Mapping[str, str]], path: Path) -> Mapping[str, str]:
    """The first mapping all of whose columns the sheet has.

    Raises
    ------
    InvalidData
        None fits; the message names the columns that were expected.
    """
    for shape in shapes:
        if all(name in sheet.columns for name in shape.values()):
            return shape
    expected = "; or ".join(", ".join(shape.values()) for shape in shapes)
    raise InvalidData(f"{path}: expected the columns {expected}; it has {columns_of(sheet)}")
