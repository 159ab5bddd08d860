"""Titles and short texts, put together from the word tables in the locale of the item."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from training.simulator.words import Action, Brand, Leaf, Variant, Words


class Wording(NamedTuple):
    """What is written about one item."""

    title: str
    text: str


def product(words: Words, leaf: Leaf, brand: Brand, noun: int, variant: Variant, locale: str) -> Wording:
    """Maker, thing and variant; ``noun`` is the row of the thing among the leaf's products."""
    topic, *nouns = leaf.words(locale)
    pattern = "{noun} {brand}، {variant}" if locale == "ar" else "{brand} {noun}, {variant}"
    title = pattern.format(brand=brand.name(locale), noun=nouns[noun], variant=variant.phrase(locale))
    return Wording(title, words.sentence["product"][locale].format(pitch=variant.pitch[locale], topic=topic))


def content(words: Words, leaf: Leaf, form: str, pattern: int, locale: str) -> Wording:
    """A guide, tutorial, post or e-book on the leaf's topic."""
    topic = leaf.words(locale)[0]
    title = words.content[form][locale][pattern].format(topic)
    return Wording(_capitalised(title), words.sentence[form][locale].format(topic=topic))


def numbered(wordings: Iterable[Wording]) -> list[Wording]:
    """The same wordings; a title that was there before gets its number, as a series has."""
    times: Counter[str] = Counter()
    told = []
    for wording in wordings:
        times[wording.title] += 1
        n = times[wording.title]
        told.append(wording if n == 1 else wording._replace(title=f"{wording.title} ({n})"))
    return told


def action(offer: Action, locale: str) -> Wording:
    """A next thing worth doing."""
    return Wording(*offer.words(locale))


def _capitalised(title: str) -> str:
    # Only English topics start in lower case, so Python's rule, which is wrong for Turkish i, never meets one.
    return title[0].upper() + title[1:]
