"""The catalogue as the bundle holds it: one row an item, sorted by ``item_key``.

``item_idx`` is the row. Text is kept as UTF-8 bytes with offsets, so that it can be mapped like numbers; what was asked
for is remembered as strings, since slates show few of many items.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from recommender.contract import ArraySpec, IntVector, LongVector
from recommender.kernels_query import place_of, places_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

KINDS = ("product", "content", "action")
NO_LANGUAGE: Final = ""
"""Stands for every language that no item is in."""
MAX_KNOWN: Final = 20_000
"""Texts that are kept as they were read last, of ids and of titles: a few megabytes. Beyond it they are read anew."""


class Items:
    """Rows of the catalogue.

    Attributes
    ----------
    item_key : int64, shape (n_items,)
        Ascending.
    kind : uint8, shape (n_items,)
        Index into ``KINDS``.
    category : int32, shape (n_items,)
        Index into ``categories``; -1 for none.
    is_available : bool, shape (n_items,)
    published_at : int64, shape (n_items,)
        Microseconds; 0 when unknown.
    price_minor : int64, shape (n_items,)
        -1 when unknown.
    locale : int32, shape (n_items,)
        Index into ``locales``; -1 for every locale.
    stages : uint8, shape (n_items,)
        Bits of the stages in which the item may be shown; 0 for all.
    """

    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "items.item_key": ArraySpec("int64", 1),
        "items.kind": ArraySpec("uint8", 1),
        "items.category": ArraySpec("int32", 1),
        "items.is_available": ArraySpec("bool", 1),
        "items.published_at": ArraySpec("int64", 1),
        "items.price_minor": ArraySpec("int64", 1),
        "items.locale": ArraySpec("int32", 1),
        "items.stages": ArraySpec("uint8", 1),
        "items.id_bytes": ArraySpec("uint8", 1),
        "items.id_at": ArraySpec("int64", 1),
        "items.title_bytes": ArraySpec("uint8", 1),
        "items.title_at": ArraySpec("int64", 1),
        "items.categories_bytes": ArraySpec("uint8", 1),
        "items.categories_at": ArraySpec("int64", 1),
        "items.locales_bytes": ArraySpec("uint8", 1),
        "items.locales_at": ArraySpec("int64", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self._texts = {
            name: (np.asarray(arrays[f"items.{name}_bytes"], np.uint8).data, arrays[f"items.{name}_at"])
            for name in ("id", "title")
        }
        self._known: dict[str, dict[int, str]] = {name: {} for name in self._texts}
        self.item_key: LongVector = arrays["items.item_key"]  # type: ignore[assignment]
        self.kind: NDArray[np.uint8] = arrays["items.kind"]  # type: ignore[assignment]
        self.category: IntVector = arrays["items.category"]  # type: ignore[assignment]
        self.is_available: NDArray[np.bool_] = arrays["items.is_available"]  # type: ignore[assignment]
        self.published_at: LongVector = arrays["items.published_at"]  # type: ignore[assignment]
        self.price_minor: LongVector = arrays["items.price_minor"]  # type: ignore[assignment]
        self.locale: IntVector = arrays["items.locale"]  # type: ignore[assignment]
        self.stages: NDArray[np.uint8] = arrays["items.stages"]  # type: ignore[assignment]
        self._kinds_present = frozenset(np.unique(self.kind).tolist())
        self._has_stages = bool(self.stages.any())
        self.categories = unpack_text(arrays["items.categories_bytes"], arrays["items.categories_at"])
        self.locales = unpack_text(arrays["items.locales_bytes"], arrays["items.locales_at"])
        self._languages = frozenset(map(language_of, self.locales))
        self._suited: dict[tuple[int, str | None], NDArray[np.bool_] | None] = {}

    def __len__(self) -> int:
        return len(self.item_key)

    def rows_of(self, item_key: LongVector) -> IntVector:
        """Row of each key; -1 where the bundle does not know it."""
        return places_of(self.item_key, np.ascontiguousarray(item_key))

    def row_of(self, item_key: int) -> int:
        """As :meth:`rows_of`, of one key."""
        return int(place_of(self.item_key, item_key))

    def of_kinds(self, kinds: tuple[str, ...]) -> NDArray[np.bool_] | None:
        """Which rows are of some kinds; None where all are."""
        wanted = frozenset(KINDS.index(kind) for kind in kinds)
        if self._kinds_present <= wanted:
            return None
        return np.isin(self.kind, list(wanted))

    def in_categories(self, prefixes: tuple[str, ...]) -> NDArray[np.bool_]:
        """Which rows lie at or below one of some category paths."""
        prefixes = tuple(prefix.strip("/") for prefix in prefixes)
        inside = [any(name == p or name.startswith(f"{p}/") for p in prefixes) for name in self.categories]
        return np.array([*inside, False], np.bool_)[self.category]

    def for_stage(self, bit: int) -> NDArray[np.bool_] | None:
        """Which rows may be shown in a stage; None where all may."""
        return (self.stages == 0) | ((self.stages & bit) > 0) if self._has_stages else None

    def locale_code(self, locale: str | None) -> int:
        """Index into ``locales`` of a customer's locale, or of the first in the same language; -1 for none."""
        if locale is None:
            return -1
        if locale in self.locales:
            return self.locales.index(locale)
        languages = [language_of(name) for name in self.locales]
        return languages.index(language_of(locale)) if language_of(locale) in languages else -1

    def for_locale(self, locale: str | None) -> NDArray[np.bool_] | None:
        """Which rows are in a customer's language or in none; None where all are, or nothing is known."""
        if locale is None or not self.locales:
            return None
        mine = [language_of(name) == language_of(locale) for name in self.locales]
        return np.array([*mine, True], np.bool_)[self.locale]

    def suited(self, bit: int, locale: str | None) -> NDArray[np.bool_] | None:
        """Which rows may be shown in a stage and are for a locale; None where all are. Made once for each language."""
        language = None if locale is None else language_of(locale)
        if language not in self._languages:
            language = None if locale is None else NO_LANGUAGE
        if (bit, language) not in self._suited:
            self._suited[bit, language] = self._suited_now(bit, locale)
        return self._suited[bit, language]

    def _suited_now(self, bit: int, locale: str | None) -> NDArray[np.bool_] | None:
        masks = [mask for mask in (self.for_stage(bit), self.for_locale(locale)) if mask is not None]
        if not masks:
            return None
        suited: NDArray[np.bool_] = np.logical_and.reduce(masks)
        suited.setflags(write=False)
        return suited

    def item_id(self, item_idx: int) -> str:
        """The shop's own id of a row."""
        return self._text("id", item_idx)

    def title(self, item_idx: int) -> str:
        """Title of a row; empty when there is none."""
        return self._text("title", item_idx)

    def category_of(self, item_idx: int) -> str | None:
        """Category path of a row."""
        code = int(self.category[item_idx])
        return None if code < 0 else self.categories[code]

    def texts(self, name: str, rows: NDArray[np.integer]) -> list[str]:
        """``id`` or ``title`` of some rows."""
        known, wanted = self._known[name], rows.tolist()
        if len(known) > MAX_KNOWN:
            known = self._known[name] = {}
        unknown = [row for row in wanted if row not in known]
        if unknown:
            known |= zip(unknown, self._read(name, np.array(unknown, np.int64)), strict=True)
        return [known[row] for row in wanted]

    def _read(self, name: str, rows: LongVector) -> list[str]:
        raw, at = self._texts[name]
        return [str(raw[a:b], "utf-8") for a, b in zip(at[rows].tolist(), at[rows + 1].tolist(), strict=True)]

    def _text(self, name: str, row: int) -> str:
        return self.texts(name, np.array([row]))[0]


def language_of(locale: str) -> str:
    """Language subtag of a locale such as ``tr-TR``."""
    return locale.replace("_", "-").split("-", 1)[0].lower()


def pack_text(values: Iterable[str]) -> tuple[NDArray[np.uint8], LongVector]:
    """Strings as UTF-8 bytes, shape (n_bytes,), and offsets, shape (n + 1,)."""
    encoded = [value.encode() for value in values]
    offsets = np.concatenate([[0], np.cumsum([len(raw) for raw in encoded], dtype=np.int64)]).astype(np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def unpack_text(raw: NDArray[np.generic], offsets: NDArray[np.generic]) -> Sequence[str]:
    """Inverse of :func:`pack_text`."""
    data, at = raw.tobytes(), offsets.tolist()
    return [data[a:b].decode() for a, b in itertools.pairwise(at)]
