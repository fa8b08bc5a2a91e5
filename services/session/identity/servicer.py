"""The gRPC face of identity: it translates and nothing else.

The proto says what each method does and how it fails.
"""

from __future__ import annotations

from typing import Any

from meldrag.session.v1 import identity_pb2, identity_pb2_grpc
from services.chassis import context, roles
from services.session import calls
from services.session.failures import invalid_field
from services.session.identity.audit import Audit
from services.session.identity.keys import ApiKeys
from services.session.identity.model import (
    ApiKey,
    AuditEntry,
    Caller,
    Identified,
    NewUser,
    Tokens,
    Use,
    User,
    UserChange,
    smaller,
)
from services.session.identity.quotas import Quotas
from services.session.identity.signing_in import SigningIn
from services.session.identity.tokens import api_key_prefix
from services.session.identity.users import Users

SOURCE_KEY = "x-meld-source"


class IdentityServicer(identity_pb2_grpc.IdentityServiceServicer):
    """IdentityService."""

    def __init__(
        self, *, users: Users, keys: ApiKeys, signing_in: SigningIn, quotas: Quotas, audit: Audit
    ) -> None:
        self._users = users
        self._keys = keys
        self._signing_in = signing_in
        self._quotas = quotas
        self._audit = audit

    async def SetUp(self, request: Any, rpc: Any) -> identity_pb2.SetUpResponse:
        """See the proto."""
        user = await self._users.set_up(
            request.name, request.password, request.setup_code, _source(rpc), request.request_id
        )
        return identity_pb2.SetUpResponse(user=_user(user))

    async def CreateUser(self, request: Any, _rpc: Any) -> identity_pb2.CreateUserResponse:
        """See the proto."""
        caller = _caller()
        new = NewUser(caller.tenant, "", request.name, request.role, tuple(request.groups))
        user = await self._users.create(caller, new, request.password, request.request_id)
        return identity_pb2.CreateUserResponse(user=_user(user))

    async def ListUsers(self, request: Any, _rpc: Any) -> identity_pb2.ListUsersResponse:
        """See the proto."""
        page = await self._users.list_users(_caller().tenant, request.page_size, request.page_token)
        return identity_pb2.ListUsersResponse(users=map(_user, page.items), next_page_token=page.next_place)

    async def UpdateUser(self, request: Any, _rpc: Any) -> identity_pb2.UpdateUserResponse:
        """See the proto."""
        change = UserChange(
            password=request.password if request.HasField("password") else None,
            role=request.role if request.HasField("role") else None,
            groups=tuple(request.groups.names) if request.HasField("groups") else None,
            disabled=request.disabled if request.HasField("disabled") else None,
        )
        user = await self._users.update(_caller(), request.user_id, change, request.request_id)
        return identity_pb2.UpdateUserResponse(user=_user(user))

    async def DeleteUser(self, request: Any, _rpc: Any) -> identity_pb2.DeleteUserResponse:
        """See the proto."""
        await self._users.delete(_caller(), request.user_id, request.request_id)
        return identity_pb2.DeleteUserResponse()

    async def ChangePassword(self, request: Any, rpc: Any) -> identity_pb2.ChangePasswordResponse:
        """See the proto."""
        await self._users.change_password(
            _caller(), request.current_password, request.new_password, _source(rpc)
        )
        return identity_pb2.ChangePasswordResponse()

    async def Authenticate(self, request: Any, rpc: Any) -> identity_pb2.AuthenticateResponse:
        """See the proto."""
        match request.WhichOneof("credential"):
            case "password":
                given = request.password
                user, tokens = await self._signing_in.by_password(
                    given.tenant_id, given.name, given.password, _source(rpc)
                )
            case "api_key":
                user, tokens = await self._signing_in.by_key(request.api_key)
            case _:
                raise invalid_field("credential", "", "must be a password or an API key")
        return identity_pb2.AuthenticateResponse(user=_user(user), tokens=_tokens(tokens))

    async def AuthenticateExternal(
        self, request: Any, _rpc: Any
    ) -> identity_pb2.AuthenticateExternalResponse:
        """See the proto."""
        caller = _caller()
        person = NewUser(
            caller.tenant,
            "",
            request.name,
            request.role,
            tuple(request.groups),
            issuer=request.issuer,
            subject=request.subject,
        )
        user, tokens = await self._signing_in.external(caller, person)
        return identity_pb2.AuthenticateExternalResponse(user=_user(user), tokens=_tokens(tokens))

    async def Identify(self, request: Any, _rpc: Any) -> identity_pb2.IdentifyResponse:
        """See the proto."""
        match request.WhichOneof("credential"):
            case "access_token":
                found = await self._signing_in.of_access(request.access_token, ended=request.open_stream)
            case "api_key":
                found = await self._signing_in.of_key(request.api_key)
            case _:
                raise invalid_field("credential", "", "must be an access token or an API key")
        return identity_pb2.IdentifyResponse(caller=_identified(found))

    async def RefreshToken(self, request: Any, _rpc: Any) -> identity_pb2.RefreshTokenResponse:
        """See the proto."""
        tokens = await self._signing_in.renew(request.refresh_token)
        return identity_pb2.RefreshTokenResponse(tokens=_tokens(tokens))

    async def RevokeToken(self, request: Any, _rpc: Any) -> identity_pb2.RevokeTokenResponse:
        """See the proto."""
        await self._signing_in.sign_out(request.token)
        return identity_pb2.RevokeTokenResponse()

    async def CreateApiKey(self, request: Any, _rpc: Any) -> identity_pb2.CreateApiKeyResponse:
        """See the proto."""
        ends = request.expire_time.ToMicroseconds() if request.HasField("expire_time") else None
        key, user, secret = await self._keys.create(
            _caller(),
            request.user_id,
            request.label,
            request.role,
            ends,
            shown=request.caller_api_key_id,
        )
        return identity_pb2.CreateApiKeyResponse(
            api_key_id=key.api_key_id, secret=secret, api_key=_key(key, user)
        )

    async def ListApiKeys(self, request: Any, _rpc: Any) -> identity_pb2.ListApiKeysResponse:
        """See the proto."""
        keys, user = await self._keys.list_keys(_caller(), request.user_id)
        return identity_pb2.ListApiKeysResponse(api_keys=[_key(key, user) for key in keys if user])

    async def RevokeApiKey(self, request: Any, _rpc: Any) -> identity_pb2.RevokeApiKeyResponse:
        """See the proto."""
        await self._keys.revoke(_caller(), request.api_key_id)
        return identity_pb2.RevokeApiKeyResponse()

    async def ConsumeQuota(self, request: Any, _rpc: Any) -> identity_pb2.ConsumeQuotaResponse:
        """See the proto."""
        left = await self._quotas.consume(_caller(), request.unit, request.amount, request.request_id)
        return identity_pb2.ConsumeQuotaResponse(
            remaining=left.remaining, reset_time=calls.moment(left.reset_time)
        )

    async def ListQuotas(self, _request: Any, _rpc: Any) -> identity_pb2.ListQuotasResponse:
        """See the proto."""
        return identity_pb2.ListQuotasResponse(quotas=map(_quota, await self._quotas.uses(_caller())))

    async def ListAuditEntries(self, request: Any, _rpc: Any) -> identity_pb2.ListAuditEntriesResponse:
        """See the proto."""
        page = await self._audit.list_entries(_caller().tenant, request.page_size, request.page_token)
        return identity_pb2.ListAuditEntriesResponse(
            entries=map(_entry, page.items), next_page_token=page.next_place
        )


def _caller() -> Caller:
    principal = context.principal()
    return Caller(principal.tenant_id, principal.subject, principal.role)


def _source(rpc: Any) -> str:
    """Where the door in front says that the caller is."""
    for key, value in rpc.invocation_metadata() or ():
        if key == SOURCE_KEY and isinstance(value, str):
            return value
    return ""


def _user(user: User) -> identity_pb2.User:
    return identity_pb2.User(
        user_id=user.user_id,
        name=user.name,
        role=user.role,
        groups=user.groups,
        disabled=user.disabled,
        create_time=calls.moment(user.create_time),
        tenant_id=user.tenant,
        update_time=calls.moment(user.update_time),
        issuer=user.issuer,
    )


def _tokens(tokens: Tokens) -> identity_pb2.Tokens:
    return identity_pb2.Tokens(
        access_token=tokens.access, refresh_token=tokens.refresh, expire_time=calls.moment(tokens.expire_time)
    )


def _scopes(role: str) -> list[Any]:
    return sorted(roles.scopes_of(role))


def _identified(found: Identified) -> identity_pb2.Caller:
    return identity_pb2.Caller(
        user=_user(found.user),
        scopes=_scopes(found.role),
        expire_time=calls.moment(found.expire_time),
        role=found.role,
        api_key_id=found.api_key_id,
    )


def _key(key: ApiKey, user: User) -> identity_pb2.ApiKey:
    role = smaller(user.role, key.role)
    return identity_pb2.ApiKey(
        api_key_id=key.api_key_id,
        user_id=key.user_id,
        label=key.label,
        prefix=api_key_prefix(key.tenant, key.api_key_id),
        role=key.role,
        scopes=_scopes(role),
        create_time=calls.moment(key.create_time),
        last_use_time=calls.moment(key.use_time),
        expire_time=calls.moment(key.expire_time),
    )


def _quota(use: Use) -> identity_pb2.Quota:
    return identity_pb2.Quota(
        unit=use.unit, limit=use.limit, used=use.used, reset_time=calls.moment(use.reset_time)
    )


def _entry(entry: AuditEntry) -> identity_pb2.AuditEntry:
    deed = entry.deed
    return identity_pb2.AuditEntry(
        time=calls.moment(entry.time),
        actor=deed.actor,
        action=deed.action.value,
        target=deed.target,
        details=deed.details,
    )
