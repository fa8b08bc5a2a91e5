"""Answers to be melded, with the citations that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from meldrag.agents.v1 import agents_pb2
from services.agents.answering import citations

# How the paragraph of an answer begins that names a contradiction.
CONTRADICTION = "The sources contradict each other"


@dataclass(frozen=True)
class Source:
    """A verified citation. number: of the run that melds; the same for the same bytes."""

    number: int
    document_id: str
    title: str
    quote: str


@dataclass(frozen=True)
class Statement:
    """What an answer says, and the citations that carry it; none for what a tool found."""

    text: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What one step answered. text: the whole, its marks numbered as the sources are."""

    step_id: str
    agent_id: str
    text: str
    statements: tuple[Statement, ...]


class Binder:
    """Makes the results of several runs into answers with one numbering of their citations."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, int, int], int] = {}
        self._citations: list[agents_pb2.Citation] = []

    def answer(self, step_id: str, result: agents_pb2.RunResult) -> Answer:
        """The answer of a step. The citations of a result are verified ones."""
        numbers = {citation.number: self._number(citation) for citation in result.citations}
        sources = {
            citation.number: Source(
                numbers[citation.number], citation.document_id, citation.title, citation.quote
            )
            for citation in result.citations
        }
        # A contradiction that the step has named is two statements, which are compared anew.
        text = "\n\n".join(part for part in result.text.split("\n\n") if not part.startswith(CONTRADICTION))
        stated = [(f.statement, f.citations) for f in citations.findings(text, sources)]
        for conflict in result.result.research.contradictions:
            stated += [(side.statement, tuple(side.citations)) for side in conflict.sides]
        statements = tuple(
            Statement(statement, tuple(sources[number] for number in carrying))
            for statement, carrying in stated
        )
        return Answer(step_id, result.agent_id, citations.renumbered(result.text, numbers), statements)

    def citations(self) -> list[agents_pb2.Citation]:
        """All citations of the answers, under their numbers."""
        return list(self._citations)

    def _number(self, citation: agents_pb2.Citation) -> int:
        key = (citation.document_id, citation.extraction_sha256, citation.byte_start, citation.byte_end)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._citations) + 1
            copy = agents_pb2.Citation()
            copy.CopyFrom(citation)
            copy.number = number
            self._citations.append(copy)
        return number


def without_repeats(sources: Sequence[Source]) -> tuple[Source, ...]:
    """The sources, each once, in order of their numbers."""
    return tuple(sorted({source.number: source for source in sources}.values(), key=lambda s: s.number))


def shortened(answer: Answer, count: int) -> Answer:
    """An answer with its first statements only."""
    return replace(answer, statements=answer.statements[:count])
