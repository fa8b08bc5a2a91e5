"""What "auto" chooses where there are documents to ask; by words alone, see bench/routing.py for the rest."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.agents.answering import terms
from services.agents.ports import Vectors
from services.agents.roster.registry import Registry
from services.agents.routing import documents, triage
from services.agents.routing.route import Alternative, Route
from services.chassis.errors import UnavailableError

ASKED = json.loads((Path(__file__).parent / "documents.json").read_text("utf-8"))
REGISTRY = Registry()


async def no_vectors(texts: Sequence[str]) -> Vectors:
    raise UnavailableError("down", reason="RETRIEVAL_UNAVAILABLE")


@functools.cache
def routes() -> triage.Triage:
    """By words alone."""
    return triage.Triage(triage.packaged(), no_vectors, triage.packaged_with_questions())


async def chosen(request: str) -> str:
    route = await routes().route(request)
    material = REGISTRY.get(route.agent_id).definition.material
    return documents.settled(route, request, material).agent_id


async def test_questions_to_documents_go_to_research() -> None:
    right = [await chosen(question) == "research" for question in ASKED["research"]]
    plainly = [(await routes().route(question)).agent_id == "research" for question in ASKED["research"]]
    assert sum(right) >= 0.9 * len(right)
    assert sum(plainly) < 0.5 * len(right)


async def test_what_others_do_stays_theirs() -> None:
    right = [await chosen(request) == agent_id for agent_id, request in ASKED["others"]]
    assert sum(right) >= 0.9 * len(right)


@pytest.mark.parametrize(
    "question",
    [
        "Is there anything about security?",
        "Combien de jours de congé ?",
        "How long are application logs kept?",
        "tank empty",
        "Tell me everything about errors",
        "thanks",
        "And invoices?",
    ],
)
async def test_no_agent_without_its_material_answers_a_question_to_documents(question: str) -> None:
    assert await chosen(question) == "research"


def test_what_an_agent_works_on_keeps_the_request_its_own() -> None:
    route = Route("code_debugger", 0.7, ("because",), (Alternative("research", 0.2),), asks=0.9)
    material = REGISTRY.get("code_debugger").definition.material
    assert documents.settled(route, "Why does main.py end with an error?", material) == route
    moved = documents.settled(route, "Why is the tank empty?", material)
    assert (moved.agent_id, moved.confidence) == ("research", 0.9)
    assert moved.alternatives == (Alternative("code_debugger", 0.7),)


def test_the_measured_questions_are_no_examples() -> None:
    examples = [set(terms.words(text)) for text in triage.load_questions()]
    for request in [*ASKED["research"], *(request for _, request in ASKED["others"])]:
        words = set(terms.words(request))
        assert max(len(words & known) / len(words | known) for known in examples) < 0.7, request
