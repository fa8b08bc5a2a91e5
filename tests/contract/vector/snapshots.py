"""Snapshots over a channel, and what is compared of two services."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from meldrag.vector.v1 import vector_pb2 as pb
from tests.contract.vector.world import PIECE, Client, eventually, translated


async def exported(client: Client) -> bytes:
    pieces = [one.data for one in await client.stream("ExportSnapshot", pb.ExportSnapshotRequest())]
    assert max(map(len, pieces)) <= PIECE
    return b"".join(pieces)


def header(data: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(data.split(b"\n", 2)[1])
    return fields


def import_requests(data: bytes, request_id: str = "", piece: int = PIECE) -> list[pb.ImportSnapshotRequest]:
    requests = [pb.ImportSnapshotRequest(data=data[at : at + piece]) for at in range(0, len(data), piece)]
    requests[0].request_id = request_id
    return requests


async def imported(
    client: Client, requests: bytes | Iterable[pb.ImportSnapshotRequest], request_id: str = ""
) -> pb.ImportSnapshotResponse:
    if isinstance(requests, bytes):
        requests = import_requests(requests, request_id)
    with translated():
        answer: pb.ImportSnapshotResponse = await client.stub.ImportSnapshot(
            iter(requests), timeout=60, metadata=client.metadata
        )
    return answer


async def texts(client: Client, collection_id: str = "books") -> dict[str, str]:
    """SHA-256 of every committed text as it is read, by document; each as the record names it."""
    states = [pb.DOCUMENT_STATE_EMBEDDING, pb.DOCUMENT_STATE_READY]
    found = {}
    for document in await client.list(collection_id, page_size=1000, states=states):
        text = await client.text(document.document_id, collection_id)
        found[document.document_id] = hashlib.sha256(text).hexdigest()
        assert found[document.document_id] == document.extraction_sha256
    return found


async def all_embedded(client: Client, collection_id: str = "books") -> None:
    async def ready() -> bool:
        collection = await client.call("GetCollection", pb.GetCollectionRequest(collection_id=collection_id))
        return bool(collection.collection.vectors == collection.collection.chunks)

    await eventually(ready, 60)


async def answers(client: Client, queries: Iterable[str]) -> list[list[tuple[str, str, float]]]:
    """What is found by word and by vector, with scores."""
    return [
        [(hit.document_id, hit.text, round(hit.score, 5)) for hit in found.hits]
        for query in queries
        for mode in (pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_DENSE)
        for found in [await client.search(query, mode=mode, top_k=5)]
    ]
