"""Keys for programs: the rules, over a store."""

from __future__ import annotations

import time
from collections.abc import Callable

from services.chassis import roles
from services.session.failures import invalid_field
from services.session.identity import failures, naming
from services.session.identity.model import Action, ApiKey, Caller, Deed, User, smaller
from services.session.identity.store import IdentityStore
from services.session.identity.tokens import new_api_key

MAX_KEYS = 50
# The year 2200, in microseconds since 1970.
_LATEST = 7_258_118_400_000_000


class ApiKeys:
    """What may be done with keys: one's own, or those of others for who administers.

    All methods raise InvalidArgumentError (INVALID_FIELD), UnauthenticatedError (API_KEY_EXPIRED) and what
    the store raises.
    """

    def __init__(self, store: IdentityStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self,
        caller: Caller,
        user_id: str,
        label: str,
        role: str,
        expire_time: int | None = None,
        *,
        shown: str = "",
    ) -> tuple[ApiKey, User, str]:
        """A key, its user, and its secret, which nobody learns again.

        user_id: whose, empty for the caller's. role: the most it may do, empty for as much as can be.
        expire_time: microseconds since 1970, None for never. shown: the id of the key by which the caller
        came, also with a token; no key outlives the one that made it. Raises NotFoundError
        (API_KEY_NOT_FOUND) where that is not the caller's own.
        """
        whose = self._whose(caller, user_id)
        kept = naming.label("label", label)
        if expire_time is not None and not self._clock() * 1_000_000 < expire_time < _LATEST:
            raise invalid_field("expire_time", expire_time, "must be after now and before the year 2200")
        ends = await self._end(caller, shown, expire_time or 0)
        limit = smaller(caller.role, naming.role("role", role) if role else "")
        found = await self._store.get_user(caller.tenant, whose)
        if found is None:
            raise failures.user_not_found(whose)
        if found.user.role == roles.OWNER and whose != caller.user_id and not caller.owner:
            raise failures.owner_needed(caller.role)
        text, made = new_api_key(caller.tenant)
        key = ApiKey(
            caller.tenant,
            made.api_key_id,
            whose,
            kept,
            smaller(limit, found.user.role),
            made.sha256,
            expire_time=ends,
        )
        deed = Deed(
            caller.user_id, Action.CREATE_API_KEY, key.api_key_id, {"user_id": whose, "role": key.role}
        )
        return await self._store.create_key(caller, key, MAX_KEYS, deed), found.user, text

    async def list_keys(self, caller: Caller, user_id: str) -> tuple[tuple[ApiKey, ...], User | None]:
        """The keys of a user, oldest first, and the user. user_id: empty for the caller."""
        whose = self._whose(caller, user_id)
        found = await self._store.get_user(caller.tenant, whose)
        if found is None:
            if user_id:
                raise failures.user_not_found(user_id)
            # The owner of a house without login, and its programs, have none.
            return (), None
        return await self._store.list_keys(caller.tenant, whose), found.user

    async def revoke(self, caller: Caller, api_key_id: str) -> None:
        """Ends a key. Raises NotFoundError (API_KEY_NOT_FOUND), also for another's that is not to be seen."""
        naming.identifier("api_key_id", api_key_id)
        key = await self._store.get_key(caller.tenant, api_key_id)
        if key is None or (key.user_id != caller.user_id and not caller.administers):
            raise failures.api_key_not_found(api_key_id)
        if key.user_id != caller.user_id and not caller.owner:
            found = await self._store.get_user(caller.tenant, key.user_id)
            if found is not None and found.user.role == roles.OWNER:
                raise failures.owner_needed(caller.role)
        deed = Deed(caller.user_id, Action.REVOKE_API_KEY, api_key_id, {"user_id": key.user_id})
        if not await self._store.delete_key(key, deed):
            raise failures.api_key_not_found(api_key_id)

    async def _end(self, caller: Caller, shown: str, wanted: int) -> int:
        """When a key ends that is made by another one, or by none ("")."""
        if not shown:
            return wanted
        naming.identifier("caller_api_key_id", shown)
        key = await self._store.get_key(caller.tenant, shown)
        if key is None or key.user_id != caller.user_id:
            raise failures.api_key_not_found(shown)
        if key.ended(self._clock()):
            raise failures.api_key_expired()
        return min((end for end in (wanted, key.expire_time) if end), default=0)

    @staticmethod
    def _whose(caller: Caller, user_id: str) -> str:
        if not user_id or user_id == caller.user_id:
            return caller.user_id
        naming.identifier("user_id", user_id)
        if not caller.administers:
            raise failures.not_your_own(user_id)
        return user_id
