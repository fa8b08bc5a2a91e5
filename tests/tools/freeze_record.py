"""Writes a small record of an older release as SQL, to be kept under tests/fixtures.

    git worktree add /tmp/old COMMIT
    cd /tmp/old && PYTHONPATH=. python THIS/tests/tools/freeze_record.py > THIS/tests/fixtures/record-2.sql

It runs with the code of that release, and names and times are the same each time, so the same commit gives
the same file. The last commit with schema version 2 is the parent of fabde8d, for which this script stands in
the history; as it is now it is for version 3, whose last commit is 40790c2.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
import sqlite3
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_MOMENT = 1_750_000_000
_numbers = itertools.count(1)
_TEXTS = (
    ("harbour", "Harbour rules", "Boats moor at the east pier.\n\nThe lamp is lit at dusk."),
    ("kitchen", "Kitchen rules", "Soup is served at noon.\n\nBread is baked on Fridays."),
    ("gone", "Old rules", "Nobody remembers this."),
)


async def fill(path: Path) -> None:
    """Two documents with vectors, one that still waits for its own, one that was deleted."""
    from services.chassis.context import LOCAL_OWNER
    from services.vector.access import Caller
    from services.vector.documents import Draft, Passage, Request
    from services.vector.embedding.ports import ModelName
    from services.vector.record.record import opened

    owner = Caller.of(LOCAL_OWNER)
    with opened(path) as record:
        collection = await record.collections.create(
            owner,
            "books",
            description="Of an older release",
            model=ModelName("words", 4),
            request=Request("create-1", "f"),
        )
        made = []
        for number, (external_id, title, text) in enumerate(_TEXTS):
            data = text.encode()
            sha256 = hashlib.sha256(data).hexdigest()
            passages, at = [], 0
            for part in text.split("\n\n"):
                passages.append(Passage(at, at + len(part), 0, (title,), part))
                at += len(part) + 2
            filename = f"{external_id}.txt"
            arrived = await record.documents.receive(collection.key, external_id, title, filename, {})
            draft = Draft(
                document_id=arrived.document_id,
                external_id=external_id,
                title=title,
                filename=filename,
                size=len(data),
                media_type="text/plain",
                content_sha256=sha256,
                extraction_sha256=sha256,
                text=data,
                pages=0,
                metadata={"shelf": number},
                create_time=datetime.fromtimestamp(_MOMENT + number, UTC),
                passages=passages,
            )
            made.append((await record.documents.commit(collection.key, owner, draft, None)).document)
            if external_id == "harbour":
                await store(record, [1, 2])
        await store(record, [5])
        await record.documents.delete(owner, "books", made[2].document_id, Request("delete-1", "f"))


async def store(record: Any, chunk_keys: list[int]) -> None:
    """Vectors along one axis each."""
    import numpy as np

    from services.vector.record.vectors import Made

    rows = np.eye(4, dtype=np.float32)
    await record.vectors.store([Made(1, key, rows[(key - 1) % 4]) for key in chunk_keys])


def main() -> None:
    secrets.token_hex = lambda size=32: f"{next(_numbers):0{2 * size}x}"  # type: ignore[assignment,misc]
    time.time_ns = lambda: _MOMENT * 1_000_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.sqlite3"
        asyncio.run(fill(path))
        with sqlite3.connect(path) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            sys.stdout.write(f"PRAGMA user_version = {version};\n")
            virtual = [
                f'INSERT INTO "{name}" '
                for (name,) in connection.execute(
                    "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
                )
            ]
            for line in connection.iterdump():
                # What a keyword index shows as its rows is in the tables behind it.
                if not line.startswith(tuple(virtual)):
                    sys.stdout.write(f"{line}\n")
        connection.close()


if __name__ == "__main__":
    main()
