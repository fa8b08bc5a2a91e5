"""Problems in the form of OpenAI's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.gateway.problem import ProblemError

Json = Any

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
# Names that a problem has from the contracts, and this API has others for.
_PARAMETERS = {
    "agent_id": "model",
    "collection_ids": "collections",
    "history": "messages",
    "instructions": "messages",
    "max_output_tokens": "max_completion_tokens",
    "message": "messages",
    "tool_exchanges": "messages",
    "tool_required": "tool_choice",
    "texts": "input",
}
# Codes that clients of OpenAI know, for reasons of ours.
_CODES = {
    "AGENT_NOT_FOUND": "model_not_found",
    "API_KEY_EXPIRED": "invalid_api_key",
    "QUOTA_EXHAUSTED": "rate_limit_exceeded",
    "CREDENTIAL_INVALID": "invalid_api_key",
    "CREDENTIAL_MISSING": "invalid_api_key",
    "CREDENTIAL_WRONG": "invalid_api_key",
    "TOKEN_INVALID": "invalid_api_key",
}
# What may be otherwise when it is asked again in a moment.
_PASSING = frozenset((408, 429, 502, 503, 504))


def unsupported(field: str, why: str) -> ProblemError:
    """What to raise for a parameter that it would be a lie to pass over."""
    return ProblemError(400, "UNSUPPORTED_PARAMETER", f"{field}: {why}", metadata={"field": field})


def error(problem: Mapping[str, Json]) -> dict[str, Json]:
    """The error that a problem document is."""
    status, reason, metadata = problem["status"], problem["reason"], problem.get("metadata", {})
    field = metadata.get("field")
    if reason == "AGENT_NOT_FOUND":
        field = "model"
    return {
        "error": {
            "message": problem["detail"],
            "type": "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error"),
            "param": _PARAMETERS.get(field, field),
            "code": _CODES.get(reason, reason.lower()),
        }
    }


def worth_another_try(problem: Mapping[str, Json]) -> bool:
    """Whether a client does well to ask again by itself."""
    return problem["status"] in _PASSING or "retry_after" in problem
