"""Who may do what with a collection.

What a caller may do is found by `services.vector.record.collections` and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from services.chassis.context import Principal
from services.chassis.roles import ADMIN, OWNER

# The group that all of a tenant are in.
EVERYONE = "everyone"


class Role(IntEnum):
    """What somebody may do with a collection, each what those before may; the numbers are those of the
    contract and of the record.
    """

    NONE = 0
    READER = 1
    WRITER = 2
    OWNER = 3


@dataclass(frozen=True, slots=True)
class Grant:
    """Lets one person (`subject`) or a group use a collection; one of the two is empty."""

    subject: str
    group: str
    role: Role

    @property
    def grantee(self) -> str:
        """Names who it is for among the grants of a collection."""
        return _person(self.subject) if self.subject else _group(self.group)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `manages`: may do everything with every collection of the tenant.

    space: what the caller's own ids of requests and pages belong to, see Principal.space.
    """

    tenant_id: str
    space: str
    subject: str
    groups: frozenset[str]
    manages: bool

    @classmethod
    def of(cls, principal: Principal) -> Caller:
        """The caller that a principal is."""
        return cls(
            principal.tenant_id,
            principal.space,
            principal.subject,
            principal.groups,
            principal.role in (OWNER, ADMIN),
        )

    @property
    def grantees(self) -> list[str]:
        """The names of the grants that count for this caller, see Grant.grantee."""
        return [_person(self.subject), *(_group(group) for group in sorted(self.groups | {EVERYONE}))]


def granted(grantee: str, role: int) -> Grant:
    """The grant of that name."""
    kind, _, name = grantee.partition(":")
    return Grant(name, "", Role(role)) if kind == "subject" else Grant("", name, Role(role))


def _person(subject: str) -> str:
    return f"subject:{subject}"


def _group(group: str) -> str:
    return f"group:{group}"
