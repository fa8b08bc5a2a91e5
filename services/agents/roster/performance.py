"""Judges measurements and speed."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import NO_TOOLS, AgentDefinition, Work


async def compose(work: Work[results_pb2.PerformanceInputs]) -> results_pb2.PerformanceResult:
    """What the documents say; nothing was measured."""
    return results_pb2.PerformanceResult(
        findings=work.cited_findings(), verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=NO_TOOLS
    )


AGENT = AgentDefinition(
    agent_id="performance",
    display_name="Performance",
    purpose="Explains measurements: how fast something is, where time and memory go, what a trend means.",
    inputs=results_pb2.PerformanceInputs,
    result=results_pb2.PerformanceResult,
    examples=(
        "Why did the response times get worse since Tuesday?",
        "Where does this function spend its time?",
        "Find the anomalies in these latency measurements.",
        "Is the new version significantly faster than the old one?",
        "Our page takes eight seconds to load. What is the bottleneck?",
    ),
    compose=compose,
)
