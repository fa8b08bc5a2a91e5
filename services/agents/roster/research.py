"""Finds out what the documents say, and what they do not."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.routing.parts import split

_MAX_GAPS = 8


async def compose(work: Work[results_pb2.QuestionInputs]) -> results_pb2.ResearchResult:
    """The answer's statements, the parts and words of the question that no passage covers, and how well the
    rest is covered."""
    findings = work.cited_findings()
    return results_pb2.ResearchResult(
        findings=findings, gaps=await _gaps(work), confidence=_confidence(work) if findings else 0.0
    )


async def _gaps(work: Work[results_pb2.QuestionInputs]) -> list[str]:
    parts = split(work.question)
    gaps = [
        f"Nothing was found on: {part}" for part in parts if not await work.evidence.answer(part, limit=1)
    ]
    if len(gaps) < len(parts):
        gaps += [
            f"No passage that was found mentions “{word}”." for word in work.evidence.missing(work.question)
        ]
    return gaps[:_MAX_GAPS]


def _confidence(work: Work[results_pb2.QuestionInputs]) -> float:
    """Half the share of the question's words that the passages hold, half the best passage's similarity."""
    similarity = max((passage.vector_score for passage in work.evidence.passages), default=0.0)
    share = work.evidence.coverage(work.question)
    return round(min(1.0, max(0.0, 0.5 * share + 0.5 * max(0.0, similarity))), 3)


AGENT = AgentDefinition(
    agent_id="research",
    display_name="Research",
    purpose="Finds what the documents say about a question, with sources, and what they leave open.",
    inputs=results_pb2.QuestionInputs,
    result=results_pb2.ResearchResult,
    examples=(
        "What do our documents say about data retention?",
        "Summarise the findings on vitamin D and bone density.",
        "Which sources mention the 2019 merger, and do they agree?",
        "Find background on the history of the harbour.",
        "What is known about the causes of the outage in March?",
    ),
    compose=compose,
)
