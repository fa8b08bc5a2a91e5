"""What the record counts is what is there, in every state of a document."""

from __future__ import annotations

import pytest

from services.vector.record import figures
from services.vector.record.figures import Figures
from tests.contract.vector.world import Client, WordEmbedder, eventually


async def now(client: Client) -> Figures:
    return await client.application.record.figures()


async def queued(client: Client, table: str) -> int:
    database = client.application.record._database
    return int(await database.read(lambda c: c.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))


async def test_figures_follow_a_document_from_its_commit_to_its_end(
    client: Client, embedder: WordEmbedder
) -> None:
    embedder.gate.clear()
    (*_, committed) = await client.ingest("The badger digs. " * 300)
    document = committed.document
    seen = await now(client)
    assert (seen.collections, seen.documents, seen.passages) == (1, 1, document.chunks)
    assert document.chunks > 1
    assert seen.waiting == document.chunks == await queued(client, "embedding_queue")
    embedder.gate.set()

    async def idle() -> bool:
        seen = await now(client)
        return (seen.waiting, seen.additions) == (0, 0)

    await eventually(idle)
    seen = await now(client)
    assert (seen.vectors, await queued(client, "embedding_queue")) == (document.chunks, 0)
    # The same text again needs no model, and is counted as embedded at once.
    await client.ready("The badger digs. " * 300, filename="b.txt")
    await eventually(idle)
    assert (await now(client)).vectors == (await now(client)).passages
    await client.delete(document.document_id)
    await eventually(idle)
    assert (await now(client)).waiting == await queued(client, "embedding_queue") == 0


async def test_a_long_queue_is_not_counted_to_its_end(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "COUNTED", 3)

    def fill(connection: object) -> None:
        connection.executemany(  # type: ignore[attr-defined]
            "INSERT INTO index_removals VALUES (?, 99, '')", [(key,) for key in range(1_000_000, 1_000_009)]
        )

    # Nobody wakes the keeper for these.
    await client.application.record._database.write(fill)
    assert (await now(client)).removals <= 3


async def test_a_count_reads_no_table_of_passages_or_texts(client: Client) -> None:
    """A scrape of a large record must cost what one of a small one does."""
    statements: list[str] = []

    def traced(connection: object) -> list[str]:
        plans = []
        for statement in statements:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}")  # type: ignore[attr-defined]
            plans += [str(row[3]) for row in rows]
        return plans

    class Recording:
        async def read(self, work: object) -> object:
            def recorded(connection: object) -> object:
                connection.set_trace_callback(statements.append)  # type: ignore[attr-defined]
                try:
                    return work(connection)  # type: ignore[operator]
                finally:
                    connection.set_trace_callback(None)  # type: ignore[attr-defined]

            return await client.application.record._database.read(recorded)

    await figures.figures(Recording())  # type: ignore[arg-type]
    assert len(statements) == 2
    plans = await client.application.record._database.read(traced)
    scanned = {word for plan in plans for word in plan.split() if word in {"chunks", "vectors", "texts"}}
    assert "SCAN collections" in plans
    assert not scanned, plans
