"""What each role may do."""

from __future__ import annotations

from collections.abc import Mapping

from meldrag.options.v1 import options_pb2

OWNER = "owner"
ADMIN = "admin"
MEMBER = "member"
VIEWER = "viewer"

_ALL = frozenset(options_pb2.Scope.values()) - {options_pb2.SCOPE_UNSPECIFIED}
_READER = frozenset(
    (
        options_pb2.SCOPE_PUBLIC,
        options_pb2.SCOPE_KNOWLEDGE_READ,
        options_pb2.SCOPE_CONVERSATION_READ,
        options_pb2.SCOPE_CONVERSATION_WRITE,
        options_pb2.SCOPE_AGENT_RUN,
    )
)

_SCOPES: Mapping[str, frozenset[int]] = {
    OWNER: _ALL,
    ADMIN: _ALL,
    MEMBER: _READER | {options_pb2.SCOPE_KNOWLEDGE_WRITE},
    VIEWER: _READER,
}

ROLES = tuple(_SCOPES)


def scopes_of(role: str) -> frozenset[int]:
    """The permissions that come with a role; none with a role that there is not."""
    return _SCOPES.get(role, frozenset())
