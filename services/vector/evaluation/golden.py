"""Golden sets: queries, and what should answer them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.vector.faults import golden_set_invalid

MOST_QUERIES = 10_000
_MOST_JUDGEMENTS = 1_000
_MOST_QUOTES = 100
_MOST_OF_ALL = 100_000
_MOST_BYTES = 32 << 20
_MOST_QUERY = 8_000
_MOST_QUOTE = 4_000
_MOST_NAME = 1_000
_MOST_ID = 128
_MOST_GRADE = 100


@dataclass(frozen=True, slots=True)
class Judgement:
    """How well something answers a query.

    by, name: the document: a word of BY and what it is called, or two empty ones. quote: what a passage must
    hold, or empty. line: in the owner's file, 0 when unknown.
    """

    by: str
    name: str
    quote: str
    grade: int = 1
    line: int = 0

    def __str__(self) -> str:
        return (
            f"{self.by.replace('_', ' ')} {self.name[:100]!r}" if self.by else f"quote {self.quote[:100]!r}"
        )


BY = ("document_id", "external_id", "title")


@dataclass(frozen=True, slots=True)
class GoldenQuery:
    """A query and what was judged for it."""

    query_id: str
    text: str
    judgements: tuple[Judgement, ...]
    line: int = 0

    @property
    def quoted(self) -> bool:
        """Whether passages are judged, and not documents."""
        return any(one.quote for one in self.judgements)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a golden set, and where: the line in the owner's file, or 0, and the query."""

    line: int
    query_id: str
    what: str


@dataclass
class Gathered:
    """A golden set while it arrives; `problems` are the first ones."""

    queries: list[GoldenQuery] = field(default_factory=list)
    judgements: int = 0
    _ids: set[str] = field(default_factory=set)
    _bytes: int = 0
    _problems: list[Problem] = field(default_factory=list)

    def add(self, query: GoldenQuery) -> None:
        """Takes a query. Raises InvalidArgumentError (GOLDEN_SET_INVALID) for a set that is too large."""
        self._bytes += len(query.text.encode()) + sum(
            len(one.quote.encode()) + len(one.name.encode()) for one in query.judgements
        )
        self.judgements += len(query.judgements)
        for limit, number, what in (
            (MOST_QUERIES, len(self.queries) + 1, "queries"),
            (_MOST_OF_ALL, self.judgements, "judgements"),
            (_MOST_BYTES, self._bytes, "bytes of text"),
        ):
            if number > limit:
                raise golden_set_invalid([Problem(query.line, query.query_id, f"more than {limit} {what}")])
        self._problems += [Problem(line or query.line, query.query_id, what) for line, what in _wrong(query)]
        if query.query_id in self._ids:
            self._problems.append(Problem(query.line, query.query_id, "its id stands twice in the set"))
        self._ids.add(query.query_id)
        self.queries.append(query)

    def checked(self) -> GoldenSet:
        """The set. Raises InvalidArgumentError (GOLDEN_SET_INVALID)."""
        if self._problems:
            raise golden_set_invalid(self._problems)
        if not self.queries:
            raise golden_set_invalid([Problem(0, "", "it has no query")])
        return GoldenSet(tuple(self.queries))


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """A golden set that is well-formed; its documents were not looked for yet."""

    queries: tuple[GoldenQuery, ...]

    @property
    def judgements(self) -> int:
        """How many there are."""
        return sum(len(one.judgements) for one in self.queries)

    @property
    def sha256(self) -> str:
        """Names the set by what it says, in its order; lines are not part of it."""
        digest = hashlib.sha256()
        for query in self.queries:
            judged = [[one.by, one.name, one.quote, one.grade] for one in query.judgements]
            digest.update(json.dumps([query.query_id, query.text, judged]).encode() + b"\n")
        return digest.hexdigest()


def _wrong(query: GoldenQuery) -> list[tuple[int, str]]:
    """What is wrong with a query by itself, as (line or 0, words)."""
    found: list[tuple[int, str]] = []
    if not 1 <= len(query.query_id) <= _MOST_ID or not query.query_id.isprintable():
        found.append((0, f"its id must have 1 to {_MOST_ID} printable characters"))
    if not query.text.strip() or len(query.text) > _MOST_QUERY:
        found.append((0, f"its text must have 1 to {_MOST_QUERY} characters"))
    if "\0" in query.text:
        found.append((0, "its text must hold no NUL character"))
    if not 1 <= len(query.judgements) <= _MOST_JUDGEMENTS:
        found.append((0, f"it must have 1 to {_MOST_JUDGEMENTS} judgements"))
        return found
    if not any(one.grade > 0 for one in query.judgements):
        found.append((0, "nothing is relevant for it"))
    quotes = sum(bool(one.quote) for one in query.judgements)
    if quotes not in (0, len(query.judgements)):
        found.append((0, "either all of its judgements have a quote or none"))
    if quotes > _MOST_QUOTES:
        found.append((0, f"it must have at most {_MOST_QUOTES} quotes"))
    found += _wrong_judgements(query.judgements)
    return found


def _wrong_judgements(judgements: Sequence[Judgement]) -> list[tuple[int, str]]:
    found = []
    seen: set[tuple[str, str, str]] = set()
    for one in judgements:
        if not one.by and not one.quote.strip():
            found.append((one.line, "a judgement names neither a document nor a quote"))
        elif one.quote and not one.quote.strip():
            found.append((one.line, f"the quote of {one} is blank"))
        if one.by and not 1 <= len(one.name) <= _MOST_NAME:
            found.append((one.line, f"the name of a document must have 1 to {_MOST_NAME} characters"))
        if len(one.quote) > _MOST_QUOTE:
            found.append((one.line, f"a quote must have at most {_MOST_QUOTE} characters"))
        if not 0 <= one.grade <= _MOST_GRADE:
            found.append((one.line, f"the grade of {one} must be 0 to {_MOST_GRADE}"))
        key = (one.by, one.name, " ".join(one.quote.split()))
        if key in seen:
            found.append((one.line, f"{one} is judged twice"))
        seen.add(key)
    return found
