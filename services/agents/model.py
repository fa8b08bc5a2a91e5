"""What the agents talk about: passages, quotes, citations, turns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """A passage of a document. Offsets are UTF-8 bytes into the extraction; `text` is exactly those bytes.

    score: by which passages are ordered; vector_score: cosine similarity to the query, 0 where unknown.
    page: counted from 1; 0 where there are none. location: where it stands in the original, for people.
    """

    document_id: str
    title: str
    chunk_id: str
    collection_id: str
    text: str
    byte_start: int
    byte_end: int
    extraction_sha256: str
    page: int = 0
    score: float = 0.0
    lexical_score: float = 0.0
    vector_score: float = 0.0
    location: str = ""


@dataclass(frozen=True)
class Quote:
    """A piece of a passage, with its place in the extraction in bytes.

    page and location: where it stands in the original, once that is known; until then its passage says it.
    """

    passage: Passage
    byte_start: int
    byte_end: int
    text: str
    page: int = 0
    location: str = ""

    @classmethod
    def of(cls, passage: Passage, start: int, end: int) -> Quote:
        """The characters start to end (exclusive) of the passage's text."""
        text = passage.text[start:end]
        first = passage.byte_start + len(passage.text[:start].encode())
        return cls(passage, first, first + len(text.encode()), text)


@dataclass(frozen=True)
class Standing:
    """Where a quote that was verified stands in the original. page: 0 where there are none."""

    page: int = 0
    location: str = ""


@dataclass(frozen=True)
class Citation:
    """A quote under the number by which the answer's text refers to it."""

    number: int
    quote: Quote


@dataclass(frozen=True)
class Finding:
    """A statement and the numbers of the citations that carry it; none when nothing does."""

    statement: str
    citations: tuple[int, ...] = ()


@dataclass(frozen=True)
class Turn:
    """What one side said in a session."""

    from_user: bool
    text: str


@dataclass(frozen=True)
class Conversation:
    """What a run needs of a session: its collections and its newest turns, oldest first."""

    session_id: str
    collection_ids: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Retrieval:
    """What a search found, best first.

    degraded_reason: why the search ran without the vector side; empty when it did not.
    collections: that were searched. beyond: there are more of them, which were not.
    no_documents: there is no collection yet, and none was named.
    """

    query: str
    passages: tuple[Passage, ...] = ()
    degraded_reason: str = ""
    collections: tuple[str, ...] = ()
    beyond: bool = False
    no_documents: bool = False


@dataclass(frozen=True)
class Degradation:
    """Something that a run does without: "model", "session", "vector_index" or "mcp", and why."""

    component: str
    reason: str
