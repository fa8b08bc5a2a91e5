"""Mends code."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import NO_TOOLS, AgentDefinition, Work


async def compose(work: Work[results_pb2.CodeInputs]) -> results_pb2.CodeRepairResult:
    """What the documents say; no patch was made and no test ran."""
    return results_pb2.CodeRepairResult(
        evidence=work.cited_findings(), verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=NO_TOOLS
    )


AGENT = AgentDefinition(
    agent_id="code_repair",
    display_name="Code repair",
    purpose="Changes code so that a known fault is gone, and proves it by the tests.",
    inputs=results_pb2.CodeInputs,
    result=results_pb2.CodeRepairResult,
    examples=(
        "Fix the off-by-one error in this loop.",
        "Patch the function so that the tests pass.",
        "Correct the null check in the parser.",
        "Repair this broken regular expression.",
        "Here is the bug and its cause; please write the fix.",
    ),
    compose=compose,
)
