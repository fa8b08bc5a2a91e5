"""Identity in Redis, beside what else the session service keeps of a tenant (see redis_store).

Keys are `user:<id>` and `apikey:<id>` (hashes that snapshots have), `users`, `usernames`, `owners`,
`externals` and `apikeys:<user>` (indexes that follow from them), `family:<id>` (of tokens; it expires with
the last refresh token), `attempts:…`, `quota:…` (counters) and `audit` (the log).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.session.entries import API_KEY_FIELDS, USER_FIELDS
from services.session.failures import request_id_reused
from services.session.identity import failures
from services.session.identity.model import (
    Action,
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
from services.session.identity.naming import folded
from services.session.identity.store import Secret
from services.session.model import Page
from services.session.redis_store import (
    PAGE_BYTES,
    SPACES,
    Fields,
    Place,
    RedisStore,
    fields_of,
    fingerprint_of,
    flag,
    message_place,
    once_place,
    waiting_place,
    webhook_place,
    webhooks_place,
)
from services.session.requests import Once, fingerprint

MAX_USERS = 10_000
# Wrong tries of one name, or from one source, until whoever comes next has to wait.
MAX_ATTEMPTS = 10
ATTEMPT_SECONDS = 300
REFRESH_SECONDS = 30 * 86_400
# In which a refresh token may be shown again: pages of one person renew at once.
GRACE_SECONDS = 10.0
# Unit: seconds of a window, whether all of an amount must be left.
_UNITS = {"requests": (60, True), "tokens": (86_400, False)}

_FAMILY_FIELDS = ("user_id", "version", "api_key_id", "seed", "number", "rotated")


class RedisIdentity:
    """Is an IdentityStore. grace_seconds: in which a refresh token may be shown again."""

    def __init__(
        self,
        store: RedisStore,
        *,
        grace_seconds: float = GRACE_SECONDS,
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._store = store
        self._grace = round(grace_seconds * 1_000_000)
        self._attempts = round(attempt_seconds * 1000)

    async def page_token_key(self) -> bytes:
        """See UserStore."""
        return await self._store.page_token_key()

    async def create_user(self, user: NewUser, once: Once | None, deed: Deed, *, first: bool = False) -> User:
        """See UserStore."""
        tenant, external = user.tenant, _external(user.issuer, user.subject)
        reply = await self._store.run(
            "user_create",
            [
                _user(tenant, user.user_id),
                *(_place(tenant, name) for name in ("users", "usernames", "owners", "externals", "audit")),
                once_place(tenant, "user", once),
            ],
            [
                *(self._store.lifetime, fingerprint_of(once), MAX_USERS, "1" if first else "0"),
                *(folded(user.name), external, _text(deed)),
                *("user_id", user.user_id, "name", user.name, "role", user.role, "issuer", user.issuer),
                *("groups", json.dumps(user.groups), "password", user.password),
            ],
        )
        match reply[0]:
            case b"reused":
                raise request_id_reused(once.request_id if once else "")
            case b"done":
                raise failures.setup_done()
            case b"exists":
                raise failures.user_exists(user.name)
            case b"full":
                raise failures.too_many_users(MAX_USERS)
        return _user_of(tenant, fields_of(reply[1]))

    async def get_user(self, tenant: str, user_id: str) -> Secret | None:
        """See UserStore."""
        return _secret_of(tenant, await self._store.picked(_user(tenant, user_id), USER_FIELDS))

    async def find_user(self, tenant: str, folded: str) -> Secret | None:
        """See UserStore."""
        return await self._find(tenant, "usernames", folded)

    async def find_external(self, tenant: str, issuer: str, subject: str) -> User | None:
        """See UserStore."""
        found = await self._find(tenant, "externals", _external(issuer, subject))
        return found.user if found else None

    async def _find(self, tenant: str, index: str, wanted: str) -> Secret | None:
        reply = await self._store.run("user_find", [_place(tenant, index)], [wanted, _user(tenant, "")])
        return _secret_of(tenant, fields_of(reply[1])) if reply[0] == b"ok" else None

    async def list_users(self, tenant: str, after: str, count: int) -> Page[User]:
        """See UserStore."""
        last, found = await self._store.run(
            "users_list",
            [_place(tenant, "users"), _place(tenant, "usernames")],
            [after, count, PAGE_BYTES, _user(tenant, "")],
        )
        return Page(tuple(_user_of(tenant, fields_of(flat)) for flat in found), last.decode())

    async def update_user(
        self, caller: Caller, user_id: str, change: UserChange, once: Once | None, deed: Deed
    ) -> User:
        """See UserStore."""
        tenant = caller.tenant
        reply = await self._store.run(
            "user_update",
            [
                _user(tenant, user_id),
                *(_place(tenant, name) for name in ("owners", "audit")),
                once_place(tenant, "user-update", once),
            ],
            [
                *(self._store.lifetime, fingerprint_of(once), flag(caller.owner), _text(deed)),
                *_changed(change),
            ],
        )
        return _user_of(tenant, fields_of(_permitted(reply, caller, user_id, once)[1]))

    async def renew_hash(self, found: Secret, password: str) -> None:
        """See UserStore."""
        place = _user(found.user.tenant, found.user.user_id)
        await self._store.run("user_renew_hash", [place], [found.password, password])

    async def delete_user(self, caller: Caller, user_id: str, once: Once | None, deed: Deed) -> None:
        """See UserStore."""
        tenant = caller.tenant
        # As Principal.space has it.
        space = f"{tenant}.{user_id}"
        indexes = ("users", "usernames", "owners", "externals", f"apikeys:{user_id}", "audit")
        reply = await self._store.run(
            "user_delete",
            [
                _user(tenant, user_id),
                *(_place(tenant, name) for name in indexes),
                once_place(tenant, "user-delete", once),
                *(webhooks_place(space), SPACES, waiting_place(space)),
            ],
            [
                *(self._store.lifetime, fingerprint_of(once), flag(caller.owner), _text(deed)),
                *(_api_key(tenant, ""), space, webhook_place(space, ""), message_place(space, "")),
            ],
        )
        _permitted(reply, caller, user_id, once)

    async def create_key(self, caller: Caller, key: ApiKey, most: int, deed: Deed) -> ApiKey:
        """See KeyStore."""
        tenant = key.tenant
        reply = await self._store.run(
            "api_key_create",
            [
                _api_key(tenant, key.api_key_id),
                _place(tenant, f"apikeys:{key.user_id}"),
                _user(tenant, key.user_id),
                _place(tenant, "audit"),
            ],
            [
                *(most, flag(caller.owner or caller.user_id == key.user_id), _text(deed), key.api_key_id),
                *("api_key_id", key.api_key_id, "user_id", key.user_id, "label", key.label),
                *("role", key.role, "sha256", key.sha256, "ends", key.expire_time),
            ],
        )
        match reply[0]:
            case b"missing":
                raise failures.user_not_found(key.user_id)
            case b"owner":
                raise failures.owner_needed(caller.role)
            case b"full":
                raise failures.too_many_api_keys(most)
        return replace(key, create_time=int(reply[1]))

    async def get_key(self, tenant: str, api_key_id: str) -> ApiKey | None:
        """See KeyStore."""
        fields = await self._store.picked(_api_key(tenant, api_key_id), API_KEY_FIELDS)
        return _key_of(tenant, fields) if fields else None

    async def list_keys(self, tenant: str, user_id: str) -> tuple[ApiKey, ...]:
        """See KeyStore."""
        _, found = await self._store.run(
            "api_keys_list", [_place(tenant, f"apikeys:{user_id}")], [_api_key(tenant, "")]
        )
        return tuple(_key_of(tenant, fields_of(flat)) for flat in found if flat)

    async def delete_key(self, key: ApiKey, deed: Deed) -> bool:
        """See KeyStore."""
        places = [
            _api_key(key.tenant, key.api_key_id),
            _place(key.tenant, f"apikeys:{key.user_id}"),
            _place(key.tenant, "audit"),
        ]
        [status] = await self._store.run("api_key_delete", places, [key.api_key_id, _text(deed)])
        return bool(status == b"ok")

    async def use_key(self, key: ApiKey) -> None:
        """See KeyStore."""
        await self._store.run("api_key_use", [_api_key(key.tenant, key.api_key_id)], [])

    async def create_family(self, family: Family, deed: Deed) -> Family | None:
        """See FamilyStore."""
        reply = await self._store.run(
            "family_create",
            _family_places(family),
            [
                *(REFRESH_SECONDS * 1000, family.version, flag(bool(family.api_key_id)), _text(deed)),
                *("user_id", family.user_id, "version", family.version, "seed", family.seed),
                *("api_key_id", family.api_key_id),
            ],
        )
        return replace(family, rotate_time=int(reply[1])) if reply[0] == b"ok" else None

    async def get_family(self, tenant: str, family_id: str) -> Family | None:
        """See FamilyStore."""
        fields = await self._store.picked(_place(tenant, f"family:{family_id}"), _FAMILY_FIELDS)
        if not fields:
            return None
        return Family(
            tenant,
            family_id,
            fields[b"user_id"].decode(),
            int(fields[b"version"]),
            fields[b"api_key_id"].decode(),
            fields[b"seed"],
            int(fields[b"number"]),
            int(fields[b"rotated"]),
        )

    async def rotate_family(self, family: Family, number: int, deed: Deed) -> Family | None:
        """See FamilyStore."""
        reply = await self._store.run(
            "family_rotate",
            _family_places(family),
            [REFRESH_SECONDS * 1000, number, self._grace, flag(bool(family.api_key_id)), _text(deed)],
        )
        if reply[0] != b"ok":
            return None
        return replace(family, number=int(reply[1]), rotate_time=int(reply[2]))

    async def delete_family(self, tenant: str, family_id: str, deed: Deed) -> None:
        """See FamilyStore."""
        places = [_place(tenant, f"family:{family_id}"), _place(tenant, "audit")]
        await self._store.run("family_delete", places, [_text(deed)])

    async def attempt(self, tenant: str, folded: str, source: str, deed: Deed) -> float:
        """See LimitStore."""
        places = [*_counters(tenant, folded, source), _place(tenant, "audit")]
        _, wait = await self._store.run("attempt_begin", places, [MAX_ATTEMPTS, self._attempts, _text(deed)])
        return int(wait) / 1000

    async def succeeded(self, tenant: str, folded: str, source: str) -> None:
        """See LimitStore."""
        await self._store.run("attempt_end", _counters(tenant, folded, source), [])

    async def consume(self, who: Caller, taking: Taking, once: Once | None) -> tuple[bool, Quota]:
        """See LimitStore."""
        tenant, subject = who.tenant, who.user_id
        seconds, whole = _UNITS[taking.unit]
        reply = await self._store.run(
            "quota_take",
            [_place(tenant, f"quota:{taking.unit}:{subject}"), once_place(tenant, f"quota-{subject}", once)],
            [
                *(self._store.lifetime, fingerprint_of(once), taking.limit, taking.amount),
                *(seconds, flag(whole)),
            ],
        )
        match reply[0]:
            case b"reused":
                raise request_id_reused(once.request_id if once else "")
            case b"exhausted":
                return False, Quota(int(reply[1]), int(reply[2]))
        fields = fields_of(reply[1])
        return True, Quota(int(fields[b"remaining"]), int(fields[b"reset"]))

    async def used(self, who: Caller, unit: str) -> tuple[int, int]:
        """See LimitStore."""
        place = _place(who.tenant, f"quota:{unit}:{who.user_id}")
        _, used, reset = await self._store.run("quota_read", [place], [_UNITS[unit][0]])
        return int(used), int(reset)

    async def list_audit(self, tenant: str, before: int, count: int) -> tuple[AuditEntry, ...]:
        """See AuditStore."""
        _, found = await self._store.run("audit_list", [_place(tenant, "audit")], [before, count])
        return tuple(_audit_of(line) for line in found)


def _place(tenant: str, name: str) -> Place:
    return Place(f"{{{tenant}}}:{name}")


def _user(tenant: str, user_id: str) -> Place:
    return _place(tenant, f"user:{user_id}")


def _api_key(tenant: str, api_key_id: str) -> Place:
    return _place(tenant, f"apikey:{api_key_id}")


def _family_places(family: Family) -> list[Place]:
    return [
        _place(family.tenant, f"family:{family.family_id}"),
        _user(family.tenant, family.user_id),
        _api_key(family.tenant, family.api_key_id or "none"),
        _place(family.tenant, "audit"),
    ]


def _counters(tenant: str, folded: str, source: str) -> list[Place]:
    """Names and sources may hold any character, so they are hashed."""
    counted = [("name", folded), *([("source", source)] if source else [])]
    return [
        _place(tenant, f"attempts:{kind}:{hashlib.sha256(value.encode()).hexdigest()}")
        for kind, value in counted
    ]


def _external(issuer: str, subject: str) -> str:
    """A provider's name for somebody, of one length; empty for nobody's."""
    return fingerprint((issuer, subject)).hex() if issuer else ""


def _changed(change: UserChange) -> list[str]:
    fields: list[str] = []
    if change.password is not None:
        fields += ["password", change.password]
    if change.role is not None:
        fields += ["role", change.role]
    if change.groups is not None:
        fields += ["groups", json.dumps(change.groups)]
    if change.disabled is not None:
        fields += ["disabled", flag(change.disabled)]
    return fields


def _permitted(reply: Sequence[Any], caller: Caller, user_id: str, once: Once | None) -> Sequence[Any]:
    match reply[0]:
        case b"reused":
            raise request_id_reused(once.request_id if once else "")
        case b"missing":
            raise failures.user_not_found(user_id)
        case b"owner":
            raise failures.owner_needed(caller.role)
        case b"last":
            raise failures.last_owner(user_id)
    return reply


def _user_of(tenant: str, fields: Fields) -> User:
    return User(
        tenant,
        fields[b"user_id"].decode(),
        fields[b"name"].decode(),
        fields[b"role"].decode(),
        tuple(json.loads(fields[b"groups"])),
        fields[b"disabled"] == b"1",
        fields[b"issuer"].decode(),
        int(fields[b"version"]),
        int(fields[b"created"]),
        int(fields[b"updated"]),
    )


def _secret_of(tenant: str, fields: Fields) -> Secret | None:
    return Secret(_user_of(tenant, fields), fields[b"password"].decode()) if fields else None


def _key_of(tenant: str, fields: Fields) -> ApiKey:
    return ApiKey(
        tenant,
        fields[b"api_key_id"].decode(),
        fields[b"user_id"].decode(),
        fields[b"label"].decode(),
        fields[b"role"].decode(),
        fields[b"sha256"].decode(),
        int(fields[b"created"]),
        int(fields[b"used"]),
        int(fields[b"ends"]),
    )


def _text(deed: Deed) -> str:
    return json.dumps([deed.actor, deed.action.value, deed.target, dict(deed.details)], ensure_ascii=False)


def _audit_of(line: bytes) -> AuditEntry:
    place, moment, text = line.decode().split(" ", 2)
    actor, action, target, details = json.loads(text)
    return AuditEntry(int(place), int(moment), Deed(actor, Action(action), target, details))
