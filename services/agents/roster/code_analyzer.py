"""Reviews code."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import AgentDefinition, Work


async def compose(work: Work[results_pb2.CodeInputs]) -> results_pb2.CodeAnalyzerResult:
    """What the documents say; no analysis tool ran, so there are neither findings nor metrics."""
    return results_pb2.CodeAnalyzerResult(evidence=work.cited_findings())


AGENT = AgentDefinition(
    agent_id="code_analyzer",
    display_name="Code analyzer",
    purpose="Reviews code that works: quality, structure, complexity, security, style.",
    inputs=results_pb2.CodeInputs,
    result=results_pb2.CodeAnalyzerResult,
    examples=(
        "Review this module before I merge it.",
        "Are there security problems in this login handler?",
        "Which functions are too complex and should be split?",
        "Does this class follow our coding guidelines?",
        "Find dead code and unused imports in this package.",
    ),
    compose=compose,
)
