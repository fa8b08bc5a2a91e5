"""What a learner was asked and when to ask again."""

from __future__ import annotations

import json

from services.agents.coaching.cloze import Question
from services.agents.coaching.progress import MAX_BYTES, Answer, Progress

DAY = 86_400
NOW = 1_000_000


def question(number: int, length: int = 0) -> Question:
    sentence = f"The answer is {number} here{' and' * length}."
    return Question("doc", "Title", "col", "f" * 64, number, sentence, (14, 14 + len(str(number))))


QUESTIONS = [question(number) for number in range(10, 20)]


def test_fresh_questions_fill_up_what_is_wanted_and_answers_move_them() -> None:
    first = Progress().after([], QUESTIONS, 2, NOW)
    ids = list(first.cards)
    assert [card.question.answer for card in first.due(NOW)] == ["10", "11"]
    second = first.after([Answer(ids[0], "10"), Answer(ids[1], "no")], QUESTIONS, 2, NOW)
    right, wrong = (second.cards[name] for name in ids)
    assert (right.grade, right.passed, right.due) == (5, True, NOW + DAY)
    assert (wrong.grade, wrong.passed, wrong.due) == (1, False, NOW + DAY)
    # Two others take their place.
    assert [card.question.answer for card in second.due(NOW)] == ["12", "13"]
    later = second.after([Answer(ids[0], "10")], [], 0, NOW + DAY)
    assert later.cards[ids[0]].due == NOW + DAY + 6 * DAY
    # What was there before is as it was.
    assert first.cards[ids[0]].grade is None


def test_those_that_are_due_come_before_fresh_ones() -> None:
    one = Progress().after([], QUESTIONS[:1], 1, NOW)
    name = next(iter(one.cards))
    answered = one.after([Answer(name, "10")], [], 0, NOW)
    again = answered.after([], QUESTIONS, 2, NOW + 2 * DAY)
    assert [card.question.answer for card in again.due(NOW + 2 * DAY)] == ["10", "11"]


def test_the_learners_own_grade_counts_and_an_unknown_question_changes_nothing() -> None:
    one = Progress().after([], QUESTIONS[:1], 1, NOW)
    name = next(iter(one.cards))
    judged = one.after([Answer(name, "ten", 3), Answer("unknown", "x")], [], 0, NOW)
    assert judged.cards[name].grade == 3
    assert list(judged.cards) == [name]


def test_it_comes_back_from_json_and_never_outgrows_a_session() -> None:
    full = Progress().after([], [question(number, 40) for number in range(100, 200)], 100, NOW)
    assert 10 < len(full.cards) < 100
    assert len(json.dumps(json.dumps(full.to_json()))) <= MAX_BYTES
    back = Progress.from_json(json.loads(json.dumps(full.to_json())))
    assert back.cards == full.cards
    assert Progress.from_json({}).cards == {}
