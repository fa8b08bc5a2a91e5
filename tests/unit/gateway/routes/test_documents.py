from __future__ import annotations

import hashlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, stream_encode_multipart

from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import (
    AbortedError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from tests.unit.gateway.scripted_services import ScriptedServices

URL = "/api/v1/collections/papers/documents"
DOCUMENT = vector_pb2.Document(
    document_id="doc_1", collection_id="papers", state=vector_pb2.DOCUMENT_STATE_EMBEDDING, bytes=5, chunks=2
)


def stage(kind: vector_pb2.IngestStage, **fields: Any) -> vector_pb2.IngestDocumentResponse:
    return vector_pb2.IngestDocumentResponse(stage=kind, document=DOCUMENT, **fields)


STAGES = [
    stage(vector_pb2.INGEST_STAGE_RECEIVED),
    stage(vector_pb2.INGEST_STAGE_PARSED),
    stage(vector_pb2.INGEST_STAGE_COMMITTED),
]


def events(answer: TestResponse) -> list[dict[str, Any]]:
    """The events of a stream, comments left out."""
    result = []
    for block in answer.text.split("\n\n"):
        lines = [line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":")]
        if lines:
            event: dict[str, Any] = dict(lines)
            event["data"] = json.loads(event["data"])
            result.append(event)
    return result


def upload(
    http: FlaskClient, content: bytes = b"hello", headers: dict[str, str] | None = None, **fields: Any
) -> TestResponse:
    file = FileStorage(io.BytesIO(content), filename="a b.txt", content_type="text/plain")
    form = {"file": file, **fields}
    # Werkzeug's own random boundary is sometimes longer than the 70 characters of RFC 2046.
    body, _, boundary = stream_encode_multipart(form, boundary="boundary-of-the-test")
    content_type = f"multipart/form-data; boundary={boundary}"
    return http.post(URL, data=body, headers=headers, content_type=content_type)


def test_an_upload_is_202_once_it_is_durable(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["IngestDocument"] = STAGES
    answer = upload(
        http, title="T", external_id="e", metadata='{"year": 1999}', headers={"Idempotency-Key": "k"}
    )
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{URL}/doc_1"
    assert answer.json is not None
    assert (answer.json["id"], answer.json["state"], answer.json["chunks"]) == ("doc_1", "EMBEDDING", 2)
    header, data = services.requests["IngestDocument"][0]
    assert data.data == b"hello"
    assert header.header.content_sha256 == hashlib.sha256(b"hello").hexdigest()
    assert (header.header.collection_id, header.header.filename, header.header.media_type) == (
        "papers",
        "a b.txt",
        "text/plain",
    )
    assert (header.header.title, header.header.external_id, header.header.request_id) == ("T", "e", "k")
    assert (header.header.bytes, header.header.wait_ready) == (5, False)
    assert dict(header.header.metadata) == {"year": 1999.0}


def test_a_large_file_goes_on_in_pieces_of_256_kib(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["IngestDocument"] = STAGES
    content = bytes(range(256)) * 2500
    assert upload(http, content).status_code == 202
    pieces = [part.data for part in services.requests["IngestDocument"][0][1:]]
    assert [len(piece) for piece in pieces] == [262_144, 262_144, 115_712]
    assert b"".join(pieces) == content


def test_the_clients_own_hash_is_the_one_that_is_checked(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["IngestDocument"] = InvalidArgumentError("differs", reason="CONTENT_MISMATCH")
    answer = upload(http, sha256="AB" * 32)
    assert (answer.status_code, answer.json["reason"]) == (422, "CONTENT_MISMATCH")


def test_an_address_goes_on_for_the_service_to_fetch(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["IngestDocument"] = STAGES
    said = {"url": "https://example.org/a", "title": "T", "external_id": "e", "metadata": {"year": 1999}}
    answer = http.post(URL, json=said, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.headers["Location"]) == (202, f"{URL}/doc_1")
    (only,) = services.requests["IngestDocument"][0]
    wanted = vector_pb2.IngestHeader(
        collection_id="papers", url=said["url"], title="T", external_id="e", request_id="k"
    )
    wanted.metadata["year"] = 1999
    assert only.header == wanted
    services.script["IngestDocument"] = FailedPreconditionError("404", reason="FETCH_FAILED")
    refused = http.post(URL, json=said)
    assert (refused.status_code, refused.json and refused.json["reason"]) == (422, "FETCH_FAILED")


def test_progress_comes_as_events_until_ready(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["IngestDocument"] = [*STAGES, stage(vector_pb2.INGEST_STAGE_READY, existing=True)]
    answer = upload(http, headers={"Accept": "text/event-stream"})
    assert answer.status_code == 200
    assert answer.content_type == "text/event-stream"
    got = events(answer)
    assert [event["event"] for event in got] == ["received", "parsed", "committed", "ready"]
    assert got[-1]["data"]["existing"] is True
    assert got[-1]["data"]["document"]["id"] == "doc_1"
    assert services.requests["IngestDocument"][0][0].header.wait_ready


def test_progress_that_breaks_ends_with_one_error(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["IngestDocument"] = [*STAGES[:2], UnavailableError("gone", reason="EMBEDDER_UNAVAILABLE")]
    got = events(upload(http, headers={"Accept": "text/event-stream"}))
    assert [event["event"] for event in got] == ["received", "parsed", "error"]
    assert got[-1]["data"]["reason"] == "EMBEDDER_UNAVAILABLE"
    assert got[-1]["data"]["status"] == 503


REFUSED = [
    (InvalidArgumentError("x", reason="DOCUMENT_EMPTY"), 422),
    (InvalidArgumentError("x", reason="DOCUMENT_UNREADABLE"), 422),
    (InvalidArgumentError("x", reason="FORMAT_UNSUPPORTED"), 415),
    (ResourceExhaustedError("x", reason="DOCUMENT_TOO_LARGE"), 413),
    (ResourceExhaustedError("x", reason="PARSER_LIMIT"), 413),
    (ResourceExhaustedError("x", reason="STORAGE_FULL"), 507),
    (NotFoundError("x", reason="COLLECTION_NOT_FOUND"), 404),
    (AbortedError("x", reason="DOCUMENT_BUSY"), 409),
]


@pytest.mark.parametrize(("error", "status"), REFUSED, ids=[error.reason for error, _ in REFUSED])
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_refused_document_is_a_problem_in_both_forms(
    http: FlaskClient, services: ScriptedServices, error: Exception, status: int, accept: str
) -> None:
    services.script["IngestDocument"] = error
    answer = upload(http, headers={"Accept": accept})
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.text


def test_a_document_that_failed_is_never_202(http: FlaskClient, services: ScriptedServices) -> None:
    failed = vector_pb2.Document(
        state=vector_pb2.DOCUMENT_STATE_FAILED,
        error=vector_pb2.DocumentError(reason="DOCUMENT_EMPTY", message="no text"),
    )
    services.script["IngestDocument"] = vector_pb2.IngestDocumentResponse(document=failed)
    answer = upload(http)
    assert (answer.status_code, answer.json["reason"]) == (422, "DOCUMENT_EMPTY")


def part(name: str, content: bytes, filename: str | None = None, header: bytes = b"") -> bytes:
    file = b"" if filename is None else b'; filename="%s"' % filename.encode()
    return b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n%s\r\n%s\r\n' % (
        name.encode(),
        file,
        header,
        content,
    )


FILE = part("file", b"hello", "a.txt")
END = b"--b--\r\n"
BAD_FORMS = {
    "no boundary": (b"x", "multipart/form-data", 400),
    "boundary of 71": (b"x", "multipart/form-data; boundary=" + "b" * 71, 400),
    "not a form": (b"a,b", "text/csv", 415),
    "JSON without an address": (b'{"title": "T"}', "application/json", 400),
    "an address that is empty": (b'{"url": ""}', "application/json", 400),
    "an address and a hash": (b'{"url": "http://a/", "sha256": "x"}', "application/json", 400),
    "nothing": (b"", "multipart/form-data; boundary=b", 400),
    "garbage": (b"garbage", "multipart/form-data; boundary=b", 400),
    "cut off": (FILE[:-10], "multipart/form-data; boundary=b", 400),
    "no file": (part("title", b"T") + END, "multipart/form-data; boundary=b", 400),
    "no file name": (part("file", b"hello", "") + END, "multipart/form-data; boundary=b", 400),
    "a field instead of a file": (part("file", b"hello") + END, "multipart/form-data; boundary=b", 400),
    "file under another name": (part("f", b"x", "a") + END, "multipart/form-data; boundary=b", 400),
    "two files in one field": (FILE + FILE + END, "multipart/form-data; boundary=b", 400),
    "two files": (FILE + part("more", b"x", "b") + END, "multipart/form-data; boundary=b", 400),
    "title twice": (FILE + 2 * part("title", b"T") + END, "multipart/form-data; boundary=b", 400),
    "unknown field": (FILE + part("tenant_id", b"x") + END, "multipart/form-data; boundary=b", 400),
    "metadata is no object": (FILE + part("metadata", b"[1]") + END, "multipart/form-data; boundary=b", 400),
    "1,001 parts": (1001 * part("a", b"") + FILE + END, "multipart/form-data; boundary=b", 413),
    "part header of 1 MB": (
        part("file", b"x", "a", b"X-Long: " + b"a" * 1_000_000 + b"\r\n") + END,
        "multipart/form-data; boundary=b",
        413,
    ),
    "text field of 20 MB": (
        FILE + part("title", b"a" * 20_000_000) + END,
        "multipart/form-data; boundary=b",
        413,
    ),
    "text field of 600 KB": (
        FILE + part("title", b"a" * 600_000) + END,
        "multipart/form-data; boundary=b",
        413,
    ),
    "file beyond the limit": (
        part("file", b"a" * 1_000_001, "a") + END,
        "multipart/form-data; boundary=b",
        413,
    ),
    "part without a name": (
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + FILE + END,
        "multipart/form-data; boundary=b",
        400,
    ),
    "part without a disposition": (b"--b\r\n\r\nx\r\n" + END, "multipart/form-data; boundary=b", 400),
    "part header that is not UTF-8": (
        b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n' + END,
        "multipart/form-data; boundary=b",
        400,
    ),
}


@pytest.mark.parametrize(("body", "content_type", "status"), BAD_FORMS.values(), ids=BAD_FORMS.keys())
def test_a_bad_form_is_refused_before_the_service_hears_of_it(
    http: FlaskClient, services: ScriptedServices, body: bytes, content_type: str, status: int
) -> None:
    answer = http.post(URL, data=body, content_type=content_type)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.text
    assert not services.requests


def test_a_file_name_is_passed_on_as_it_is_for_the_service_to_clean(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["IngestDocument"] = STAGES
    form = {"file": (io.BytesIO(b"x"), "../../etc/passwd")}
    assert http.post(URL, data=form).status_code == 202
    assert services.requests["IngestDocument"][0][0].header.filename == "../../etc/passwd"


async def imported(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    index = 0
    async for request in requests:
        if request.text == "refuse":
            yield vector_pb2.ImportDocumentsResponse(
                index=index, error=vector_pb2.DocumentError(reason="DOCUMENT_EMPTY", message="no")
            )
        else:
            document = vector_pb2.Document(
                document_id=f"doc_{index}",
                external_id=request.external_id,
                state=vector_pb2.DOCUMENT_STATE_EMBEDDING,
                chunks=1,
            )
            yield vector_pb2.ImportDocumentsResponse(
                index=index, document=document, existing=request.text == "old"
            )
        index += 1


LINES = b"""{"id": "a", "title": "A", "text": "one", "metadata": {"k": 1}}

{"id": "b", "text": "refuse"}
not JSON
{"id": "c"}
{"id": "d", "text": "old"}
{"id": "e", "text": "x", "surplus": 1}"""


def import_lines(http: FlaskClient, body: bytes, accept: str = "*/*") -> TestResponse:
    return http.post(
        f"{URL}/import", data=body, content_type="application/x-ndjson", headers={"Accept": accept}
    )


@pytest.fixture
def importing(services: ScriptedServices) -> ScriptedServices:
    services.script["GetCollection"] = vector_pb2.GetCollectionResponse()
    services.script["ImportDocuments"] = imported
    return services


def test_each_line_has_its_answer_in_order_and_a_bad_one_ends_nothing(
    http: FlaskClient, importing: ScriptedServices
) -> None:
    answer = import_lines(http, LINES)
    assert (answer.status_code, answer.content_type) == (200, "application/x-ndjson")
    *lines, last = [json.loads(line) for line in answer.text.splitlines()]
    shown = [
        (
            line["index"],
            line["id"],
            line["document_id"],
            line["state"],
            line["error"] and line["error"]["reason"],
        )
        for line in lines
    ]
    assert shown == [
        (0, "a", "doc_0", "EMBEDDING", None),
        (1, "b", None, None, "DOCUMENT_EMPTY"),
        (2, "", None, None, "INVALID_JSON"),
        (3, "c", None, None, "INVALID_FIELD"),
        (4, "d", "doc_2", "EMBEDDING", None),
        (5, "e", None, None, "UNKNOWN_FIELD"),
    ]
    assert [line["existing"] for line in lines] == [False, False, False, False, True, False]
    assert last == {"done": True, "lines": 6, "documents": 2, "existing": 1, "failed": 4, "error": None}


def test_an_import_can_be_followed_as_events(http: FlaskClient, importing: ScriptedServices) -> None:
    got = events(import_lines(http, b'{"text": "one"}\n', "text/event-stream"))
    assert [event["event"] for event in got] == ["document", "done"]


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
@pytest.mark.parametrize("body", [b"", b"\n\n", b" \r\n"])
def test_an_import_of_nothing_is_400(
    http: FlaskClient, importing: ScriptedServices, body: bytes, accept: str
) -> None:
    answer = import_lines(http, body, accept)
    assert answer.status_code == 400
    assert answer.json is not None
    assert (answer.json["reason"], answer.json["metadata"]["field"]) == ("INVALID_FIELD", "body")
    assert "ImportDocuments" not in importing.requests


def test_an_import_of_refused_lines_alone_asks_no_service(
    http: FlaskClient, importing: ScriptedServices
) -> None:
    answer = import_lines(http, b"not JSON\n{}\n")
    *lines, last = [json.loads(line) for line in answer.text.splitlines()]
    assert (answer.status_code, answer.content_type) == (200, "application/x-ndjson")
    assert [line["error"]["reason"] for line in lines] == ["INVALID_JSON", "INVALID_FIELD"]
    assert last == {"done": True, "lines": 2, "documents": 0, "existing": 0, "failed": 2, "error": None}
    assert "ImportDocuments" not in importing.requests


def test_lines_beyond_the_limits_are_refused_alone(http: FlaskClient, importing: ScriptedServices) -> None:
    too_much_for_a_message = json.dumps({"id": "a", "text": "x" * 4_200_000}).encode()
    too_much_for_a_line = b'{"id": "b", "text": "' + b"x" * 9_000_000 + b'"}'
    answer = import_lines(
        http, b"\n".join([too_much_for_a_message, too_much_for_a_line, b'{"id": "c", "text": "t"}'])
    )
    *lines, last = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["error"] and line["error"]["reason"] for line in lines] == [
        "DOCUMENT_TOO_LARGE",
        "DOCUMENT_TOO_LARGE",
        None,
    ]
    assert last["documents"] == 1


def test_an_import_into_nothing_is_404_before_it_is_read(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["GetCollection"] = NotFoundError("no", reason="COLLECTION_NOT_FOUND")
    assert import_lines(http, LINES).status_code == 404
    assert "ImportDocuments" not in services.requests


def test_an_import_that_breaks_says_so_in_its_last_line(
    http: FlaskClient, importing: ScriptedServices
) -> None:
    async def breaks(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for answer in imported(requests):
            yield answer
            raise ResourceExhaustedError("full", reason="STORAGE_FULL")

    importing.script["ImportDocuments"] = breaks
    lines = [json.loads(line) for line in import_lines(http, LINES).text.splitlines()]
    assert lines[0]["document_id"] == "doc_0"
    assert (lines[-1]["done"], lines[-1]["error"]["reason"]) == (False, "STORAGE_FULL")


def test_an_import_that_cannot_begin_is_a_problem(http: FlaskClient, importing: ScriptedServices) -> None:
    importing.script["ImportDocuments"] = UnavailableError("no", reason="UPSTREAM_UNAVAILABLE")
    assert import_lines(http, LINES).status_code == 503


def test_an_import_of_another_type_is_415(http: FlaskClient, importing: ScriptedServices) -> None:
    assert http.post(f"{URL}/import", data=LINES, content_type="text/plain").status_code == 415


def test_documents_are_listed_by_state(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListDocuments"] = vector_pb2.ListDocumentsResponse(
        documents=[DOCUMENT], next_page_token="n"
    )
    query = f"state=ready,EMBEDDING&external_id=e&sha256={'A' * 64}&page_size=10&page_token=t"
    answer = http.get(f"{URL}?{query}")
    assert answer.json["documents"][0]["id"] == "doc_1"
    assert answer.json["next_page_token"] == "n"
    assert services.requests["ListDocuments"] == [
        vector_pb2.ListDocumentsRequest(
            collection_id="papers",
            page_size=10,
            page_token="t",
            states=[vector_pb2.DOCUMENT_STATE_READY, vector_pb2.DOCUMENT_STATE_EMBEDDING],
            external_id="e",
            content_sha256="a" * 64,
        )
    ]
    assert http.get(f"{URL}?state=DONE").status_code == 400


def test_a_document_is_read_and_deleted(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetDocument"] = vector_pb2.GetDocumentResponse(document=DOCUMENT)
    services.script["DeleteDocument"] = vector_pb2.DeleteDocumentResponse(
        receipt=vector_pb2.DeletionReceipt(state=vector_pb2.DELETION_STATE_COMPLETE, deleted_chunks=2)
    )
    assert http.get(f"{URL}/doc_1").json["id"] == "doc_1"
    answer = http.delete(f"{URL}/doc_1", headers={"Idempotency-Key": "k"})
    assert (answer.json["state"], answer.json["deleted"]["chunks"]) == ("COMPLETE", 2)
    assert services.requests["DeleteDocument"][0].request_id == "k"


TEXT = [
    vector_pb2.ReadDocumentTextResponse(
        text='Gr"üß\n', span=vector_pb2.Span(byte_start=10, byte_end=18), extraction_sha256="ab"
    ),
    vector_pb2.ReadDocumentTextResponse(
        text="Gott", span=vector_pb2.Span(byte_start=18, byte_end=22), extraction_sha256="ab"
    ),
]


def test_text_is_text_byte_for_byte(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ReadDocumentText"] = TEXT
    answer = http.get(f"{URL}/doc_1/text?byte_start=10&byte_end=22")
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.data == 'Gr"üß\nGott'.encode()
    assert answer.headers["X-Extraction-SHA256"] == "ab"
    asked = services.requests["ReadDocumentText"][0]
    assert (asked.span.byte_start, asked.span.byte_end) == (10, 22)


def test_text_comes_as_json_when_asked(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ReadDocumentText"] = TEXT
    answer = http.get(f"{URL}/doc_1/text", headers={"Accept": "application/json"})
    assert answer.json == {
        "document_id": "doc_1",
        "collection": "papers",
        "extraction_sha256": "ab",
        "text": 'Gr"üß\nGott',
        "byte_start": 10,
        "byte_end": 22,
    }
    assert not services.requests["ReadDocumentText"][0].HasField("span")


def test_text_of_a_missing_document_is_404(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ReadDocumentText"] = NotFoundError("no", reason="DOCUMENT_NOT_FOUND")
    assert http.get(f"{URL}/nope/text").status_code == 404


@pytest.mark.parametrize("query", ["byte_start=1", "byte_start=-1&byte_end=2", "byte_start=a&byte_end=b"])
def test_half_a_range_is_400(http: FlaskClient, services: ScriptedServices, query: str) -> None:
    assert http.get(f"{URL}/doc_1/text?{query}").status_code == 400


RECEIPT = vector_pb2.DeletionReceipt(
    resource="collections/papers/documents/doc_1", state=vector_pb2.DELETION_STATE_COMPLETE, tombstone_id="t"
)


def test_an_ingest_is_taken_back(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["CancelIngest"] = vector_pb2.CancelIngestResponse(receipt=RECEIPT)
    answer = http.post(f"{URL}/doc_1/cancel", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["state"], answer.json["resource"]) == (
        200,
        "COMPLETE",
        "collections/papers/documents/doc_1",
    )
    assert services.requests["CancelIngest"] == [
        vector_pb2.CancelIngestRequest(collection_id="papers", document_id="doc_1", request_id="k")
    ]
    services.script["CancelIngest"] = FailedPreconditionError("ready", reason="INGEST_STATE")
    answer = http.post(f"{URL}/doc_1/cancel")
    assert (answer.status_code, answer.json["reason"]) == (409, "INGEST_STATE")


def test_a_failed_document_is_tried_again_and_says_where_it_waits(
    http: FlaskClient, services: ScriptedServices
) -> None:
    waiting = vector_pb2.Document(document_id="doc_1", state=vector_pb2.DOCUMENT_STATE_RECEIVED)
    waiting.queue.position = 3
    services.script["RetryIngest"] = vector_pb2.RetryIngestResponse(document=waiting)
    answer = http.post(f"{URL}/doc_1/retry", headers={"Idempotency-Key": "k"})
    assert answer.status_code == 202
    assert answer.json["queue"] == {"position": 3, "remaining_seconds": None}
    waiting.queue.remaining.FromMilliseconds(1500)
    services.script["GetDocument"] = vector_pb2.GetDocumentResponse(document=waiting)
    assert http.get(f"{URL}/doc_1").json["queue"] == {"position": 3, "remaining_seconds": 1.5}
    waiting.ClearField("queue")
    services.script["GetDocument"] = vector_pb2.GetDocumentResponse(document=waiting)
    assert http.get(f"{URL}/doc_1").json["queue"] is None
    services.script["RetryIngest"] = FailedPreconditionError("gone", reason="ORIGINAL_GONE")
    answer = http.post(f"{URL}/doc_1/retry", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["reason"]) == (409, "ORIGINAL_GONE")


# -- reading again -----------------------------------------------------------------------------------


def again(kind: vector_pb2.IngestStage, **fields: Any) -> vector_pb2.ReprocessDocumentResponse:
    return vector_pb2.ReprocessDocumentResponse(stage=kind, document=DOCUMENT, **fields)


READ_AGAIN = [
    again(vector_pb2.INGEST_STAGE_RECEIVED),
    again(vector_pb2.INGEST_STAGE_COMMITTED, existing=True),
]


def test_a_document_is_read_again_and_answered_once_its_text_is_durable(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["ReprocessDocument"] = READ_AGAIN
    answer = http.post(f"{URL}/doc_1/reprocess", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["id"]) == (202, "doc_1")
    assert answer.headers["Location"] == f"{URL}/doc_1"
    assert services.requests["ReprocessDocument"] == [
        vector_pb2.ReprocessDocumentRequest(collection_id="papers", document_id="doc_1", request_id="k")
    ]


def test_the_stages_of_a_reading_are_events(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ReprocessDocument"] = READ_AGAIN
    answer = http.post(f"{URL}/doc_1/reprocess", headers={"Accept": "text/event-stream"})
    assert [(one["event"], one["data"]["existing"]) for one in events(answer)] == [
        ("received", False),
        ("committed", True),
    ]
    assert services.requests["ReprocessDocument"][0].wait_ready


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("no file", reason="ORIGINAL_NOT_KEPT"), 404),
        (AbortedError("busy", reason="DOCUMENT_BUSY"), 409),
        (FailedPreconditionError("failed", reason="INGEST_STATE"), 409),
        (ResourceExhaustedError("over 30 seconds", reason="PARSER_LIMIT"), 413),
    ],
)
def test_why_a_document_is_not_read_again_is_told(
    http: FlaskClient, services: ScriptedServices, error: Exception, status: int
) -> None:
    services.script["ReprocessDocument"] = error
    answer = http.post(f"{URL}/doc_1/reprocess")
    assert (answer.status_code, answer.json["reason"]) == (status, error.reason)


def test_a_reading_is_ended_and_the_document_told_as_it_is(
    http: FlaskClient, services: ScriptedServices
) -> None:
    document = vector_pb2.Document(document_id="doc_1", state=vector_pb2.DOCUMENT_STATE_READY)
    document.reprocess_error.reason = "PARSER_LIMIT"
    services.script["CancelReprocess"] = vector_pb2.CancelReprocessResponse(document=document)
    answer = http.delete(f"{URL}/doc_1/reprocess", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["reprocessing"], answer.json["error"]) == (200, False, None)
    assert answer.json["reprocess_error"] == {"reason": "PARSER_LIMIT", "message": ""}
    assert services.requests["CancelReprocess"][0].request_id == "k"


def test_an_upload_that_is_taken_back_is_a_conflict(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["IngestDocument"] = AbortedError("cancelled", reason="INGEST_CANCELLED")
    answer = upload(http)
    assert (answer.status_code, answer.json["reason"]) == (409, "INGEST_CANCELLED")


# -- originals ---------------------------------------------------------------------------------------

ORIGINAL = f"{URL}/doc_1/original"
PDF = b"%PDF-1.7 " + bytes(range(40))
PDF_SHA256 = hashlib.sha256(PDF).hexdigest()


def kept(services: ScriptedServices, data: bytes = PDF, **fields: Any) -> None:
    """The document, and the bytes that it was made of, as the vector service tells them."""
    document = vector_pb2.Document()
    document.CopyFrom(DOCUMENT)
    document.MergeFrom(
        vector_pb2.Document(
            **{
                "bytes": len(data),
                "content_sha256": hashlib.sha256(data).hexdigest(),
                "filename": "a b.pdf",
                "media_type": "application/pdf",
                "has_original": True,
                **fields,
            }
        )
    )
    services.script["GetDocument"] = vector_pb2.GetDocumentResponse(document=document)

    async def read(asked: vector_pb2.ReadDocumentOriginalRequest) -> AsyncIterator[Any]:
        part = data[asked.byte_start : asked.byte_end or None]
        yield vector_pb2.ReadDocumentOriginalResponse(document=document, data=part[:3])
        yield vector_pb2.ReadDocumentOriginalResponse(data=part[3:])

    services.script["ReadDocumentOriginal"] = read


def test_an_original_comes_byte_for_byte(http: FlaskClient, services: ScriptedServices) -> None:
    kept(services)
    answer = http.get(ORIGINAL)
    assert (answer.status_code, answer.data) == (200, PDF)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Length"] == str(len(PDF))
    assert answer.headers["ETag"] == f'"{PDF_SHA256}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Content-Disposition"] == 'inline; filename="a b.pdf"'
    asked = services.requests["ReadDocumentOriginal"][0]
    assert (asked.collection_id, asked.document_id) == ("papers", "doc_1")


@pytest.mark.parametrize(
    ("wanted", "start", "end"), [("bytes=0-3", 0, 4), ("bytes=40-", 40, len(PDF)), ("bytes=-2", -2, None)]
)
def test_a_range_of_an_original_comes_as_a_part(
    http: FlaskClient, services: ScriptedServices, wanted: str, start: int, end: int | None
) -> None:
    kept(services)
    answer = http.get(ORIGINAL, headers={"Range": wanted, "If-Range": f'"{PDF_SHA256}"'})
    assert (answer.status_code, answer.data) == (206, PDF[start:end])
    assert answer.headers["Content-Range"].endswith(f"/{len(PDF)}")


def test_who_has_the_original_gets_none_and_a_wrong_range_is_told(
    http: FlaskClient, services: ScriptedServices
) -> None:
    kept(services)
    answer = http.get(ORIGINAL, headers={"If-None-Match": f'"{PDF_SHA256}"'})
    assert (answer.status_code, answer.data) == (304, b"")
    assert "ReadDocumentOriginal" not in services.requests
    answer = http.get(ORIGINAL, headers={"Range": "bytes=400-"})
    assert (answer.status_code, answer.json["reason"]) == (416, "RANGE_NOT_SATISFIABLE")
    head = http.head(ORIGINAL)
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(PDF)))


@pytest.mark.parametrize(
    "media_type",
    [
        *("application/pdf", "text/plain", "image/png", "image/jpeg", "image/gif", "image/webp"),
    ],
)
def test_what_cannot_act_may_be_shown(http: FlaskClient, services: ScriptedServices, media_type: str) -> None:
    kept(services, media_type=media_type)
    headers = http.get(ORIGINAL).headers
    assert headers["Content-Disposition"].startswith("inline;")
    assert headers["X-Content-Type-Options"] == "nosniff"
    # No viewer is held back by a sandbox; nothing else is loaded by it.
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "sandbox" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "media_type",
    [
        *("text/html", "image/svg+xml", "application/xml", "text/xml", "application/xhtml+xml"),
        *(
            "text/markdown",
            "text/csv",
            "message/rfc822",
            "application/json",
            "",
            "application/PDF",
            "text/plain;x=y",
        ),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ],
)
def test_everything_else_is_to_be_kept(
    http: FlaskClient, services: ScriptedServices, media_type: str
) -> None:
    kept(services, b"{}", media_type=media_type, filename="fünf €.html")
    headers = http.get(ORIGINAL).headers
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"f_nf _.html\"; filename*=UTF-8''f%C3%BCnf%20%E2%82%AC.html"
    )
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ['a"b.pdf', "a\\b.pdf", "a\r\nSet-Cookie: x=y.pdf", "a;b.pdf", "../a.pdf"])
def test_no_name_breaks_out_of_its_header(http: FlaskClient, services: ScriptedServices, name: str) -> None:
    kept(services, filename=name)
    headers = http.get(ORIGINAL).headers
    said = headers["Content-Disposition"]
    plain = said.removeprefix('inline; filename="').partition('"')[0]
    assert not set(plain) & set('"\\;/\r\n')
    assert "Set-Cookie" not in headers


def test_a_document_without_a_name_goes_by_its_id(http: FlaskClient, services: ScriptedServices) -> None:
    kept(services, filename="")
    assert http.get(ORIGINAL).headers["Content-Disposition"] == 'inline; filename="doc_1"'


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("Grüße aus Köln".encode(), "text/plain; charset=utf-8"),
        ("Grüße aus Köln".encode("latin-1"), "text/plain"),
        # The first piece ends within a letter.
        (b"ab\xc3\xbc", "text/plain; charset=utf-8"),
    ],
)
def test_browsers_are_told_of_utf_8(
    http: FlaskClient, services: ScriptedServices, data: bytes, said: str
) -> None:
    kept(services, data, media_type="text/plain", filename="a.txt")
    assert http.get(ORIGINAL).headers["Content-Type"] == said


def test_a_document_without_an_original_says_so(http: FlaskClient, services: ScriptedServices) -> None:
    kept(services, has_original=False)
    # Also to who claims to have it.
    for headers in ({}, {"If-None-Match": f'"{PDF_SHA256}"'}, {"Range": "bytes=0-3"}):
        answer = http.get(ORIGINAL, headers=headers)
        assert (answer.status_code, answer.json["reason"]) == (404, "ORIGINAL_NOT_KEPT")


def test_an_original_of_a_document_that_is_not_there_is_404(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["GetDocument"] = NotFoundError("x", reason="DOCUMENT_NOT_FOUND")
    answer = http.get(ORIGINAL)
    assert (answer.status_code, answer.json["reason"]) == (404, "DOCUMENT_NOT_FOUND")
