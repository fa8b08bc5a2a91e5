"""What the agents make of the evidence, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.message import Message

from meldrag.agents.v1 import results_pb2
from services.agents.answering.extractive import Evidence
from services.agents.model import Citation, Finding, Passage, Quote
from services.agents.roster.agent import Work
from services.agents.roster.registry import Registry
from services.agents.routing.route import Route
from tests.support.kept_files import KeptDocuments, KeptFiles

MANUAL = (
    "1. Unplug the pump before the service.\n2. Drain the pump into a bucket.\n"
    "3. Clean the filter of the pump.\n\n"
    "The electric pump is quiet. The diesel pump is strong, but there is a risk of fire with the diesel pump."
)


class NoTools:
    """For agents that have none."""

    async def use(self, tool: str, *_: object) -> dict[str, Any]:
        raise AssertionError(f"{tool} was used")


NO_TOOLS = NoTools()


async def ask_nobody(*_: object, **__: object) -> None:
    """As where no model is configured."""


class Sources:
    """Numbers quotes, all of which hold but those that `refuse` says."""

    def __init__(self, refuse: str = "\0") -> None:
        self.refuse = refuse
        self.quotes: list[Quote] = []

    async def number(self, quotes: Sequence[Quote]) -> list[int | None]:
        return [None if self.refuse in quote.text else self._number(quote) for quote in quotes]

    def _number(self, quote: Quote) -> int:
        if quote not in self.quotes:
            self.quotes.append(quote)
        return self.quotes.index(quote) + 1

    async def cite(self, quotes: Sequence[Quote]) -> list[Finding]:
        numbers = await self.number(quotes)
        return [Finding(q.text, (n,)) for q, n in zip(quotes, numbers, strict=True) if n is not None]

    def citations(self) -> tuple[Citation, ...]:
        return tuple(Citation(number, quote) for number, quote in enumerate(self.quotes, 1))


async def route(text: str) -> Route:
    """Sends everything about tests to the test generator."""
    return Route("test_generator" if "test" in text else "research", 0.8, ("because",), ())


async def made(
    agent_id: str, question: str, inputs: Message | None = None, sources: Sources | None = None
) -> results_pb2.AgentResult:
    """The agent's result over the manual."""
    hosted = Registry().get(agent_id)
    passage = Passage("d", "Manual", "c", "k", MANUAL, 0, len(MANUAL), "x", vector_score=0.6)
    evidence = Evidence([passage], None)
    sources = sources or Sources()
    work = Work(
        question=question,
        inputs=inputs or hosted.definition.inputs(),
        findings=tuple(await sources.cite(await evidence.answer(question))),
        evidence=evidence,
        sources=sources,
        route=route,
        tools=NO_TOOLS,
        ask=ask_nobody,
        keep=lambda result: None,
        files=KeptFiles(),
        knowledge=KeptDocuments(),
    )
    return results_pb2.AgentResult(**{agent_id: await hosted.definition.compose(work)})


async def test_the_ceo_shows_what_speaks_for_each_option_and_decides_nothing() -> None:
    inputs = results_pb2.CeoInputs(options=["electric pump", "diesel pump", "steam locomotive"])
    result = (await made("ceo", "Which pump should we buy?", inputs)).ceo
    assert result.objective == "Which pump should we buy?"
    evidence = {option.option: [f.statement for f in option.evidence] for option in result.options}
    assert "The electric pump is quiet." in evidence["electric pump"]
    assert evidence["steam locomotive"] == []
    assert not any(option.HasField("score") for option in result.options)
    assert result.decision == ""
    assert all(finding.citations for option in result.options for finding in option.evidence)


async def test_the_ceo_names_the_risks_that_the_documents_name() -> None:
    result = (await made("ceo", "Is there a risk of fire with the diesel pump?")).ceo
    assert ["risk of fire" in finding.statement for finding in result.risks] == [True]


async def test_the_executor_lists_the_documented_steps_and_runs_none() -> None:
    result = (await made("executor", "Do the service of the pump")).executor
    assert [step.description for step in result.steps] == [
        "1. Unplug the pump before the service.",
        "2. Drain the pump into a bucket.",
        "3. Clean the filter of the pump.",
    ]
    assert {step.verdict for step in result.steps} == {results_pb2.VERDICT_NOT_RUN}
    assert all(step.reason and step.citations for step in result.steps)
    assert len(result.undone) == 3


async def test_without_a_procedure_the_steps_are_the_requests_own() -> None:
    result = (await made("executor", "Archive the invoices and then send the letters")).executor
    assert [step.description for step in result.steps] == ["Archive the invoices", "send the letters"]
    assert not any(step.citations for step in result.steps)


async def test_triage_routes_each_part() -> None:
    result = (await made("triage", "Summarise the manual and then write a test, it is urgent")).triage
    assert (result.complexity, result.priority) == ("compound", "high")
    assert [(part.text, part.agent_id) for part in result.parts] == [
        ("Summarise the manual", "research"),
        ("write a test, it is urgent", "test_generator"),
    ]


async def test_research_tells_findings_and_gaps() -> None:
    result = (await made("research", "Is the electric pump quiet and waterproof?")).research
    assert "The electric pump is quiet." in [finding.statement for finding in result.findings]
    assert any("waterproof" in gap for gap in result.gaps)
    assert 0 < result.confidence < 1


async def test_research_without_an_answer_has_no_confidence() -> None:
    result = (await made("research", "Who composed the opera?")).research
    assert not result.findings
    assert result.confidence == 0
    assert result.gaps == ["Nothing was found on: Who composed the opera?"]


async def test_coaching_invents_no_dates() -> None:
    result = (await made("coaching", "Teach me to clean the filter of the pump")).coaching
    assert list(result.goals) == ["Teach me to clean the filter of the pump"]
    assert not result.milestones
    assert result.feedback


@pytest.mark.parametrize("agent_id", ["image", "audio"])
async def test_what_needs_a_tool_was_not_run_and_says_why(agent_id: str) -> None:
    result = getattr(await made(agent_id, "Is the electric pump quiet?"), agent_id)
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert "no tool" in result.verdict_reason
    assert "The electric pump is quiet." in [finding.statement for finding in result.evidence]


@pytest.mark.parametrize("agent_id", ["code_analyzer", "performance"])
async def test_without_inputs_nothing_is_analysed_or_measured(agent_id: str) -> None:
    result = getattr(await made(agent_id, "Is the electric pump quiet?"), agent_id)
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert "among the inputs" in result.verdict_reason
    assert not result.metrics
    assert result.evidence if agent_id == "code_analyzer" else result.findings
    tell = Registry().get(agent_id).definition.tell
    assert tell is not None
    # The documents answer; that nothing ran is no news then.
    assert tell(result) == ""


async def test_a_quote_that_does_not_hold_is_in_no_result() -> None:
    inputs = results_pb2.CeoInputs(options=["electric pump", "diesel pump"])
    result = await made("ceo", "Which pump is quiet?", inputs, Sources(refuse="quiet"))
    assert "quiet." not in str(result.ceo.options)
    assert not result.ceo.evidence
