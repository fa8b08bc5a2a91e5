"""What went wrong, with the reason that the contract gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from meldrag.agents.v1 import agents_pb2

_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class MeldError(Exception):
    """A failure of a call or of a run.

    code: canonical. reason: name out of the service's error_reason.proto, empty where the
    transport failed and no service spoke. metadata: the values of the message. retry_after:
    seconds after which a new try makes sense, None when unknown.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        domain: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{message} ({reason or code.name})")
        self.code = code
        self.message = message
        self.reason = reason
        self.domain = domain
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after


def of_call(error: Any) -> MeldError:
    """What a call's error says. grpc's and grpc.aio's errors have the same methods, and no common type."""
    code: grpc.StatusCode = error.code()
    trailers: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()
    reason, domain, metadata, retry_after = "", "", {}, None
    for key, value in trailers:
        if key != _DETAILS_KEY:
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                reason, domain, metadata = info.reason, info.domain, dict(info.metadata)
            elif detail.Unpack(retry):
                retry_after = retry.retry_delay.ToMilliseconds() / 1000
    return MeldError(
        code,
        error.details() or code.name,
        reason=reason,
        domain=domain,
        metadata=metadata,
        retry_after=retry_after,
    )


def of_run(ended: agents_pb2.RunEnded, run_id: str) -> MeldError | None:
    """Why a run ended without an answer; None when it has one."""
    if ended.outcome == agents_pb2.RUN_OUTCOME_SUCCEEDED:
        return None
    if ended.outcome == agents_pb2.RUN_OUTCOME_CANCELLED:
        code, message, reason = grpc.StatusCode.CANCELLED, "the run was cancelled", "RUN_CANCELLED"
    else:
        code = _CODES.get(ended.error.code, grpc.StatusCode.UNKNOWN)
        message, reason = ended.error.message or "the run failed", ended.error.reason or "RUN_FAILED"
    return MeldError(code, message, reason=reason, domain="agents.meldrag", metadata={"run_id": run_id})
