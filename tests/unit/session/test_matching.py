"""What is found in a text, and what of it is shown."""

from __future__ import annotations

import unicodedata

import pytest

from services.session.matching import Wanted, fold


def shown(question: str, text: str) -> str:
    """An excerpt with what is marked in brackets."""
    return "".join(f"[{one.text}]" if one.matched else one.text for one in Wanted(question).excerpt(text))


@pytest.mark.parametrize(
    ("question", "text", "marked"),
    [
        ("harb deep", "How deep is the HARBOUR?", "How [deep] is the [HARB]OUR?"),
        ("elmsund", "Élmsund", "[Élmsund]"),
        ("ÉLMSUND", "Elmsund", "[Elmsund]"),
        ("elmsund", unicodedata.normalize("NFD", "Élmsünd x"), unicodedata.normalize("NFD", "[Élmsünd] x")),
        (
            "cafe",
            unicodedata.normalize("NFD", "un café noir"),
            unicodedata.normalize("NFD", "un [café] noir"),
        ),
        ("strasse", "Die Straße", "Die [Straße]"),
        ("stras", "Die Straße", "Die [Straß]e"),
        ("fish", "ﬁshing", "[ﬁsh]ing"),
        ("ｈａｒｂｏｕｒ", "harbour", "[harbour]"),
        ("οδυσσευς", "ΟΔΥΣΣΕΎΣ ὁ πολύτροπος", "[ΟΔΥΣΣΕΎΣ] ὁ πολύτροπος"),
        ("istanbul", "İstanbul", "[İstanbul]"),
        ("ежик", "Ёжик в тумане", "[Ёжик] в тумане"),
        ("איך", "אֵיךְ", "[אֵיךְ]"),
        ("كتاب", "كِتَابٌ", "[كِتَابٌ]"),
        ("cooperate", "co\u00adoperate", "[co\u00adoperate]"),
        ("conn 42", "see err_conn_42.", "see err_[conn]_[42]."),
        ("err_conn", "see err_conn_42.", "see [err]_[conn]_42."),
        ("what's", "What’s new", "[What]’[s] new"),
        ("港口", "这个港口很深", "这个[港口]很深"),
        ("python", "使用Python很好", "使用[Python]很好"),
        ("ปลา", "กินปลาดี", "กิน[ปลา]ดี"),
        ("하", "한국어", "[한]국어"),
        ("हिन्दी", "यह हिन्दी है", "यह [हिन्दी] है"),
        ('"deep harbour"', "the deep\n\n  Harbour.", "the [deep Harbour]."),
        ("“deep harbour”", "the deep harbour", "the [deep harbour]"),
        ('"deep harb', "the deep harbour", "the [deep harb]our"),
        ('"c++" slow', "Is C++ slow?", "Is [C++] [slow]?"),
        ('"🙂"', "fine 🙂", "fine [🙂]"),
        ("harbour harbours", "two harbours", "two [harbours]"),
    ],
)
def test_what_is_found_is_marked(question: str, text: str, marked: str) -> None:
    assert Wanted(question).found_in(text)
    assert shown(question, text) == marked


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("bour", "harbour"),
        ("deep quay", "a deep harbour"),
        ('"deep harb"', "a deep harbour"),
        ('"arbour"', "a deep harbour"),
        ('"harbour deep"', "a deep harbour"),
        ('"c++"', "C is fine"),
        ("か", "がぎ"),
        ("न्दी", "हिन्दी"),
        ("harbour", ""),
    ],
)
def test_what_does_not_stand_there_is_not_found(question: str, text: str) -> None:
    assert not Wanted(question).found_in(text)


@pytest.mark.parametrize("question", ["", "  ", "?!", '""', '" "', "-"])
def test_nothing_is_wanted_without_a_word(question: str) -> None:
    assert not Wanted(question)


def test_folding_two_texts_in_a_row_is_folding_each() -> None:
    several = ["ΣΑΣ", "Σ", "ß", "İ", "e\u0301", "한", "ｶﾞ", "ﷺ", "Ꭰ", "x", "\u0301"]
    for one in several:
        for other in several:
            assert fold(one + other) == fold(one) + fold(other)
    # With so many different letters that they are not replaced one by one.
    many = "".join(chr(code) for code in range(0xC0, 0x250))
    assert fold(many) == "".join(map(fold, many))


def test_a_long_text_is_shown_where_most_of_it_stands() -> None:
    text = f"{'A harbour. ' * 40}\nThe quay of the harbour\n is\tdeep. {'Nothing. ' * 40}"
    excerpt = shown("deep harbour quay", text)
    assert "[quay] of the [harbour] is [deep]" in excerpt
    assert excerpt.startswith("…")
    assert excerpt.endswith("…")
    assert len(excerpt) < 250
    # No word is cut where there are blanks.
    assert excerpt.strip("…").split()[0] in ("A", "[harbour].")
    assert excerpt.strip("…").split()[-1] == "Nothing."


@pytest.mark.parametrize("letter", ["ä", "港", "x"])
def test_places_are_those_of_the_text_however_much_it_changes(letter: str) -> None:
    text = f"{letter * 9000} Straßenöl {letter * 9000}"
    assert f"[Straßenöl] {letter}" in shown("strassenol", text)
    assert len(shown("strassenol", text)) < 250


def test_a_long_phrase_is_shown_whole() -> None:
    phrase = " ".join(f"word{number}" for number in range(50))
    assert f"[{phrase}]" in shown(f'"{phrase}"', f"{'before ' * 99}{phrase} {'after ' * 99}")


def test_a_text_that_is_made_to_be_slow_is_looked_at_in_the_time_of_a_test() -> None:
    """Some tenths of a second; quadratic work would take hours."""
    for question, text in (
        ("a", "ba" * 500_000),
        ('"a a a a b', "a " * 500_000),
        (" ".join(f"a{number}" for number in range(100)), "a0 " * 300_000),
        ('"a' + " a" * 200, "a " * 300_000),
    ):
        wanted = Wanted(question)
        wanted.found_in(text)
        assert sum(len(one.text) for one in wanted.excerpt(text)) < 1000
