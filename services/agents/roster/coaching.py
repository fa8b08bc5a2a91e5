"""Helps somebody to learn."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.routing.parts import split


async def compose(work: Work[results_pb2.QuestionInputs]) -> results_pb2.CoachingResult:
    """The goals as stated and what the documents say to them. Dates are not invented, so there are no
    milestones.
    """
    return results_pb2.CoachingResult(goals=split(work.question), feedback=work.cited_findings())


AGENT = AgentDefinition(
    agent_id="coaching",
    display_name="Coaching",
    purpose="Helps somebody learn or improve: feedback, practice, a plan to study from the documents.",
    inputs=results_pb2.QuestionInputs,
    result=results_pb2.CoachingResult,
    examples=(
        "Help me prepare for my first presentation to the board.",
        "How can I get better at giving feedback?",
        "Make me a plan to learn SQL in six weeks.",
        "Quiz me on chapter three of the handbook.",
        "What should I improve in this cover letter?",
    ),
    compose=compose,
)
