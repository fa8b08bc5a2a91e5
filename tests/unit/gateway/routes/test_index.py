from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import AbortedError, NotFoundError, UnavailableError
from tests.unit.gateway.scripted_services import ScriptedServices

FAULT = vector_pb2.IndexFault(
    collection_id="papers",
    message="m",
    chunks=2,
    kind=vector_pb2.INDEX_FAULT_KIND_VECTOR_MISSING,
    remedy=vector_pb2.INDEX_REMEDY_REBUILD,
    mended=True,
)
SHOWN = {
    "kind": "VECTOR_MISSING",
    "message": "m",
    "collection": "papers",
    "document_id": None,
    "tenant_id": None,
    "chunks": 2,
    "remedy": "REBUILD",
    "mended": True,
}


def pages(kind: Any, count: int = 3) -> Any:
    """An answer a call: `count` pages, the second with a fault."""

    async def answer(request: Any) -> Any:
        number = int(request.page_token or 0)
        return kind(
            faults=[FAULT] if number == 1 else [],
            checked_chunks=10,
            total_chunks=30,
            step=f"step {number}",
            next_page_token=str(number + 1) if number + 1 < count else "",
        )

    return answer


def events(body: bytes) -> list[tuple[str, Any]]:
    blocks = [block for block in body.decode().split("\n\n") if block.startswith("event: ")]
    return [
        (block.split("\n")[0].removeprefix("event: "), json.loads(block.split("data: ", 1)[1]))
        for block in blocks
    ]


def test_a_check_answers_with_the_sum_of_its_pages(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["CheckIndex"] = pages(vector_pb2.CheckIndexResponse)
    answer = http.post("/api/v1/index/check", json={"every_tenant": True})
    assert answer.status_code == 200
    assert answer.json == {
        "checked_chunks": 30,
        "total_chunks": 30,
        "counts": {"VECTOR_MISSING": 1},
        "unmended": 0,
        "faults": [SHOWN],
        "unpurged_chunks": 0,
    }
    assert [one.every_tenant for one in services.requests["CheckIndex"]] == [True] * 3


def test_a_repair_can_be_followed_page_by_page(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RepairIndex"] = pages(vector_pb2.RepairIndexResponse)
    answer = http.post(
        "/api/v1/index/repair",
        json={"collection": "papers", "dry_run": True},
        headers={"Accept": "text/event-stream", "Idempotency-Key": "k"},
    )
    assert answer.content_type == "text/event-stream"
    told = events(answer.data)
    assert [name for name, _ in told] == ["page", "page", "page", "end"]
    assert [data["checked_chunks"] for _, data in told] == [10, 20, 30, 30]
    assert told[1][1] == {"step": "step 1", "checked_chunks": 20, "total_chunks": 30, "faults": [SHOWN]}
    assert told[3][1]["counts"] == {"VECTOR_MISSING": 1}
    first = services.requests["RepairIndex"][0]
    assert (first.collection_id, first.dry_run, first.request_id) == ("papers", True, "k")


def test_a_stream_that_breaks_ends_with_the_problem(http: FlaskClient, services: ScriptedServices) -> None:
    good = pages(vector_pb2.CheckIndexResponse)

    async def answer(request: Any) -> Any:
        if request.page_token:
            raise UnavailableError("closed", reason="RECORD_BUSY")
        return await good(request)

    services.script["CheckIndex"] = answer
    told = events(http.post("/api/v1/index/check", json={}, headers={"Accept": "text/event-stream"}).data)
    assert [name for name, _ in told] == ["page", "error"]
    assert told[1][1]["reason"] == "RECORD_BUSY"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_collection_that_is_not_there_is_404(
    http: FlaskClient, services: ScriptedServices, accept: str
) -> None:
    services.script["CheckIndex"] = NotFoundError("none", reason="COLLECTION_NOT_FOUND")
    answer = http.post("/api/v1/index/check", json={"collection": "x"}, headers={"Accept": accept})
    assert (answer.status_code, answer.json["reason"]) == (404, "COLLECTION_NOT_FOUND")


def test_what_is_no_field_is_400(http: FlaskClient, services: ScriptedServices) -> None:
    assert http.post("/api/v1/index/check", json={"dry_run": True}).status_code == 400
    assert http.post("/api/v1/index/repair", json={"collection": 1}).status_code == 400
    assert http.post("/api/v1/index/purge", json={"collection": "papers"}).status_code == 400
    assert not services.requests


def test_a_purge_says_what_it_did(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["PurgeDeleted"] = vector_pb2.PurgeDeletedResponse(
        purged_chunks=3,
        record_bytes_before=9,
        record_bytes_after=4,
        removed_files=1,
        index_files_renewed=True,
    )
    assert http.post("/api/v1/index/purge").json == {
        "purged_chunks": 3,
        "record_bytes": {"before": 9, "after": 4},
        "removed_files": 1,
        "index_files_renewed": True,
        "purged_at": None,
    }
    services.script["PurgeDeleted"] = AbortedError("busy", reason="PURGE_RUNNING")
    answer = http.post("/api/v1/index/purge")
    assert (answer.status_code, answer.json["reason"]) == (409, "PURGE_RUNNING")


def test_a_receipt_can_be_asked_for_again(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetDeletion"] = vector_pb2.GetDeletionResponse(
        receipt=vector_pb2.DeletionReceipt(state=vector_pb2.DELETION_STATE_COMPLETE, tombstone_id="t")
    )
    answer = http.get("/api/v1/deletions/t")
    assert (answer.json["state"], answer.json["left"]["files"]) == ("COMPLETE", 0)
    assert services.requests["GetDeletion"] == [vector_pb2.GetDeletionRequest(tombstone_id="t")]
