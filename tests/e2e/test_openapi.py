"""The running house answers as its OpenAPI document says, whatever it is asked: schemathesis asks."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.documented import Documented, document_of_code
from tests.support.launched import House

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# Made without a process, so that the tests are known before the house is there.
DOCUMENT = document_of_code()
# Knows reasons and the data of events, which schemathesis takes for mere text.
JUDGE = Documented(DOCUMENT)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
COMMON: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "phases": (Phase.explicit, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}
# How often each operation was answered with each status.
SEEN: Counter[tuple[str, int]] = Counter()


@schemathesis.serializer("application/x-ndjson")
def lines(_: Any, value: Any) -> bytes:
    """What is generated is text already; anything else is a line of JSON."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode()


# Where nobody listens.
NOWHERE = "http://127.0.0.1:9/hook"


@schemathesis.serializer("application/x-tar")
def archive(_: Any, value: Any) -> bytes:
    """Text that is no archive: what one is made of, a test of its own says."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b""


@dataclass
class Known:
    """A house, and the ids of what is in it."""

    url: str
    ids: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def known(house: House) -> Known:
    """The shared house with one of everything that a path can name."""
    made = Known(house.base_url)
    with httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=60) as http:
        assert http.post("/collections", json={"id": "fuzzed"}).status_code in (201, 409)
        document = http.post(
            "/collections/fuzzed/documents", files={"file": ("a.txt", b"The harbour is nine metres deep.")}
        ).json()
        session = http.post("/sessions", json={"title": "fuzzed"}).json()
        run = http.post(
            "/runs",
            json={"agent": "research", "message": "How deep is the harbour?", "collections": ["fuzzed"]},
        ).json()
        attachment = http.post("/attachments", files={"file": ("a.txt", b"x")}).json()
        webhook = http.post("/webhooks", json={"url": NOWHERE}).json()
        made.ids = {
            "webhook_id": webhook["id"],
            "collection_id": "fuzzed",
            "document_id": document["id"],
            "session_id": session["id"],
            "run_id": run["run_id"],
            "attachment_id": attachment["id"],
            "agent_id": "research",
            "workflow_id": http.get("/workflows").json()["workflows"][0]["id"],
            "step_id": "approve",
            "name": "styles.css",
        }
    return made


def familiar(case: schemathesis.Case, known: Known) -> None:
    """Lets two of three cases speak of what there is: ids that were made up seldom get beyond 404."""
    draw = zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode("utf-8", "replace"))
    if draw % 3 == 0 or case.method == "DELETE":
        return
    if draw % 2:
        case.headers.pop("Idempotency-Key", None)
    case.path_parameters = {name: known.ids.get(name, value) for name, value in case.path_parameters.items()}
    case.headers.pop("If-Match", None)
    if isinstance(case.body, dict):
        if "approval" in repr(case.body) and case.path.endswith("/runs"):
            # Nobody will decide.
            case.body["background"] = True
            case.body.pop("stream", None)
        for name, value in (
            ("collections", [known.ids["collection_id"]]),
            ("session_id", known.ids["session_id"]),
            ("external_id", "mine"),
            # No host is looked up, and nobody is sent anything.
            ("url", NOWHERE),
        ):
            if name in case.body:
                case.body[name] = value


def ask(case: schemathesis.Case, known: Known) -> None:
    """Sends one case and holds the answer against the document."""
    familiar(case, known)
    answer = case.call_and_validate(base_url=known.url, checks=CHECKS, timeout=60)
    SEEN[case.operation.label, answer.status_code] += 1
    assert answer.headers["x-request-id"]
    kind = answer.headers.get("content-type", [""])[0]
    if answer.status_code == 405 or case.method == "OPTIONS":
        return
    JUDGE.check(case.path, case.method, answer.status_code, kind, answer.content)


@SCHEMA.parametrize()
@settings(max_examples=4, **COMMON)
def test_every_answer_is_documented(case: schemathesis.Case, known: Known) -> None:
    ask(case, known)


@pytest.mark.slow
@SCHEMA.parametrize()
@settings(max_examples=20, **COMMON)
def test_every_answer_to_many_more_questions_is_documented(case: schemathesis.Case, known: Known) -> None:
    ask(case, known)


def test_the_questions_were_not_all_bad_ones() -> None:
    """Comes last: what was never answered well has been tried at its refusals alone."""
    asked = {label for label, _ in SEEN}
    if len(asked) < sum(len(methods) for methods in DOCUMENT["paths"].values()):
        pytest.skip("not all operations were asked")
    well = {label for label, status in SEEN if 200 <= status < 300}
    assert len(well) > 0.75 * len(asked), asked - well
