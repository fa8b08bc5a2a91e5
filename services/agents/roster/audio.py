"""Listens to recordings."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import NO_TOOLS, AgentDefinition, Work


async def compose(work: Work[results_pb2.QuestionInputs]) -> results_pb2.AudioResult:
    """What the documents say; no recording was listened to."""
    return results_pb2.AudioResult(
        evidence=work.cited_findings(), verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=NO_TOOLS
    )


AGENT = AgentDefinition(
    agent_id="audio",
    display_name="Audio",
    purpose="Works with recordings: what is said in them, loudness and noise, subtitles, speech from text.",
    inputs=results_pb2.QuestionInputs,
    result=results_pb2.AudioResult,
    examples=(
        "Transcribe this interview.",
        "How loud is the podcast, and does it clip?",
        "Write the minutes of the recorded meeting.",
        "Make subtitles for this lecture.",
        "Read this paragraph aloud as an MP3.",
    ),
    compose=compose,
)
