"""Users sign in, renew, sign out and use keys; who may not is refused with the listed answer."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argon2
import grpc
import jwt
import pytest
import redis
from google.protobuf import timestamp_pb2

from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import identity_pb2 as pb
from services.chassis import roles
from services.chassis.snapshot import describe
from tests.contract.session.conftest import House, refusal, running_house, settings_for
from tests.contract.session.test_snapshots import exported, imported
from tests.contract.session.test_snapshots import made as snapshot_of
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.slow

SECRET = "w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU.1fG6-sQaT.Od/Rk5yWu+MzPi90jExCbV"
CODE = "lift-off-41"
PASSWORD = "the tide comes at nine"
OTHER_PASSWORD = "lamps burn on the pier"


@dataclass
class People:
    """Stubs, and those who were made."""

    house: House
    ids: dict[str, str] = field(default_factory=dict)

    def of(self, name: str, role: str = "") -> list[tuple[str, str]]:
        """The metadata of a call that somebody makes."""
        return [
            ("x-tenant", "home"),
            ("x-subject", self.ids.get(name, name)),
            ("x-role", role or name.partition("-")[0]),
        ]

    async def call(self, method: str, by: str = "owner", /, **fields: Any) -> Any:
        """Calls a method for somebody whose role is in the name, as in "admin-2"."""
        metadata = [*self.of(by), *fields.pop("metadata", ())]
        request = getattr(pb, f"{method}Request")(**fields)
        return await getattr(self.house.identity, method)(request, metadata=metadata)

    async def create(self, name: str, by: str = "owner", /, **fields: Any) -> Any:
        """A user called so, in the role that the name begins with."""
        fields = {"name": name, "password": PASSWORD, "role": name.partition("-")[0], **fields}
        user = (await self.call("CreateUser", by, **fields)).user
        self.ids[name] = user.user_id
        return user

    async def sign_in(self, name: str, password: str = PASSWORD, source: str = "") -> Any:
        """What Authenticate answers."""
        request = pb.AuthenticateRequest(password=pb.PasswordCredential(name=name, password=password))
        metadata = [("x-meld-source", source)] if source else None
        return await self.house.identity.Authenticate(request, metadata=metadata)

    async def renew(self, token: str) -> Any:
        """New tokens."""
        reply = await self.house.identity.RefreshToken(pb.RefreshTokenRequest(refresh_token=token))
        return reply.tokens

    async def identify(self, token: str) -> Any:
        """Whose an access token or key is."""
        shown = {"api_key" if token.startswith("mrk_") else "access_token": token}
        return (await self.house.identity.Identify(pb.IdentifyRequest(**shown))).caller


def settings(server: RedisServer, **fields: Any) -> Any:
    given = {"jwt_secret_key": SECRET, "meld_setup_code": CODE, **fields}
    return settings_for(server, **given)


@pytest.fixture
async def people(redis_server: RedisServer) -> AsyncIterator[People]:
    """A house with an owner."""
    async with running_house(settings(redis_server)) as house:
        made = People(house)
        reply = await house.identity.SetUp(pb.SetUpRequest(name="owner", password=PASSWORD, setup_code=CODE))
        made.ids["owner"] = reply.user.user_id
        yield made


# Setting up


async def test_the_first_owner_needs_the_code_and_is_the_only_one_made_so(redis_server: RedisServer) -> None:
    async with running_house(settings(redis_server)) as house:
        request = pb.SetUpRequest(name="Ada", password=PASSWORD, setup_code="wrong-code")
        error = await refusal(house.identity.SetUp(request))
        assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SETUP_REFUSED")
        request = pb.SetUpRequest(name="Ada", password=PASSWORD, setup_code=CODE, request_id="r")
        first = (await house.identity.SetUp(request)).user
        assert (first.name, first.role, first.tenant_id) == ("Ada", "owner", "home")
        # A repeat answers as the first did, another one is too late.
        assert (await house.identity.SetUp(request)).user == first
        request = pb.SetUpRequest(name="Eve", password=PASSWORD, setup_code=CODE)
        error = await refusal(house.identity.SetUp(request))
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SETUP_DONE")


async def test_without_a_code_nobody_sets_up_and_codes_cannot_be_tried_out(redis_server: RedisServer) -> None:
    async with running_house(settings(redis_server, meld_setup_code=None)) as house:
        request = pb.SetUpRequest(name="Ada", password=PASSWORD)
        assert (await refusal(house.identity.SetUp(request))).reason == "SETUP_REFUSED"
    async with running_house(settings(redis_server)) as house:
        reasons = set()
        for number in range(12):
            request = pb.SetUpRequest(name="Ada", password=PASSWORD, setup_code=f"guess-{number}")
            reasons.add((await refusal(house.identity.SetUp(request))).reason)
        assert reasons == {"SETUP_REFUSED", "TOO_MANY_ATTEMPTS"}
        request = pb.SetUpRequest(name="Ada", password=PASSWORD, setup_code=CODE)
        assert (await refusal(house.identity.SetUp(request))).reason == "TOO_MANY_ATTEMPTS"


async def test_of_those_who_set_up_at_once_one_does(redis_server: RedisServer) -> None:
    async with running_house(settings(redis_server)) as house:
        requests = [pb.SetUpRequest(name=f"o{n}", password=PASSWORD, setup_code=CODE) for n in range(6)]
        outcomes = await asyncio.gather(
            *(house.identity.SetUp(request) for request in requests), return_exceptions=True
        )
        assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1


# Users


async def test_names_are_unique_however_they_are_written(people: People) -> None:
    user = await people.create("member-é", groups=["b", "a", "b"])
    assert (user.groups, user.disabled, user.issuer) == (["a", "b"], False, "")
    for other in ("MEMBER-É", "ｍｅｍｂｅｒ-é", "member-e\N{COMBINING ACUTE ACCENT}"):
        error = await refusal(people.create(other, role="member"))
        assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "USER_EXISTS")
    # And whoever signs in may write it so.
    assert (await people.sign_in("MEMBER-É")).user == user


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 255}, "name"),
        ({"name": "a\r\nSet-Cookie: b"}, "name"),
        ({"name": "a\x1b[31m"}, "name"),
        ({"name": "a\N{RIGHT-TO-LEFT OVERRIDE}b"}, "name"),
        ({"name": " a"}, "name"),
        ({"password": "eleven char"}, "password"),
        ({"password": "x y" * 100}, "password"),
        ({"password": "a word and \0 more"}, "password"),
        ({"password": "abcabcabcabcabc"}, "password"),
        ({"password": "changeme-password"}, "password"),
        ({"name": "a name that is long", "password": "A NAME that is long"}, "password"),
        ({"role": "emperor"}, "role"),
        ({"role": ""}, "role"),
        ({"groups": ["a\nb"]}, "groups"),
        ({"groups": [f"g{n}" for n in range(51)]}, "groups"),
        ({"groups": [f"{n:02}" + "é" * 60 for n in range(9)]}, "groups"),
        ({"request_id": "r\n"}, "request_id"),
    ],
)
async def test_what_is_malformed_is_refused(people: People, fields: Mapping[str, Any], named: str) -> None:
    error = await refusal(people.create("member-1", **fields))
    assert (error.code, error.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, named)
    # Never the password that was refused.
    assert fields.get("password", "nothing") not in f"{error.message}{error.metadata}"


async def test_a_repeated_request_makes_one_user(people: People) -> None:
    first = await people.create("member-1", request_id="r 1")
    assert await people.create("member-1", request_id="r 1") == first
    error = await refusal(people.create("member-2", request_id="r 1"))
    assert error.reason == "REQUEST_ID_REUSED"
    changes = {"user_id": first.user_id, "role": "viewer", "request_id": "r 2"}
    changed = (await people.call("UpdateUser", **changes)).user
    await people.call("UpdateUser", user_id=first.user_id, role="admin")
    assert (await people.call("UpdateUser", **changes)).user == changed
    for _ in range(2):
        await people.call("DeleteUser", user_id=first.user_id, request_id="r 3")
    error = await refusal(people.call("DeleteUser", user_id=first.user_id))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")


async def test_lists_go_by_name_in_pages(people: People) -> None:
    for number in range(5):
        await people.create(f"Member-{4 - number}", role="member")
    found, token, pages = [], "", 0
    while pages == 0 or token:
        page = await people.call("ListUsers", page_size=4, page_token=token)
        found += [user.name for user in page.users]
        token, pages = page.next_page_token, pages + 1
    assert (found, pages) == ([*(f"Member-{number}" for number in range(5)), "owner"], 2)
    assert (await refusal(people.call("ListUsers", page_token="forged"))).reason == "INVALID_PAGE_TOKEN"
    assert (await refusal(people.call("ListUsers", page_size=-1))).reason == "INVALID_FIELD"


async def test_the_last_owner_stays(people: People) -> None:
    last = people.ids["owner"]
    for change in ({"disabled": True}, {"role": "admin"}):
        error = await refusal(people.call("UpdateUser", user_id=last, **change))
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LAST_OWNER")
    assert (await refusal(people.call("DeleteUser", user_id=last))).reason == "LAST_OWNER"
    # One who is disabled is none.
    other = await people.create("owner-2")
    await people.call("UpdateUser", user_id=other.user_id, disabled=True)
    assert (await refusal(people.call("DeleteUser", user_id=last))).reason == "LAST_OWNER"
    await people.call("UpdateUser", user_id=other.user_id, disabled=False)
    await people.call("DeleteUser", user_id=last)
    assert (await refusal(people.call("DeleteUser", user_id=other.user_id))).reason == "LAST_OWNER"


async def test_of_two_owners_who_remove_each_other_one_stays(people: People) -> None:
    other = await people.create("owner-2")
    outcomes = await asyncio.gather(
        people.call("UpdateUser", user_id=other.user_id, role="member"),
        people.call("UpdateUser", "owner-2", user_id=people.ids["owner"], role="member"),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, BaseException) for outcome in outcomes) == 1


async def test_only_owners_make_and_change_owners(people: People) -> None:
    await people.create("admin-1")
    owner = people.ids["owner"]
    member = await people.create("member-1", "admin-1")
    tries = [
        people.create("owner-2", "admin-1"),
        people.call("UpdateUser", "admin-1", user_id=member.user_id, role="owner"),
        people.call("UpdateUser", "admin-1", user_id=owner, password=OTHER_PASSWORD),
        people.call("UpdateUser", "admin-1", user_id=owner, groups=pb.Groups(names=["x"])),
        people.call("DeleteUser", "admin-1", user_id=owner),
        people.call("CreateApiKey", "admin-1", user_id=owner, label="mine"),
    ]
    for attempt in tries:
        error = await refusal(attempt)
        assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "OWNER_NEEDED")
    await people.call("UpdateUser", user_id=member.user_id, role="owner")


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_others_administer_nobody(people: People, role: str) -> None:
    await people.create(f"{role}-1")
    for method, fields in (
        ("CreateUser", {"name": "x", "password": PASSWORD, "role": "viewer"}),
        ("ListUsers", {}),
        ("UpdateUser", {"user_id": people.ids[f"{role}-1"], "role": "owner"}),
        ("DeleteUser", {"user_id": people.ids["owner"]}),
        ("ListAuditEntries", {}),
        ("AuthenticateExternal", {"issuer": "https://i", "subject": "s", "name": "n"}),
    ):
        error = await refusal(people.call(method, f"{role}-1", **fields))
        assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"), method


async def test_another_tenant_sees_and_changes_nobody(people: People) -> None:
    member = await people.create("member-1")
    key = await people.call("CreateApiKey", "member-1", label="k")
    foreign = [("x-tenant", "foreign"), ("x-subject", "boss"), ("x-role", "owner")]
    stub = people.house.identity
    assert not (await stub.ListUsers(pb.ListUsersRequest(), metadata=foreign)).users
    assert not (await stub.ListAuditEntries(pb.ListAuditEntriesRequest(), metadata=foreign)).entries
    calls = [
        (stub.UpdateUser, pb.UpdateUserRequest(user_id=member.user_id, role="viewer"), "USER_NOT_FOUND"),
        (stub.DeleteUser, pb.DeleteUserRequest(user_id=member.user_id), "USER_NOT_FOUND"),
        (stub.CreateApiKey, pb.CreateApiKeyRequest(user_id=member.user_id, label="k"), "USER_NOT_FOUND"),
        (stub.ListApiKeys, pb.ListApiKeysRequest(user_id=member.user_id), "USER_NOT_FOUND"),
        (stub.RevokeApiKey, pb.RevokeApiKeyRequest(api_key_id=key.api_key_id), "API_KEY_NOT_FOUND"),
    ]
    for method, request, reason in calls:
        error = await refusal(method(request, metadata=foreign))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, reason)
    page = await people.call("ListUsers", page_size=1)
    request = pb.ListUsersRequest(page_size=1, page_token=page.next_page_token)
    assert (await refusal(stub.ListUsers(request, metadata=foreign))).reason == "INVALID_PAGE_TOKEN"
    # Both may have a member of that name; who signs in says where.
    theirs = pb.CreateUserRequest(name="member-1", password=OTHER_PASSWORD, role="member")
    their_id = (await stub.CreateUser(theirs, metadata=foreign)).user.user_id
    assert (await refusal(people.sign_in("member-1", OTHER_PASSWORD))).reason == "CREDENTIAL_WRONG"
    shown = pb.PasswordCredential(name="member-1", password=OTHER_PASSWORD, tenant_id="foreign")
    reply = await stub.Authenticate(pb.AuthenticateRequest(password=shown))
    assert (reply.user.user_id, reply.user.tenant_id) == (their_id, "foreign")


# Signing in


async def test_a_user_signs_in_is_known_renews_and_signs_out(people: People) -> None:
    user = await people.create("viewer-1", groups=["staff"])
    reply = await people.sign_in("viewer-1")
    assert reply.user == user
    caller = await people.identify(reply.tokens.access_token)
    assert (caller.user, caller.role, caller.api_key_id) == (user, "viewer", "")
    assert set(caller.scopes) == roles.scopes_of("viewer")
    assert options_pb2.SCOPE_KNOWLEDGE_WRITE not in caller.scopes
    assert caller.expire_time == reply.tokens.expire_time
    assert 590 < caller.expire_time.ToMicroseconds() / 1e6 - time.time() <= 601
    newer = await people.renew(reply.tokens.refresh_token)
    assert newer.refresh_token != reply.tokens.refresh_token
    assert (await people.identify(newer.access_token)).user == user
    for _ in range(2):
        await people.house.identity.RevokeToken(pb.RevokeTokenRequest(token=newer.access_token))
    for token in (reply.tokens.access_token, newer.access_token):
        error = await refusal(people.identify(token))
        assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REVOKED")
    error = await refusal(people.renew(newer.refresh_token))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REVOKED")


async def test_a_refresh_token_signs_out_too(people: People) -> None:
    tokens = (await people.sign_in("owner")).tokens
    other = (await people.sign_in("owner")).tokens
    await people.house.identity.RevokeToken(pb.RevokeTokenRequest(token=tokens.refresh_token))
    assert (await refusal(people.identify(tokens.access_token))).reason == "TOKEN_REVOKED"
    # Another signing in is another matter.
    await people.identify(other.access_token)


async def test_five_who_renew_at_once_get_the_same(people: People) -> None:
    tokens = (await people.sign_in("owner")).tokens
    got = await asyncio.gather(*(people.renew(tokens.refresh_token) for _ in range(5)))
    assert {(each.access_token, each.refresh_token) for each in got} == {
        (got[0].access_token, got[0].refresh_token)
    }
    await people.identify(got[0].access_token)
    await people.renew(got[0].refresh_token)


async def test_a_late_second_use_ends_the_family(people: People, redis_server: RedisServer) -> None:
    stolen = (await people.sign_in("owner")).tokens
    newer = await people.renew(stolen.refresh_token)
    with redis.Redis(port=redis_server.port) as client:
        [family] = client.keys("*:family:*")
        client.hincrby(family, "left1", -9_000_000)
        assert await people.renew(stolen.refresh_token) == newer
        client.hincrby(family, "left1", -2_000_000)
    error = await refusal(people.renew(stolen.refresh_token))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REVOKED")
    for dead in (stolen, newer):
        assert (await refusal(people.identify(dead.access_token))).reason == "TOKEN_REVOKED"
    assert (await refusal(people.renew(newer.refresh_token))).reason == "TOKEN_REVOKED"
    [entry] = (await people.call("ListAuditEntries", page_size=1)).entries
    assert (entry.action, entry.target) == ("reuse_refresh_token", people.ids["owner"])


async def test_a_made_up_refresh_token_ends_nobodys_family(people: People) -> None:
    tokens = (await people.sign_in("owner")).tokens
    head, _, mac = tokens.refresh_token.rpartition("_")
    forged = f"{head}_{'0' if mac[0] != '0' else '1'}{mac[1:]}"
    later = f"{head[:-1]}7_{mac}"
    for token in (forged, later, tokens.access_token, "mrt_", "x" * 100_000, ""):
        error = await refusal(people.renew(token))
        assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    await people.renew(tokens.refresh_token)


@pytest.mark.parametrize(
    ("change", "signs_in"),
    [({"password": OTHER_PASSWORD}, False), ({"disabled": True}, False), (None, False)],
    ids=["password", "disabled", "deleted"],
)
async def test_who_is_changed_is_out_at_once(
    people: People, change: dict[str, Any] | None, signs_in: bool
) -> None:
    member = await people.create("member-1")
    key = (await people.call("CreateApiKey", "member-1", label="k")).secret
    tokens = (await people.sign_in("member-1")).tokens
    if change is None:
        await people.call("DeleteUser", user_id=member.user_id)
    else:
        await people.call("UpdateUser", user_id=member.user_id, **change)
    assert (await refusal(people.identify(tokens.access_token))).reason == "TOKEN_REVOKED"
    assert (await refusal(people.renew(tokens.refresh_token))).reason == "TOKEN_REVOKED"
    error = await refusal(people.sign_in("member-1"))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_WRONG")
    if change == {"password": OTHER_PASSWORD}:
        # A key is no password.
        assert (await people.identify(key)).user.user_id == member.user_id
        await people.sign_in("member-1", OTHER_PASSWORD)
    else:
        assert (await refusal(people.identify(key))).reason == "CREDENTIAL_WRONG"


async def test_another_role_counts_at_once(people: People) -> None:
    member = await people.create("member-1")
    tokens = (await people.sign_in("member-1")).tokens
    await people.call("UpdateUser", user_id=member.user_id, role="viewer", groups=pb.Groups(names=["g"]))
    caller = await people.identify(tokens.access_token)
    assert (caller.role, caller.user.groups) == ("viewer", ["g"])
    await people.call("UpdateUser", user_id=member.user_id, groups=pb.Groups())
    assert (await people.identify(tokens.access_token)).user.groups == []


async def test_one_changes_ones_own_password_with_the_old_one(people: People) -> None:
    await people.create("viewer-1")
    tokens = (await people.sign_in("viewer-1")).tokens
    change = {"current_password": "not the one it is", "new_password": OTHER_PASSWORD}
    error = await refusal(people.call("ChangePassword", "viewer-1", **change))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_WRONG")
    change = {"current_password": PASSWORD, "new_password": "short"}
    assert (await refusal(people.call("ChangePassword", "viewer-1", **change))).reason == "INVALID_FIELD"
    await people.call("ChangePassword", "viewer-1", current_password=PASSWORD, new_password=OTHER_PASSWORD)
    assert (await refusal(people.identify(tokens.access_token))).reason == "TOKEN_REVOKED"
    await people.sign_in("viewer-1", OTHER_PASSWORD)


async def test_after_ten_wrong_passwords_a_name_waits_and_others_do_not(people: People) -> None:
    await people.create("member-1")
    errors = await asyncio.gather(*(refusal(people.sign_in("member-1", "wrong")) for _ in range(30)))
    reasons = sorted(error.reason for error in errors)
    assert reasons == ["CREDENTIAL_WRONG"] * 10 + ["TOO_MANY_ATTEMPTS"] * 20
    # Also the right one, from anywhere.
    error = await refusal(people.sign_in("MEMBER-1", source="198.51.100.7"))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_ATTEMPTS")
    assert error.retry_after is not None
    assert 200 < error.retry_after <= 300
    await people.sign_in("owner")
    entries = (await people.call("ListAuditEntries")).entries
    [throttled] = [entry for entry in entries if entry.action == "sign_in_throttled"]
    assert throttled.details["name"] == "member-1"


async def test_a_source_that_tries_many_names_waits(people: People) -> None:
    for number in range(10):
        error = await refusal(people.sign_in(f"nobody-{number}", "wrong", source="203.0.113.9"))
        assert error.reason == "CREDENTIAL_WRONG"
    assert (await refusal(people.sign_in("owner", source="203.0.113.9"))).reason == "TOO_MANY_ATTEMPTS"
    await people.sign_in("owner", source="203.0.113.10")


async def test_the_wait_ends_by_itself(people: People, redis_server: RedisServer) -> None:
    for _ in range(11):
        await refusal(people.sign_in("owner", "wrong"))
    assert (await refusal(people.sign_in("owner"))).reason == "TOO_MANY_ATTEMPTS"
    with redis.Redis(port=redis_server.port) as client:
        [counter] = client.keys("*:attempts:name:*")
        assert 0 < client.ttl(counter) <= 300
        client.pexpire(counter, 1)
    while (reply := await _tried(people)) is None:
        await asyncio.sleep(0.01)
    assert reply.user.name == "owner"
    # Who was right counts anew.
    for _ in range(9):
        assert (await refusal(people.sign_in("owner", "wrong"))).reason == "CREDENTIAL_WRONG"
    for _ in range(9):
        await people.sign_in("owner")
        assert (await refusal(people.sign_in("owner", "wrong"))).reason == "CREDENTIAL_WRONG"


async def _tried(people: People) -> Any:
    try:
        return await people.sign_in("owner")
    except grpc.RpcError:
        return None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"password": "with a \0 in it"}, "password.password"),
        ({"password": "x" * 257}, "password.password"),
        ({"name": "a\r\nb"}, "password.name"),
        ({"name": ""}, "password.name"),
        ({"tenant_id": "a:b"}, "password.tenant_id"),
        ({"tenant_id": "{}"}, "password.tenant_id"),
    ],
)
async def test_what_cannot_be_a_password_is_refused(
    people: People, fields: dict[str, Any], named: str
) -> None:
    shown = pb.PasswordCredential(**{"name": "owner", "password": PASSWORD, **fields})
    error = await refusal(people.house.identity.Authenticate(pb.AuthenticateRequest(password=shown)))
    assert (error.code, error.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, named)
    assert fields.get("password", "nothing") not in f"{error.message}{error.metadata}"


async def test_a_password_of_ten_megabytes_is_refused_and_harms_nobody(people: People) -> None:
    error = await refusal(people.sign_in("owner", "x" * 10_000_000))
    assert error.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    await people.sign_in("owner")


async def test_nothing_shown_is_an_invalid_request(people: People) -> None:
    stub = people.house.identity
    assert (await refusal(stub.Authenticate(pb.AuthenticateRequest()))).reason == "INVALID_FIELD"
    assert (await refusal(stub.Identify(pb.IdentifyRequest()))).reason == "INVALID_FIELD"


@pytest.mark.parametrize("secret", [None, "short"])
async def test_without_a_secret_nobody_signs_in_and_the_rest_goes_on(
    redis_server: RedisServer, secret: str | None
) -> None:
    async with running_house(settings(redis_server, jwt_secret_key=secret)) as house:
        made = People(house)
        setup = pb.SetUpRequest(name="owner", password=PASSWORD, setup_code=CODE)
        made.ids["owner"] = (await house.identity.SetUp(setup)).user.user_id
        calls = [
            made.sign_in("owner"),
            made.renew("mrt_x"),
            made.identify("a.b.c"),
            house.identity.RevokeToken(pb.RevokeTokenRequest(token="a.b.c")),
        ]
        for call in calls:
            error = await refusal(call)
            assert (error.code, error.reason) == (
                grpc.StatusCode.FAILED_PRECONDITION,
                "LOGIN_NOT_CONFIGURED",
            )
        key = (await made.call("CreateApiKey", label="k")).secret
        assert (await made.identify(key)).user.name == "owner"


async def test_the_owner_of_a_house_without_login_prepares_its_users(people: People) -> None:
    reply = await people.house.identity.ListUsers(pb.ListUsersRequest())
    assert [(user.name, user.tenant_id) for user in reply.users] == [("owner", "home")]


# Tokens that were tampered with


def forged(claims: Mapping[str, Any], key: Any = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(dict(claims), key, algorithm, {"typ": "at+jwt", **header})


def without(claims: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in claims.items() if key != name}


def raw(header: Mapping[str, Any], claims: Mapping[str, Any], signature: str = "") -> str:
    def part(value: Mapping[str, Any]) -> str:
        return jwt.utils.base64url_encode(json.dumps(value).encode()).decode()

    return f"{part(header)}.{part(claims)}.{signature}"


ATTACKS: dict[str, Any] = {
    "no signature": lambda good, claims: good.rpartition(".")[0] + ".",
    "another signature": lambda good, claims: good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
    "another secret": lambda good, claims: forged(claims, "k" * 40),
    "alg none": lambda good, claims: raw({"alg": "none", "typ": "at+jwt"}, claims),
    "alg None": lambda good, claims: raw({"alg": "None", "typ": "at+jwt"}, claims),
    "alg nOnE": lambda good, claims: raw({"alg": "nOnE", "typ": "at+jwt"}, claims),
    "alg missing": lambda good, claims: raw({"typ": "at+jwt"}, claims, good.rpartition(".")[2]),
    "HS512": lambda good, claims: forged(claims, algorithm="HS512"),
    "RS256 over our secret": lambda good, claims: raw(
        {"alg": "RS256", "typ": "at+jwt"}, claims, good.rpartition(".")[2]
    ),
    "jwk": lambda good, claims: forged(claims, "k" * 40, jwk={"kty": "oct", "k": "a2tr"}),
    "jwk with our secret": lambda good, claims: forged(claims, jwk={"kty": "oct", "k": "a2tr"}),
    "jku": lambda good, claims: forged(claims, jku="http://127.0.0.1:1/keys"),
    "x5u": lambda good, claims: forged(claims, x5u="http://127.0.0.1:1/cert"),
    "kid is a path": lambda good, claims: forged(claims, kid="../../dev/null"),
    "kid is SQL": lambda good, claims: forged(claims, kid="' OR 1=1 --"),
    "unknown crit": lambda good, claims: forged(claims, crit=["exp2"], exp2=1),
    "b64 false": lambda good, claims: forged(claims, b64=False, crit=["b64"]),
    "another typ": lambda good, claims: forged(claims, typ="JWT"),
    "a large header": lambda good, claims: forged(claims, pad="x" * 1_000_000),
    "large claims": lambda good, claims: forged({**claims, "pad": "x" * 5_000}),
    "five parts": lambda good, claims: good + ".a.b",
    "two parts": lambda good, claims: good.rpartition(".")[0],
    "bad base64": lambda good, claims: good.replace(".", ".!!!", 1),
    "claims are a list": lambda good, claims: good.split(".")[0] + ".W10." + good.rpartition(".")[2],
    "not a token": lambda good, claims: "null",
    "nothing": lambda good, claims: "",
    "exp missing": lambda good, claims: forged(without(claims, "exp")),
    "exp soon": lambda good, claims: raw_signed({**claims, "exp": "soon"}),
    "exp as text": lambda good, claims: raw_signed({**claims, "exp": str(claims["exp"])}),
    "exp 1e30": lambda good, claims: raw_signed({**claims, "exp": 1e30}),
    "exp true": lambda good, claims: raw_signed({**claims, "exp": True}),
    "exp far": lambda good, claims: forged({**claims, "exp": claims["exp"] + 1_000}),
    "exp huge": lambda good, claims: forged({**claims, "exp": 1 << 80}),
    "nbf future": lambda good, claims: forged({**claims, "nbf": claims["exp"]}),
    "iat future": lambda good, claims: forged({**claims, "iat": claims["exp"]}),
    "aud missing": lambda good, claims: forged(without(claims, "aud")),
    "aud list": lambda good, claims: forged({**claims, "aud": ["meldrag"]}),
    "aud other": lambda good, claims: forged({**claims, "aud": "meldrag-internal"}),
    "iss other": lambda good, claims: forged({**claims, "iss": "https://elsewhere"}),
    "iss missing": lambda good, claims: forged(without(claims, "iss")),
    "sub missing": lambda good, claims: forged(without(claims, "sub")),
    "sub number": lambda good, claims: raw_signed({**claims, "sub": 1}),
    "sub of Redis": lambda good, claims: forged({**claims, "sub": "a:b{c}*"}),
    "jti missing": lambda good, claims: forged(without(claims, "jti")),
    "kind missing": lambda good, claims: forged(without(claims, "typ")),
    "kind other": lambda good, claims: forged({**claims, "typ": "refresh"}),
    "version text": lambda good, claims: forged({**claims, "ver": "1"}),
}


def raw_signed(claims: Mapping[str, Any]) -> str:
    """Signed rightly, with claims that PyJWT would not write."""
    return jwt.PyJWS().encode(json.dumps(claims).encode(), SECRET, "HS256", {"typ": "at+jwt"})


async def test_tokens_that_were_tampered_with_are_refused(people: People) -> None:
    tokens = (await people.sign_in("owner")).tokens
    claims = jwt.decode(tokens.access_token, options={"verify_signature": False})
    # What is forged below differs from a good one in one thing each.
    await people.identify(forged(claims))
    for name, attack in ATTACKS.items():
        token = attack(tokens.access_token, claims)
        error = await refusal(people.identify(token))
        assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"), name
        ending = people.house.identity.RevokeToken(pb.RevokeTokenRequest(token=token))
        assert (await refusal(ending)).reason == "TOKEN_INVALID", name
    past = {**claims, **{name: claims[name] - 3_600 for name in ("iat", "nbf", "exp")}}
    error = await refusal(people.identify(forged(past)))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")
    for other in ({"sub": "usr_other"}, {"fam": "other"}, {"tid": "foreign"}, {"ver": 2}):
        assert (await refusal(people.identify(forged({**claims, **other})))).reason == "TOKEN_REVOKED"
    error = await refusal(people.identify(tokens.refresh_token))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    error = await refusal(people.renew(tokens.access_token))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    # After all of that the good one is as good as before.
    await people.identify(tokens.access_token)


async def test_keys_that_a_token_names_are_not_fetched(people: People) -> None:
    claims = jwt.decode(
        (await people.sign_in("owner")).tokens.access_token, options={"verify_signature": False}
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/keys"
        for header in ({"jku": url}, {"x5u": url}, {"kid": url}, {"jku": url, "kid": "a"}):
            for key, algorithm in (("k" * 40, "HS256"), (SECRET, "HS256"), (SECRET, "HS512")):
                token = forged(claims, key, algorithm, **header)
                assert (await refusal(people.identify(token))).reason == "TOKEN_INVALID"
        with pytest.raises(BlockingIOError):
            server.accept()


# Keys


async def test_a_key_identifies_is_listed_and_revoked(people: People) -> None:
    member = await people.create("member-1")
    made = await people.call("CreateApiKey", "member-1", label="my script")
    assert made.secret.startswith(f"mrk_home-{made.api_key_id}_")
    caller = await people.identify(made.secret)
    assert (caller.user, caller.role, caller.api_key_id) == (member, "member", made.api_key_id)
    assert not caller.HasField("expire_time")
    [listed] = (await people.call("ListApiKeys", "member-1")).api_keys
    assert (listed.label, listed.user_id, listed.role) == ("my script", member.user_id, "member")
    assert made.secret.startswith(listed.prefix)
    assert len(made.secret) - len(listed.prefix) > 50
    assert set(listed.scopes) == roles.scopes_of("member")
    assert listed.last_use_time.ToMicroseconds() >= listed.create_time.ToMicroseconds() > 0
    await people.call("RevokeApiKey", "member-1", api_key_id=made.api_key_id)
    error = await refusal(people.identify(made.secret))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_WRONG")
    assert not (await people.call("ListApiKeys", "member-1")).api_keys
    error = await refusal(people.call("RevokeApiKey", "member-1", api_key_id=made.api_key_id))
    assert error.reason == "API_KEY_NOT_FOUND"


async def test_a_key_ends_when_it_was_to_end(people: People) -> None:
    await people.create("member-1")
    now = time.time()
    for wrong in (0, 1, now - 1, 8e9, -1e9):
        ends = timestamp_pb2.Timestamp()
        ends.FromMicroseconds(round(wrong * 1_000_000))
        error = await refusal(people.call("CreateApiKey", "member-1", label="k", expire_time=ends))
        assert (error.reason, error.metadata["field"]) == ("INVALID_FIELD", "expire_time")
    ends = timestamp_pb2.Timestamp()
    ends.FromMicroseconds(round((now + 3) * 1_000_000))
    made = await people.call("CreateApiKey", "member-1", label="k", expire_time=ends)
    assert made.api_key.expire_time == ends
    assert (await people.identify(made.secret)).expire_time == ends
    traded = await people.house.identity.Authenticate(pb.AuthenticateRequest(api_key=made.secret))
    assert (await people.identify(traded.tokens.access_token)).expire_time == ends
    async with asyncio.timeout(30):
        while time.time() < now + 3.1:
            await asyncio.sleep(0.1)
    error = await refusal(people.identify(made.secret))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "API_KEY_EXPIRED")
    # What it was traded for ends with it, and nobody else hears that there was such a key.
    assert (await refusal(people.identify(traded.tokens.access_token))).reason == "TOKEN_REVOKED"
    assert (await refusal(people.renew(traded.tokens.refresh_token))).reason == "TOKEN_REVOKED"
    fields = {"label": "k", "caller_api_key_id": made.api_key_id}
    assert (await refusal(people.call("CreateApiKey", "member-1", **fields))).reason == "API_KEY_EXPIRED"
    assert (
        await refusal(people.identify(made.secret[:-1] + ("y" if made.secret.endswith("x") else "x")))
    ).reason == "CREDENTIAL_WRONG"
    error = await refusal(people.house.identity.Authenticate(pb.AuthenticateRequest(api_key=made.secret)))
    assert error.reason == "API_KEY_EXPIRED"
    [listed] = (await people.call("ListApiKeys", "member-1")).api_keys
    assert listed.expire_time == ends
    await people.call("RevokeApiKey", "member-1", api_key_id=made.api_key_id)


async def test_no_key_outlives_the_one_that_made_it(people: People) -> None:
    await people.create("member-1")
    now = round(time.time())
    ends, sooner, later = (timestamp_pb2.Timestamp(seconds=now + more) for more in (3600, 60, 7200))
    lasting = await people.call("CreateApiKey", "member-1", label="k")
    passing = await people.call("CreateApiKey", "member-1", label="k", expire_time=ends)
    for by, wanted, given in (
        (passing, None, ends),
        (passing, later, ends),
        (passing, sooner, sooner),
        (lasting, None, None),
        (lasting, later, later),
    ):
        made = await people.call(
            *("CreateApiKey", "member-1"), label="k", expire_time=wanted, caller_api_key_id=by.api_key_id
        )
        caller = await people.identify(made.secret)
        assert (caller.expire_time if caller.HasField("expire_time") else None) == given
    # Tokens that were traded for a key are known by it, too.
    traded = await people.house.identity.Authenticate(pb.AuthenticateRequest(api_key=passing.secret))
    assert (await people.identify(traded.tokens.access_token)).api_key_id == passing.api_key_id

    owners = await people.call("CreateApiKey", label="k")
    for unknown in (owners.api_key_id, "0" * 16):
        error = await refusal(people.call("CreateApiKey", "member-1", label="k", caller_api_key_id=unknown))
        assert error.reason == "API_KEY_NOT_FOUND"


async def test_a_stream_asks_for_its_caller_when_the_token_has_ended_too(people: People) -> None:
    member = await people.create("member-1")
    tokens = (await people.sign_in("member-1")).tokens
    claims = jwt.decode(tokens.access_token, options={"verify_signature": False})
    header = jwt.get_unverified_header(tokens.access_token)
    past = {name: claims[name] - 3600 for name in ("iat", "nbf", "exp")}
    ended = jwt.encode({**claims, **past}, SECRET, "HS256", headers={"typ": header["typ"]})
    assert (await refusal(people.identify(ended))).reason == "TOKEN_EXPIRED"
    asked = pb.IdentifyRequest(access_token=ended, open_stream=True)
    assert (await people.house.identity.Identify(asked)).caller.user == member
    await people.house.identity.RevokeToken(pb.RevokeTokenRequest(token=tokens.refresh_token))
    assert (await refusal(people.house.identity.Identify(asked))).reason == "TOKEN_REVOKED"
    forged = pb.IdentifyRequest(access_token=ended[:-4] + "AAAA", open_stream=True)
    assert (await refusal(people.house.identity.Identify(forged))).reason == "TOKEN_INVALID"


async def test_a_password_that_was_hashed_otherwise_is_hashed_anew_at_the_next_sign_in(
    people: People, redis_server: RedisServer
) -> None:
    member = await people.create("member-1")
    before = (await people.sign_in("member-1")).tokens
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    place = f"meld:{{home}}:user:{member.user_id}"
    with redis.Redis(port=redis_server.port) as client:
        assert client.hexists(place, "password")
        client.hset(place, "password", weak)
        assert (await refusal(people.sign_in("member-1", OTHER_PASSWORD))).reason == "CREDENTIAL_WRONG"
        assert client.hget(place, "password") == weak.encode()
        await people.sign_in("member-1")
        anew = client.hget(place, "password")
        assert anew.startswith(b"$argon2id$v=19$m=19456,t=2,p=1$")
        await people.sign_in("member-1")
        assert client.hget(place, "password") == anew
    # Nobody is signed out by it.
    assert (await people.identify(before.access_token)).user == member


async def test_a_key_may_do_less_than_its_user_and_never_more(people: People) -> None:
    member = await people.create("member-1")
    less = (await people.call("CreateApiKey", "member-1", label="k", role="viewer")).secret
    more = (await people.call("CreateApiKey", "member-1", label="k", role="owner")).secret
    assert (await people.identify(less)).role == "viewer"
    assert (await people.identify(more)).role == "member"
    # What a key made while it was allowed little stays so when its user may more.
    await people.call("UpdateUser", user_id=member.user_id, role="admin")
    assert [(await people.identify(key)).role for key in (less, more)] == ["viewer", "member"]
    await people.call("UpdateUser", user_id=member.user_id, role="viewer")
    assert (await people.identify(more)).role == "viewer"
    # Tokens that were traded for it may do as little, and end with it.
    await people.call("UpdateUser", user_id=member.user_id, role="member")
    traded = await people.house.identity.Authenticate(pb.AuthenticateRequest(api_key=less))
    caller = await people.identify(traded.tokens.access_token)
    assert caller.role == "viewer"
    await people.call("RevokeApiKey", "member-1", api_key_id=caller.api_key_id)
    assert (await refusal(people.identify(traded.tokens.access_token))).reason == "TOKEN_REVOKED"
    assert (await refusal(people.renew(traded.tokens.refresh_token))).reason == "TOKEN_REVOKED"


async def test_keys_of_others_are_for_who_administers(people: People) -> None:
    member = await people.create("member-1")
    await people.create("viewer-1")
    await people.create("admin-1")
    made = await people.call("CreateApiKey", "admin-1", user_id=member.user_id, label="for them")
    assert (await people.identify(made.secret)).user == member
    for by in ("viewer-1",):
        for method, fields in (
            ("CreateApiKey", {"user_id": member.user_id, "label": "k"}),
            ("ListApiKeys", {"user_id": member.user_id}),
        ):
            error = await refusal(people.call(method, by, **fields))
            assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_OWN")
        error = await refusal(people.call("RevokeApiKey", by, api_key_id=made.api_key_id))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "API_KEY_NOT_FOUND")
    owners = await people.call("CreateApiKey", label="k")
    error = await refusal(people.call("RevokeApiKey", "admin-1", api_key_id=owners.api_key_id))
    assert error.reason == "OWNER_NEEDED"
    await people.call("RevokeApiKey", "admin-1", api_key_id=made.api_key_id)


async def test_wrong_keys_are_refused(people: People) -> None:
    made = await people.call("CreateApiKey", label="k")
    head, _, secret = made.secret.rpartition("_")
    for wrong in (
        f"{head}_{secret[::-1]}",
        made.secret + "0",
        made.secret.replace("mrk_home", "mrk_foreign"),
        made.secret.replace("mrk_home-", "mrk_home:*-"),
        "mrk_",
        "mrk_" + "x" * 100_000,
    ):
        error = await refusal(people.identify(wrong))
        assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_WRONG")
    assert (await refusal(people.call("CreateApiKey", label=""))).metadata["field"] == "label"
    assert (await refusal(people.call("CreateApiKey", label="a\nb"))).metadata["field"] == "label"


async def test_there_are_as_many_keys_as_there_may_be(people: People) -> None:
    for number in range(50):
        await people.call("CreateApiKey", label=f"k{number}")
    error = await refusal(people.call("CreateApiKey", label="one more"))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_API_KEYS")
    listed = (await people.call("ListApiKeys")).api_keys
    assert [key.label for key in listed] == [f"k{number}" for number in range(50)]


# Other providers


async def test_who_comes_from_a_provider_is_the_same_the_next_time(people: People) -> None:
    person = {"issuer": "https://id.example", "subject": "42", "name": "Kim", "groups": ["staff"]}
    first = await people.call("AuthenticateExternal", "admin", **person)
    assert (first.user.role, first.user.issuer) == ("member", "https://id.example")
    again = await people.call(
        "AuthenticateExternal", "admin", **{**person, "name": "Kim B", "groups": ["board"], "role": "admin"}
    )
    assert (again.user.user_id, again.user.name) == (first.user.user_id, "Kim")
    assert (again.user.role, again.user.groups) == ("member", ["board"])
    assert (await people.identify(again.tokens.access_token)).user == again.user
    # Neither by a name nor by a password does one become the other.
    taken = {**person, "subject": "43", "name": "OWNER"}
    assert (await refusal(people.call("AuthenticateExternal", "admin", **taken))).reason == "USER_EXISTS"
    assert (await refusal(people.sign_in("Kim", ""))).reason == "CREDENTIAL_WRONG"
    other = {**person, "issuer": "https://other.example", "name": "Kim 2"}
    assert (await people.call("AuthenticateExternal", "admin", **other)).user.user_id != first.user.user_id
    boss = {**person, "subject": "44", "name": "boss", "role": "owner"}
    assert (await refusal(people.call("AuthenticateExternal", "admin", **boss))).reason == "OWNER_NEEDED"
    await people.call("UpdateUser", user_id=first.user.user_id, disabled=True)
    assert (
        await refusal(people.call("AuthenticateExternal", "admin", **person))
    ).reason == "CREDENTIAL_WRONG"


async def test_who_comes_twice_at_once_becomes_one_user(people: People) -> None:
    person = {"issuer": "https://id.example", "subject": "42", "name": "Kim"}
    replies = await asyncio.gather(*(people.call("AuthenticateExternal", **person) for _ in range(5)))
    assert len({reply.user.user_id for reply in replies}) == 1


# Quotas


async def test_requests_of_a_minute_are_counted_for_each_user(redis_server: RedisServer) -> None:
    async with running_house(settings(redis_server, meld_rate_limit_per_minute=3)) as house:
        made = People(house)
        await _young_minute()
        lefts = [(await made.call("ConsumeQuota", unit="requests", amount=1)).remaining for _ in range(3)]
        assert lefts == [2, 1, 0]
        error = await refusal(made.call("ConsumeQuota", unit="requests", amount=1))
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXHAUSTED")
        assert error.metadata == {"unit": "requests", "limit": "3", "remaining": "0"}
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 60
        other = await made.call("ConsumeQuota", "viewer-1", unit="requests", amount=2, request_id="r")
        again = await made.call("ConsumeQuota", "viewer-1", unit="requests", amount=2, request_id="r")
        assert (other.remaining, again) == (1, other)
        error = await refusal(made.call("ConsumeQuota", "viewer-1", unit="requests", amount=2))
        assert error.metadata["remaining"] == "1"


async def _young_minute() -> None:
    """Waits until a minute has ten seconds left, so that none begins in between."""
    while time.time() % 60 > 50:
        await asyncio.sleep(0.5)


async def test_at_once_no_more_is_taken_than_there_is(redis_server: RedisServer) -> None:
    async with running_house(settings(redis_server, meld_rate_limit_per_minute=10)) as house:
        made = People(house)
        await _young_minute()
        outcomes = await asyncio.gather(
            *(made.call("ConsumeQuota", unit="requests", amount=1) for _ in range(40)),
            return_exceptions=True,
        )
        assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 10


async def test_tokens_of_a_day_are_taken_after_they_were_used(redis_server: RedisServer) -> None:
    async with running_house(settings(redis_server, meld_daily_tokens=1_000)) as house:
        made = People(house)
        assert (await made.call("ConsumeQuota", unit="tokens", amount=0)).remaining == 1_000
        assert (await made.call("ConsumeQuota", unit="tokens", amount=900)).remaining == 100
        reply = await made.call("ConsumeQuota", unit="tokens", amount=500)
        assert reply.remaining == 0
        assert reply.reset_time.ToSeconds() % 86_400 == 0
        for amount in (0, 1):
            error = await refusal(made.call("ConsumeQuota", unit="tokens", amount=amount))
            assert error.reason == "QUOTA_EXHAUSTED"


async def test_what_was_used_is_told_to_who_used_it(redis_server: RedisServer) -> None:
    async with running_house(
        settings(redis_server, meld_daily_tokens=1_000, meld_rate_limit_per_minute=0)
    ) as house:
        made = People(house)
        await made.call("ConsumeQuota", unit="tokens", amount=900)
        await made.call("ConsumeQuota", unit="tokens", amount=500)
        requests, tokens = (await made.call("ListQuotas")).quotas
        assert (requests.unit, requests.limit, requests.used) == ("requests", -1, 0)
        assert not requests.HasField("reset_time")
        assert (tokens.unit, tokens.limit, tokens.used) == ("tokens", 1_000, 1_400)
        assert tokens.reset_time.ToSeconds() % 86_400 == 0
        # Asking takes nothing, and what another one used is not told.
        assert (await made.call("ListQuotas")).quotas[1].used == 1_400
        _, others = (await made.call("ListQuotas", "viewer-1")).quotas
        assert others.used == 0


async def test_without_a_limit_nothing_runs_out_and_units_are_known(redis_server: RedisServer) -> None:
    async with running_house(settings(redis_server, meld_rate_limit_per_minute=0)) as house:
        made = People(house)
        for unit in ("requests", "tokens"):
            reply = await made.call("ConsumeQuota", unit=unit, amount=1 << 30)
            assert reply.remaining == -1
        for fields in ({"unit": "litres"}, {"unit": "tokens", "amount": -1}):
            assert (await refusal(made.call("ConsumeQuota", **fields))).reason == "INVALID_FIELD"


# The log, and what is kept


async def test_the_log_tells_who_did_what_and_no_secret(people: People, redis_server: RedisServer) -> None:
    member = await people.create("member-1")
    await people.call("UpdateUser", user_id=member.user_id, password=OTHER_PASSWORD, role="admin")
    tokens = (await people.sign_in("member-1", OTHER_PASSWORD)).tokens
    key = await people.call("CreateApiKey", "admin-1", user_id=member.user_id, label="k")
    await people.call("RevokeApiKey", api_key_id=key.api_key_id)
    await people.house.identity.RevokeToken(pb.RevokeTokenRequest(token=tokens.refresh_token))
    await people.call("DeleteUser", user_id=member.user_id)
    entries, token = [], ""
    while True:
        page = await people.call("ListAuditEntries", page_size=3, page_token=token)
        entries += page.entries
        token = page.next_page_token
        if not token:
            break
    owner = people.ids["owner"]
    assert [(entry.actor, entry.action, entry.target) for entry in entries] == [
        (owner, "delete_user", member.user_id),
        (member.user_id, "sign_out", member.user_id),
        (owner, "revoke_api_key", key.api_key_id),
        ("admin-1", "create_api_key", key.api_key_id),
        (member.user_id, "sign_in", member.user_id),
        (owner, "update_user", member.user_id),
        (owner, "create_user", member.user_id),
        (owner, "set_up", owner),
    ]
    assert dict(entries[5].details) == {"fields": "password role", "role": "admin"}
    times = [entry.time.ToMicroseconds() for entry in entries]
    assert times == sorted(times, reverse=True)
    assert (await refusal(people.call("ListAuditEntries", page_token="x"))).reason == "INVALID_PAGE_TOKEN"
    # Neither the log nor anything else that is kept has a secret as it is shown.
    with redis.Redis(port=redis_server.port) as client:
        client.config_set("rdbcompression", "no")
        kept = b"".join(client.dump(name) or b"" for name in client.keys("*"))
    secrets = (PASSWORD, OTHER_PASSWORD, key.secret, tokens.refresh_token, tokens.access_token, SECRET, CODE)
    for secret in secrets:
        assert secret.encode() not in kept
        assert secret.rpartition("_")[2].encode() not in kept


async def test_a_snapshot_brings_users_and_keys_back_and_no_tokens(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with running_house(settings(redis_server, meld_data_dir=tmp_path)) as house:
        made = People(house)
        setup = pb.SetUpRequest(name="owner", password=PASSWORD, setup_code=CODE)
        made.ids["owner"] = (await house.identity.SetUp(setup)).user.user_id
        member = await made.create("member-1", groups=["staff"])
        person = {"issuer": "https://id.example", "subject": "42", "name": "Kim"}
        kim = (await made.call("AuthenticateExternal", **person)).user
        key = (await made.call("CreateApiKey", "member-1", label="k", role="viewer")).secret
        before = (await made.call("ListUsers")).users
        log = (await made.call("ListAuditEntries")).entries
        assert len(log) >= 4
        snapshot = await exported(house.stub)
        tokens = (await made.sign_in("member-1")).tokens
        later = await made.create("viewer-1")
        later_key = (await made.call("CreateApiKey", user_id=member.user_id, label="later")).secret
        await made.call("DeleteUser", user_id=kim.user_id)
        await made.call("UpdateUser", user_id=member.user_id, password=OTHER_PASSWORD)
        await imported(house.stub, snapshot)
        assert (await made.call("ListUsers")).users == before
        # The log ends where the snapshot was made, and goes on from there.
        assert (await made.call("ListAuditEntries")).entries == log
        assert (await made.sign_in("MEMBER-1")).user == member
        newest, *rest = (await made.call("ListAuditEntries")).entries
        assert (newest.action, rest) == ("sign_in", list(log))
        assert (await made.call("AuthenticateExternal", **person)).user == kim
        assert (await made.identify(key)).role == "viewer"
        [kept] = (await made.call("ListApiKeys", "member-1")).api_keys
        assert (kept.label, kept.role) == ("k", "viewer")
        for call in (made.identify(tokens.access_token), made.renew(tokens.refresh_token)):
            assert (await refusal(call)).reason == "TOKEN_REVOKED"
        assert (await refusal(made.identify(later_key))).reason == "CREDENTIAL_WRONG"
        assert (await refusal(made.call("DeleteUser", user_id=later.user_id))).reason == "USER_NOT_FOUND"
        # What follows from them came back too: names are taken, and the last owner stays.
        error = await refusal(made.create("MEMBER-1", role="viewer"))
        assert error.reason == "USER_EXISTS"
        error = await refusal(made.call("DeleteUser", user_id=made.ids["owner"]))
        assert error.reason == "LAST_OWNER"
        error = await refusal(house.identity.SetUp(setup))
        assert error.reason == "SETUP_DONE"
        for secret in (PASSWORD, key, tokens.refresh_token):
            assert secret.encode() not in snapshot


async def test_a_snapshot_from_before_there_were_users_leaves_them(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with running_house(settings(redis_server, meld_data_dir=tmp_path)) as house:
        made = People(house)
        setup = pb.SetUpRequest(name="owner", password=PASSWORD, setup_code=CODE)
        made.ids["owner"] = (await house.identity.SetUp(setup)).user.user_id
        key = (await made.call("CreateApiKey", label="k")).secret
        before = (await made.call("ListUsers")).users
        (tmp_path / "old").write_bytes(b"")
        (tmp_path / "files").write_bytes(b"")
        parts = (
            describe(tmp_path / "old", "records.ndjson"),
            describe(tmp_path / "files", "attachments.bin"),
        )
        await imported(house.stub, snapshot_of(tmp_path, b"", schema_version=4, parts=parts))
        assert (await made.call("ListUsers")).users == before
        assert (await made.identify(key)).user.user_id == made.ids["owner"]
        await made.sign_in("owner")
