from __future__ import annotations

from typing import Any

import pytest

from services.gateway.openai import failure
from services.gateway.problem import ProblemError, from_code, invalid


def told(problem: ProblemError) -> dict[str, Any]:
    said: dict[str, Any] = failure.error(problem.document())["error"]
    return said


def test_a_bad_field_is_the_parameter() -> None:
    assert told(invalid("temperature", "is too large")) == {
        "message": "temperature: is too large",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "invalid_field",
    }


def test_names_of_the_contracts_become_those_of_this_api() -> None:
    assert told(invalid("message", "is empty"))["param"] == "messages"
    assert told(invalid("max_output_tokens", "too many"))["param"] == "max_completion_tokens"
    missing = from_code(5, "AGENT_NOT_FOUND", "there is no agent", metadata={"agent_id": "x"})
    assert (told(missing)["code"], told(missing)["param"]) == ("model_not_found", "model")
    stranger = from_code(16, "TOKEN_INVALID", "nobody has this key")
    assert (told(stranger)["code"], told(stranger)["type"]) == ("invalid_api_key", "authentication_error")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_the_type_follows_the_status(status: int, kind: str) -> None:
    assert told(ProblemError(status, "R", "d"))["type"] == kind


def test_only_what_may_pass_is_worth_another_try() -> None:
    assert failure.worth_another_try(ProblemError(503, "R", "d").document())
    assert failure.worth_another_try(ProblemError(409, "RUN_IN_PROGRESS", "d", retry_after=1).document())
    assert not failure.worth_another_try(ProblemError(409, "RUN_CANCELLED", "d").document())
    assert not failure.worth_another_try(ProblemError(400, "R", "d").document())
    assert not failure.worth_another_try(ProblemError(501, "R", "d").document())
