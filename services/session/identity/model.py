"""Users, API keys, signings-in and what was done to them.

Times are microseconds since 1970 in UTC by the clock of the store; 0 stands for a time that has not come.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.chassis import roles


def smaller(role: str, other: str) -> str:
    """Of two roles the one that may do less; the first where the other is empty."""
    return max(role, other or role, key=roles.ROLES.index)


@dataclass(frozen=True, slots=True)
class User:
    """A person or program that may sign in.

    version: counts what ends all tokens of the user. groups: sorted.
    """

    tenant: str
    user_id: str
    name: str
    role: str
    groups: tuple[str, ...] = ()
    disabled: bool = False
    issuer: str = ""
    version: int = 1
    create_time: int = 0
    update_time: int = 0


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to keep. password: its hash, empty for none. issuer and subject: of who comes from elsewhere."""

    tenant: str
    user_id: str
    name: str
    role: str
    groups: tuple[str, ...]
    password: str = field(default="", repr=False)
    issuer: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class UserChange:
    """What to change of a user; None stays. password: a hash."""

    password: str | None = field(default=None, repr=False)
    role: str | None = None
    groups: tuple[str, ...] | None = None
    disabled: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that it changes."""
        return tuple(name for name in self.__slots__ if getattr(self, name) is not None)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for something to be done to a user or key. role: the one that counts now."""

    tenant: str
    user_id: str
    role: str

    @property
    def owner(self) -> bool:
        """May do anything to anybody."""
        return self.role == roles.OWNER

    @property
    def administers(self) -> bool:
        """May do things to others."""
        return self.role in (roles.OWNER, roles.ADMIN)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key for programs. role: the most it may do. sha256: of the secret, in hexadecimal.

    expire_time: from when on it is refused; 0 for never.
    """

    tenant: str
    api_key_id: str
    user_id: str
    label: str
    role: str
    sha256: str = field(repr=False)
    create_time: int = 0
    use_time: int = 0
    expire_time: int = 0

    def ended(self, now: float) -> bool:
        """Whether its end has come. now: seconds since 1970."""
        return 0 < self.expire_time <= now * 1_000_000


@dataclass(frozen=True, slots=True)
class Family:
    """All tokens that were renewed from one signing in.

    seed: what its refresh tokens are made from, besides the secret of this service. number: of the newest.
    rotate_time: when that was made. api_key_id: what was traded, empty for a password.
    """

    tenant: str
    family_id: str
    user_id: str
    version: int
    api_key_id: str
    seed: bytes = field(repr=False)
    number: int = 1
    rotate_time: int = 0


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a caller shows from now on. expire_time: of the access token."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expire_time: int


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom a token or key belongs to. role: that counts. expire_time: 0 for a key without one."""

    user: User
    role: str
    api_key_id: str
    expire_time: int


class Action(enum.Enum):
    """What is kept in the log."""

    SET_UP = "set_up"
    CREATE_USER = "create_user"
    UPDATE_USER = "update_user"
    DELETE_USER = "delete_user"
    CHANGE_PASSWORD = "change_password"  # noqa: S105
    SIGN_IN = "sign_in"
    SIGN_IN_THROTTLED = "sign_in_throttled"
    SIGN_OUT = "sign_out"
    REUSE_REFRESH_TOKEN = "reuse_refresh_token"  # noqa: S105
    CREATE_API_KEY = "create_api_key"
    REVOKE_API_KEY = "revoke_api_key"


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that is done, as the log has it. details: never a secret."""

    actor: str
    action: Action
    target: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was done. place: in the log, counted from 1."""

    place: int
    time: int
    deed: Deed


@dataclass(frozen=True, slots=True)
class Taking:
    """An amount to take. unit: requests or tokens. limit: how many there are in a time."""

    unit: str
    amount: int
    limit: int


@dataclass(frozen=True, slots=True)
class Use:
    """What was used of a quota until a time. limit: -1 for none; then nothing is counted."""

    unit: str
    limit: int
    used: int
    reset_time: int


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left until a time; -1 for no limit."""

    remaining: int
    reset_time: int
