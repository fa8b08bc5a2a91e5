"""Writes what a vector service of an older release keeps, to be kept under tests/fixtures.

    git worktree add /tmp/old COMMIT && cd /tmp/old && python protos/build.py
    PYTHONPATH=.:protos/gen python THIS/tests/tools/freeze_vectors.py > THIS/tests/fixtures/vectors-3.json

It runs with the code of that release, from 40790c2 (schema 3) on, with the model of the tests. The file has:
schema; the record as SQL; a snapshot (gzip, base64); answers, as that release gave them.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from meldrag.vector.v1 import vector_pb2 as pb

DIMENSION = 8
TEXTS = {
    "harbour": (
        "Harbour rules",
        "# Piers\n\nBoats moor at the east pier.\n\n# Lamp\n\nThe lamp is lit at dusk.",
    ),
    "kitchen": ("Kitchen rules", "Soup is served at noon.\n\nBread is baked on Fridays, see ERR_OVEN_42."),
    "gone": ("Old rules", "Nobody remembers this."),
    "changed": ("New rules", "What was here before."),
}
QUERIES = ("lamp at dusk", "ERR_OVEN_42", '"baked on fridays"', "pier NOT lamp")


async def fill(client: Any) -> None:
    """Two collections, a grant, a replaced and a deleted document, an evaluation."""
    await client.create(description="Of an older release", request_id="create-1")
    await client.person("anna").create("diary")
    await client.person("anna").import_all([{"external_id": "d", "text": "Only for the cooks."}], "diary")
    grants = [pb.Grant(group="cooks", role=pb.COLLECTION_ROLE_READER)]
    await client.call(
        "SetCollectionAccess", pb.SetCollectionAccessRequest(collection_id="diary", grants=grants)
    )
    for number, (external_id, (title, text)) in enumerate(TEXTS.items()):
        await client.ready(
            text,
            filename=f"{external_id}.md",
            external_id=external_id,
            title=title,
            metadata={"shelf": number},
            request_id=f"ingest-{external_id}",
        )
    await client.import_all([{"external_id": "changed", "title": "New rules", "text": "What is here now."}])
    gone = (await client.list(external_id="gone"))[0]
    await client.delete(gone.document_id)
    query = pb.GoldenQuery(query_id="q", query="lamp", judgements=[pb.Judgement(external_id="harbour")])
    header = pb.EvaluationHeader(collection_id="books", label="frozen")
    await client.stream(
        "RunEvaluation", [pb.RunEvaluationRequest(header=header), pb.RunEvaluationRequest(query=query)]
    )


async def answers(client: Any) -> dict[str, Any]:
    """All that the filled service says of what it keeps, by call."""
    said: dict[str, Any] = {}

    async def ask(name: str, method: str, request: Any, of: Any = client) -> Any:
        answer = await of.call(method, request)
        said[name] = json_format.MessageToDict(answer)
        return answer

    for collection_id in ("books", "diary"):
        await ask(collection_id, "GetCollection", pb.GetCollectionRequest(collection_id=collection_id))
        request = pb.ListDocumentsRequest(collection_id=collection_id)
        for one in (await ask(f"documents of {collection_id}", "ListDocuments", request)).documents:
            said[f"text of {one.external_id}"] = (await client.text(one.document_id, collection_id)).decode()
    for query in QUERIES:
        for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_DENSE, pb.SEARCH_MODE_HYBRID):
            found = await client.search(query, mode=mode, similarity_threshold=-1, top_k=50)
            # In which order is for each release to improve.
            said[f"{pb.SearchMode.Name(mode)} {query}"] = sorted(
                [hit.external_id, hit.text, hit.location, hit.page] for hit in found.hits
            )
    cook = client.person("ben", groups="cooks")
    hits = (await cook.search("cooks", collection_ids=["diary"])).hits
    said["for the cooks"] = [hit.text for hit in hits]
    hits = (await client.search("dusk", mode=pb.SEARCH_MODE_LEXICAL)).hits
    assert len(hits) == 1
    hit = hits[0]
    citation = pb.Citation(
        document_id=hit.document_id,
        extraction_sha256=hit.extraction_sha256,
        span=hit.span,
        quote=hit.text,
    )
    await ask("a citation", "VerifyCitations", pb.VerifyCitationsRequest(citations=[citation]))
    request = pb.ListEvaluationsRequest(collection_id="books")
    listed = await ask("evaluations", "ListEvaluations", request)
    named = {"collection_id": "books", "evaluation_id": listed.evaluations[0].evaluation_id}
    await ask("its queries", "ListEvaluationQueries", pb.ListEvaluationQueriesRequest(**named))
    return said


def sql_of(path: Path) -> str:
    """A record as the statements that make it."""
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        virtual = tuple(
            f'INSERT INTO "{name}" '
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
            )
        )
        # What a keyword index shows as its rows is in the tables behind it.
        lines = [line for line in connection.iterdump() if not line.startswith(virtual)]
        return "\n".join((f"PRAGMA user_version = {version};", *lines))


async def frozen(folder: Path) -> dict[str, Any]:
    """See the head of this file."""
    from services.vector.record.schema import VERSION
    from tests.contract.vector.snapshots import exported
    from tests.contract.vector.world import WordEmbedder, all_ready, eventually, running

    async with running(folder, WordEmbedder(dimension=DIMENSION)) as client:
        await fill(client)
        await eventually(lambda: all_ready(client))
        said = await answers(client)
        snapshot = await exported(client)
    return {
        "schema": VERSION,
        "record": sql_of(folder / "vector" / "record.sqlite3"),
        "snapshot": base64.b64encode(gzip.compress(snapshot, mtime=0)).decode(),
        "answers": said,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        kept = asyncio.run(frozen(Path(name)))
    json.dump(kept, sys.stdout, indent=1, ensure_ascii=True, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
