"""A page of a comparison, and of a repair."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from services.vector.record.findings import Finding, Kind, Remedy
from services.vector.record.inspection import Subject
from services.vector.record.mending import Mending
from services.vector.upkeep.files import remove
from services.vector.upkeep.walking import Cursor, Look, Scope, Walking

_log = logging.getLogger(__name__)

# A page ends with the step that passes one of these.
_PAGE_SECONDS = 2.0
# A step finds fewer than as many again.
_PAGE_FAULTS = 500


@dataclass(frozen=True, slots=True)
class Fault:
    """A finding with its place. mended: whether it was."""

    finding: Finding
    subject: Subject | None
    mended: bool = False


@dataclass
class Report:
    """A page. after: where the next one begins; None at the end."""

    faults: list[Fault] = field(default_factory=list)
    chunks: int = 0
    words: str = ""
    after: Cursor | None = None


class Checking:
    """Compares, and changes nothing."""

    def __init__(self, walking: Walking) -> None:
        self._walking = walking

    async def page(self, scope: Scope, cursor: Cursor) -> Report:
        """From `cursor` on, for a few seconds. Raises NotFoundError (COLLECTION_NOT_FOUND)."""
        return await walked(self._walking, scope, cursor, _as_found)


class Repairing:
    """Compares, and mends."""

    def __init__(
        self,
        walking: Walking,
        mending: Mending,
        *,
        forget: Callable[[int], None],
        to_embed: Callable[[], None],
        to_index: Callable[[], None],
    ) -> None:
        """forget: vectors of a collection that are in memory; to_embed, to_index: there is work to do."""
        self._walking = walking
        self._mending = mending
        self._forget = forget
        self._to_embed = to_embed
        self._to_index = to_index

    async def page(self, scope: Scope, cursor: Cursor) -> Report:
        """From `cursor` on, for a few seconds, or as long as a keyword index takes that is made anew.

        Raises NotFoundError (COLLECTION_NOT_FOUND) and what a write raises.
        """
        return await walked(self._walking, scope, cursor, self._mended)

    async def _mended(self, look: Look) -> list[Fault]:
        faults = []
        lexical = False
        for finding in look.findings:
            mended = await self._mend(finding, look.subject)
            lexical |= finding.cure is Remedy.QUARANTINE or _lexical(finding)
            faults.append(Fault(finding, look.subject, mended))
        if lexical and look.subject is not None:
            # Once for all of them.
            await self._mending.rebuild_lexicon(look.subject.key)
        if faults:
            self._to_index()
            self._to_embed()
            kinds = sorted({fault.finding.kind.name for fault in faults})
            _log.warning("mended what a repair found", extra={"fields": {"step": look.words, "kinds": kinds}})
        return faults

    async def _mend(self, finding: Finding, subject: Subject | None) -> bool:
        """Whether it was done, or will be by what was queued."""
        key = subject.key if subject else 0
        match finding.cure:
            case Remedy.QUARANTINE:
                await self._mending.quarantine(finding.document_key)
                self._forget(key)
            case Remedy.EMBED:
                await self._mending.embed_again(key, finding.generation_key, finding.keys)
                self._forget(key)
            case Remedy.COUNT:
                await self._mending.count_again(key)
            case Remedy.REBUILD if not _lexical(finding):
                await self._mending.index_again(finding.generation_key, finding.keys)
            case Remedy.REMOVE if finding.kind is Kind.RECORD_ORPHAN:
                await self._mending.remove_rows(finding.name)
            case Remedy.REMOVE if finding.kind is Kind.FILE_ORPHAN:
                await asyncio.to_thread(remove, Path(finding.name))
            case Remedy.REMOVE if finding.kind is Kind.ORIGINAL_DAMAGED:
                await self._mending.remove_original(finding.document_key)
            case Remedy.REMOVE if subject is None:
                await self._mending.drop_collections(finding.keys)
            case Remedy.REMOVE:
                await self._mending.remove_entries(finding.generation_key, finding.keys)
            case Remedy.WAIT | Remedy.RESTORE:
                return False
            case _:
                # The keyword index, which is made anew after all.
                pass
        return True


async def walked(
    walking: Walking, scope: Scope, cursor: Cursor, judge: Callable[[Look], Awaitable[list[Fault]]]
) -> Report:
    """Steps until the page is full."""
    only = None
    if scope.collection_id and scope.tenant_id is not None:
        only = await walking.subject(scope.tenant_id, scope.collection_id)
    report = Report()
    end = time.monotonic() + _PAGE_SECONDS
    at: Cursor | None = cursor
    while at is not None and time.monotonic() < end and len(report.faults) < _PAGE_FAULTS:
        look = await walking.look(scope, at, only)
        report.faults += await judge(look)
        report.chunks += look.chunks
        report.words = look.words
        at = look.after
    report.after = at
    return report


async def _as_found(look: Look) -> list[Fault]:
    return [Fault(finding, look.subject) for finding in look.findings]


def _lexical(finding: Finding) -> bool:
    return finding.kind in (Kind.LEXICAL_MISSING, Kind.LEXICAL_ORPHAN, Kind.LEXICAL_STALE)
