"""What identity needs of a store. Its users are `users`, `keys`, `signing_in`, `quotas` and `audit`.

Every method may raise what session's stores do: UnavailableError (STORE_UNAVAILABLE) and, when it writes,
ResourceExhaustedError (STORE_FULL). A write happens wholly or not at all, with its entry in the log. A method
with `once` answers a repeated request as the first time, and raises FailedPreconditionError
(REQUEST_ID_REUSED) when the content differs.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from services.session.identity.model import (
    ApiKey,
    AuditEntry,
    Caller,
    Deed,
    Family,
    NewUser,
    Quota,
    Taking,
    User,
    UserChange,
)
from services.session.model import Page
from services.session.requests import Once


class Secret(NamedTuple):
    """A user and the hash of the password; empty for none."""

    user: User
    password: str


class UserStore(Protocol):
    """Users. One that names a user raises NotFoundError (USER_NOT_FOUND)."""

    async def page_token_key(self) -> bytes:
        """A secret of 32 bytes that stays as long as the data."""

    async def create_user(self, user: NewUser, once: Once | None, deed: Deed, *, first: bool = False) -> User:
        """Keeps a new user. first: only where there is none, else FailedPreconditionError (SETUP_DONE).

        Raises AlreadyExistsError (USER_EXISTS), ResourceExhaustedError (TOO_MANY_USERS).
        """

    async def get_user(self, tenant: str, user_id: str) -> Secret | None:
        """A user."""

    async def find_user(self, tenant: str, folded: str) -> Secret | None:
        """The user of a name."""

    async def find_external(self, tenant: str, issuer: str, subject: str) -> User | None:
        """The user that a provider calls so."""

    async def list_users(self, tenant: str, after: str, count: int) -> Page[User]:
        """Users by name."""

    async def update_user(
        self, caller: Caller, user_id: str, change: UserChange, once: Once | None, deed: Deed
    ) -> User:
        """Changes a user; ends their tokens with a new password, or when they are disabled.

        Raises PermissionDeniedError (OWNER_NEEDED), FailedPreconditionError (LAST_OWNER).
        """

    async def renew_hash(self, found: Secret, password: str) -> None:
        """Puts another hash of the same password in the place of that which was found, if it is still there.

        Nothing else changes: no token ends, and the log does not have it.
        """

    async def delete_user(self, caller: Caller, user_id: str, once: Once | None, deed: Deed) -> None:
        """Forgets a user with keys and webhooks. Raises as update_user does."""


class KeyStore(Protocol):
    """API keys."""

    async def create_key(self, caller: Caller, key: ApiKey, most: int, deed: Deed) -> ApiKey:
        """Keeps a key.

        Raises NotFoundError (USER_NOT_FOUND), PermissionDeniedError (OWNER_NEEDED),
        ResourceExhaustedError (TOO_MANY_API_KEYS).
        """

    async def get_key(self, tenant: str, api_key_id: str) -> ApiKey | None:
        """A key."""

    async def list_keys(self, tenant: str, user_id: str) -> tuple[ApiKey, ...]:
        """The keys of a user, oldest first."""

    async def delete_key(self, key: ApiKey, deed: Deed) -> bool:
        """Forgets a key; False when it was not there."""

    async def use_key(self, key: ApiKey) -> None:
        """Keeps that it was used now."""


class FamilyStore(Protocol):
    """Tokens."""

    async def create_family(self, family: Family, deed: Deed) -> Family | None:
        """Keeps a family, unless its user, with that version, or its key is no more or has ended."""

    async def get_family(self, tenant: str, family_id: str) -> Family | None:
        """A family that was not revoked."""

    async def rotate_family(self, family: Family, number: int, deed: Deed) -> Family | None:
        """Makes the next number of a family.

        A number that went over to the next a moment ago leaves it as it is. After that, and where the
        user, in its version, or the key is no more or has ended, the family is forgotten: None. deed: for a
        late use.
        """

    async def delete_family(self, tenant: str, family_id: str, deed: Deed) -> None:
        """Forgets a family, if it is there."""


class LimitStore(Protocol):
    """What is counted."""

    async def attempt(self, tenant: str, folded: str, source: str, deed: Deed) -> float:
        """Counts a try of a name from a source ("" for none); 0, or the seconds to wait when it may not."""

    async def succeeded(self, tenant: str, folded: str, source: str) -> None:
        """The try was none that counts."""

    async def consume(self, who: Caller, taking: Taking, once: Once | None) -> tuple[bool, Quota]:
        """Takes an amount of what is left; False when it is refused."""

    async def used(self, who: Caller, unit: str) -> tuple[int, int]:
        """What was used in this time, and when that ends."""


class AuditStore(Protocol):
    """What was done."""

    async def page_token_key(self) -> bytes:
        """A secret of 32 bytes that stays as long as the data."""

    async def list_audit(self, tenant: str, before: int, count: int) -> tuple[AuditEntry, ...]:
        """Newest first; before: a place, 0 for the end."""


class IdentityStore(UserStore, KeyStore, FamilyStore, LimitStore, AuditStore, Protocol):
    """All of it."""
