"""The words and facts of the simulated shop, read from ``shop.toml`` once."""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files
from typing import Final

import msgspec

LOCALES: Final = ("en", "tr", "ar")
FORMS: Final = ("guide", "tutorial", "post", "ebook")
"""Forms of content, in the order of the codes in :class:`~training.simulator.world.World`."""

Phrases = dict[str, str]
"""One phrase a locale."""


class Brand(msgspec.Struct, frozen=True):
    """A maker; English and Turkish share the Latin spelling."""

    en: str
    ar: str

    def name(self, locale: str) -> str:
        return self.ar if locale == "ar" else self.en


class Variant(msgspec.Struct, frozen=True):
    """What sets a product apart: a phrase for the title and a sentence for the text, a locale each."""

    en: str
    tr: str
    ar: str
    pitch: Phrases

    def phrase(self, locale: str) -> str:
        return {"en": self.en, "tr": self.tr, "ar": self.ar}[locale]


class Leaf(msgspec.Struct, frozen=True, rename={"complements": "with"}):
    """A category without children: the topic and three products a locale, and how its products behave.

    ``price`` lowest and highest in minor units; ``cycle`` days that a unit lasts, 0 for what lasts;
    ``season`` day of the year of the greatest need, 0 for none.
    """

    path: str
    price: tuple[int, int]
    en: tuple[str, ...]
    tr: tuple[str, ...]
    ar: tuple[str, ...]
    complements: tuple[str, ...]
    weight: float
    cycle: int = 0
    season: int = 0

    def words(self, locale: str) -> tuple[str, ...]:
        return {"en": self.en, "tr": self.tr, "ar": self.ar}[locale]


class Action(msgspec.Struct, frozen=True):
    """A next thing worth doing: title and text a locale, and the stages in which a shop would offer it."""

    id: str
    stages: str
    en: tuple[str, str]
    tr: tuple[str, str]
    ar: tuple[str, str]

    def words(self, locale: str) -> tuple[str, str]:
        return {"en": self.en, "tr": self.tr, "ar": self.ar}[locale]


class Words(msgspec.Struct, frozen=True):
    """All of ``shop.toml``."""

    currency: str
    brand: tuple[Brand, ...]
    variant: dict[str, tuple[Variant, ...]]
    content: dict[str, dict[str, tuple[str, ...]]]
    sentence: dict[str, Phrases]
    action: tuple[Action, ...]
    leaf: tuple[Leaf, ...]


@functools.cache
def words() -> Words:
    """The tables, decoded and checked against their declared form."""
    return msgspec.convert(tomllib.loads(files(__package__).joinpath("shop.toml").read_text("utf-8")), Words)
