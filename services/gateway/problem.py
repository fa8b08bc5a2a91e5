"""The one table from gRPC codes and reasons to HTTP, and the form of every error (RFC 9457)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import grpc
from flask import Response
from werkzeug.exceptions import HTTPException

from services.chassis import context
from services.chassis.errors import ServiceError

MEDIA_TYPE = "application/problem+json"

_CLIENT_CLOSED_REQUEST = 499
_CHALLENGE = 'Bearer realm="meldrag"'

_STATUS_OF_CODE: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: _CLIENT_CLOSED_REQUEST,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}

# Reasons that HTTP has a better word for than their code's.
_STATUS_OF_REASON: Mapping[str, int] = {
    "ATTACHMENT_TOO_LARGE": 413,
    "CHECKSUM_MISMATCH": 422,
    "CONTENT_MISMATCH": 422,
    "DOCUMENT_EMPTY": 422,
    "DOCUMENT_TOO_LARGE": 413,
    "DOCUMENT_UNREADABLE": 422,
    "EVENTS_EXPIRED": 410,
    "FETCH_FAILED": 422,
    "FORMAT_UNSUPPORTED": 415,
    "MESSAGE_TOO_LARGE": 413,
    "MODEL_FAILED": 502,
    "PARSER_LIMIT": 413,
    # The services and this process do not hold the same key: nobody's sign-in helps.
    "PASS_EXPIRED": 502,
    "PASS_INVALID": 502,
    "PASS_MISSING": 502,
    "PASS_UNEXPECTED": 502,
    "REQUEST_ID_REUSED": 422,
    "SESSION_CHANGED": 412,
    "STORAGE_FULL": 507,
    "STORE_FULL": 507,
    "TOO_MANY_ITEMS": 409,
}

# Seconds to wait where the service named none.
_RETRY_AFTER_OF_STATUS: Mapping[int, float] = {429: 1, 503: 1}
_RETRY_AFTER_OF_REASON: Mapping[str, float] = {"RUN_IN_PROGRESS": 1, "DOCUMENT_BUSY": 1}

# Reasons that a document's or a run's own error may carry, where no gRPC code came with it.
_CODE_OF_NUMBER: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

_TITLES: Mapping[int, str] = {_CLIENT_CLOSED_REQUEST: "Client Closed Request"}


class ProblemError(Exception):
    """A request that is answered with a problem document.

    status: the HTTP status. reason: SCREAMING_SNAKE, for programs. metadata: the
    values of the message. retry_after: seconds, None when unknown.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The JSON of the problem."""
        result: dict[str, Any] = {
            "type": f"urn:meldrag:problem:{self.reason.lower().replace('_', '-')}",
            "title": title(self.status),
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
            "request_id": context.request_id(),
        }
        if self.metadata:
            result["metadata"] = self.metadata
        if self.retry_after is not None:
            result["retry_after"] = self.retry_after
        return result

    def response(self) -> Response:
        """The answer to the client."""
        response = Response(json.dumps(self.document()), status=self.status, content_type=MEDIA_TYPE)
        response.headers.extend(self.headers)
        response.headers["Cache-Control"] = "no-store"
        if self.status == HTTPStatus.UNAUTHORIZED:
            response.headers.setdefault("WWW-Authenticate", _challenge(self.reason))
        if self.retry_after is not None:
            # The header knows whole seconds only; the body has the fraction.
            response.headers["Retry-After"] = str(math.ceil(self.retry_after))
        return response


def _challenge(reason: str) -> str:
    """How one signs in, for programs (RFC 6750)."""
    return _CHALLENGE if reason == "CREDENTIAL_MISSING" else f'{_CHALLENGE}, error="invalid_token"'


def title(status: int) -> str:
    """The phrase that belongs to a status."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def invalid(field: str, detail: str) -> ProblemError:
    """A field of the request that cannot be used."""
    return ProblemError(400, "INVALID_FIELD", f"{field}: {detail}", metadata={"field": field})


def from_service_error(error: ServiceError) -> ProblemError:
    """What a service said, in the words of HTTP."""
    return from_code(
        error.code, error.reason, error.message, metadata=error.metadata, retry_after=error.retry_after
    )


def from_code(
    code: grpc.StatusCode | int,
    reason: str,
    message: str,
    *,
    metadata: Mapping[str, str] | None = None,
    retry_after: float | None = None,
) -> ProblemError:
    """The problem of a canonical code, or of its number as a recorded run error has it."""
    known = _CODE_OF_NUMBER.get(code, grpc.StatusCode.UNKNOWN) if isinstance(code, int) else code
    status = _STATUS_OF_REASON.get(reason) or _STATUS_OF_CODE.get(known, 500)
    if retry_after is None:
        retry_after = _RETRY_AFTER_OF_REASON.get(reason) or _RETRY_AFTER_OF_STATUS.get(status)
    return ProblemError(status, reason, message, metadata=metadata, retry_after=retry_after)


def from_document_error(reason: str, message: str) -> ProblemError:
    """Why a document was not taken, as its own record tells it."""
    return ProblemError(_STATUS_OF_REASON.get(reason, 422), reason or "DOCUMENT_FAILED", message)


def from_http_exception(error: HTTPException) -> ProblemError:
    """What Flask itself refuses: an unknown path, a method, a size."""
    status = error.code or 500
    headers = {
        name: value for name, value in error.get_headers() if name.lower() in ("allow", "www-authenticate")
    }
    reason = re.sub(r"[^A-Z]+", "_", title(status).upper())
    return ProblemError(status, reason, error.description or title(status), headers=headers)


def internal() -> ProblemError:
    """A defect of the gateway; the log has the rest."""
    return ProblemError(500, "INTERNAL", "an internal error; the log has it under this request id")
