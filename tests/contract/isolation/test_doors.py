"""Nobody learns anything of what is another's by HTTP: tests made from the OpenAPI document, for every
operation.

The gateway runs as it is started in earnest. The services run here, so that a test can take a check out of
them: then the attacks have to find it out and name the operation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.agents.runs import Runs
from services.chassis import context
from services.chassis.context import Principal
from services.chassis.interceptor import CallInterceptor
from services.chassis.roles import MEMBER, OWNER, VIEWER, scopes_of
from services.gateway.clients import Addresses
from services.gateway.openapi.operation import declared
from services.session import calls
from services.session.identity import model as identity_model
from services.session.identity.keys import ApiKeys
from services.session.page_tokens import PageTokens
from services.vector.access import Caller
from services.vector.record import requests
from tests.contract.gateway.conftest import running_gateway
from tests.contract.isolation import operations
from tests.contract.isolation.doors import Attacker, attack, furnish, view
from tests.contract.isolation.house import running_house
from tests.contract.isolation.operations import (
    EXEMPT,
    HOUSE_WIDE,
    NOT_IDS,
    TOLD_WITHIN_A_TENANT,
    Asked,
    every_operation,
)
from tests.contract.isolation.residents import HOME, Heard, Possessions, Resident, Town, town_at
from tests.support.documented import app_of_code

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

OPERATIONS = {one.name: one for one in operations.operations()}


@dataclass(frozen=True)
class Served:
    """Where the services are."""

    addresses: Addresses


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A house with a login and its gateway, for all tests of the module."""
    async with running_house(tmp_path_factory.mktemp("house")) as house:
        at = house.addresses
        served = Served(
            Addresses(
                agents=at["meldrag.agents.v1"],
                session=at["meldrag.session.v1"],
                vector=at["meldrag.vector.v1"],
            )
        )
        login = {
            "MELD_LOGIN": "required",
            "JWT_SECRET_KEY": house.secret,
            "MELD_HEARTBEAT_SECONDS": "1",
        }
        with running_gateway(served, Path(tmp_path_factory.mktemp("gateway")), **login) as gateway:
            async with town_at(gateway.url, at["meldrag.session.v1"], house.passes) as town:
                yield town


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stranger(town: Town) -> Attacker:
    """The owner of another tenant, who may do everything there."""
    return Attacker(await town.owner("elsewhere"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def neighbours(town: Town) -> tuple[Attacker, ...]:
    """Others of the victim's tenant: one who may write, and one who may not."""
    return (
        Attacker(await town.resident(HOME, MEMBER, ("cooks",))),
        Attacker(await town.resident(HOME, VIEWER)),
    )


@pytest_asyncio.fixture(loop_scope="module")
async def victim(town: Town) -> AsyncIterator[Possessions]:
    """Somebody who has things, as soon as they are asked for."""
    possessions = Possessions(await town.resident(HOME, MEMBER))
    yield possessions
    await possessions.close()


class Spoiled:
    """A house in which everybody who asks by `send` is taken for the victim."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, victim: Possessions) -> None:
        admit, self._now = CallInterceptor._admit, False
        who = victim.resident
        seen = Principal(who.tenant, who.user_id, scopes_of(OWNER), frozenset(who.groups), OWNER)

        async def mistaken(of: CallInterceptor, rule: Any, metadata: Any) -> Principal:
            principal = await admit(of, rule, metadata)
            return seen if self._now and not rule.path.endswith(("/Identify", "/ConsumeQuota")) else principal

        monkeypatch.setattr(CallInterceptor, "_admit", mistaken)
        end = ApiKeys._end

        async def unlooked(keys: ApiKeys, caller: Any, shown: str, wanted: int) -> int:
            # Whose the key is by which somebody came is looked at once more when another is made.
            return await end(keys, caller, "" if self._now else shown, wanted)

        monkeypatch.setattr(ApiKeys, "_end", unlooked)

    async def send(self, resident: Resident, asked: Asked) -> Heard:
        self._now = True
        try:
            return await resident.hear(asked)
        finally:
            self._now = False


@pytest.mark.parametrize("name", OPERATIONS)
async def test_nobody_learns_of_anothers_things_and_a_missing_check_is_named(
    name: str,
    victim: Possessions,
    stranger: Attacker,
    neighbours: tuple[Attacker, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operation = OPERATIONS[name]
    await furnish(operation, victim)
    before = await view(victim)
    for attacker in (stranger, *neighbours):
        assert await attack(operation, victim, attacker) == []
    assert await view(victim) == before

    # The same attacks find it out where nobody looks who asks, so none of them is idle.
    spoiled = Spoiled(monkeypatch, victim)
    found = await attack(operation, victim, stranger, spoiled.send)
    assert found
    assert all(line.startswith(f"{name} as") for line in found)


# -- one check less -----------------------------------------------------------------------------------------


def everybody_manages_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    def managing(_: type[Caller], principal: Principal) -> Caller:
        return Caller(principal.tenant_id, principal.space, principal.subject, principal.groups, True)

    monkeypatch.setattr(Caller, "of", classmethod(managing))


def conversations_belong_to_the_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "space", lambda: context.principal().tenant_id)


def runs_are_stopped_by_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Runs, _: str, run_id: str) -> bool:
        live = self._live.get(run_id)
        if live is None:
            return False
        live.work.cancel()
        return True

    monkeypatch.setattr(Runs, "_stop", stop)


def steps_are_decided_by_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Runs.decide_here

    async def decided(self: Runs, space: str, run_id: str, step_id: str, decision: Any) -> bool:
        live = self._live.get(run_id)
        return await decide(self, live.run.key.space if live else space, run_id, step_id, decision)

    monkeypatch.setattr(Runs, "decide_here", decided)


def keys_of_requests_count_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, remember = requests.outcome, requests.remember
    monkeypatch.setattr(requests, "outcome", lambda connection, _, *more: outcome(connection, "x", *more))
    monkeypatch.setattr(requests, "remember", lambda connection, _, *more: remember(connection, "x", *more))


def pages_count_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    make = PageTokens.__init__

    def made(self: PageTokens, key: bytes, *_: str) -> None:
        make(self, key, "x")

    monkeypatch.setattr(PageTokens, "__init__", made)


def keys_of_programs_are_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_model.Caller, "administers", property(lambda _: True))


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (
            everybody_manages_collections,
            (
                "get_collection",
                "list_collections",
                "list_documents",
                "read_text",
                "search_collection",
                "verify_citations",
                "delete_document",
                "create_run",
                "create_chat_completion",
                "exchange search",
                "exchange resources/read",
            ),
        ),
        (
            conversations_belong_to_the_tenant,
            (
                "list_sessions",
                "search_sessions",
                "get_session",
                "export_session",
                "delete_session",
                "get_run",
                "watch_run",
                "read_attachment",
                "put_attachment",
                "get_workflow",
                "exchange ask",
            ),
        ),
        (runs_are_stopped_by_anybody, ("cancel_run",)),
        (steps_are_decided_by_anybody, ("decide_step",)),
        (keys_of_requests_count_for_everybody, ("create_collection", "upload_document")),
        (pages_count_for_everybody, ("list_sessions", "search_sessions", "list_runs", "list_workflows")),
        (keys_of_programs_are_everybodys, ("list_api_keys", "revoke_api_key")),
    ],
)
async def test_a_check_that_is_taken_out_is_found_and_the_operation_named(
    spoil: Callable[[pytest.MonkeyPatch], None],
    names: tuple[str, ...],
    town: Town,
    neighbours: tuple[Attacker, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(monkeypatch)
    for name in names:
        victim = Possessions(await town.resident(HOME, MEMBER))
        await furnish(OPERATIONS[name], victim)
        found = await attack(OPERATIONS[name], victim, neighbours[0])
        assert found, f"{name} does not miss {spoil.__name__}"
        assert all(line.startswith(f"{name} as member of home") for line in found)
        await victim.close()


# -- what is attacked at all --------------------------------------------------------------------------------


async def test_every_operation_is_attacked_or_says_why_not() -> None:
    known = every_operation()
    assert EXEMPT.keys() | {one.operation_id for one in OPERATIONS.values()} == known.keys()
    assert all(EXEMPT.values())
    assert all(NOT_IDS.values())
    assert known.keys() >= TOLD_WITHIN_A_TENANT.keys()
    assert {one.operation_id for one in OPERATIONS.values()} >= operations.BODIES.keys()


@pytest.mark.parametrize(
    ("path", "said", "error"),
    [
        ("/api/v1/diaries/{diary_id}", {"parameters": [{"name": "diary_id", "in": "path"}]}, "UnknownField"),
        ("/api/v1/diaries", {"parameters": []}, "NothingToAttack"),
        (
            "/api/v1/diaries",
            {
                "parameters": [],
                "requestBody": {"content": {"application/json": {"schema": {"properties": {"run_id": {}}}}}},
            },
            "BodyMissing",
        ),
    ],
)
async def test_a_new_route_that_nobody_attacks_is_named(path: str, said: Any, error: str) -> None:
    with pytest.raises(Exception, match="write_diary") as refused:
        list(operations.of_document(path, "POST", {"operationId": "write_diary", **said}))
    assert type(refused.value).__name__ == f"{error}Error"


async def test_the_tools_of_mcp_take_no_other_ids(town: Town) -> None:
    resident = await town.owner(HOME)
    heard = await resident.hear(operations.rpc("tools/list", {}))
    tools = {tool["name"]: tool["inputSchema"]["properties"] for tool in heard.json()["result"]["tools"]}
    attacked = {
        one.about: {slot.path[0] for slot in one.slots}
        for one in OPERATIONS.values()
        if one.operation_id == "exchange"
    }
    for name, properties in tools.items():
        ids = {field for field in properties if operations.kind_of("exchange", field)}
        if name in ("search", "ask", "verify_citations"):
            assert ids <= attacked[name] | {"citations"}, name
        else:
            assert ids <= attacked.get(name, attacked["research"]), name


# What is not read is asked with a body of one's own.
READ = sorted(name for name in EXEMPT if every_operation()[name][0] == "GET")


@pytest.mark.parametrize("name", READ)
async def test_what_is_the_same_for_everybody_holds_nothing_of_anybody(
    name: str, town: Town, victim: Possessions, neighbours: tuple[Attacker, ...]
) -> None:
    _, path = every_operation()[name]
    for kind in ("document", "run", "key"):
        await victim.get(kind)
    path = path.replace("{agent_id}", "research").replace("{model_id}", "meld-research")
    path = path.replace("{name}", "styles.css")
    for attacker in (*neighbours, Attacker(await town.owner(HOME))):
        heard = await attacker.resident.hear(Asked("GET", path))
        assert not [secret for secret in victim.secrets if secret in heard.raw]


WHOLE_HOUSE = sorted(name for name, why in EXEMPT.items() if why == HOUSE_WIDE)


async def test_what_is_of_the_whole_house_says_so_where_its_route_is() -> None:
    views = app_of_code().view_functions.values()
    said = {view.__name__ for view in views if (found := declared(view)) and found.house_wide}
    assert sorted(said) == WHOLE_HOUSE


@pytest.mark.parametrize("name", [*WHOLE_HOUSE, "check_index", "repair_index"])
async def test_what_is_of_the_whole_house_is_refused_to_who_does_not_administer_it(
    name: str, neighbours: tuple[Attacker, ...], stranger: Attacker
) -> None:
    method, path = every_operation()[name]
    sent: dict[str, Any] = {}
    if name in ("verify_backup", "restore_backup"):
        sent = {"content": b"no archive", "headers": {"Content-Type": "application/x-tar"}}
    elif name in OPERATIONS:
        sent = {"json": {"every_tenant": True}}
    for attacker in (*neighbours, stranger):
        heard = await attacker.resident.hear(Asked(method, path, **sent))
        # An answer that should not be is megabytes, so nothing of it is shown.
        told = heard.json()["reason"] if heard.status == 403 else ""
        expected = "NOT_OF_THE_HOUSE" if attacker is stranger else "SCOPE_MISSING"
        assert (heard.status, told) == (403, expected)


async def test_which_requests_failed_is_told_to_who_administers_the_house(
    town: Town, stranger: Attacker
) -> None:
    owner = await town.owner(HOME)
    assert (await owner.ask("GET", "/system"))["requests"]["answered"] > 0
    assert (await stranger.resident.ask("GET", "/system"))["requests"] is None
