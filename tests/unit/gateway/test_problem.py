"""The one table from gRPC to HTTP."""

from __future__ import annotations

import grpc
import pytest

from meldrag.agents.v1 import error_reason_pb2 as agents_reasons
from meldrag.session.v1 import error_reason_pb2 as session_reasons
from meldrag.vector.v1 import error_reason_pb2 as vector_reasons
from services.gateway import problem

CODES = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "OK": 500,
}


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_every_code_has_its_status(code: grpc.StatusCode) -> None:
    assert problem.from_code(code, "SOME_REASON", "m").status == CODES[code.name]
    assert problem.from_code(code.value[0], "SOME_REASON", "m").status == CODES[code.name]


REASONS = {
    "REQUEST_ID_REUSED": 422,
    "EVENTS_EXPIRED": 410,
    "DOCUMENT_TOO_LARGE": 413,
    "MESSAGE_TOO_LARGE": 413,
    "STORAGE_FULL": 507,
    "STORE_FULL": 507,
    "DOCUMENT_EMPTY": 422,
    "DOCUMENT_UNREADABLE": 422,
    "FORMAT_UNSUPPORTED": 415,
    "CONTENT_MISMATCH": 422,
}


@pytest.mark.parametrize(("reason", "status"), REASONS.items())
def test_some_reasons_have_a_better_word(reason: str, status: int) -> None:
    assert problem.from_code(grpc.StatusCode.FAILED_PRECONDITION, reason, "m").status == status


def test_the_reasons_are_those_of_the_contracts() -> None:
    known = {"MESSAGE_TOO_LARGE"}
    for contract in (agents_reasons, session_reasons, vector_reasons):
        known |= {
            name.removeprefix("ERROR_REASON_") for name in contract.ErrorReason.DESCRIPTOR.values_by_name
        }
    assert set(REASONS) <= known


def test_a_problem_has_what_programs_and_people_need() -> None:
    said = problem.from_code(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", "no answer", retry_after=0.2)
    answer = said.response()
    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json is not None
    assert answer.json["retry_after"] == 0.2
    assert set(answer.json) == {"type", "title", "status", "detail", "reason", "request_id", "retry_after"}
