"""What older releases kept is opened by this one, and everything still answers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import redis

from meldrag.session.v1 import identity_pb2, session_pb2, webhook_pb2, webhook_pb2_grpc
from services.session.redis_store import SCHEMA
from tests.contract.session.conftest import refusal, running_house, settings_for
from tests.contract.session.test_snapshots import imported
from tests.support.frozen import unsaid
from tests.support.redis_server import RedisServer
from tests.tools.freeze_sessions import CODE, PASSWORD, RUNS, SECRET, TEN_YEARS, answers, put, put_keys

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
SCHEMAS = (4, 5)


def test_each_schema_that_was_in_use_is_frozen() -> None:
    """The newest was frozen when the next one came, or is that of this release."""
    assert SCHEMAS[-1] in (SCHEMA, SCHEMA - 1)
    assert [json.loads(_path(schema).read_text())["schema"] for schema in SCHEMAS] == list(SCHEMAS)


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_its_data_are_opened_and_written_on(
    schema: int, redis_server: RedisServer, tmp_path: Path
) -> None:
    frozen = json.loads(_path(schema).read_text())
    put_keys(redis_server.port, frozen["keys"])
    folder = tmp_path / "attachments"
    folder.mkdir()
    for name, data in frozen["files"].items():
        (folder / name).write_bytes(base64.b64decode(data))
    async with running_house(_settings(redis_server, tmp_path)) as house:
        assert unsaid(frozen["answers"], await answers(house.stub)) == []

        [kept] = {one["sessionId"] for one in _said(frozen, "ListSessions", "sessions") if "messages" in one}
        again = await house.stub.CreateSession(
            session_pb2.CreateSessionRequest(
                title="The harbour", collection_ids=["books"], request_id="The harbour"
            )
        )
        assert again.session.session_id == kept
        assert len((await house.append(kept, "And now?", request_id="append-4")).messages) == 1
        assert len(await house.texts(kept)) == 7
        event = session_pb2.RunEvent(sequence=3)
        put(event.payload, "the end")
        ended = session_pb2.AppendRunEventsRequest(
            run_id=RUNS[1], events=[event], state=session_pb2.RUN_STATE_SUCCEEDED, owner="replica"
        )
        assert (await house.stub.AppendRunEvents(ended)).last_sequence == 3
        await _people_are_there(house, frozen["people"])
        with redis.Redis(port=redis_server.port) as client:
            assert int(client.hget("meld:{store}", "schema") or 0) == SCHEMA
        deleted = await house.stub.DeleteSession(session_pb2.DeleteSessionRequest(session_id=kept))
        assert (deleted.deleted_messages, deleted.deleted_runs) == (7, 2)


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_its_snapshot_is_taken_in(schema: int, redis_server: RedisServer, tmp_path: Path) -> None:
    frozen = json.loads(_path(schema).read_text())
    async with running_house(_settings(redis_server, tmp_path)) as house:
        await house.session(title="What was here before")
        assert await imported(house.stub, base64.b64decode(frozen["snapshot"])) == 2
        # A restore sets anew when something expires.
        but = frozenset({"expireTime"})
        assert unsaid(frozen["answers"], await answers(house.stub), but=but) == []
        await _people_are_there(house, frozen["people"])


async def _people_are_there(house: Any, people: dict[str, str]) -> None:
    """Who could sign in still can, keys count and webhooks are kept; with nobody, somebody begins."""
    if not people:
        setup = identity_pb2.SetUpRequest(name="Eve", password=PASSWORD, setup_code=CODE)
        assert (await house.identity.SetUp(setup)).user.role == "owner"
        return
    shown = identity_pb2.PasswordCredential(name="ada", password=PASSWORD)
    signed = await house.identity.Authenticate(identity_pb2.AuthenticateRequest(password=shown))
    assert signed.user.user_id == people["owner"]
    caller = (await house.identity.Identify(identity_pb2.IdentifyRequest(api_key=people["key"]))).caller
    assert caller.user.user_id == people["owner"]
    setup = identity_pb2.SetUpRequest(name="Eve", password=PASSWORD, setup_code=CODE)
    assert (await refusal(house.identity.SetUp(setup))).reason == "SETUP_DONE"
    hooks: Any = webhook_pb2_grpc.WebhookServiceStub(house.channel)
    listed = await hooks.ListWebhooks(webhook_pb2.ListWebhooksRequest())
    assert [one.label for one in listed.webhooks] == ["ended runs"]


def _path(schema: int) -> Path:
    return FIXTURES / f"sessions-{schema}.json"


def _settings(server: RedisServer, folder: Path) -> Any:
    return settings_for(
        server,
        meld_data_dir=folder,
        permanent_session_lifetime=TEN_YEARS,
        jwt_secret_key=SECRET,
        meld_setup_code=CODE,
        meld_webhook_allow="127.0.0.1",
    )


def _said(frozen: dict[str, Any], call: str, field: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = frozen["answers"][call][field]
    return found
