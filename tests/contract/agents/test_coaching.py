"""The coach over a real channel: the task of docs/agents.md, without and with a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from meldrag.agents.v1 import results_pb2
from tests.contract.agents.conftest import DEFAULT, result_of
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, unavailable
from tests.contract.agents.test_journal import replayed
from tests.support.model_server import Answer, ModelServer

Open = Callable[..., Any]

HANDBOOK = (
    "# Joins\n\nA join combines the rows of two tables. Oracle sold the first join in 1979.\n\n"
    "# Indexes\n\nAn index costs space and saves time.\n"
)
PLAN = "Make me a plan to learn joins and indexes in six weeks."
START = "2026-03-02T08:00:00Z"
LETTER = "I have ten years of trains. I have a licence. I have time. Perhaps the decision was taken early."


@pytest.fixture(autouse=True)
def handbook(vector: VectorNeighbour, session: SessionNeighbour) -> None:
    vector.put(DEFAULT, "Handbook", HANDBOOK)
    session.open("ses_1")


async def coached(house: Any, message: str, session_id: str = "ses_1", **inputs: Any) -> Any:
    """The run's result."""
    return result_of(await house.run(message, agent_id="coaching", session_id=session_id, inputs=inputs))


async def test_a_plan_has_dates_from_its_start_and_topics_of_the_documents(open_house: Open) -> None:
    result = await coached(await open_house(), PLAN, start_time=START)
    found = result.result.coaching
    days = [m.due_time.ToJsonString()[:10] for m in found.milestones if m.topic == "Joins"]
    assert days == ["2026-03-02", "2026-03-03", "2026-03-09", "2026-03-24"]
    cited = {citation.number: citation.quote for citation in result.citations}
    assert [cited[number] for number in found.milestones[0].citations] == [
        "A join combines the rows of two tables."
    ]
    assert "Learn: Indexes" in result.text


async def test_answers_move_the_next_review_and_the_session_remembers(
    open_house: Open, session: SessionNeighbour
) -> None:
    session.sessions["ses_1"].metadata["theirs"] = "stays"
    house = await open_house()
    asked = (await coached(house, "Quiz me on joins.", questions=2)).result.coaching
    assert asked.progress.kept
    (question,) = [q for q in asked.questions if q.answer == "1979"]
    assert question.prompt == "Oracle sold the first join in ____."
    given = {"question_id": question.question_id, "answer": "1979"}
    result = await coached(house, "Here is my answer.", answers=[given])
    (review,) = result.result.coaching.reviews
    assert (review.grade, review.expected) == (5, "1979")
    kept = session.sessions["ses_1"].metadata
    assert kept["theirs"] == "stays"
    cards = json.loads(kept["meld_learning"])["value"]["cards"]
    assert {card["grade"] for card in cards} == {5, None}
    # What the run learnt from the session and the clock is in its journal.
    _, outcome = await replayed(house, result.run_id)
    assert outcome.identical, outcome.difference


async def test_a_session_that_cannot_be_written_costs_the_memory_alone(
    open_house: Open, session: SessionNeighbour
) -> None:
    house = await open_house()
    session.faults.methods, session.faults.error = {"UpdateSession"}, unavailable()
    found = (await coached(house, "Quiz me on joins.", questions=2)).result.coaching
    assert len(found.questions) == 2
    assert not found.progress.kept
    assert "does not answer" in found.progress.unkept_reason


async def test_a_text_is_judged_without_a_model(open_house: Open) -> None:
    result = await coached(await open_house(), "What should I improve in this cover letter?", "", text=LETTER)
    found = result.result.coaching
    assert {(remark.kind, remark.quote) for remark in found.remarks} >= {
        ("hedge", "Perhaps"),
        ("passive", "was taken"),
    }
    metrics = {metric.name: metric.value for metric in found.text.metrics}
    # 19 words, 25 syllables, 4 sentences, by hand.
    assert metrics["words"] == 19
    assert metrics["Flesch reading ease"] == pytest.approx(206.835 - 1.015 * 19 / 4 - 84.6 * 25 / 19, abs=0.1)


async def test_a_models_remarks_stand_on_words_of_the_text_or_are_dropped(open_house: Open) -> None:
    advice = {
        "goals": ["Sound sure of yourself"],
        "remarks": [
            {"quote": "Perhaps the decision", "statement": "Say it or leave it."},
            {"quote": "I was the best", "statement": "Prove it."},
        ],
        "reflections": ["Who decided?"],
    }
    with ModelServer(Answer("Be brave."), Answer(json.dumps(advice))) as server:
        house = await open_house(server.base_url)
        result = await coached(house, "What should I improve in this letter?", "", text=LETTER)
    found = result.result.coaching
    (opinion,) = [remark for remark in found.remarks if remark.kind == "opinion"]
    assert isinstance(opinion, results_pb2.TextRemark)
    assert LETTER.encode()[opinion.byte_start : opinion.byte_end].decode() == "Perhaps the decision"
    assert found.dropped_remark_count == 1
    assert (list(found.goals), list(found.reflections)) == (["Sound sure of yourself"], ["Who decided?"])
