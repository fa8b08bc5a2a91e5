"""Says which agent a request belongs to."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.routing.parts import priority, split


async def compose(work: Work[results_pb2.QuestionInputs]) -> results_pb2.TriageResult:
    """The agent for the whole request and for each of its parts. The documents have no say in it."""
    whole = await work.route(work.question)
    parts = split(work.question)
    routed = [whole] if len(parts) == 1 else [await work.route(part) for part in parts]
    return results_pb2.TriageResult(
        agent_id=whole.agent_id,
        confidence=whole.confidence,
        priority=priority(work.question),
        complexity="simple" if len(parts) == 1 else "compound",
        alternatives=[alternative.agent_id for alternative in whole.alternatives],
        reasons=whole.reasons,
        parts=[
            results_pb2.TriagePart(text=text, agent_id=route.agent_id, confidence=route.confidence)
            for text, route in zip(parts, routed, strict=True)
        ],
    )


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
)
