"""What the gRPC faces of this process have in common: whose a call is, and times in its answer."""

from __future__ import annotations

from google.protobuf import timestamp_pb2

from services.chassis import context
from services.session import validation
from services.session.failures import invalid_field

# 9999-12-31T23:59:59Z, the last that a Timestamp may have.
_LATEST = 253_402_300_799


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


def microseconds(field: str, said: timestamp_pb2.Timestamp) -> int:
    """A message as microseconds since 1970. Raises InvalidArgumentError (INVALID_FIELD)."""
    if not 0 <= said.seconds <= _LATEST or not 0 <= said.nanos < 1_000_000_000:
        raise invalid_field(field, str(said.seconds), "must be a time since 1970")
    return said.ToMicroseconds()
