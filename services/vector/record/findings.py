"""Differences between record, indexes and files, as an inspection finds them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """What is wrong; the numbers are those of the contract."""

    LEXICAL_MISSING = 1
    LEXICAL_ORPHAN = 2
    LEXICAL_STALE = 3
    VECTOR_MISSING = 4
    VECTOR_ORPHAN = 5
    VECTOR_STALE = 6
    VECTOR_UNAVAILABLE = 7
    EMBEDDING_MISSING = 8
    EMBEDDING_DAMAGED = 9
    TEXT_DAMAGED = 10
    CHUNK_DAMAGED = 11
    COUNT_WRONG = 12
    RECORD_ORPHAN = 13
    RECORD_DAMAGED = 14
    FILE_ORPHAN = 15
    DELETION_PENDING = 16
    ORIGINAL_DAMAGED = 17


class Remedy(IntEnum):
    """What a repair does about it; the numbers are those of the contract."""

    REBUILD = 1
    EMBED = 2
    REMOVE = 3
    COUNT = 4
    QUARANTINE = 5
    WAIT = 6
    RESTORE = 7


REMEDIES = {
    Kind.LEXICAL_MISSING: Remedy.REBUILD,
    Kind.LEXICAL_ORPHAN: Remedy.REBUILD,
    Kind.LEXICAL_STALE: Remedy.REBUILD,
    Kind.VECTOR_MISSING: Remedy.REBUILD,
    Kind.VECTOR_ORPHAN: Remedy.REMOVE,
    Kind.VECTOR_STALE: Remedy.REBUILD,
    Kind.VECTOR_UNAVAILABLE: Remedy.WAIT,
    Kind.EMBEDDING_MISSING: Remedy.EMBED,
    Kind.EMBEDDING_DAMAGED: Remedy.EMBED,
    Kind.TEXT_DAMAGED: Remedy.QUARANTINE,
    Kind.CHUNK_DAMAGED: Remedy.QUARANTINE,
    Kind.COUNT_WRONG: Remedy.COUNT,
    Kind.RECORD_ORPHAN: Remedy.REMOVE,
    Kind.RECORD_DAMAGED: Remedy.RESTORE,
    Kind.FILE_ORPHAN: Remedy.REMOVE,
    Kind.DELETION_PENDING: Remedy.WAIT,
    Kind.ORIGINAL_DAMAGED: Remedy.REMOVE,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. keys: passages, documents or files that it is about, for the repair; never shown.

    generation_key: of the vectors that it is about; 0 where it is about none.
    """

    kind: Kind
    message: str
    chunks: int = 0
    document_id: str = ""
    document_key: int = 0
    keys: tuple[int, ...] = ()
    name: str = ""
    generation_key: int = 0
    remedy: Remedy | None = None

    @property
    def cure(self) -> Remedy:
        """What a repair does about it."""
        return self.remedy or REMEDIES[self.kind]
