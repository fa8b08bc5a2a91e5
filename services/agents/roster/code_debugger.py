"""Finds the cause of a failure."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import NO_TOOLS, AgentDefinition, Work


async def compose(work: Work[results_pb2.CodeInputs]) -> results_pb2.CodeDebuggerResult:
    """What the documents say; the code was not run, so no cause is claimed."""
    return results_pb2.CodeDebuggerResult(
        evidence=work.cited_findings(), verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=NO_TOOLS
    )


AGENT = AgentDefinition(
    agent_id="code_debugger",
    display_name="Code debugger",
    purpose="Finds out why code fails: errors, crashes, wrong results, failing tests.",
    inputs=results_pb2.CodeInputs,
    result=results_pb2.CodeDebuggerResult,
    examples=(
        "Why does this raise a KeyError?",
        "The job crashes with a segmentation fault after an hour. What is the cause?",
        "This test fails only on Mondays. Find out why.",
        "What does this stack trace mean?",
        "The function returns None where I expect a list.",
    ),
    compose=compose,
)
