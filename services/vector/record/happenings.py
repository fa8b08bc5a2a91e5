"""What there is to tell of documents, in order, for those who ask from a place on; see `noting`."""

# ruff: noqa: S608 # names in SQL are ours; every value is bound

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.vector.access import Caller, Role
from services.vector.documents import DocumentState
from services.vector.record.collections import ROLE, bound
from services.vector.record.database import Connection, Database
from services.vector.record.noting import READY_AGAIN
from services.vector.record.times import from_micros, to_micros


@dataclass(frozen=True, slots=True)
class Happening:
    """A document is READY, or has FAILED for a reason. warnings: how many there are of what it lacks.

    again: it was READY before, and was read again since.
    """

    position: int
    collection_id: str
    document_id: str
    state: DocumentState
    error_reason: str
    time: datetime
    title: str
    filename: str
    warnings: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """Some of them in order, and the place from which to ask for the next."""

    happenings: tuple[Happening, ...]
    position: int


class Happenings:
    """Happenings as a caller may read of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, caller: Caller, position: int, earliest: datetime | None, size: int) -> Told:
        """At most `size` that follow a position, of collections that the caller may read now.

        earliest: what happened before is passed over, to the millisecond.
        """
        # Times are noted in whole ones.
        since = to_micros(earliest) // 1000 * 1000 if earliest is not None else 0

        def work(connection: Connection) -> Told:
            (newest,) = connection.execute("SELECT coalesce(max(position), 0) FROM happenings").fetchone()
            rows = connection.execute(
                "SELECT h.position, c.collection_id, d.document_id, h.state, h.error_reason, h.time,"
                # What is damaged must not hold up what follows.
                " CAST(d.title AS BLOB), CAST(d.filename AS BLOB),"
                " CASE WHEN json_valid(d.warnings) THEN json_array_length(d.warnings) ELSE 0 END,"
                f" h.state = {DocumentState.READY:d} AND d.was_ready = {READY_AGAIN}"
                " FROM happenings h CROSS JOIN documents d ON d.key = h.document_key"
                " CROSS JOIN collections c ON c.key = d.collection_key"
                f" WHERE h.position > :position AND h.time >= :since AND {ROLE} >= {Role.READER:d}"
                " ORDER BY h.position LIMIT :size",
                bound(caller, position=position, since=since, size=size),
            ).fetchall()
            found = tuple(_happening(row) for row in rows)
            # All that there was has been looked at, unless the page was too small for it.
            seen = found[-1].position if len(found) == size else max(int(newest), position)
            return Told(found, seen)

        return await self._database.read(work)


def _happening(row: tuple[object, ...]) -> Happening:
    position, collection_id, document_id, state, reason, time, title, filename, warnings, again = row
    return Happening(
        position=int(str(position)),
        collection_id=str(collection_id),
        document_id=str(document_id),
        state=DocumentState(int(str(state))),
        error_reason=str(reason),
        time=from_micros(int(str(time))),
        title=_words(title),
        filename=_words(filename),
        warnings=int(str(warnings)),
        again=bool(again),
    )


def _words(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""
