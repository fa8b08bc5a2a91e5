"""Looks at pictures."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import NO_TOOLS, AgentDefinition, Work


async def compose(work: Work[results_pb2.QuestionInputs]) -> results_pb2.ImageResult:
    """What the documents say; no picture was looked at."""
    return results_pb2.ImageResult(
        evidence=work.cited_findings(), verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=NO_TOOLS
    )


AGENT = AgentDefinition(
    agent_id="image",
    display_name="Image",
    purpose="Works with pictures: what they show, text in them, their format and quality, drawing charts.",
    inputs=results_pb2.QuestionInputs,
    result=results_pb2.ImageResult,
    examples=(
        "What can be seen in this photo?",
        "Read the text on the scanned receipt.",
        "Draw a bar chart of these sales figures.",
        "Is this screenshot sharp enough for print?",
        "Which camera was this picture taken with?",
    ),
    compose=compose,
)
