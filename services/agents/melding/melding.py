"""Melds several answers to one question: agreements, conflicts, what only one says, and one answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from meldrag.agents.v1 import results_pb2
from services.agents.answering.extractive import Embed
from services.agents.answering.rows import is_row
from services.agents.melding.answers import (
    CONTRADICTION,
    Answer,
    Source,
    Statement,
    shortened,
    without_repeats,
)
from services.agents.melding.claims import Claim, claims
from services.agents.melding.contradiction import Clash, clash, same
from services.agents.melding.support import carried
from services.agents.ports import Ask, Embeddings, Likeness

# Statements that are compared: each with each.
_MAX_STATEMENTS = 200
_PER_EMBED_CALL = 256
_MAX_SINGLES_TOLD = 12

_TASK = (
    "Several agents answered the same question; their answers are above, with what they cite. Meld them into"
    " one answer, statement by statement. Give each statement the numbers of the citations that carry it, or,"
    " where its answer cites nothing, the ids of the steps that say it. Name every conflict between them with"
    " the citations of both sides; a conflict has sides from two different documents. Add nothing of your"
    " own.\n\n"
    "The question: "
)


class Melds(Protocol):
    """Melds answers."""

    async def meld(self, question: str, answers: Sequence[Answer]) -> results_pb2.MeldResult:
        """What the answers say together. Its citations are among those of the answers."""
        ...


class Melder:
    """Is Melds. Depends on nothing but the answers, `embed` and `ask`, so a run that journals both can be
    resumed and replayed.

    embed: None, or a call that gives None, lets words alone decide. ask: gives None without a model.
    """

    def __init__(self, embed: Embed | None, ask: Ask) -> None:
        self._embed = embed
        self._ask = ask

    async def meld(self, question: str, answers: Sequence[Answer]) -> results_pb2.MeldResult:
        """See Melds."""
        share = max(1, _MAX_STATEMENTS // max(1, len(answers)))
        short = [shortened(answer, share) for answer in answers]
        compared = Comparison([_Said(s, a) for a in short for s in a.statements])
        await compared.look(self._embed)
        result = compared.result()
        result.left_out_count = sum(
            len(answer.statements) - share for answer in answers if len(answer.statements) > share
        )
        result.answer = told(result)
        judged = await self._judged(question, answers)
        if judged is not None:
            _adopt(result, judged, answers)
        return result

    async def _judged(self, question: str, answers: Sequence[Answer]) -> results_pb2.MeldJudgement | None:
        if not any(answer.text for answer in answers):
            return None
        sources = _sources(answers)
        steps = frozenset(answer.step_id for answer in answers)

        def check(judgement: results_pb2.MeldJudgement) -> None:
            if not judgement.statements:
                raise ValueError("statements: there is none")
            for statement in judgement.statements:
                _known(statement.citations, sources)
                if strange := [step for step in statement.step_ids if step not in steps]:
                    raise ValueError(f"there is no step {strange[0]!r}")
            for conflict in judgement.conflicts:
                for side in conflict.sides:
                    _known(side.citations, sources)

        quotes = "\n".join(f"[{s.number}] {s.title}: {s.quote}" for s in sources.values())
        data = {f"answer of {a.step_id} ({a.agent_id})": a.text for a in answers if a.text}
        return await self._ask(
            results_pb2.MeldJudgement,
            _TASK + question,
            data={**data, **({"citations": quotes} if quotes else {})},
            check=check,
        )


@dataclass(frozen=True)
class _Said:
    """A statement of one answer."""

    statement: Statement
    answer: Answer | None = None

    @property
    def documents(self) -> frozenset[str]:
        return frozenset(source.document_id for source in self.statement.sources)

    @property
    def step_id(self) -> str:
        return self.answer.step_id if self.answer else ""


class Comparison:
    """Statements, each compared with each."""

    def __init__(self, said: Sequence[_Said]) -> None:
        self._said = list(said)
        self._claims: list[list[Claim]] = []
        self._clashes: dict[tuple[int, int], Clash] = {}
        self._group_of: list[int] = list(range(len(self._said)))

    @classmethod
    def of(cls, statements: Sequence[Statement]) -> Comparison:
        """Of statements of one run."""
        return cls([_Said(statement) for statement in statements])

    async def look(self, embed: Embed | None) -> None:
        """Finds what contradicts each other and what says the same."""
        made = await self._embedded(embed)
        # Hundreds of statements take long enough for others to notice.
        await asyncio.to_thread(self._compare, made)

    def _compare(self, made: Embeddings | None) -> None:
        self._claims = [claims(item.statement.text, _subject(item.statement)) for item in self._said]
        frames = [frozenset().union(*(claim.frame for claim in item)) for item in self._claims]
        near = [(i, j) for i, j in itertools.combinations(range(len(self._said)), 2) if frames[i] & frames[j]]
        listed = self._listed(near)
        for i, j in near:
            # What is listed is one value of several, and contradicts no other one.
            if i in listed or j in listed:
                continue
            if self._apart(i, j) and (found := clash(self._claims[i], self._claims[j])):
                self._clashes[i, j] = found
        alike = []
        for i, j in itertools.combinations(range(len(self._said)), 2):
            similarity = None
            if made is not None:
                similarity = float(made.likeness.of(made.vectors[i], made.vectors[j]))
            if (i, j) not in self._clashes and self._says_the_same(i, j, similarity):
                alike.append((-(similarity or 0.0), i, j))
        for _, i, j in sorted(alike):
            self._join(i, j)

    def _listed(self, near: Sequence[tuple[int, int]]) -> frozenset[int]:
        """Rows of tables that list several values, as another row of their document shows."""
        listed: set[int] = set()
        row = [is_row(item.statement.text) for item in self._said]
        for i, j in near:
            if row[i] and row[j] and self._said[i].documents & self._said[j].documents:
                listed |= {i, j} if clash(self._claims[i], self._claims[j]) else set()
        return frozenset(listed)

    def _says_the_same(self, i: int, j: int, similarity: float | None) -> bool:
        one, other = self._said[i].statement, self._said[j].statement
        if one.text == other.text:
            return True
        return same(self._claims[i], self._claims[j], similarity)

    def _apart(self, i: int, j: int) -> bool:
        """Whether two statements rest on different documents; on different answers where they cite none."""
        one, other = self._said[i], self._said[j]
        if one.documents or other.documents:
            return bool(one.documents and other.documents) and one.documents.isdisjoint(other.documents)
        return one.step_id != other.step_id

    async def _embedded(self, embed: Embed | None) -> Embeddings | None:
        """A row for each statement."""
        texts = list(dict.fromkeys(item.statement.text for item in self._said))
        if embed is None or len(texts) < 2:
            return None
        rows: dict[str, np.ndarray] = {}
        likeness = Likeness()
        for start in range(0, len(texts), _PER_EMBED_CALL):
            batch = texts[start : start + _PER_EMBED_CALL]
            made = await embed(batch)
            if made is None:
                return None
            likeness = made.likeness
            rows.update(zip(batch, made.vectors, strict=True))
        return Embeddings(np.stack([rows[item.statement.text] for item in self._said]), likeness)

    def _join(self, i: int, j: int) -> None:
        """Puts two groups together, unless one of them contradicts the other."""
        keep, gone = sorted((self._group_of[i], self._group_of[j]))
        if keep == gone:
            return
        ours, theirs = self._members(keep), self._members(gone)
        if any((min(a, b), max(a, b)) in self._clashes for a in ours for b in theirs):
            return
        for member in theirs:
            self._group_of[member] = keep

    def _members(self, group: int) -> list[int]:
        return [i for i, name in enumerate(self._group_of) if name == group]

    def conflicts(self) -> list[results_pb2.Conflict]:
        """What contradicts each other, with the citations of each side."""
        return [conflict for conflict, _ in self._conflicts()]

    def _conflicts(self) -> Iterator[tuple[results_pb2.Conflict, frozenset[int]]]:
        """Each conflict with the groups that are its sides."""
        edges: dict[tuple[int, int], Clash] = {}
        for (i, j), found in sorted(self._clashes.items()):
            pair = (self._group_of[i], self._group_of[j])
            edges.setdefault((min(pair), max(pair)), found)
        waiting = dict(edges)
        while waiting:
            (first, second), found = next(iter(waiting.items()))
            sides = [first, second]
            # A third side contradicts all that are there in the same way.
            for other in sorted({g for edge in waiting for g in edge} - {first, second}):
                ways = [edges.get((min(other, side), max(other, side))) for side in sides]
                if all(
                    way is not None and (way.kind, way.topic) == (found.kind, found.topic) for way in ways
                ):
                    sides.append(other)
            for pair in itertools.combinations(sorted(sides), 2):
                waiting.pop(pair, None)
            yield self._conflict(found, sides), frozenset(sides)

    def _conflict(self, found: Clash, sides: Sequence[int]) -> results_pb2.Conflict:
        made = results_pb2.Conflict(topic=found.topic, kind=found.kind.value)
        for group in sides:
            stated = self._melded(group)
            made.sides.add(
                statement=stated.statement,
                step_ids=stated.step_ids,
                agent_ids=stated.agent_ids,
                citations=stated.citations,
            )
        places = [_place(self._sources(group), self._steps(group)) for group in sides[:2]]
        made.explanation = (
            f"{_DIFFERENCES[found.kind.value]}: “{found.one}” {places[0]}, “{found.other}” {places[1]}."
        )
        return made

    def result(self) -> results_pb2.MeldResult:
        """Agreements, conflicts and the rest."""
        result = results_pb2.MeldResult()
        against: set[int] = set()
        for conflict, sides in self._conflicts():
            result.conflicts.append(conflict)
            against |= sides
        for group in sorted(set(self._group_of)):
            if group not in against:
                place = result.agreements if len(self._steps(group)) > 1 else result.singles
                place.append(self._melded(group))
        return result

    def _melded(self, group: int) -> results_pb2.MeldedStatement:
        members = [self._said[i] for i in self._members(group)]
        answers = {item.answer.step_id: item.answer for item in members if item.answer is not None}
        return results_pb2.MeldedStatement(
            statement=members[0].statement.text,
            step_ids=answers,
            agent_ids=dict.fromkeys(answer.agent_id for answer in answers.values()),
            citations=[source.number for source in self._sources(group)],
        )

    def _sources(self, group: int) -> tuple[Source, ...]:
        return without_repeats([s for i in self._members(group) for s in self._said[i].statement.sources])

    def _steps(self, group: int) -> list[str]:
        return list(dict.fromkeys(step for i in self._members(group) if (step := self._said[i].step_id)))


_DIFFERENCES: Mapping[str, str] = {
    "number": "The numbers differ",
    "date": "The dates differ",
    "unit": "The units differ",
    "negation": "One denies what the other says",
    "opposite": "They say the opposite",
    "value": "They name different ones",
}


def _subject(statement: Statement) -> str:
    """What "it" may be in a statement: what the document is about."""
    return statement.sources[0].title if statement.sources else ""


def _place(sources: Sequence[Source], steps: Sequence[str]) -> str:
    if sources:
        return f"in “{sources[0].title}” [{sources[0].number}]"
    return f"by {', '.join(steps)}" if steps else ""


# -- the answer as a text --------------------------------------------------------------------------------


def told(result: results_pb2.MeldResult) -> str:
    """Agreements, conflicts and what only one says, as one text with its marks."""
    parts = [marked(item.statement, item.citations) for item in result.agreements]
    parts += [conflict_told(conflict) for conflict in result.conflicts]
    singles = result.singles[:_MAX_SINGLES_TOLD]
    parts += [marked(item.statement, item.citations) for item in singles]
    if len(result.singles) > len(singles):
        parts.append(f"{len(result.singles) - len(singles)} more statements are of one answer each.")
    return "\n\n".join(parts)


def conflict_told(conflict: results_pb2.Conflict) -> str:
    """A conflict in a paragraph: each side with its citations."""
    sides = "; ".join(marked(f"“{side.statement}”", side.citations) for side in conflict.sides)
    about = f" on {conflict.topic}" if conflict.topic else ""
    return f"{CONTRADICTION}{about}: {sides}."


def marked(statement: str, citations: Sequence[int]) -> str:
    """A statement with the marks of its citations."""
    marks = "".join(f"[{number}]" for number in citations)
    return f"{statement} {marks}".strip()


# -- what a model judges ---------------------------------------------------------------------------------


def _sources(answers: Sequence[Answer]) -> dict[int, Source]:
    return {s.number: s for answer in answers for stated in answer.statements for s in stated.sources}


def _known(numbers: Sequence[int], sources: Mapping[int, Source]) -> None:
    if strange := [number for number in numbers if number not in sources]:
        raise ValueError(f"there is no citation {strange[0]}")


def _adopt(
    result: results_pb2.MeldResult, judged: results_pb2.MeldJudgement, answers: Sequence[Answer]
) -> None:
    """Puts a model's answer and conflicts in, as far as what they refer to carries them."""
    sources = _sources(answers)
    texts = {answer.step_id: answer.text for answer in answers}
    kept = []
    for item in judged.statements:
        quotes = [sources[number].quote for number in item.citations]
        told_by = [] if quotes else [texts[step] for step in item.step_ids]
        if carried(item.statement, quotes or told_by):
            kept.append(marked(item.statement, item.citations))
        else:
            result.dropped_statement_count += 1
    new, dropped = judged_conflicts(judged.conflicts, sources.get)
    result.dropped_conflict_count = dropped
    result.conflicts.extend(without(new, result.conflicts))
    if kept:
        # Conflicts are named whatever the model made of them.
        result.answer = "\n\n".join([*kept, *map(conflict_told, result.conflicts)])


def without(
    conflicts: Sequence[results_pb2.Conflict], known: Sequence[results_pb2.Conflict]
) -> list[results_pb2.Conflict]:
    """The conflicts between other citations than the known ones are."""
    between = {frozenset(n for side in c.sides for n in side.citations) for c in known}
    return [c for c in conflicts if frozenset(n for side in c.sides for n in side.citations) not in between]


def judged_conflicts(
    judged: Sequence[results_pb2.JudgedConflict], source: Callable[[int], Source | None]
) -> tuple[list[results_pb2.Conflict], int]:
    """The conflicts of a model that hold: each side has citations that carry it, and no two sides share a
    document. Also how many do not.
    """
    kept = []
    for item in judged:
        documents: list[frozenset[str]] = []
        for side in item.sides:
            cited = [found for number in side.citations if (found := source(number)) is not None]
            if len(cited) == len(side.citations) and carried(side.statement, [s.quote for s in cited]):
                documents.append(frozenset(s.document_id for s in cited))
        apart = all(a.isdisjoint(b) for a, b in itertools.combinations(documents, 2))
        if len(documents) == len(item.sides) >= 2 and apart:
            sides = [
                results_pb2.ConflictSide(statement=side.statement, citations=side.citations)
                for side in item.sides
            ]
            kept.append(
                results_pb2.Conflict(
                    topic=item.topic, kind="judged", sides=sides, explanation=item.explanation
                )
            )
    return kept, len(judged) - len(kept)
