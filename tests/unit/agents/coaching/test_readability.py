"""Formulas of readability against published values."""

from __future__ import annotations

import re

import pytest

from services.agents.coaching.readability import Counts, syllables, words

# Counted by hand, after Merriam-Webster's division of words.
SYLLABLES = """
the:1, australian:3, platypus:3, seemingly:3, hybrid:2, mammal:2, reptilian:3, creature:2,
sentence:2, taken:2, passage:2, unto:2, being:2, used:1, makes:1, boxes:2, places:2, wanted:2,
media:3, social:2, material:4, period:3, religious:3, science:2, society:4, people:2, actual:3,
quality:3, language:2, influence:3, create:2, area:3, idea:3, poem:2, beyond:2, player:2,
employee:3, criticism:4, didn't:2, can't:1, something:2, therefore:2, careful:2, statement:2,
movement:2, management:3, element:3, settlement:3, rely:2, completely:3, little:2, tables:2,
queue:1, organization:5, million:2, readability:5, continent:3, conceived:2, liberty:3, dedicated:4,
proposition:4, created:3, civil:2, struggled:2, called:1, government:3, university:5, experience:4,
business:2, every:2, different:3, trees:1, agreed:2, going:2, museum:3, houses:2, various:3,
people's:2, co-operate:4, well-known:2, 1871:1
"""


@pytest.mark.parametrize(("word", "count"), re.findall(r"(\S+):(\d+)", SYLLABLES))
def test_syllables(word: str, count: str) -> None:
    assert syllables(word) == int(count)
    assert syllables(word.upper()) == int(count)


# The examples of Wikipedia's article on the Flesch-Kincaid readability tests: 37.5 with 24 syllables in 13
# words, 69, and 116 (the easiest sentence of six words).
@pytest.mark.parametrize(
    ("sentence", "ease"),
    [
        ("The Australian platypus is seemingly a hybrid of a mammal and reptilian creature.", 37.5),
        ("This sentence, taken as a reading passage unto itself, is being used to prove a point.", 69),
        ("The cat sat on the mat.", 116),
    ],
)
def test_flesch_reading_ease_of_the_published_examples(sentence: str, ease: float) -> None:
    assert Counts.of([sentence]).reading_ease() == pytest.approx(ease, abs=0.2)


def test_each_formula_by_hand() -> None:
    counts = Counts(sentences=30, words=600, long_words=150, syllables=960, polysyllables=49)
    assert counts.reading_ease() == pytest.approx(206.835 - 1.015 * 20 - 84.6 * 1.6)
    assert counts.kincaid_grade() == pytest.approx(0.39 * 20 + 11.8 * 1.6 - 15.59)
    # McLaughlin: the root of the polysyllables in thirty sentences, here 7, times 1.0430 and 3.1291.
    assert counts.smog() == pytest.approx(1.0430 * 7 + 3.1291)
    # Björnsson: 20 words in a sentence, and 25 of 100 words are long.
    assert counts.lix() == pytest.approx(45)


def test_words_are_counted_as_people_do() -> None:
    assert words("The well-known 19th man's 3.5 — no?") == [
        "The",
        "well-known",
        "19th",
        "man's",
        "3",
        "5",
        "no",
    ]
    counts = Counts.of(["Longest words matter.", "—", "So do short ones."])
    # Seven letters make a word long: "Longest".
    assert (counts.sentences, counts.words, counts.long_words) == (2, 7, 1)
