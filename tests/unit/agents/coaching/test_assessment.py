"""What is measured of a text and what is remarked."""

from __future__ import annotations

import json
import time

import pytest

from services.agents.coaching.assessment import Assessment, assess, language_of, quoted

LETTER = """# Application

I have long admired your company. I have worked with trains for ten years. I have a licence.

Perhaps the decision was taken too early by the management, and the implementation of the organisation and the
evaluation of the development were given to somebody who had never seen a train from the inside in his life.

```python
# a comment, which was written by nobody and is certainly no prose that anybody wants to have judged at all
```

### Details

See above.

## Next
"""


def kinds(found: Assessment, text: str) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for remark in found.remarks:
        told.setdefault(remark.kind, []).append(text[remark.start : remark.end])
    return told


def test_a_text_is_measured_and_remarked_on_in_its_own_pieces() -> None:
    found = assess(LETTER)
    assert found.language == "en"
    assert found.headings == ("Application", "Details", "Next")
    told = kinds(found, LETTER)
    assert told["opening"] == [
        "I have long admired your company. I have worked with trains for ten years. I have a licence."
    ]
    assert told["passive"] == ["was taken", "were given"]
    assert told["hedge"] == ["Perhaps"]
    assert told["sentence_length"][0].startswith("Perhaps the decision")
    assert told["nominalisation"][0].endswith("development")
    assert told["heading"] == ["### Details", "## Next"]
    values = {metric.name: metric.value for metric in found.metrics}
    assert values["sentences"] == 5
    assert values["paragraphs"] == 3
    assert "Flesch reading ease" in values
    # SMOG has no grade for five sentences, and says so.
    assert "SMOG" not in values
    assert any("SMOG" in reason for reason in found.unmeasured)
    assert [remark.start for remark in found.remarks] == sorted(remark.start for remark in found.remarks)


def test_smog_is_given_from_thirty_sentences_on() -> None:
    found = assess("The cat sat on the mat. " * 30)
    assert {metric.name: metric.value for metric in found.metrics}["SMOG"] == pytest.approx(3.1)
    assert not found.unmeasured


def test_another_language_is_measured_in_part_and_says_what_is_not() -> None:
    german = "Die Katze saß auf der Matte und schlief. Der Hund wurde von niemandem gesehen, vielleicht."
    found = assess(german)
    assert found.language == ""
    names = {metric.name for metric in found.metrics}
    assert "LIX" in names
    assert "Flesch reading ease" not in names
    assert "made for English" in found.unmeasured[0]
    assert not found.remarks
    assert assess(german, "de-AT").language == "de"


def test_a_script_without_blanks_is_not_counted_in_words() -> None:
    found = assess("日本語の文章です。これは長い文です。猫がいます。")
    assert [(metric.name, metric.value) for metric in found.metrics] == [("sentences", 3), ("paragraphs", 1)]
    assert "blanks" in found.unmeasured[0]


def test_nothing_is_made_of_nothing() -> None:
    assert assess(" \n ").metrics == ()
    assert assess("```\ncode\n```").unmeasured == ("There is no sentence in it.",)


def test_too_many_remarks_are_counted_by_kind() -> None:
    found = assess("It was taken. " * 40)
    assert len([remark for remark in found.remarks if remark.kind == "passive"]) == 12
    assert found.left_out == {"passive": 28}


def test_it_comes_back_from_json_as_it_was() -> None:
    found = assess(LETTER)
    assert Assessment.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The keeper of the light has lived there for as long as anybody can remember.", "en"),
        ("Le chat est sur la table et il ne veut pas descendre.", ""),
        ("De kat zat op de mat en was in de zon zo moe dat hij aan niets dacht.", ""),
        ("", ""),
    ],
)
def test_english_is_told_by_its_function_words(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    "message",
    [
        "Judge this: “I went to the market and bought a very large fish.” Thanks, “Ann”.",
        'Judge this: "I went to the market and bought a very large fish."',
        "Judge this: «I went to the market and bought a very large fish.»",
    ],
)
def test_the_quoted_text_of_a_message_is_found_with_its_place(message: str) -> None:
    found = quoted(message)
    assert found is not None
    assert found.text == "I went to the market and bought a very large fish."
    assert message[found.start :].startswith(found.text)


def test_a_few_quoted_words_are_no_text() -> None:
    assert quoted("What does “give and take” mean?") is None


@pytest.mark.parametrize("piece", ["# a\n", "a\n---\n", "Mr. A ", ".", "```\n", "is very ", "a-"])
def test_a_text_that_is_made_to_take_long_does_not(piece: str) -> None:
    began = time.monotonic()
    assess((piece * 100_000)[:100_000])
    # Two seconds on a busy machine; minutes with a step that looks at all of the text for each of its pieces.
    assert time.monotonic() - began < 30
