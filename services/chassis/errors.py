"""Errors that cross a service border, and their form on the wire.

Handlers and domain code raise a `ServiceError`; the server's interceptor sends
it as google.rpc.Status with an ErrorInfo. A client turns the RpcError that it
gets back into the same class with `from_rpc_error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

DETAILS_KEY = "grpc-status-details-bin"

# An error travels in HTTP/2 trailers, which peers limit to 8 KiB.
_MAX_MESSAGE = 2_000
_MAX_METADATA_VALUE = 300


class ServiceError(Exception):
    """A failure with a canonical code, a reason and what a program needs to act.

    reason: SCREAMING_SNAKE name out of the service's error_reason.proto.
    metadata: every dynamic value of the message, under the keys that the reason documents.
    retry_after: seconds after which a new try makes sense; None when unknown.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after


class CancelledError(ServiceError):
    """The caller left or asked to stop."""

    code = grpc.StatusCode.CANCELLED


class InvalidArgumentError(ServiceError):
    """The request is wrong whatever the state of the system."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class DeadlineExceededError(ServiceError):
    """Time ran out; the outcome of a write is unknown."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class NotFoundError(ServiceError):
    """No such thing for this caller."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExistsError(ServiceError):
    """What should be created is there."""

    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDeniedError(ServiceError):
    """The caller is known and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class UnauthenticatedError(ServiceError):
    """The caller is not known."""

    code = grpc.StatusCode.UNAUTHENTICATED


class ResourceExhaustedError(ServiceError):
    """A limit, a quota or space is used up."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPreconditionError(ServiceError):
    """The state of the system forbids it; a plain repeat will not help."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class AbortedError(ServiceError):
    """Another call came in between; a repeat on a higher level may help."""

    code = grpc.StatusCode.ABORTED


class OutOfRangeError(ServiceError):
    """Beyond what is there."""

    code = grpc.StatusCode.OUT_OF_RANGE


class UnimplementedError(ServiceError):
    """Not offered by this release."""

    code = grpc.StatusCode.UNIMPLEMENTED


class InternalError(ServiceError):
    """A defect of this system."""

    code = grpc.StatusCode.INTERNAL


class UnavailableError(ServiceError):
    """Not reachable now; a repeat may help."""

    code = grpc.StatusCode.UNAVAILABLE


class DataLossError(ServiceError):
    """Stored data is damaged."""

    code = grpc.StatusCode.DATA_LOSS


_BY_CODE: dict[grpc.StatusCode, type[ServiceError]] = {
    kind.code: kind
    for kind in (
        CancelledError,
        InvalidArgumentError,
        DeadlineExceededError,
        NotFoundError,
        AlreadyExistsError,
        PermissionDeniedError,
        UnauthenticatedError,
        ResourceExhaustedError,
        FailedPreconditionError,
        AbortedError,
        OutOfRangeError,
        UnimplementedError,
        InternalError,
        UnavailableError,
        DataLossError,
    )
}

# What the transport itself says, where no service put a reason.
_TRANSPORT_REASONS = {
    grpc.StatusCode.UNAVAILABLE: "UPSTREAM_UNAVAILABLE",
    grpc.StatusCode.DEADLINE_EXCEEDED: "UPSTREAM_DEADLINE",
    grpc.StatusCode.CANCELLED: "CANCELLED",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "MESSAGE_TOO_LARGE",
    grpc.StatusCode.UNIMPLEMENTED: "METHOD_UNKNOWN",
}


def to_status(error: ServiceError, domain: str) -> status_pb2.Status:
    """The wire form of an error; `domain` names the service, as in "vector.meldrag"."""
    info = error_details_pb2.ErrorInfo(
        reason=error.reason,
        domain=domain,
        metadata={key: value[:_MAX_METADATA_VALUE] for key, value in error.metadata.items()},
    )
    status = status_pb2.Status(code=error.code.value[0], message=error.message[:_MAX_MESSAGE])
    _pack(status, info)
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def _pack(
    status: status_pb2.Status, detail: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo
) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)


def of_code(code: grpc.StatusCode) -> type[ServiceError]:
    """The class of the errors with this code."""
    return _BY_CODE.get(code, InternalError)


def from_rpc_error(error: grpc.RpcError) -> ServiceError:
    """The error that a service raised, seen from its client.

    What the transport reports by itself carries the reason UPSTREAM_UNAVAILABLE,
    UPSTREAM_DEADLINE, CANCELLED, MESSAGE_TOO_LARGE, METHOD_UNKNOWN or TRANSPORT.
    """
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    kind = of_code(code)
    message = (error.details() if hasattr(error, "details") else str(error)) or code.name
    reason, metadata, retry_after = _TRANSPORT_REASONS.get(code, "TRANSPORT"), {}, None
    trailers: Any = (error.trailing_metadata() if hasattr(error, "trailing_metadata") else None) or ()
    for key, value in trailers:
        if key == DETAILS_KEY and isinstance(value, bytes):
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    reason, metadata = info.reason, dict(info.metadata)
                elif detail.Unpack(retry):
                    retry_after = retry.retry_delay.ToMilliseconds() / 1000
    return kind(message, reason=reason, metadata=metadata, retry_after=retry_after)
