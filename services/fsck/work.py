"""What the program does: compare, mend, purge, and say what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from meldrag.vector.v1 import vector_pb2
from services.fsck.terminal import Asked

Say = Callable[[str], None]

# Faults that are named; beyond, they are counted.
_MOST_NAMED = 100
# What waits for the vector index is there within moments, unless the index does not answer.
_WAIT_SECONDS = 30.0
_AGAIN_SECONDS = 1.0
_PASSING = frozenset(
    {vector_pb2.INDEX_FAULT_KIND_DELETION_PENDING, vector_pb2.INDEX_FAULT_KIND_VECTOR_UNAVAILABLE}
)


class Keeper(Protocol):
    """The vector service. Every method raises ServiceError."""

    def check(self, collection_id: str) -> Iterable[vector_pb2.CheckIndexResponse]:
        """The pages of a comparison."""
        ...

    def repair(self, collection_id: str) -> Iterable[vector_pb2.RepairIndexResponse]:
        """The pages of a repair."""
        ...

    def purge(self) -> vector_pb2.PurgeDeletedResponse:
        """Leaves no byte of what was deleted."""
        ...


def run(keeper: Keeper, asked: Asked, say: Say, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Whether nothing is wrong in the end. Raises ServiceError."""
    if asked.repair:
        found = _told(keeper.repair(asked.collection), say)
        say(f"repair: {found.faults} faults, {found.mended} of them mended")
        if found.aside:
            say(
                f"{found.aside} documents are set aside, FAILED with DOCUMENT_DAMAGED: send their originals"
                " again"
            )
    if asked.purge:
        done = keeper.purge()
        say(
            f"purge: nothing is left of {done.purged_chunks} deleted passages; the record has"
            f" {done.record_bytes_after} bytes, and had {done.record_bytes_before}"
        )
        if not done.index_files_renewed:
            say("what the Chroma server keeps in its files is not known here")
    found = _told(keeper.check(asked.collection), say)
    end = time.monotonic() + _WAIT_SECONDS
    while found.faults and found.kinds <= _PASSING and time.monotonic() < end:
        sleep(_AGAIN_SECONDS)
        found = _told(keeper.check(asked.collection), say)
    say(f"check: {found.faults} faults" if found.faults else "check: nothing is wrong")
    if found.unpurged:
        say(f"{found.unpurged} deleted passages may have bytes in free space of the files until a purge")
    return not found.faults


@dataclass
class _Found:
    """How many faults there were, of which kinds. unpurged: deleted passages that wait for a purge."""

    faults: int = 0
    mended: int = 0
    aside: int = 0
    kinds: set[int] = field(default_factory=set)
    unpurged: int = 0


def _told(pages: Iterable[Any], say: Say) -> _Found:
    """What all pages found, told as they come."""
    found = _Found()
    checked = 0
    for page in pages:
        checked += page.checked_chunks
        for fault in page.faults:
            if found.faults < _MOST_NAMED:
                say(_line(fault))
            found.faults += 1
            found.mended += fault.mended
            found.aside += fault.mended and fault.remedy == vector_pb2.INDEX_REMEDY_QUARANTINE
            found.kinds.add(fault.kind)
        if page.next_page_token:
            say(f"... {checked} of {page.total_chunks} passages, {page.step}")
        found.unpurged = getattr(page, "unpurged_chunks", 0)
    if found.faults > _MOST_NAMED:
        say(f"... and {found.faults - _MOST_NAMED} more")
    return found


def _line(fault: vector_pb2.IndexFault) -> str:
    kind = vector_pb2.IndexFaultKind.Name(fault.kind).removeprefix("INDEX_FAULT_KIND_")
    place = "/".join(part for part in (fault.tenant_id, fault.collection_id, fault.document_id) if part)
    remedy = vector_pb2.IndexRemedy.Name(fault.remedy).removeprefix("INDEX_REMEDY_").lower()
    state = f"mended: {remedy}" if fault.mended else f"remedy: {remedy}"
    return f"{kind} {place or '-'}: {fault.message} ({state})"
