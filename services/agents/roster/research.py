"""Finds out what the documents say, where they disagree, and what they do not say."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from meldrag.agents.v1 import results_pb2
from services.agents.answering import terms
from services.agents.melding.answers import Source
from services.agents.melding.melding import conflict_told, judged_conflicts, marked, without
from services.agents.melding.support import carried
from services.agents.model import Passage, Quote
from services.agents.ports import JsonObject, ModelTool
from services.agents.researching import diversity, research
from services.agents.researching.queries import Query, formulated
from services.agents.researching.research import Gathered, Searched
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.routing.parts import split

_MAX_SUBQUESTIONS = 4
_QUOTES_SHOWN = 24
_MANY_WORDS = 8

_PLAN = (
    "Which questions, at most four, would have to be answered one by one to answer this one? Each must be"
    " understood by itself and searched for by itself; none if the question is simple. The question: "
)
_SYNTHESIS = (
    "The quotes above were found for the question below. Say what they say together, statement by statement,"
    " each with the numbers of the quotes that carry it; say nothing that they do not. Name every"
    " contradiction between quotes of different documents, each side with its quote. The question: "
)
_CONSULTATION = (
    "The documents were searched, and what they say stands above. Ask a tool only where it may know what"
    " answers the question and the documents do not say. Then give the statements that the results of the"
    " tools carry, in their words, each with the name of its tool; none where no tool was asked or none of"
    " them helped. The question: "
)
_NO_NAME = re.compile(r"[^a-z0-9]+")


async def compose(work: Work[results_pb2.QuestionInputs]) -> results_pb2.ResearchResult:
    """Searches further, and tells what all passages say together."""
    first, question = work.evidence.passages, work.query or work.question
    subquestions = await _subquestions(work) if first and _many_sided(work.question) else []
    further = [*(Query(text, "model") for text in subquestions), *formulated(question, first)]
    gathered = Gathered(
        [
            Searched(Query(question, "question"), first),
            *(await research.search_all(work.search, further)),
        ]
    )
    evidence = work.evidence.over(gathered.passages)
    parts = subquestions or split(work.question)
    result = results_pb2.ResearchResult(findings=work.cited_findings(), queries=gathered.queries())
    quotes = await research.quotes_for(evidence, question, parts)
    if not work.findings and len(parts) == 1:
        # Whoever answered, read the first passages and saw no answer in them.
        quotes = [quote for quote in quotes if quote.passage not in first]
    await _find(work, result, quotes, first)
    await _contradict(work, result, await research.disagreeing(evidence, [question, *parts]))
    result.gaps.extend(await research.gaps(evidence, work.question, parts))
    if subquestions or result.further or result.contradictions:
        # Else the answer, which a model wrote, has all that there is.
        await _synthesise(work, result)
    if work.foreign:
        work.keep(result)
        await _consult(work, result)
    documents = _documents(work)
    citing = [documents[number] for finding in result.findings for number in finding.citations]
    result.sources.extend(research.sources(gathered.passages, citing))
    result.confidence, result.confidence_basis = research.confidence(
        evidence, question, len(set(citing)), len(result.contradictions)
    )
    return result


def _many_sided(question: str) -> bool:
    """Whether it is worth a model's time to take a question apart."""
    return len(split(question)) > 1 or len(terms.content_words(question)) >= _MANY_WORDS


async def _subquestions(work: Work[results_pb2.QuestionInputs]) -> list[str]:
    """Questions of a model that are searched as well; none without one."""

    def check(plan: results_pb2.ResearchPlan) -> None:
        if len(plan.questions) > _MAX_SUBQUESTIONS:
            raise ValueError(f"questions: at most {_MAX_SUBQUESTIONS}")

    plan = await work.ask(results_pb2.ResearchPlan, _PLAN + work.question, check=check)
    return [question.strip() for question in plan.questions if question.strip()] if plan is not None else []


async def _find(
    work: Work[results_pb2.QuestionInputs],
    result: results_pb2.ResearchResult,
    quotes: Sequence[Quote],
    first: Sequence[Passage],
) -> None:
    """Adds the quotes that the answer does not cite yet."""
    known = {diversity.key(passage) for passage in first}
    cited = {number for finding in result.findings for number in finding.citations}
    for quote, number in zip(quotes, await work.sources.numbers(quotes), strict=True):
        if number is not None and number not in cited:
            cited.add(number)
            finding = results_pb2.Finding(statement=quote.text, citations=[number])
            result.findings.append(finding)
            if diversity.key(quote.passage) not in known:
                result.further.append(finding)


async def _contradict(
    work: Work[results_pb2.QuestionInputs], result: results_pb2.ResearchResult, quotes: Sequence[Quote]
) -> None:
    """Adds the contradictions between those of the quotes that hold."""
    numbers = await work.sources.numbers(quotes) if quotes else []
    held = [(quote, n) for quote, n in zip(quotes, numbers, strict=True) if n is not None]
    result.contradictions.extend(await research.contradictions(held))


async def _synthesise(work: Work[results_pb2.QuestionInputs], result: results_pb2.ResearchResult) -> None:
    """Adds what a model makes of the citations, as far as they carry it."""
    sources = {
        c.number: Source(c.number, c.quote.passage.document_id, c.quote.passage.title, c.quote.text)
        for c in work.sources.citations()[:_QUOTES_SHOWN]
    }
    if not sources:
        return

    def check(synthesis: results_pb2.ResearchSynthesis) -> None:
        sides = [side for conflict in synthesis.conflicts for side in conflict.sides]
        for finding in (*synthesis.statements, *sides):
            if strange := [number for number in finding.citations if number not in sources]:
                raise ValueError(f"there is no quote {strange[0]}")

    quotes = "\n".join(f"[{s.number}] {s.title}: {s.quote}" for s in sources.values())
    made = await work.ask(
        results_pb2.ResearchSynthesis, _SYNTHESIS + work.question, data={"quotes": quotes}, check=check
    )
    if made is None:
        return
    for statement in made.statements:
        if carried(statement.statement, [sources[number].quote for number in statement.citations]):
            result.synthesis.append(statement)
        else:
            result.dropped_claim_count += 1
    conflicts, dropped = judged_conflicts(made.conflicts, sources.get)
    result.dropped_claim_count += dropped
    result.contradictions.extend(without(conflicts, result.contradictions))
    answered = {n for finding in work.findings for n in finding.citations}
    if result.synthesis:
        # In a model's words, and only what the answer did not rest on.
        del result.further[:]
        result.further.extend(item for item in result.synthesis if not answered >= set(item.citations))


async def _consult(work: Work[results_pb2.QuestionInputs], result: results_pb2.ResearchResult) -> None:
    """Adds what tools of others say, as far as their answers carry it."""
    heard: defaultdict[str, list[str]] = defaultdict(list)

    def noted(tool: ModelTool) -> ModelTool:
        def summary(answer: JsonObject) -> str:
            # Here and not in the action: a run that is repeated has the answers from its record.
            heard[_plain(tool.name)].append(str(answer["text"]))
            return tool.summary(answer)

        return dataclasses.replace(tool, summary=summary)

    names = {_plain(tool.name): tool.name for tool in work.foreign}

    def check(made: results_pb2.ResearchConsultation) -> None:
        if strange := [said.tool for said in made.statements if _plain(said.tool) not in heard]:
            raise ValueError(f"the tool {strange[0][:100]!r} was not asked")

    made = await work.ask(
        results_pb2.ResearchConsultation,
        _CONSULTATION + work.question,
        data={"what the documents say": "\n".join(finding.statement for finding in result.findings)},
        check=check,
        tools=[noted(tool) for tool in work.foreign],
    )
    for said in made.statements if made is not None else ():
        if carried(said.statement, heard[_plain(said.tool)]):
            result.consulted.add(statement=said.statement, tool=names[_plain(said.tool)])
        else:
            result.dropped_claim_count += 1


def _plain(tool: str) -> str:
    """A tool's name without the signs that some models' servers do not take."""
    return _NO_NAME.sub("_", tool.lower())


def _documents(work: Work[results_pb2.QuestionInputs]) -> Mapping[int, str]:
    return {citation.number: citation.quote.passage.document_id for citation in work.sources.citations()}


def tell(result: results_pb2.ResearchResult) -> str:
    """What the further searches add to the answer, where documents contradict each other, and what was heard
    elsewhere."""
    return "\n\n".join(
        [
            *(marked(finding.statement, finding.citations) for finding in result.further),
            *map(conflict_told, result.contradictions),
            *(f"{said.statement} (from {said.tool}; no document says so)" for said in result.consulted),
        ]
    )


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
    tell=tell,
    consults=True,
    passes_tools=True,
)
