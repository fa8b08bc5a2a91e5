"""The way through everything that is compared, in steps of a bounded size, which can be left and taken up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

import numpy as np

from services.vector.faults import collection_not_found
from services.vector.index.keeper import IndexUnavailableError
from services.vector.record.findings import Finding, Kind, Remedy
from services.vector.record.inspection import Inspection, Page, Subject
from services.vector.record.vectors import Matrix

# A vector in the index may be scaled anew, which moves the last bits of a component.
_SAME = 1e-5
_PAGE_KEYS = 1_000
_MOST_FILES = 400
_READY_SECONDS = 10.0
_LOOK_SECONDS = 0.25


class Step(IntEnum):
    """What is compared, in this order; the first eight for each collection."""

    TEXTS = 1
    ORIGINALS = 2
    PASSAGE_ENTRIES = 3
    DOCUMENT_ENTRIES = 4
    POSTINGS = 5
    VECTORS = 6
    INDEX_ENTRIES = 7
    COUNTS = 8
    DELETIONS = 9
    ROWS = 10
    INDEX_COLLECTIONS = 11
    FILES = 12
    STRUCTURE = 13


_WORDS = {
    Step.TEXTS: "texts and passages",
    Step.ORIGINALS: "originals",
    Step.PASSAGE_ENTRIES: "keyword index, passages",
    Step.DOCUMENT_ENTRIES: "keyword index, documents",
    Step.POSTINGS: "keyword index, words",
    Step.VECTORS: "vectors",
    Step.INDEX_ENTRIES: "vector index, entries",
    Step.COUNTS: "counts",
    Step.DELETIONS: "deletions",
    Step.ROWS: "rows of the record",
    Step.INDEX_COLLECTIONS: "vector index, collections",
    Step.FILES: "files",
    Step.STRUCTURE: "file of the record",
}
_OF_COLLECTION = Step.COUNTS
# One generation of the collection after the other.
_OF_GENERATION = (Step.VECTORS, Step.INDEX_ENTRIES)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at: a collection of a tenant, all of a tenant, or everything without a tenant."""

    tenant_id: str | None
    collection_id: str = ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a look begins. `place` is the step's own number for it; subject: the collection, 0 before one.

    generation: of its vectors, 0 before one, where the step compares one after the other.
    """

    step: Step = Step.TEXTS
    subject: int = 0
    place: int = 0
    generation: int = 0

    def to_text(self) -> str:
        """For a page token."""
        return json.dumps([self.step, self.subject, self.place, self.generation])

    @classmethod
    def from_text(cls, text: str) -> Cursor:
        """Of what to_text made."""
        step, subject, place, generation = json.loads(text)
        return cls(Step(step), subject, place, generation)


@dataclass(frozen=True, slots=True)
class Look:
    """What a step found. after: where to go on; None at the end of the way."""

    findings: list[Finding]
    subject: Subject | None
    words: str
    after: Cursor | None
    chunks: int = 0


class Index(Protocol):
    """The vector index. Each method raises IndexUnavailableError when it does not answer."""

    async def ping(self) -> None:
        """Raises unless it answers."""
        ...

    async def turned(self, seconds: float) -> None:
        """Returns when it did another piece of work, at the latest after `seconds`."""
        ...

    async def count(self, collection_key: int) -> int:
        """Entries of a collection."""
        ...

    async def some_keys(self, collection_key: int, start: int, limit: int) -> list[int]:
        """Keys of a collection from number `start` on."""
        ...

    async def present(self, collection_key: int, keys: list[int]) -> list[int]:
        """Those of the entries that are there."""
        ...

    async def held(self, collection_key: int, keys: list[int], dimension: int) -> tuple[list[int], Matrix]:
        """Those of the entries that are there, with their vectors."""
        ...

    async def collection_keys(self) -> list[int]:
        """The collections that are there."""
        ...

    async def strays(self) -> list[Path]:
        """Files in its place that belong to no part of it."""
        ...


class Walking:
    """Looks, and changes nothing."""

    def __init__(self, inspection: Inspection, index: Index, stray_uploads: Callable[[], list[Path]]) -> None:
        """stray_uploads: files of uploads that have ended; blocks."""
        self._inspection = inspection
        self._index = index
        self._stray_uploads = stray_uploads

    async def total_chunks(self, scope: Scope) -> int:
        """Passages on the whole way."""
        return await self._inspection.total_chunks(scope.tenant_id, scope.collection_id)

    async def look(self, scope: Scope, cursor: Cursor, only: Subject | None) -> Look:
        """One step. only: the collection of the scope, where it names one."""
        if cursor.step > _OF_COLLECTION:
            page = await self._at_large(scope, cursor)
            last = Step.STRUCTURE if scope.tenant_id is None else Step.DELETIONS
            after = None if cursor.step >= last else Cursor(Step(cursor.step + 1))
            return Look(page.findings, None, _WORDS[cursor.step], after)
        subject = only or await self._inspection.next_collection(scope.tenant_id, max(0, cursor.subject - 1))
        if subject is None:
            return await self.look(scope, Cursor(Step.DELETIONS), only)
        if subject.key != cursor.subject and cursor.subject:
            # The collection went meanwhile; the next one is looked at from its beginning.
            cursor = Cursor()
        generation = None
        if cursor.step in _OF_GENERATION:
            generation = await self._inspection.generation(subject.key, cursor.generation)
            if generation is not None and generation[0] != cursor.generation:
                cursor = Cursor(cursor.step, subject.key, 0, generation[0])
        page = await self._of_collection(subject, cursor, generation)
        if page.after is not None:
            after = Cursor(cursor.step, subject.key, page.after, cursor.generation)
        elif generation is not None:
            after = Cursor(cursor.step, subject.key, 0, generation[0] + 1)
        elif cursor.step < _OF_COLLECTION:
            after = Cursor(Step(cursor.step + 1), subject.key)
        elif only is not None:
            after = None
        else:
            after = Cursor(Step.TEXTS, subject.key + 1)
        words = f"collection {subject.collection_id}, {_WORDS[cursor.step]}"
        return Look(page.findings, subject, words, after, page.chunks)

    async def subject(self, tenant_id: str, collection_id: str) -> Subject:
        """The collection that a scope names. Raises NotFoundError (COLLECTION_NOT_FOUND)."""
        found = await self._inspection.collection(tenant_id, collection_id)
        if found is None:
            raise collection_not_found(collection_id)
        return found

    async def _of_collection(
        self, subject: Subject, cursor: Cursor, generation: tuple[int, int] | None
    ) -> Page:
        if cursor.step in _OF_GENERATION:
            if generation is None:
                return Page([], None)
            if cursor.step is Step.VECTORS:
                return await self._vectors(*generation, cursor.place)
            return await self._entries(generation[0], cursor.place)
        inspection, key = self._inspection, subject.key
        match cursor.step:
            case Step.TEXTS:
                return await inspection.documents(key, cursor.place)
            case Step.ORIGINALS:
                return await inspection.originals(key, cursor.place)
            case Step.PASSAGE_ENTRIES | Step.DOCUMENT_ENTRIES:
                whole = cursor.step is Step.DOCUMENT_ENTRIES
                return await inspection.entries(key, cursor.place, of_documents=whole)
            case Step.POSTINGS:
                return await inspection.postings(key)
            case _:
                return await inspection.counts(key)

    async def _at_large(self, scope: Scope, cursor: Cursor) -> Page:
        match cursor.step:
            case Step.DELETIONS:
                return await self._inspection.pending(scope.tenant_id)
            case Step.ROWS:
                return await self._inspection.rows()
            case Step.INDEX_COLLECTIONS:
                return await self._collections()
            case Step.FILES:
                return await self._files()
            case _:
                return await self._inspection.structure()

    async def _vectors(self, generation_key: int, dimension: int, after_seq: int) -> Page:
        """Vectors against their checksums, and the vector index against them.

        The record is read first, so what it says should be in the index is there already; what is missing is
        asked of the record again, because it may have been deleted in between.
        """
        read = await self._inspection.vectors(generation_key, dimension, after_seq)
        if not read.keys or not await self._ready():
            return read.page
        try:
            found, vectors = await self._index.held(generation_key, read.keys, dimension)
        except IndexUnavailableError:
            # Said once, by the step that counts the entries.
            return read.page
        where = {key: row for row, key in enumerate(found)}
        missing = [key for key in read.keys if key not in where]
        stale = [
            key
            for row, key in enumerate(read.keys)
            if key in where and not _same(read.vectors[row], vectors[where[key]])
        ]
        findings = list(read.page.findings)
        for kind, keys, remedy, words in (
            (Kind.VECTOR_MISSING, missing, None, "vectors are not in the vector index"),
            (
                Kind.VECTOR_STALE,
                [key for key in stale if key in read.checked],
                None,
                "entries of the vector index have another vector than the record",
            ),
            (
                Kind.VECTOR_STALE,
                [key for key in stale if key not in read.checked],
                Remedy.EMBED,
                "entries of the vector index differ from vectors of the record that have no checksum",
            ),
        ):
            still = await self._inspection.settled(generation_key, keys) if keys else []
            if still:
                findings.append(
                    Finding(
                        kind,
                        f"{len(still)} {words}",
                        len(still),
                        keys=tuple(still),
                        generation_key=generation_key,
                        remedy=remedy,
                    )
                )
        return Page(findings, read.page.after)

    async def _entries(self, generation_key: int, place: int) -> Page:
        """Entries of the vector index without a vector in the record, from the last to the first.

        place: how many are left, 0 at the beginning. From the end, because entries that a repair has removed
        meanwhile then do not shift the others.
        """
        if not await self._ready():
            words = "the vector index does not answer and was not compared"
            return Page([Finding(Kind.VECTOR_UNAVAILABLE, words)], None)
        try:
            left = place or await self._index.count(generation_key)
            start = max(0, left - _PAGE_KEYS)
            present = await self._index.some_keys(generation_key, start, left - start) if left else []
            unknown = await self._inspection.unknown(generation_key, present)
            # Those that were on their way out are out by now.
            held = await self._index.present(generation_key, unknown) if unknown else []
        except IndexUnavailableError as error:
            return Page([Finding(Kind.VECTOR_UNAVAILABLE, f"the vector index: {error}")], None)
        findings = []
        if held:
            words = f"the vector index has {len(held)} entries that the record does not have"
            findings.append(
                Finding(Kind.VECTOR_ORPHAN, words, len(held), keys=tuple(held), generation_key=generation_key)
            )
        return Page(findings, start or None)

    async def _collections(self) -> Page:
        if not await self._ready():
            words = "the vector index does not answer and was not compared"
            return Page([Finding(Kind.VECTOR_UNAVAILABLE, words)], None)
        try:
            foreign = await self._inspection.foreign(await self._index.collection_keys())
            # Those that were being dropped are gone by now.
            foreign = sorted(set(foreign) & set(await self._index.collection_keys())) if foreign else []
        except IndexUnavailableError as error:
            return Page([Finding(Kind.VECTOR_UNAVAILABLE, f"the vector index: {error}")], None)
        words = f"the vector index has {len(foreign)} collections that the record does not have"
        return Page([Finding(Kind.VECTOR_ORPHAN, words, keys=tuple(foreign))] if foreign else [], None)

    async def _files(self) -> Page:
        paths = [*await asyncio.to_thread(self._stray_uploads), *await self._index.strays()]
        return Page(
            [
                Finding(
                    Kind.FILE_ORPHAN, f"{path.parent.name}/{path.name} belongs to nothing", name=str(path)
                )
                for path in paths[:_MOST_FILES]
            ],
            None,
        )

    async def _ready(self) -> bool:
        """Whether the index answers, after a moment in which it may still open."""
        end = time.monotonic() + _READY_SECONDS
        while True:
            try:
                await self._index.ping()
            except IndexUnavailableError:
                if time.monotonic() > end:
                    return False
                await self._index.turned(_LOOK_SECONDS)
            else:
                return True


def _same(one: Matrix, other: Matrix) -> bool:
    return bool(np.abs(one - other).max(initial=0.0) <= _SAME)
