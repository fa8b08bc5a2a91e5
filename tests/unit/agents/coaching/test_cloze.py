"""Questions made of sentences, and how answers are judged."""

from __future__ import annotations

import json

import pytest

from services.agents.coaching.cloze import GAP, Question, grade, questions
from services.agents.model import Passage

TEXT = (
    "# Light\n\nThe lighthouse of Brava was built in 1884. It burns oil. The man came from Port Ellen.\n"
    "Its lamp is large and it turns all day. What is that for? Whale oil smells of rancid butter.\n- An item"
)


def made(text: str = TEXT, start: int = 7) -> list[Question]:
    passage = Passage("d", "Light", "c", "k", text, start, start + len(text.encode()), "x")
    return list(questions([passage]))


def test_numbers_names_and_rare_words_are_asked_for_where_the_sentence_stands_by_itself() -> None:
    found = made()
    assert [(question.prompt, question.answer) for question in found] == [
        (f"The lighthouse of Brava was built in {GAP}.", "1884"),
        (f"The man came from {GAP}.", "Port Ellen"),
        (f"Whale oil smells of rancid {GAP}.", "butter"),
    ]


def test_a_question_cites_its_whole_sentence_in_its_place() -> None:
    (first, *_) = made()
    quote = first.quote()
    assert quote.text == "The lighthouse of Brava was built in 1884."
    assert TEXT.encode()[quote.byte_start - 7 : quote.byte_end - 7].decode() == quote.text
    assert Question.from_json(json.loads(json.dumps(first.to_json()))) == first
    assert first.question_id == made()[0].question_id
    assert first.question_id != made(start=8)[0].question_id


def test_passages_take_turns() -> None:
    texts = ["Ann was born in 1901. Bob was born in 1902.", "Cyd was born in 1903. Ann was born in 1901."]
    passages = [
        Passage(str(n), "T", "c", "k", text, 0, len(text.encode()), "x") for n, text in enumerate(texts)
    ]
    assert [question.answer for question in questions(passages)] == ["1901", "1903", "1902"]


@pytest.mark.parametrize(
    ("expected", "answer", "points"),
    [
        ("1884", "1884", 5),
        ("1884", "in 1884!", 3),
        ("1884", "1885", 1),
        ("1884", "18840", 1),
        ("Port Ellen", "port ellen", 5),
        ("the keeper", "keepers", 5),
        ("Port Ellen", "Prot Ellen", 4),
        ("Port Ellen", "I think Port Ellen", 3),
        ("Port Ellen", "Ghent", 1),
        ("Port Ellen", "port ellen " + "or " * 30 + "somewhere", 1),
        ("Port Ellen", " ", 0),
    ],
)
def test_answers_are_graded(expected: str, answer: str, points: int) -> None:
    assert grade(expected, answer) == points
