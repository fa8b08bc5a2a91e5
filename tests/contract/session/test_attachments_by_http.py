"""A file goes through the gateway's application into a session process and back, however large."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import stream_encode_multipart

from services.gateway.clients import Addresses, Clients
from services.gateway.door import Door, slots_for
from services.gateway.settings import GatewaySettings
from tests.contract.session.test_process import serving, start
from tests.support.redis_server import RedisServer, free_port
from tests.unit.gateway.conftest import client_of

pytestmark = pytest.mark.slow

URL = "/api/v1/attachments"
LARGE = random.Random(7).randbytes(6_000_007)


@contextmanager
def gateway(server: RedisServer, folder: Path, **variables: str) -> Iterator[FlaskClient]:
    """A client of a gateway before a session process with these variables."""
    port = free_port()
    process = start(server, port, MELD_DATA_DIR=str(folder), **variables)
    clients = Clients(Addresses(agents="127.0.0.1:1", vector="127.0.0.1:1", session=f"127.0.0.1:{port}"))
    try:
        assert serving(port)
        yield client_of(Door(GatewaySettings(), clients, slots_for(16)))
    finally:
        clients.close()
        process.kill()
        process.wait(30)


@pytest.fixture
def http(redis_server: RedisServer, tmp_path: Path) -> Iterator[FlaskClient]:
    with gateway(redis_server, tmp_path, MELD_MAX_ATTACHMENT_BYTES="7000000") as client:
        yield client


def form(content: bytes, **fields: str) -> dict[str, object]:
    file = FileStorage(io.BytesIO(content), filename="scan.png", content_type="image/png")
    body, _, boundary = stream_encode_multipart({"file": file, **fields}, boundary="boundary-of-the-test")
    return {"data": body, "content_type": f"multipart/form-data; boundary={boundary}"}


def test_a_large_file_goes_in_and_comes_back(http: FlaskClient) -> None:
    session = http.post("/api/v1/sessions", json={}).json
    assert session is not None
    headers = {"Idempotency-Key": "once"}
    made = http.post(URL, headers=headers, **form(LARGE, session_id=session["id"]))
    assert made.status_code == 201
    again = http.post(URL, headers=headers, **form(LARGE, session_id=session["id"]))
    assert again.json == made.json
    kept = made.json
    assert kept is not None
    assert kept["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert kept["expires"] == http.get(f"/api/v1/sessions/{session['id']}").json["expires"]
    content = http.get(f"{made.headers['Location']}/content")
    assert content.data == LARGE
    assert content.headers["Content-Type"] == "image/png"
    part = http.get(f"{URL}/{kept['id']}/content", headers={"Range": "bytes=5000000-5999999"})
    assert (part.status_code, part.data) == (206, LARGE[5_000_000:6_000_000])
    listed = http.get(f"{URL}?session_id={session['id']}").json
    assert listed["attachments"] == [kept]
    assert http.delete(f"{URL}/{kept['id']}").status_code == 204
    assert http.get(f"{URL}/{kept['id']}/content").status_code == 404


def test_an_empty_file_comes_back_too(http: FlaskClient) -> None:
    kept = http.post(URL, **form(b"")).json
    assert kept is not None
    answer = http.get(f"{URL}/{kept['id']}/content")
    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", "0")


def test_what_the_service_does_not_take_is_told(http: FlaskClient) -> None:
    answer = http.post(URL, **form(bytes(7_000_001)))
    assert (answer.status_code, answer.json["reason"]) == (413, "ATTACHMENT_TOO_LARGE")
    answer = http.post(URL, **form(LARGE, sha256="0" * 64))
    assert (answer.status_code, answer.json["reason"]) == (422, "CHECKSUM_MISMATCH")
    answer = http.post(URL, **form(LARGE, session_id="ses_none"))
    assert (answer.status_code, answer.json["reason"]) == (404, "SESSION_NOT_FOUND")
    assert http.get(URL).json == {"attachments": [], "next_page_token": None}


def observed(http: FlaskClient, folder: Path) -> tuple[Any, ...]:
    """How long a file stays, where its bytes are, and what becomes of another one of as many."""
    kept = http.post(URL, **form(bytes(6000))).json
    assert kept is not None
    created, expires = (datetime.fromisoformat(kept[name]) for name in ("created", "expires"))
    places = {path.parent.name for path in folder.rglob("local.*")}
    second = http.post(URL, **form(bytes(6000)))
    return (expires - created).total_seconds(), places, second.status_code


def test_the_variables_matter(redis_server: RedisServer, tmp_path: Path) -> None:
    with gateway(redis_server, tmp_path / "usual", PERMANENT_SESSION_LIFETIME="900") as http:
        assert observed(http, tmp_path / "usual") == (900, {"attachments"}, 201)
        for one in http.get(URL).json["attachments"]:
            assert http.delete(f"{URL}/{one['id']}").status_code == 204
    changed = {
        "PERMANENT_SESSION_LIFETIME": "900",
        "MELD_ATTACHMENT_LIFETIME": "70",
        "MELD_ATTACHMENTS_PATH": str(tmp_path / "changed" / "named"),
        "MELD_MAX_ATTACHMENTS_BYTES": "10000",
    }
    with gateway(redis_server, tmp_path / "changed", **changed) as http:
        assert observed(http, tmp_path / "changed") == (70, {"named"}, 507)
