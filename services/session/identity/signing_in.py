"""Signing in, renewing and signing out, and whose a token or key is: the rules, over a store."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from contextlib import suppress

from services.chassis import roles
from services.chassis.context import HOME
from services.chassis.errors import AlreadyExistsError, ServiceError
from services.session.conversations import new_id
from services.session.identity import failures, naming
from services.session.identity.model import (
    Action,
    ApiKey,
    Caller,
    Deed,
    Family,
    Identified,
    NewUser,
    Tokens,
    User,
    UserChange,
    smaller,
)
from services.session.identity.passwords import Passwords
from services.session.identity.store import IdentityStore, Secret
from services.session.identity.tokens import TokenMaker, new_seed, read_api_key

# How exactly the last use of a key is kept.
_USE_SECONDS = 60.0
# The rest of where somebody says they are does not count.
_MAX_SOURCE_CHARACTERS = 200


class SigningIn:
    """Who may come in.

    All methods raise InvalidArgumentError (INVALID_FIELD), UnauthenticatedError (CREDENTIAL_WRONG,
    API_KEY_EXPIRED, TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED), FailedPreconditionError
    (LOGIN_NOT_CONFIGURED) and what the store and the passwords raise.
    """

    def __init__(
        self,
        store: IdentityStore,
        passwords: Passwords,
        maker: TokenMaker,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._maker = maker
        self._clock = clock

    async def by_password(self, tenant: str, name: str, password: str, source: str) -> tuple[User, Tokens]:
        """Lets in who knows a password. source: where they are, empty when unknown.

        Raises ResourceExhaustedError (TOO_MANY_ATTEMPTS) after many wrong tries, also of a right one: else a
        guess could be told from a wrong one.
        """
        self._maker.check()
        tenant = naming.identifier("password.tenant_id", tenant or HOME)
        shown = naming.shown_password("password.password", password)
        folded = naming.folded(naming.name("password.name", name))
        source = source[:_MAX_SOURCE_CHARACTERS]
        throttled = Deed("", Action.SIGN_IN_THROTTLED, "", {"name": folded, "source": source})
        if wait := await self._store.attempt(tenant, folded, source, throttled):
            raise failures.too_many_attempts(wait)
        found = await self._store.find_user(tenant, folded)
        fits = await self._passwords.fits(found.password if found else "", shown)
        if found is None or not fits or found.user.disabled:
            raise failures.credential_wrong()
        await self._store.succeeded(tenant, folded, source)
        if self._passwords.outdated(found.password):
            await self._renew_hash(found, shown)
        return found.user, await self._begin(found.user, "", {"by": "password", "source": source})

    async def _renew_hash(self, found: Secret, password: str) -> None:
        """Keeps the password as hashes are made now. Who cannot have that is let in all the same."""
        with suppress(ServiceError):
            await self._store.renew_hash(found, await self._passwords.hash(password))

    async def by_key(self, text: str) -> tuple[User, Tokens]:
        """Lets in who has an API key; the tokens may do what the key may, for as long as it is there."""
        self._maker.check()
        key, user = await self._owner_of(text)
        return user, await self._begin(user, key.api_key_id, {"by": "api_key"})

    async def external(self, caller: Caller, new: NewUser) -> tuple[User, Tokens]:
        """Lets in whom another provider vouches for. new: without id; role and groups as the provider says.

        Raises AlreadyExistsError (USER_EXISTS): a name is no proof of being who has it here.
        """
        self._maker.check()
        issuer, subject = naming.external("issuer", new.issuer), naming.external("subject", new.subject)
        name = naming.name("name", new.name)
        role = naming.role("role", new.role or roles.MEMBER)
        groups = naming.groups("groups", new.groups)
        if role == roles.OWNER and not caller.owner:
            raise failures.owner_needed(caller.role)
        user = await self._store.find_external(caller.tenant, issuer, subject)
        if user is None:
            user = await self._first_time(
                caller,
                NewUser(caller.tenant, new_id("usr_"), name, role, groups, issuer=issuer, subject=subject),
            )
        if user.disabled:
            raise failures.credential_wrong()
        if user.groups != groups:
            # The provider says which groups its people are in, an owner's too.
            change = UserChange(groups=groups)
            deed = Deed(caller.user_id, Action.UPDATE_USER, user.user_id, {"fields": "groups"})
            provider = Caller(caller.tenant, caller.user_id, roles.OWNER)
            user = await self._store.update_user(provider, user.user_id, change, None, deed)
        return user, await self._begin(user, "", {"by": "provider", "issuer": issuer})

    async def _first_time(self, caller: Caller, new: NewUser) -> User:
        deed = Deed(
            caller.user_id,
            Action.CREATE_USER,
            new.user_id,
            {"name": new.name, "role": new.role, "issuer": new.issuer},
        )
        try:
            return await self._store.create_user(new, None, deed)
        except AlreadyExistsError:
            # Perhaps the same person, on another page at the same time.
            user = await self._store.find_external(caller.tenant, new.issuer, new.subject)
            if user is None:
                raise
            return user

    async def _begin(self, user: User, api_key_id: str, details: dict[str, str]) -> Tokens:
        family = Family(user.tenant, new_id(""), user.user_id, user.version, api_key_id, new_seed())
        begun = await self._store.create_family(
            family, Deed(user.user_id, Action.SIGN_IN, user.user_id, details)
        )
        if begun is None:
            # Disabled, changed or gone since it was looked at.
            raise failures.credential_wrong()
        return self._maker.tokens(begun)

    async def renew(self, text: str) -> Tokens:
        """New tokens for a refresh token; shown again, later than at once, it ends all of its family."""
        shown = self._maker.read_refresh(text)
        family = await self._store.get_family(shown.tenant, shown.family_id)
        if family is None:
            raise failures.token_revoked()
        self._maker.prove(shown, family)
        deed = Deed(family.user_id, Action.REUSE_REFRESH_TOKEN, family.user_id)
        newest = await self._store.rotate_family(family, shown.number, deed)
        if newest is None:
            raise failures.token_revoked()
        return self._maker.tokens(newest)

    async def sign_out(self, text: str) -> None:
        """Ends a token with all of its family; one that has ended does no harm."""
        if text.startswith("mrt_"):
            shown = self._maker.read_refresh(text)
            family = await self._store.get_family(shown.tenant, shown.family_id)
            if family is None:
                return
            self._maker.prove(shown, family)
        else:
            access = self._maker.read_access(text, ended=True)
            family = await self._store.get_family(access.tenant, access.family_id)
            if family is None:
                return
        deed = Deed(family.user_id, Action.SIGN_OUT, family.user_id)
        await self._store.delete_family(family.tenant, family.family_id, deed)

    async def of_access(self, text: str, *, ended: bool = False) -> Identified:
        """Whose an access token is now: the store is asked each time, so what was revoked ends at once.

        ended: also of one whose time has passed.
        """
        access = self._maker.read_access(text, ended=ended)
        family, found = await asyncio.gather(
            self._store.get_family(access.tenant, access.family_id),
            self._store.get_user(access.tenant, access.user_id),
        )
        if (
            family is None
            or found is None
            or found.user.disabled
            or family.user_id != access.user_id
            or not access.version == family.version == found.user.version
        ):
            raise failures.token_revoked()
        role, ends = found.user.role, access.expire_time
        if family.api_key_id:
            key = await self._store.get_key(access.tenant, family.api_key_id)
            if key is None or key.ended(self._clock()):
                raise failures.token_revoked()
            role = smaller(role, key.role)
            ends = min(ends, key.expire_time or ends)
        return Identified(found.user, role, family.api_key_id, ends)

    async def of_key(self, text: str) -> Identified:
        """Whose an API key is now."""
        key, user = await self._owner_of(text)
        return Identified(user, smaller(user.role, key.role), key.api_key_id, key.expire_time)

    async def _owner_of(self, text: str) -> tuple[ApiKey, User]:
        shown = read_api_key(text)
        key = await self._store.get_key(shown.tenant, shown.api_key_id)
        if key is None or not hmac.compare_digest(key.sha256, shown.sha256):
            raise failures.credential_wrong()
        if key.ended(self._clock()):
            raise failures.api_key_expired()
        found = await self._store.get_user(shown.tenant, key.user_id)
        if found is None or found.user.disabled:
            raise failures.credential_wrong()
        if self._clock() - key.use_time / 1_000_000 >= _USE_SECONDS:
            # A store that takes no writes still lets programs read.
            with suppress(ServiceError):
                await self._store.use_key(key)
        return key, found.user
