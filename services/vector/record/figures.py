"""How much there is in the record, and how much waits."""

from __future__ import annotations

from dataclasses import dataclass

from services.vector.record.database import Connection, Database

# Beyond so many rows a queue is long, and how long exactly is not worth the reading.
COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers of things. additions, removals, drops: changes that wait for the index, COUNTED at most."""

    collections: int
    documents: int
    passages: int
    vectors: int
    additions: int
    removals: int
    drops: int

    @property
    def waiting(self) -> int:
        """Passages without their vector."""
        return self.passages - self.vectors


async def figures(database: Database) -> Figures:
    """The numbers now. Reads one row a collection, and of each queue no more than COUNTED keys."""

    def work(connection: Connection) -> Figures:
        totals = connection.execute(
            "SELECT count(*), coalesce(sum(documents), 0), coalesce(sum(chunks), 0),"
            " coalesce(sum(vectors), 0) FROM collections"
        ).fetchone()
        queues = connection.execute(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM index_additions LIMIT ?1)),"
            " (SELECT count(*) FROM (SELECT 1 FROM index_removals LIMIT ?1)),"
            " (SELECT count(*) FROM (SELECT 1 FROM index_drops LIMIT ?1))",
            (COUNTED,),
        ).fetchone()
        return Figures(*totals, *queues)

    return await database.read(work)
