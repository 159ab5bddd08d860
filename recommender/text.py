"""Text to tokens in any script, without language packs.

Three kinds of token carry a text, from exact to vague:

* the word itself, folded: case, the four Turkish i, Latin diacritics, alef variants, vowel marks, digits
* its stem: the first letters, or in Arabic script the consonants, which survive suffixes and broken plurals
* its character n-grams within the word's boundaries, which survive prefixes and typing errors

Numbers and model codes have no stem and no n-grams, so that 15 never matches 150.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STEM_LETTERS: Final = 5
GRAM_SIZES: Final = (3, 4)
STEM_WEIGHT: Final = 1.0
GRAM_WEIGHT: Final = 0.5
"""Sizes and weights, chosen on the first half of the labelled queries; the other half is the test."""

MAX_WORD_LETTERS: Final = 32
STEM: Final = "~"
GRAM: Final = "#"
"""First characters of stems and n-grams, which no word has."""

# What Unicode does not decompose: Latin letters with a stroke or without a dot, and the letters that Arabic,
# Persian and Urdu keyboards give for one another. Tatweel only stretches a word.
_LETTERS: Final = {
    **str.maketrans("ıøØđĐłŁ", "ioOdDlL", "ـ"),
    **str.maketrans("ٱىیېةەہھک", "ايييههههك"),
    ord("æ"): "ae",
    ord("Æ"): "AE",
    ord("œ"): "oe",
    ord("Œ"): "OE",
}
_MARKS: Final = (
    *((0x0300, 0x036F), (0x0483, 0x0487), (0x0591, 0x05C7)),  # Latin and Greek; Cyrillic; Hebrew points
    *((0x0610, 0x061A), (0x064B, 0x065F), (0x0670, 0x0670), (0x06D6, 0x06ED)),  # Arabic vowels, hamza and madda
)
_INVISIBLE: Final = (
    *((0x00AD, 0x00AD), (0x061C, 0x061C), (0x200B, 0x200F)),
    *((0x202A, 0x202E), (0x2060, 0x2069), (0xFEFF, 0xFEFF)),
)
_DROPPED: Final = [code for first, last in (*_MARKS, *_INVISIBLE) for code in range(first, last + 1)]
_FOLD: Final = {**dict.fromkeys(_DROPPED), **_LETTERS}
_OTHER_DIGIT = re.compile(r"[^\D0-9]")

# Vowel signs of these scripts are no \w, and cutting words at them would leave single consonants.
_SIGNS: Final = "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u0eb1-\u0ecd\u1000-\u109f\u17b4-\u17d3\u3099\u309a"
_WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_SIGNS}])*")
_HYPHENATED = re.compile(r"[^\W_]+(?:[-\u2010][^\W_]+)+")
_HYPHEN = re.compile("[-\u2010]")
_DIGIT = re.compile(r"\d")
# Thai, Lao, Burmese, Khmer, kana and Han put no spaces between words.
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_DIVISIBLE = re.compile(rf"[\d{_UNSPACED}]")
_RUN = re.compile(rf"\d+|[{_UNSPACED}]+|[^\d{_UNSPACED}]+")
_ARABIC = re.compile("[\u0621-\u064a]+")
_ARABIC_PREFIX = re.compile("^(?:[وفبك]?ال|و?لل)(?=...)")
_ARABIC_ENDING = re.compile("(?<=..)ه$")
_ARABIC_WEAK = str.maketrans("", "", "اويء")


def normalise(text: str) -> str:
    """Text with everything folded that people write in more than one way.

    Compatibility forms, case, the Turkish dotted and dotless i (all four are one letter), diacritics, Arabic
    vowel marks, alef, ya, ta marbuta and hamza carriers, tatweel, invisible and direction marks; every decimal
    digit becomes 0-9. Idempotent.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", text).translate(_FOLD).casefold()
    digits = _OTHER_DIGIT.sub(lambda found: str(unicodedata.decimal(found[0])), folded)
    return unicodedata.normalize("NFKC", digits)


def words(text: str) -> list[str]:
    """Words of a text in order, normalised; numbers and model codes whole.

    What a hyphen joins comes in parts and as one ("wh-1000xm5": wh, 1000xm5, wh1000xm5), letters with digits as
    one and in parts ("256gb": 256gb, 256, gb), and scripts without spaces as overlapping pairs of characters.
    """
    folded = normalise(text)
    found = [part for word in _WORD.findall(folded) for part in _parts(word)]
    joined = (_HYPHEN.sub("", run) for run in _HYPHENATED.findall(folded))
    return found + [word[:MAX_WORD_LETTERS] for word in joined if not word.isdecimal()]


def _parts(word: str) -> list[str]:
    if not _DIVISIBLE.search(word) or word.isdecimal():
        return [word[:MAX_WORD_LETTERS]]
    runs = [part for run in _RUN.findall(word) for part in _pieces(run)]
    return runs if _is_unspaced(word) else [word[:MAX_WORD_LETTERS], *runs]


def _pieces(run: str) -> list[str]:
    if _is_unspaced(run):
        return [run[i : i + 2] for i in range(max(len(run) - 1, 1))]
    return [run[:MAX_WORD_LETTERS]]


def _is_unspaced(text: str) -> bool:
    return any(not letter.isdecimal() for letter in _DIVISIBLE.findall(text))


def _is_code(word: str) -> bool:
    return _DIGIT.search(word) is not None


def stem(word: str) -> str | None:
    """The part of a normalised word that inflection leaves alone, marked with ``STEM``; None where it has none.

    Arabic script: consonants without article, attached particles and weak letters (كتاب, الكتب: كتب). Others:
    the first ``STEM_LETTERS`` letters, which serve Turkish about as well as a stemmer does (Can et al. 2008).
    """
    if _is_code(word):
        return None
    if _ARABIC.fullmatch(word):
        consonants = _ARABIC_ENDING.sub("", _ARABIC_PREFIX.sub("", word)).translate(_ARABIC_WEAK)
        return STEM + consonants if len(consonants) > 1 else None
    return STEM + word[:STEM_LETTERS] if len(word) >= STEM_LETTERS else None


def grams(word: str) -> list[str]:
    """Distinct character n-grams of a normalised word between its boundaries, marked with ``GRAM``; none for codes."""
    if _is_code(word):
        return []
    bounded = f"<{word}>"
    return list(dict.fromkeys(GRAM + bounded[i : i + n] for n in GRAM_SIZES for i in range(len(bounded) - n + 1)))


def tokens(word: str) -> dict[str, float]:
    """Tokens of one normalised word and how much each counts; the word itself counts 1."""
    weights = dict.fromkeys(grams(word), GRAM_WEIGHT)
    if (root := stem(word)) is not None:
        weights[root] = STEM_WEIGHT
    return {word: 1.0, **weights}


def damped(count: float) -> float:
    """Sublinear term frequency: a word said ten times counts 3.3 times, not ten."""
    return 1.0 + math.log(count)


def weigh(found: Iterable[str]) -> Mapping[str, float]:
    """Tokens of all words of a short text, with their weights added up."""
    total: dict[str, float] = {}
    for word, count in Counter(found).items():
        for token, weight in tokens(word).items():
            total[token] = total.get(token, 0.0) + damped(count) * weight
    return total
