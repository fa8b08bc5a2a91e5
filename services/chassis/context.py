"""What a handler knows about the call it serves."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from meldrag.options.v1 import options_pb2
from services.chassis import roles

REQUEST_ID_KEY = "x-request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True)
class Principal:
    """Who calls: a subject of a tenant, with the scopes it holds.

    groups: those of the tenant that the subject is in. role: owner, admin, member or viewer.
    """

    tenant_id: str
    subject: str
    scopes: frozenset[int]
    groups: frozenset[str] = frozenset()
    role: str = roles.OWNER

    @property
    def space(self) -> str:
        """Names what belongs to this person alone: sessions, runs, attachments, items, workflows.

        Neither part has a dot, so no two people have one space. Raises ValueError for a part that has one.
        """
        if (self.tenant_id, self.subject) == (LOCAL_OWNER.tenant_id, LOCAL_OWNER.subject):
            return _LOCAL
        if "." in self.tenant_id or "." in self.subject:
            raise ValueError("an identity has a dot in its tenant or its subject")
        return f"{self.tenant_id}.{self.subject}"

    @property
    def administers_house(self) -> bool:
        """Whether what all tenants have together is this caller's to see and to change: for administrators of
        the house's own tenant and for the house itself. Who administers another tenant does not.
        """
        return options_pb2.SCOPE_ADMINISTRATION in self.scopes and self.tenant_id == HOME


# The house's own tenant.
HOME = "home"
# The space of whoever uses a house without login: no space of a person is without a dot.
_LOCAL = "local"
# Whoever uses a house without login, as it listens on loopback only. No user has this id.
LOCAL_OWNER = Principal(HOME, "owner", frozenset(options_pb2.Scope.values()))
# The house itself, where users log in: work that nobody asked for, and programs that hold the service token.
SERVICE = Principal(HOME, "service", roles.scopes_of(roles.OWNER))
# Who calls a public method without saying who it is.
NOBODY = Principal("", "", frozenset(), role="")


@dataclass(frozen=True)
class Call:
    """A call on its way through this process. `deadline` is a monotonic time in seconds."""

    principal: Principal
    request_id: str
    deadline: float


def of_the_house(seconds: float = float("inf")) -> Call:
    """A call that nobody made: what the service does by itself. It has `seconds` from now."""
    return Call(SERVICE, new_request_id(), time.monotonic() + seconds)


_current: ContextVar[Call | None] = ContextVar("meldrag_call", default=None)


@contextmanager
def entered(call: Call) -> Iterator[Call]:
    """Makes `call` the current one for the duration of the block."""
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)


def identify(principal: Principal) -> None:
    """Names the caller of the call being served, which began before that was known. Raises LookupError
    outside of a call.
    """
    call = _current.get()
    if call is None:
        raise LookupError("no call is being served here")
    # What `entered` puts back at its end is what was there before the call.
    _current.set(replace(call, principal=principal))


def current() -> Call | None:
    """The call being served, or None outside of any."""
    return _current.get()


def principal() -> Principal:
    """Who calls. Raises LookupError outside of a call."""
    call = _current.get()
    if call is None:
        raise LookupError("no call is being served here")
    return call.principal


def remaining() -> float:
    """Seconds until the caller's deadline, at least 0; infinite outside of a call."""
    call = _current.get()
    return float("inf") if call is None else max(0.0, call.deadline - time.monotonic())


def request_id() -> str:
    """The id of the request that this call belongs to; a new one outside of a call."""
    call = _current.get()
    return new_request_id() if call is None else call.request_id


def new_request_id() -> str:
    """A fresh id: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def accepted_request_id(given: str | None) -> str:
    """The caller's id where it is harmless in a log line, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else new_request_id()
