"""What the gRPC faces of this process have in common: whose a call is, and times in its answer."""

from __future__ import annotations

from google.protobuf import timestamp_pb2

from services.chassis import context
from services.session import validation


def space() -> str:
    """Names what belongs to the caller, see Principal.space. Raises InvalidArgumentError (INVALID_FIELD)."""
    return validation.space("tenant_id", context.principal().space)


def moment(microseconds: int) -> timestamp_pb2.Timestamp | None:
    """Microseconds since 1970 as a message; None, so absent, for 0."""
    if not microseconds:
        return None
    said = timestamp_pb2.Timestamp()
    said.FromMicroseconds(microseconds)
    return said
