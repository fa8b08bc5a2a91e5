"""Writes tests."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import NO_TOOLS, AgentDefinition, Work


async def compose(work: Work[results_pb2.CodeInputs]) -> results_pb2.TestGeneratorResult:
    """What the documents say; no test was written or run."""
    return results_pb2.TestGeneratorResult(
        evidence=work.cited_findings(), verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=NO_TOOLS
    )


AGENT = AgentDefinition(
    agent_id="test_generator",
    display_name="Test generator",
    purpose="Writes tests for code: cases, edge cases, properties, coverage.",
    inputs=results_pb2.CodeInputs,
    result=results_pb2.TestGeneratorResult,
    examples=(
        "Write unit tests for this date parser.",
        "Which edge cases should the checkout tests cover?",
        "Generate pytest cases for the API client.",
        "Raise the coverage of this module to ninety per cent.",
        "Create property-based tests for the sorting function.",
    ),
    compose=compose,
)
