"""The system of record: what is in it is true, and every index is made from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.vector.documents import Request
from services.vector.record import copies, requests
from services.vector.record.collections import Collections
from services.vector.record.database import Connection, Database
from services.vector.record.documents import Documents
from services.vector.record.evaluations import Evaluations
from services.vector.record.figures import Figures, figures
from services.vector.record.happenings import Happenings
from services.vector.record.index_queue import IndexQueue
from services.vector.record.ingests import Ingests
from services.vector.record.inspection import Inspection
from services.vector.record.mending import Mending
from services.vector.record.passages import Passages
from services.vector.record.postings import Postings
from services.vector.record.purging import Purging
from services.vector.record.reembedding import Reembedding
from services.vector.record.tombstones import Tombstones
from services.vector.record.vectors import Vectors

FILE = "record.sqlite3"
# Of 100,000 passages of 120 words with all their words about half.
_POSTINGS_BYTES = 96 * 1024 * 1024


class Record:
    """One SQLite file and the nouns in it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.collections = Collections(database)
        self.documents = Documents(database)
        self.ingests = Ingests(database)
        self.happenings = Happenings(database)
        self.evaluations = Evaluations(database)
        self.vectors = Vectors(database)
        self.index_queue = IndexQueue(database)
        self.passages = Passages(database)
        self.postings = Postings(database, _POSTINGS_BYTES)
        self.tombstones = Tombstones(database)
        self.mending = Mending(database)
        self.inspection = Inspection(database, self.mending.rebuilding)
        self.purging = Purging(database)
        self.reembedding = Reembedding(database)

    async def ping(self) -> None:
        """Raises ServiceError when the record cannot be read or its writer is stuck."""
        await self._database.ping()

    async def figures(self) -> Figures:
        """How much there is, and how much waits; cheap. Raises what a read raises."""
        return await figures(self._database)

    async def page_key(self) -> bytes:
        """The secret that page tokens are signed with."""

        def work(connection: Connection) -> bytes:
            (value,) = connection.execute("SELECT value FROM meta WHERE name = 'page_key'").fetchone()
            return bytes.fromhex(value)

        return await self._database.read(work)

    def copy(self, target: Path, stop: copies.Stop) -> copies.Contents:
        """A checked copy of all that is committed, as the new file `target`; blocks. See copies.make."""
        return copies.make(self._database.path, target, stop)

    async def restored(self, space: str, request: Request | None) -> copies.Contents | None:
        """What an earlier import of a snapshot with this request id brought; None when there was none.

        Raises FailedPreconditionError (REQUEST_ID_REUSED) when that was another snapshot.
        """
        made = await self._database.read(
            lambda connection: requests.outcome(connection, space, copies.IMPORT_SNAPSHOT, request)
        )
        return None if made is None else copies.Contents.from_json(made)


@contextmanager
def opened(path: Path) -> Iterator[Record]:
    """The record in `path`, made when missing. Raises StartError."""
    database = Database.open(path)
    try:
        yield Record(database)
    finally:
        database.close()
