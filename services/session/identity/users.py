"""Who there is, and what may be changed of them: the rules, over a store."""

from __future__ import annotations

import hmac
from dataclasses import replace

from services.chassis import roles
from services.chassis.context import HOME
from services.session import validation
from services.session.conversations import new_id
from services.session.identity import failures, naming
from services.session.identity.model import Action, Caller, Deed, NewUser, User, UserChange
from services.session.identity.passwords import Passwords
from services.session.identity.store import LimitStore, UserStore
from services.session.model import Page
from services.session.page_tokens import PageTokens
from services.session.requests import once

# What tries of the setup code are counted under; no user has such a name.
_SETUP = "\0setup"


class Users:
    """What may be done with users.

    All methods raise InvalidArgumentError (INVALID_FIELD, INVALID_PAGE_TOKEN) and what the store and the
    passwords raise. setup_code: MELD_SETUP_CODE; empty where nobody may set the house up.
    """

    def __init__(self, store: UserStore, limits: LimitStore, passwords: Passwords, setup_code: str) -> None:
        self._store = store
        self._limits = limits
        self._passwords = passwords
        self._setup_code = setup_code

    async def set_up(self, name: str, password: str, code: str, source: str, request_id: str) -> User:
        """The first owner.

        Raises PermissionDeniedError (SETUP_REFUSED), FailedPreconditionError (SETUP_DONE),
        ResourceExhaustedError (TOO_MANY_ATTEMPTS).
        """
        kept = naming.name("name", name)
        plain = naming.new_password("password", password, kept)
        user_id = new_id("usr_")
        deed = Deed(user_id, Action.SET_UP, user_id, {"name": kept})
        throttled = Deed("", Action.SIGN_IN_THROTTLED, "", {"source": source, "for": "set_up"})
        if wait := await self._limits.attempt(HOME, _SETUP, source, throttled):
            raise failures.too_many_attempts(wait)
        if not self._setup_code or not hmac.compare_digest(code.encode(), self._setup_code.encode()):
            raise failures.setup_refused()
        await self._limits.succeeded(HOME, _SETUP, source)
        first = NewUser(HOME, user_id, kept, roles.OWNER, (), await self._passwords.hash(plain))
        return await self._store.create_user(first, once(request_id, ("set_up", kept)), deed, first=True)

    async def create(self, caller: Caller, new: NewUser, password: str, request_id: str) -> User:
        """A new user. new: without id and hash. Raises PermissionDeniedError (OWNER_NEEDED)."""
        kept = naming.name("name", new.name)
        naming.role("role", new.role)
        groups = naming.groups("groups", new.groups)
        plain = naming.new_password("password", password, kept)
        if new.role == roles.OWNER and not caller.owner:
            raise failures.owner_needed(caller.role)
        # Without the password: a fingerprint is quickly made, so it would tell who reads the store.
        request = once(request_id, (kept, new.role, *groups))
        user_id = new_id("usr_")
        deed = Deed(caller.user_id, Action.CREATE_USER, user_id, {"name": kept, "role": new.role})
        user = replace(
            new, user_id=user_id, name=kept, groups=groups, password=await self._passwords.hash(plain)
        )
        return await self._store.create_user(user, request, deed)

    async def list_users(self, tenant: str, page_size: int, page_token: str) -> Page[User]:
        """A page of the tenant's users by name."""
        count = validation.page_size(page_size)
        tokens = PageTokens(await self._store.page_token_key(), tenant, "ListUsers")
        page = await self._store.list_users(tenant, tokens.place(page_token), count)
        return replace(page, next_place=tokens.token(page.next_place))

    async def update(self, caller: Caller, user_id: str, change: UserChange, request_id: str) -> User:
        """Changes a user. change: with a password as it is, not its hash. Raises what the store does."""
        naming.identifier("user_id", user_id)
        if change.role is not None:
            naming.role("role", change.role)
        groups = None if change.groups is None else naming.groups("groups.names", change.groups)
        changed = replace(change, groups=groups)
        if change.password is not None:
            found = await self._store.get_user(caller.tenant, user_id)
            if found is None:
                raise failures.user_not_found(user_id)
            plain = naming.new_password("password", change.password, found.user.name)
            changed = replace(changed, password=await self._passwords.hash(plain))
        said = (*changed.names, changed.role or "", str(changed.disabled), *(groups or ()))
        deed = Deed(caller.user_id, Action.UPDATE_USER, user_id, _told(changed))
        return await self._store.update_user(
            caller, user_id, changed, once(request_id, (user_id, *said)), deed
        )

    async def delete(self, caller: Caller, user_id: str, request_id: str) -> None:
        """Forgets a user with keys, tokens and webhooks. Raises what the store does."""
        naming.identifier("user_id", user_id)
        deed = Deed(caller.user_id, Action.DELETE_USER, user_id)
        await self._store.delete_user(caller, user_id, once(request_id, (user_id,)), deed)

    async def change_password(self, caller: Caller, current: str, new: str, source: str) -> None:
        """The caller's own password; all their tokens end.

        Raises UnauthenticatedError (CREDENTIAL_WRONG), ResourceExhaustedError (TOO_MANY_ATTEMPTS).
        """
        shown = naming.shown_password("current_password", current)
        found = await self._store.get_user(caller.tenant, caller.user_id)
        if found is None:
            raise failures.user_not_found(caller.user_id)
        plain = naming.new_password("new_password", new, found.user.name)
        counted = naming.folded(found.user.name)
        throttled = Deed("", Action.SIGN_IN_THROTTLED, caller.user_id, {"source": source})
        if wait := await self._limits.attempt(caller.tenant, counted, source, throttled):
            raise failures.too_many_attempts(wait)
        if not await self._passwords.fits(found.password, shown):
            raise failures.credential_wrong()
        await self._limits.succeeded(caller.tenant, counted, source)
        change = UserChange(password=await self._passwords.hash(plain))
        deed = Deed(caller.user_id, Action.CHANGE_PASSWORD, caller.user_id)
        # Also an owner's key that may do less changes what is its owner's own.
        own = replace(caller, role=found.user.role)
        await self._store.update_user(own, caller.user_id, change, None, deed)


def _told(change: UserChange) -> dict[str, str]:
    """What the log has of a change."""
    told = {"fields": " ".join(change.names)}
    if change.role is not None:
        told["role"] = change.role
    if change.disabled is not None:
        told["disabled"] = str(change.disabled).lower()
    return told
