"""Folding, words and tokens of texts in many scripts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.text import MAX_WORD_LETTERS, grams, normalise, stem, tokens, weigh, words

ARABIC_WORDS = st.text("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", min_size=1, max_size=8)
VOWEL_MARKS = st.sampled_from([*"\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0670", "\u0640"])
TURKISH_WORDS = st.text("abcçdefgğhıijklmnoöprsştuüvyz", min_size=1, max_size=10)


@pytest.mark.parametrize(
    "variants",
    [
        ("istanbul", "ıstanbul", "İSTANBUL", "ISTANBUL", "İstanbul", "Istanbul", "i̇stanbul"),
        ("çağrı", "ÇAĞRI", "cagri", "CAĞRİ", "c\u0327ag\u0306rı"),
        ("أحمد", "إحمد", "آحمد", "ٱحمد", "احمد"),
        ("مكتبة", "مكتبه", "مَكْتَبَةٌ", "مـــكـتـبـة", "مكتبّة"),
        ("مستشفى", "مستشفي", "مستشفی"),
        ("مسؤول", "مسوول"),
        ("شاطئ", "شاطي"),
        ("هٰذا", "هذا"),
        ("ﻻﻋﺐ", "لاعب"),
        ("کتاب", "كتاب"),
        ("15", "١٥", "۱۵", "१५", "１５", "𝟏𝟓"),
        ("straße", "STRASSE", "ﬆraße"),
        ("cafe", "café", "CAFÉ", "cafe\u0301", "ｃａｆé"),
        ("ёлка", "елка", "ЁЛКА"),
        ("soğuk", "so\u00adğuk", "so\u200bğuk", "\u2067soğuk\u2069", "\ufeffsoğuk"),
        ("smørrebrød", "SMORREBROD"),
        ("œuvre", "OEUVRE"),
    ],
)
def test_spellings_of_one_word_fold_to_one_form(variants):
    assert len({normalise(variant) for variant in variants}) == 1


def test_letters_that_differ_stay_different():
    for one, other in [("كلب", "قلب"), ("سيف", "صيف"), ("bal", "dal"), ("дом", "том")]:
        assert normalise(one) != normalise(other)


@given(st.text())
def test_folding_twice_changes_nothing(text):
    assert normalise(normalise(text)) == normalise(text)


@given(ARABIC_WORDS, st.data())
def test_vowel_marks_and_tatweel_never_matter(word, data):
    marked = "".join(letter + "".join(data.draw(st.lists(VOWEL_MARKS, max_size=2))) for letter in word)
    assert words(marked) == words(word)


@given(TURKISH_WORDS)
def test_turkish_words_match_in_any_case_by_turkish_and_english_rules(word):
    turkish_capitals = word.replace("i", "İ").replace("ı", "I").upper()
    assert words(turkish_capitals) == words(word) == words(word.upper())


@given(TURKISH_WORDS)
def test_turkish_words_match_when_typed_on_an_english_keyboard(word):
    assert words(word.translate(str.maketrans("çğıöşü", "cgiosu"))) == words(word)


@given(st.text(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_unicode_forms_of_one_text_have_the_same_words(text, form):
    assert words(unicodedata.normalize(form, text)) == words(text)


@given(st.text())
def test_any_text_gives_words_that_can_be_encoded_and_are_not_too_long(text):
    for word in words(text):
        assert 0 < len(word.encode()) <= 4 * MAX_WORD_LETTERS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  …!? ", []),
        ("\ud800", []),
        ("Coffee  grinder", ["coffee", "grinder"]),
        ("iPhone 15", ["iphone", "15"]),
        ("İstanbul'da", ["istanbul", "da"]),
        ("snake_case", ["snake", "case"]),
        ("256GB", ["256gb", "256", "gb"]),
        ("t-shirt", ["t", "shirt", "tshirt"]),
        ("WH-1000XM5", ["wh", "1000xm5", "1000", "xm", "5", "wh1000xm5"]),
        ("2024-05-01", ["2024", "05", "01"]),
        ("新款手机iPhone15", ["新款", "款手", "手机", "iphone", "15"]),
        ("हिन्दी कॉफी", ["हिन्दी", "कॉफी"]),
        ("커피 머신", ["커피", "머신"]),
        ("茶", ["茶"]),
    ],
)
def test_texts_are_cut_into_words_numbers_and_codes(text, expected):
    assert words(text) == expected


def test_numbers_and_codes_are_matched_whole():
    assert tokens("15") == {"15": 1.0}
    assert tokens("1000xm5") == {"1000xm5": 1.0}
    assert not set(tokens("15")) & set(tokens("150"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("makinesi makineleri makinem", {"~makin"}),
        ("كتاب الكتب وكتاب للكتاب", {"~كتب"}),
        ("مطحنة المطاحن", {"~مطحن"}),
        ("15 a", {None}),
    ],
)
def test_inflected_forms_share_a_stem(text, expected):
    assert {stem(word) for word in words(text)} == expected


def test_n_grams_keep_to_the_word_and_know_its_ends():
    assert grams("cup") == ["#<cu", "#cup", "#up>", "#<cup", "#cup>"]
    assert grams("a") == ["#<a>"]


def test_words_stems_and_n_grams_never_meet():
    found = weigh(words("kahvemi öğüten kahve değirmeni 15"))
    assert all((token[0] in "~#") == (token.lstrip("~#") != token) for token in found)
    assert {"kahve", "~kahve", "#kahv", "15"} <= set(found)


def test_a_repeated_word_counts_more_but_not_as_often():
    once, thrice = weigh(["tea"])["tea"], weigh(["tea"] * 3)["tea"]
    assert once < thrice < 3 * once
