"""Nobody learns anything of what is another's: tests made from the contracts, for every method of every
service.

A method that comes to a contract is attacked without another word, with all fields of its request that have
the name of an id; only what else a request needs, and what a new kind of id names, is said in `requests` and
`belongings`. Where there is nothing to attack, EXEMPT says why.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2
from services.chassis.context import Principal
from services.chassis.interceptor import CallInterceptor
from services.chassis.passes import METADATA_KEY, Passes
from services.chassis.roles import ADMIN, MEMBER, OWNER
from tests.contract.isolation.attacks import attack, belongings_seen, own_request
from tests.contract.isolation.belongings import AGENTS, IDENTITY, SESSION, VECTOR, WEBHOOK, Belongings
from tests.contract.isolation.house import MARK_KEY, METHODS, House, Person, running_house

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUSE_WIDE = "of the whole house with all its tenants, and for its administration alone"
CREDENTIAL = "whoever shows the credential is its owner; it names no other thing"
EXEMPT = {
    f"{VECTOR}EmbedTexts": "computes from the request alone",
    f"{VECTOR}ListEmbeddingModels": "models come with the release and the settings",
    f"{VECTOR}ExportSnapshot": HOUSE_WIDE,
    f"{VECTOR}ImportSnapshot": HOUSE_WIDE,
    f"{VECTOR}PurgeDeleted": HOUSE_WIDE,
    f"{SESSION}ExportSnapshot": HOUSE_WIDE,
    f"{SESSION}ImportSnapshot": HOUSE_WIDE,
    f"{IDENTITY}SetUp": "makes the first user of a house that has none",
    f"{IDENTITY}Authenticate": CREDENTIAL,
    f"{IDENTITY}AuthenticateExternal": "makes or finds a user of the caller's own tenant",
    f"{IDENTITY}Identify": CREDENTIAL,
    f"{IDENTITY}RefreshToken": CREDENTIAL,
    f"{IDENTITY}RevokeToken": CREDENTIAL,
    f"{IDENTITY}ChangePassword": "of the caller, who shows the old one",
    f"{IDENTITY}ConsumeQuota": "counts what the caller uses, under the caller's own id",
    f"{IDENTITY}ListQuotas": "what was counted under the caller's own id; it names nothing",
    f"{WEBHOOK}CreateWebhook": "makes a new thing of the caller's; its request names none that there is",
    f"{WEBHOOK}ListDocumentListeners": HOUSE_WIDE,
    f"{WEBHOOK}PutDocumentEvents": "tells the caller's own webhooks what the caller says",
    f"{AGENTS}ListAgents": "agents come with the release",
    f"{AGENTS}GetAgent": "agents come with the release",
    f"{AGENTS}RouteTask": "computes from the request and the release",
}
# Fields that may tell something to somebody of the same tenant, and why.
TOLD_WITHIN_A_TENANT = {
    f"{VECTOR}CreateCollection": {
        "collection_id": "an id is taken once in a tenant; that it is taken is all that is said"
    },
}


def access_of(path: str) -> Any:
    """What the contract says about who may call the method."""
    options: Any = METHODS[path].GetOptions()
    return options.Extensions[options_pb2.access]


ATTACKED = sorted(METHODS.keys() - EXEMPT.keys())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The services for all tests of the module."""
    async with running_house(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture
def neighbour(house: House) -> Person:
    """Somebody else of the victim's tenant."""
    return house.person("home", "ben", MEMBER, frozenset({"cooks"}))


@pytest.fixture
def stranger(house: House) -> Person:
    """The owner of another tenant, who may do everything there."""
    return house.person("elsewhere", "mallory", OWNER)


@pytest_asyncio.fixture(loop_scope="module")
async def victim(house: House) -> AsyncIterator[Belongings]:
    """Somebody who has things, as soon as they are asked for."""
    belongings = Belongings(house.person("home", f"anna-{secrets.token_hex(6)}", MEMBER))
    yield belongings
    await belongings.close()


def seen_as_the_victim(monkeypatch: pytest.MonkeyPatch, path: str, victim: Belongings) -> None:
    """Takes the check of who calls out of one method: everybody is the victim there."""
    admit = CallInterceptor._admit

    async def mistaken(self: CallInterceptor, rule: Any, metadata: Any) -> Principal:
        principal = await admit(self, rule, metadata)
        return victim.chief.principal if rule.path == path and MARK_KEY in metadata else principal

    monkeypatch.setattr(CallInterceptor, "_admit", mistaken)


@pytest.mark.parametrize("path", ATTACKED)
async def test_nobody_learns_of_anothers_things_and_a_missing_check_is_named(
    path: str, victim: Belongings, neighbour: Person, stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = f"{path.rpartition('/')[0]}/"
    await victim.all(service)
    before = await steady(victim, service)
    within = frozenset(TOLD_WITHIN_A_TENANT.get(path, ()))
    assert await attack(path, victim, stranger) == []
    assert await attack(path, victim, neighbour, but=within) == []
    assert await belongings_seen(victim, service) == before

    # The same attacks find it out where the check is missing, so none of them is idle.
    if (await stranger.call(path, await own_request(path, victim))).reason == "METHOD_NOT_AVAILABLE":
        return
    seen_as_the_victim(monkeypatch, path, victim)
    found = await attack(path, victim, stranger)
    assert found
    assert all(line.startswith(path) for line in found)


async def steady(victim: Belongings, service: str) -> dict[str, Any]:
    """What the victim has, once the record of the run that waits has come to rest."""
    before: dict[str, Any] = {}
    async with asyncio.timeout(20):
        while (now := await belongings_seen(victim, service)) != before:
            before = now
            await asyncio.sleep(0.1)
    return before


@pytest.mark.parametrize(
    "path",
    [path for path in METHODS if access_of(path).scope == options_pb2.SCOPE_ADMINISTRATION],
)
async def test_administration_is_closed_to_members(path: str, neighbour: Person) -> None:
    answer = await neighbour.call(path, METHODS[path].input_type._concrete_class())
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "SCOPE_MISSING")


async def test_what_is_of_the_whole_house_says_so_in_its_contract() -> None:
    assert {path for path in METHODS if access_of(path).house_wide} == {
        path for path, why in EXEMPT.items() if why == HOUSE_WIDE
    }


@pytest.mark.parametrize(
    "path", [path for path in METHODS if access_of(path).house_wide or access_of(path).house_wide_field]
)
async def test_the_house_is_closed_to_owners_of_other_tenants(
    path: str, house: House, stranger: Person
) -> None:
    request = METHODS[path].input_type._concrete_class()
    if flag := access_of(path).house_wide_field:
        setattr(request, flag, True)
    for person in (stranger, house.person("local", "mallory", OWNER), house.person("homes", "owner", ADMIN)):
        answer = await person.call(path, request)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "NOT_OF_THE_HOUSE")
        assert answer.responses == ()


@pytest.mark.parametrize("path", [path for path in METHODS if access_of(path).house_wide_field])
async def test_a_tenant_of_its_own_is_open_to_its_owner_and_the_house_to_its_own(
    path: str, house: House, stranger: Person
) -> None:
    make = METHODS[path].input_type._concrete_class
    flag = {access_of(path).house_wide_field: True}
    assert (await stranger.call(path, make())).code == "OK"
    assert (await house.person("home", "olga", ADMIN).call(path, make(**flag))).code == "OK"


@pytest.mark.parametrize("path", METHODS)
async def test_who_calls_is_what_a_pass_says_and_nothing_else(
    path: str, house: House, neighbour: Person
) -> None:
    """Metadata that names somebody is not believed; methods for all are asked without a pass."""
    public = access_of(path).scope == options_pb2.SCOPE_PUBLIC
    named = (("x-tenant-id", "home"), ("x-user-id", "anna"), ("x-role", "owner"), ("x-subject", "anna"))
    forged = Passes(secrets.token_bytes(32)).issue(neighbour.principal)
    for shown, reason in (
        ((), "PASS_MISSING"),
        (named, "PASS_MISSING"),
        ((("authorization", "Bearer anna"),), "PASS_INVALID"),
        ((*named, (METADATA_KEY, forged)), "PASS_INVALID"),
    ):
        answer = await replace(neighbour, shown=shown).call(path, METHODS[path].input_type._concrete_class())
        if public and reason == "PASS_MISSING":
            assert answer.code != "UNAUTHENTICATED" or answer.reason not in ("PASS_MISSING", "PASS_INVALID")
        else:
            assert (answer.code, answer.reason) == ("UNAUTHENTICATED", reason)


async def test_metadata_beside_a_pass_changes_nobody(victim: Belongings, neighbour: Person) -> None:
    session_id = await victim.get("session")
    own = (METADATA_KEY, neighbour.house.passes.issue(neighbour.principal))
    subject = victim.person.principal.subject
    named = (("x-tenant-id", "home"), ("x-user-id", subject), ("x-subject", subject), ("x-role", "owner"))
    answer = await replace(neighbour, shown=(own, *named)).call(
        f"{SESSION}GetSession", session_pb2.GetSessionRequest(session_id=session_id)
    )
    assert (answer.code, answer.reason) == ("NOT_FOUND", "SESSION_NOT_FOUND")


async def test_a_taken_id_of_a_collection_says_no_more(victim: Belongings, neighbour: Person) -> None:
    collection_id = await victim.get("collection")
    answer = await neighbour.call(
        f"{VECTOR}CreateCollection",
        vector_pb2.CreateCollectionRequest(collection_id=collection_id, description="Mine"),
    )
    assert (answer.code, answer.reason) == ("ALREADY_EXISTS", "COLLECTION_EXISTS")
    assert answer.message == f"there is a collection {collection_id} already"
    assert answer.metadata == {"collection_id": collection_id}


async def test_every_exception_is_of_a_method_and_says_why() -> None:
    assert METHODS.keys() >= EXEMPT.keys() | TOLD_WITHIN_A_TENANT.keys()
    assert all(EXEMPT.values())
