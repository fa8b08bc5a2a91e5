"""The coach: texts, plans, questions and what is remembered."""

from __future__ import annotations

import time

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from meldrag.agents.v1 import results_pb2
from services.chassis.errors import InvalidArgumentError, UnavailableError
from tests.unit.agents.roster.reading import Answers, Desk, Sessions, passage
from tests.unit.agents.roster.test_results import Sources

HANDBOOK = passage(
    "# Joins\n\nA join combines the rows of two tables. Oracle sold the first join in 1979.\n\n"
    "# Indexes\n\nAn index costs space and saves time. The most common index is the tree of Rudolf Bayer.\n"
)
LETTER = "I have ten years of trains. I have a licence. I have time. Përhaps the decision was taken early."
DAY = 86_400


def answer(question_id: str, text: str, **more: int) -> results_pb2.LearnerAnswer:
    return results_pb2.LearnerAnswer(question_id=question_id, answer=text, **more)  # type: ignore[arg-type] # by name


async def test_a_text_is_measured_and_each_remark_stands_on_its_bytes() -> None:
    desk = Desk("coaching")
    result = await desk.work("What should I improve in this cover letter?", text=LETTER)
    assert {metric.name: metric.value for metric in result.text.metrics}["sentences"] == 4
    assert {remark.kind for remark in result.remarks} == {"opening", "passive"}
    for remark in result.remarks:
        assert LETTER.encode()[remark.byte_start : remark.byte_end].decode() == remark.quote
    assert [tool for tool, _ in desk.tools.used] == ["assess"]
    assert not result.milestones
    assert not result.questions
    told = desk.told(result)
    assert "Flesch reading ease" in told
    assert "“was taken”" in told


async def test_a_text_in_quotes_is_judged_where_it_stands_in_the_message() -> None:
    message = f"Wäs soll I improve in “{LETTER}”?"
    result = await Desk("coaching").work(message)
    start = result.text.message_byte_start
    assert message.encode()[start:].decode().startswith(LETTER)
    (passive,) = [remark for remark in result.remarks if remark.kind == "passive"]
    placed = message.encode()[start + passive.byte_start : start + passive.byte_end]
    assert placed.decode() == passive.quote == "was taken"


async def test_a_plan_has_the_documents_topics_at_growing_distances_from_the_start() -> None:
    desk = Desk("coaching", [HANDBOOK])
    start = Timestamp(seconds=1_700_000_000)
    result = await desk.work("Make me a plan to learn SQL in six weeks.", start_time=start)
    first = [(m.topic, (m.due_time.seconds - start.seconds) // DAY) for m in result.milestones]
    assert [day for topic, day in first if topic == "Joins"] == [0, 1, 7, 22]
    assert {topic for topic, _ in first} == {"Joins", "Indexes"}
    assert max(day for _, day in first) <= 42
    assert all(milestone.citations for milestone in result.milestones)
    assert "SM-2" in result.plan_reason
    assert result.questions
    assert "2023-11-14 Learn: Joins" in desk.told(result)


async def test_a_plan_without_a_start_begins_now() -> None:
    before = int(time.time())
    result = await Desk("coaching", [HANDBOOK]).work("Make me a plan to learn SQL.")
    assert before <= result.milestones[0].due_time.seconds <= time.time()


@pytest.mark.parametrize("question", ["Make me a plan to learn SQL.", "Quiz me on joins."])
async def test_without_documents_there_is_nothing_to_learn(question: str) -> None:
    result = await Desk("coaching").work(question)
    assert not result.milestones
    assert not result.questions
    assert "plan" not in question or "no passage" in result.plan_reason
    assert any("no more sentences" in text for text in result.left_out)


async def test_questions_are_asked_answered_and_asked_again_later() -> None:
    sessions = Sessions()
    first = await Desk("coaching", [HANDBOOK], sessions=sessions).work("Quiz me on SQL.", questions=3)
    assert len(first.questions) == 3
    assert all("____" in question.prompt and question.citations for question in first.questions)
    assert first.progress.kept
    by_answer = {question.answer: question.question_id for question in first.questions}
    name = by_answer["1979"]
    other = next(identifier for identifier in by_answer.values() if identifier != name)
    second = await Desk("coaching", [HANDBOOK], sessions=sessions).work(
        "Here are my answers.", "run_2", answers=[answer(name, "1979"), answer(other, "no idea")]
    )
    right, wrong = second.reviews
    assert (right.grade, right.expected, wrong.grade) == (5, "1979", 1)
    assert right.citations
    assert (second.progress.asked, second.progress.passed) == (3, 1)
    # Tomorrow both are due again; what was right is then asked after six days.
    assert (right.next_time.seconds - int(time.time())) / DAY == pytest.approx(1, abs=0.01)
    cards = {card["byte_start"]: card for card in sessions.kept("meld_learning")["cards"]}
    assert sorted(card["grade"] for card in cards.values() if card["grade"] is not None) == [1, 5]


async def test_the_same_run_again_counts_an_answer_once() -> None:
    sessions = Sessions()
    first = await Desk("coaching", [HANDBOOK], sessions=sessions).work("Quiz me.", questions=1)
    (question,) = first.questions
    given = [answer(question.question_id, question.answer)]
    for _ in range(2):
        result = await Desk("coaching", sessions=sessions).work("My answer", "run_2", answers=given)
        assert result.reviews[0].grade == 5
    (card,) = sessions.kept("meld_learning")["cards"]
    assert (card["repetitions"], card["interval"]) == (1, 1)


async def test_a_question_whose_sentence_does_not_stand_any_more_is_not_asked() -> None:
    sources = Sources(refuse="1979")
    result = await Desk("coaching", [HANDBOOK], sources=sources, sessions=Sessions()).work("Quiz me on joins")
    assert "1979" not in str(result.questions)
    assert any("do not stand any more" in text for text in result.left_out)


async def test_what_cannot_be_kept_is_said() -> None:
    without = await Desk("coaching", [HANDBOOK]).work("Quiz me on joins")
    assert (without.progress.kept, "no session" in without.progress.unkept_reason) == (False, True)
    sessions = Sessions()
    sessions.error = UnavailableError("the session service does not answer", reason="SESSION_UNAVAILABLE")
    desk = Desk("coaching", [HANDBOOK], sessions=sessions)
    silent = await desk.work("Quiz me on joins")
    assert silent.questions
    assert not silent.progress.kept
    assert "does not answer" in desk.told(silent)
    changed = Sessions()
    changed.notes["meld_learning"] = "what is this"
    result = await Desk("coaching", [HANDBOOK], sessions=changed).work("Quiz me on joins")
    assert "somebody else changed it" in result.progress.unkept_reason
    assert changed.notes["meld_learning"] == "what is this"


async def test_an_answer_to_a_question_that_was_never_asked_is_told() -> None:
    result = await Desk("coaching", sessions=Sessions()).work("My answer", answers=[answer("abc", "x")])
    assert not result.reviews
    assert any("abc" in text for text in result.left_out)


async def test_a_plain_question_is_neither_planned_nor_asked() -> None:
    desk = Desk("coaching", [HANDBOOK])
    result = await desk.work("How can I get better at joins of two tables?")
    assert not result.milestones
    assert not result.questions
    assert not result.HasField("progress")
    assert not desk.tools.used
    assert desk.told(result) == ""


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"text": "x" * 100_001}, "$.text"),
        ({"questions": 21}, "$.questions"),
        ({"answers": [answer("a", "x", grade=6)]}, "$.answers[0].grade"),
        ({"answers": [answer("a", "x"), answer("a", "y")]}, "$.answers"),
        ({"answers": [answer(str(n), "x") for n in range(51)]}, "$.answers"),
        ({"start_time": Timestamp(seconds=5), "due_time": Timestamp(seconds=5)}, "$.due_time"),
    ],
)
async def test_inputs_that_cannot_be_are_refused(inputs: dict[str, object], path: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await Desk("coaching").work("Help me", **inputs)
    assert (caught.value.reason, caught.value.metadata["path"]) == ("INPUTS_INVALID", path)


async def test_a_models_remarks_stand_on_words_that_are_there() -> None:
    advice = results_pb2.CoachingAdvice(
        goals=["Sound sure of yourself"],
        reflections=["Who decided?"],
        remarks=[
            results_pb2.ProposedRemark(quote="Përhaps the decision", statement="Say it or leave it."),
            results_pb2.ProposedRemark(quote="I was the best", statement="Prove it."),
            results_pb2.ProposedRemark(quote="", statement="Nice."),
        ],
    )
    desk = Desk("coaching", model=Answers(advice))
    result = await desk.work("What should I improve?", text=LETTER)
    assert list(result.goals) == ["Sound sure of yourself"]
    assert list(result.reflections) == ["Who decided?"]
    (opinion,) = [remark for remark in result.remarks if remark.kind == "opinion"]
    assert LETTER.encode()[opinion.byte_start : opinion.byte_end].decode() == "Përhaps the decision"
    assert result.dropped_remark_count == 2
    assert "A model thinks:" in desk.told(result)
    ((_, shown),) = desk.model.asked
    assert shown["text"] == LETTER
