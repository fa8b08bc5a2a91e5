from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, stream_encode_multipart

from meldrag.session.v1 import session_pb2
from services.chassis.errors import DataLossError, NotFoundError, ResourceExhaustedError
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import client_of
from tests.unit.gateway.scripted_services import ScriptedServices

URL = "/api/v1/attachments"
CONTENT = f"{URL}/att_1/content"
DATA = b"0123456789"
SHA256 = hashlib.sha256(DATA).hexdigest()


def known(**fields: Any) -> session_pb2.Attachment:
    fields = {
        "attachment_id": "att_1",
        "session_id": "ses_1",
        "filename": "a b.png",
        "media_type": "image/png",
        "bytes": len(DATA),
        "sha256": SHA256,
        **fields,
    }
    return session_pb2.Attachment(**fields)


def upload(
    http: FlaskClient, content: bytes = DATA, headers: dict[str, str] | None = None, **fields: Any
) -> TestResponse:
    file = FileStorage(io.BytesIO(content), filename="a b.png", content_type="image/png")
    body, _, boundary = stream_encode_multipart({"file": file, **fields}, boundary="boundary-of-the-test")
    content_type = f"multipart/form-data; boundary={boundary}"
    return http.post(URL, data=body, headers=headers, content_type=content_type)


def readable(services: ScriptedServices, **fields: Any) -> None:
    """The file that is known, and its bytes, as the session service tells them."""
    services.script["GetAttachment"] = session_pb2.GetAttachmentResponse(attachment=known(**fields))

    async def read(request: session_pb2.ReadAttachmentRequest) -> Any:
        part = DATA[request.byte_start : request.byte_end or None]
        yield session_pb2.ReadAttachmentResponse(attachment=known(**fields), data=part[:3])
        yield session_pb2.ReadAttachmentResponse(data=part[3:])

    services.script["ReadAttachment"] = read


def test_a_file_is_kept(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["PutAttachment"] = session_pb2.PutAttachmentResponse(attachment=known())
    answer = upload(http, session_id="ses_1", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.headers["Location"]) == (201, f"{URL}/att_1")
    assert answer.json == {
        "id": "att_1",
        "session_id": "ses_1",
        "run_id": None,
        "filename": "a b.png",
        "media_type": "image/png",
        "bytes": 10,
        "sha256": SHA256,
        "created": None,
        "expires": None,
    }
    first, data = services.requests["PutAttachment"][0]
    assert (first.request_id, first.header.session_id) == ("k", "ses_1")
    assert (first.header.filename, first.header.media_type) == ("a b.png", "image/png")
    assert (first.header.bytes, first.header.sha256) == (10, SHA256)
    assert data.data == DATA


def test_a_large_file_goes_on_in_pieces_of_256_kib(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["PutAttachment"] = session_pb2.PutAttachmentResponse(attachment=known())
    content = bytes(range(256)) * 20_000
    assert upload(http, content).status_code == 201
    pieces = [part.data for part in services.requests["PutAttachment"][0][1:]]
    assert max(map(len, pieces)) == 262_144
    assert b"".join(pieces) == content


def test_the_clients_own_hash_is_the_one_that_is_checked(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["PutAttachment"] = DataLossError("differs", reason="CHECKSUM_MISMATCH")
    answer = upload(http, sha256="AB" * 32)
    assert (answer.status_code, answer.json["reason"]) == (422, "CHECKSUM_MISMATCH")
    assert services.requests["PutAttachment"][0][0].header.sha256 == "ab" * 32


def test_a_file_beyond_the_gateways_limit_is_refused(services: ScriptedServices, clients: Clients) -> None:
    """MELD_MAX_ATTACHMENT_BYTES."""
    http = client_of(Door(GatewaySettings(meld_max_attachment_bytes=2000), clients, slots_for(16)))
    answer = upload(http, bytes(2001))
    assert (answer.status_code, answer.json["reason"]) == (413, "ATTACHMENT_TOO_LARGE")
    assert "PutAttachment" not in services.requests
    services.script["PutAttachment"] = session_pb2.PutAttachmentResponse(attachment=known())
    assert upload(http, bytes(2000)).status_code == 201


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ResourceExhaustedError("x", reason="ATTACHMENT_TOO_LARGE"), 413),
        (ResourceExhaustedError("x", reason="STORAGE_FULL"), 507),
        (NotFoundError("x", reason="SESSION_NOT_FOUND"), 404),
    ],
)
def test_what_the_service_refuses_is_a_problem(
    http: FlaskClient, services: ScriptedServices, error: Exception, status: int
) -> None:
    services.script["PutAttachment"] = error
    assert upload(http).status_code == status


def test_a_field_that_nobody_knows_is_refused(http: FlaskClient, services: ScriptedServices) -> None:
    answer = upload(http, title="T")
    assert (answer.status_code, answer.json["reason"]) == (400, "UNKNOWN_FIELD")
    assert http.post(URL, json={}).status_code == 415


def test_files_are_listed_and_one_is_told_and_deleted(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListAttachments"] = session_pb2.ListAttachmentsResponse(
        attachments=[known()], next_page_token="more"
    )
    services.script["GetAttachment"] = session_pb2.GetAttachmentResponse(attachment=known(session_id=""))
    services.script["DeleteAttachment"] = session_pb2.DeleteAttachmentResponse()
    listed = http.get(f"{URL}?session_id=ses_1&page_size=5").json
    assert listed is not None
    assert [one["id"] for one in listed["attachments"]] == ["att_1"]
    assert listed["next_page_token"] == "more"
    asked = services.requests["ListAttachments"][0]
    assert (asked.session_id, asked.page_size) == ("ses_1", 5)
    told = http.get(f"{URL}/att_1").json
    assert told is not None
    assert (told["id"], told["session_id"]) == ("att_1", None)
    answer = http.delete(f"{URL}/att_1")
    assert (answer.status_code, answer.data) == (204, b"")
    assert services.requests["DeleteAttachment"][0].attachment_id == "att_1"


def test_the_bytes_come_to_be_kept_and_never_as_a_page(http: FlaskClient, services: ScriptedServices) -> None:
    readable(services, media_type="text/html", filename="fünf \u20ac.html")
    answer = http.get(CONTENT)
    assert (answer.status_code, answer.data) == (200, DATA)
    headers = answer.headers
    assert headers["Content-Type"] == "text/html"
    assert headers["Content-Length"] == "10"
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"f_nf _.html\"; filename*=UTF-8''f%C3%BCnf%20%E2%82%AC.html"
    )
    assert "sandbox" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert (headers["ETag"], headers["Accept-Ranges"]) == (f'"{SHA256}"', "bytes")


@pytest.mark.parametrize(
    ("claimed", "sent"),
    [("", "application/octet-stream"), ("a\tb", "application/octet-stream"), ("image/png", "image/png")],
)
def test_a_type_that_is_none_is_just_bytes(
    http: FlaskClient, services: ScriptedServices, claimed: str, sent: str
) -> None:
    readable(services, media_type=claimed)
    assert http.get(CONTENT).headers["Content-Type"] == sent


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=0-3", 0, 4), ("bytes=7-", 7, 10), ("bytes=-2", 8, 10), ("bytes=5-400", 5, 10)],
)
def test_a_range_comes_as_a_part(
    http: FlaskClient, services: ScriptedServices, wanted: str, start: int, end: int
) -> None:
    readable(services)
    answer = http.get(CONTENT, headers={"Range": wanted})
    assert (answer.status_code, answer.data) == (206, DATA[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/10"
    assert answer.headers["Content-Length"] == str(end - start)


def test_a_range_beyond_the_end_is_told_the_size(http: FlaskClient, services: ScriptedServices) -> None:
    readable(services)
    answer = http.get(CONTENT, headers={"Range": "bytes=10-"})
    assert (answer.status_code, answer.json["reason"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1,4-5"},
        {"Range": "lines=0-1"},
        {"Range": "nonsense"},
        {"Range": "bytes=0-1", "If-Range": '"another"'},
    ],
)
def test_other_ranges_get_the_whole_file(
    http: FlaskClient, services: ScriptedServices, headers: dict[str, str]
) -> None:
    readable(services)
    answer = http.get(CONTENT, headers=headers)
    assert (answer.status_code, answer.data) == (200, DATA)


def test_who_has_the_bytes_gets_none(http: FlaskClient, services: ScriptedServices) -> None:
    readable(services)
    answer = http.get(CONTENT, headers={"If-None-Match": f'"{SHA256}"'})
    assert (answer.status_code, answer.data) == (304, b"")
    part = http.get(CONTENT, headers={"Range": "bytes=0-1", "If-Range": f'"{SHA256}"'})
    assert (part.status_code, part.data) == (206, DATA[:2])
    assert http.head(CONTENT).headers["Content-Length"] == "10"


def test_a_file_that_is_not_there_is_404(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetAttachment"] = NotFoundError("x", reason="ATTACHMENT_NOT_FOUND")
    for answer in (http.get(CONTENT), http.get(f"{URL}/att_1")):
        assert (answer.status_code, answer.json["reason"]) == (404, "ATTACHMENT_NOT_FOUND")
