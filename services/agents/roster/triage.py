"""Says which agent a request belongs to."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.roster.registry import Registry
from services.agents.routing.adjudication import UNSURE, adjudicate
from services.agents.routing.parts import joined, pieces, priority


async def compose(work: Work[results_pb2.QuestionInputs]) -> results_pb2.TriageResult:
    """The agent for the whole request and for each of its parts. The documents have no say in it."""
    question = work.question
    whole = await work.route(question)
    cut = pieces(question)
    routed = [(cut[0], whole)] if len(cut) == 1 else [(one, await work.route(one.text)) for one in cut]
    parts = joined(question, routed, whole)
    compound = len(parts) > 1
    texts, routes = [question], [whole]
    if compound:
        texts += [part.text for part, _ in parts]
        routes += [route for _, route in parts]
    whole, *rest = await adjudicate(work.ask, texts, routes, _purposes())
    return results_pb2.TriageResult(
        agent_id=whole.agent_id,
        confidence=whole.confidence,
        priority=priority(question),
        complexity="compound" if compound else "simple",
        alternatives=[alternative.agent_id for alternative in whole.alternatives],
        reasons=whole.reasons,
        parts=[
            results_pb2.TriagePart(text=part.text, agent_id=route.agent_id, confidence=route.confidence)
            for (part, _), route in zip(parts, rest or [whole], strict=True)
        ],
    )


def tell(result: results_pb2.TriageResult) -> str:
    """The choice in words."""
    others = ", ".join(result.alternatives)
    said = f"This is a request for {result.agent_id} (confidence {result.confidence:.2f}"
    said += f"; next best: {others})." if others else ")."
    if result.confidence < UNSURE:
        said += " That is not sure."
    said += f" Its priority is {result.priority}."
    if len(result.parts) > 1:
        parts = "\n".join(f"- {part.agent_id} ({part.confidence:.2f}): {part.text}" for part in result.parts)
        said += f" It has {len(result.parts)} parts:\n\n{parts}"
    return "\n\n".join([said, *result.reasons[:1]])


@functools.cache
def _purposes() -> Mapping[str, str]:
    """What each agent is for."""
    return {hosted.definition.agent_id: hosted.definition.purpose for hosted in Registry()}


AGENT = AgentDefinition(
    agent_id="triage",
    display_name="Triage",
    purpose="Sorts requests: which agent should take one, how urgent it is, and what its parts are.",
    inputs=results_pb2.QuestionInputs,
    result=results_pb2.TriageResult,
    examples=(
        "Who should handle this ticket?",
        "Sort these customer messages by urgency and by who is responsible.",
        "I have several wishes at once and do not know where to begin.",
        "Which of your agents is right for my request?",
        "Classify this incoming mail and pass it on.",
    ),
    compose=compose,
    tell=tell,
    material=frozenset({"list of items", "mail file", "quotation"}),
)
