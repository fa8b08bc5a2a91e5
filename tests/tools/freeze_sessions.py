"""Writes what a session service of an older release keeps as JSON, to be kept under tests/fixtures.

    git worktree add /tmp/old COMMIT && cd /tmp/old && python protos/build.py
    PYTHONPATH=.:protos/gen python THIS/tests/tools/freeze_sessions.py > THIS/tests/fixtures/sessions-4.json

It runs with the code of that release, which fills a real Redis, is asked for all that it has, and is copied.
The last commit with schema 4 is 9b1d2a1, one with schema 5 is 40790c2. Everything lives for ten years, the
longest that the setting allows.

The file has: schema; people, with their secrets; keys of Redis (type, value, milliseconds to live; bytes as
Latin-1); files of attachments and the snapshot (base64); answers, as that release gave them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc.aio
import redis
from google.protobuf import json_format
from google.protobuf.wrappers_pb2 import StringValue

from meldrag.session.v1 import session_pb2 as pb
from meldrag.session.v1 import session_pb2_grpc

TEN_YEARS = 315_360_000
RUNS = ("run_00000000000000000000000001", "run_00000000000000000000000002")
PASSWORD, CODE, SECRET = "the tide comes at nine", "lift-off-41", "frozen " * 8


def put(payload: Any, text: str) -> None:
    """Any message of a kind that every release knows."""
    payload.Pack(StringValue(value=text))


async def fill(stub: Any) -> None:
    """Two sessions with all that they can have, and one that was deleted."""
    kept, empty, gone = [
        (
            await stub.CreateSession(
                pb.CreateSessionRequest(title=title, collection_ids=["books"], request_id=title)
            )
        ).session.session_id
        for title in ("The harbour", "Nothing yet", "Gone")
    ]
    for number in range(1, 4):
        said = pb.Message(role=pb.ROLE_USER, text=f"What of number {number}? ⚓")
        answered = pb.Message(role=pb.ROLE_ASSISTANT, text="It is deep.", agent_id="research", run_id=RUNS[0])
        answered.attributes["sure"] = True
        await stub.AppendMessage(
            pb.AppendMessageRequest(session_id=kept, messages=[said, answered], request_id=f"append-{number}")
        )
    for run_id, state in zip(RUNS, (pb.RUN_STATE_SUCCEEDED, pb.RUN_STATE_RUNNING), strict=True):
        run = pb.Run(run_id=run_id, session_id=kept, agent_id="research", owner="replica")
        put(run.request, "asked")
        await stub.CreateRun(pb.CreateRunRequest(run=run))
        appended = pb.AppendRunEventsRequest(run_id=run_id, state=state, owner="replica")
        for number in (1, 2):
            event, entry = appended.events.add(sequence=number), appended.entries.add(position=number)
            put(event.payload, f"event {number} of {run_id}")
            put(entry.payload, f"entry {number} of {run_id}")
            event.event_time.FromSeconds(1_750_000_000 + number)
        await stub.AppendRunEvents(appended)
    for session_id, name in ((kept, "chart.txt"), (empty, "")):
        if name:
            parts = [
                pb.PutAttachmentRequest(header=pb.Attachment(session_id=session_id, filename=name)),
                pb.PutAttachmentRequest(data=b"one,two\n" * 20),
            ]
            await stub.PutAttachment(iter(parts))
    for name in ("first", "second"):
        item = pb.Item(kind="note", name=name)
        put(item.payload, name)
        await stub.PutItem(pb.PutItemRequest(item=item))
    await stub.DeleteSession(pb.DeleteSessionRequest(session_id=gone))


async def fill_people(channel: Any) -> dict[str, str]:
    """An owner with a key, a member and a webhook, where that release knows them; the secrets of these."""
    try:
        from meldrag.session.v1 import identity_pb2, identity_pb2_grpc, webhook_pb2, webhook_pb2_grpc
    except ImportError:
        return {}
    people = identity_pb2_grpc.IdentityServiceStub(channel)
    hooks = webhook_pb2_grpc.WebhookServiceStub(channel)
    if not hasattr(people, "SetUp"):
        # The contract was there before the service.
        return {}
    setup = identity_pb2.SetUpRequest(name="Ada", password=PASSWORD, setup_code=CODE)
    owner = (await people.SetUp(setup)).user
    by = (("x-tenant", "home"), ("x-subject", owner.user_id), ("x-role", "owner"))
    made = identity_pb2.CreateUserRequest(name="Ben", password=PASSWORD, role="member")
    await people.CreateUser(made, metadata=by)
    key = await people.CreateApiKey(identity_pb2.CreateApiKeyRequest(label="laptop"), metadata=by)
    hook = webhook_pb2.CreateWebhookRequest(url="http://127.0.0.1:9/ended", label="ended runs")
    await hooks.CreateWebhook(hook)
    return {"owner": owner.user_id, "key": key.secret}


async def answers(stub: Any) -> dict[str, Any]:
    """All that the filled service says of what it keeps, by call; a stream as its messages together."""
    said: dict[str, Any] = {}

    async def ask(method: str, **fields: Any) -> Any:
        request = getattr(pb, f"{method}Request")(**fields)
        answer = await getattr(stub, method)(request, timeout=20)
        values = [str(value) for value in fields.values()]
        said[" ".join([method, *values])] = json_format.MessageToDict(answer)
        return answer

    for session in (await ask("ListSessions")).sessions:
        await ask("GetSession", session_id=session.session_id)
        await ask("ListMessages", session_id=session.session_id)
        await ask("ListRuns", session_id=session.session_id)
        await ask("ListAttachments", session_id=session.session_id)
    for run_id in RUNS:
        await ask("GetRun", run_id=run_id)
        await ask("ListRunEntries", run_id=run_id)
    events = [
        event
        async for answer in stub.WatchRun(pb.WatchRunRequest(run_id=RUNS[0]), timeout=20)
        for event in answer.events
    ]
    said["WatchRun"] = [json_format.MessageToDict(event) for event in events]
    for attachment in (await ask("ListAttachments")).attachments:
        request = pb.ReadAttachmentRequest(attachment_id=attachment.attachment_id)
        data = b"".join([one.data async for one in stub.ReadAttachment(request, timeout=20)])
        said[f"ReadAttachment {attachment.attachment_id}"] = data.decode()
    await ask("ListItems", kind="note")
    return said


def keys_of(port: int) -> list[dict[str, Any]]:
    """Everything in Redis."""
    found = []
    with redis.Redis(port=port) as client:
        for key in sorted(client.scan_iter(count=1_000)):
            kind = client.type(key).decode()
            read: dict[str, Any] = {
                "hash": lambda key=key: {
                    _text(name): _text(value) for name, value in sorted(client.hgetall(key).items())
                },
                "zset": lambda key=key: [
                    [_text(member), score] for member, score in client.zrange(key, 0, -1, withscores=True)
                ],
                "set": lambda key=key: sorted(map(_text, client.smembers(key))),
                "list": lambda key=key: [_text(one) for one in client.lrange(key, 0, -1)],
                "string": lambda key=key: _text(client.get(key)),
            }
            found.append(
                {"key": _text(key), "type": kind, "value": read[kind](), "milliseconds": client.pttl(key)}
            )
    return found


def put_keys(port: int, keys: list[dict[str, Any]]) -> None:
    """Puts everything into an empty Redis."""
    with redis.Redis(port=port) as client:
        for one in keys:
            key, value = _bytes(one["key"]), one["value"]
            if one["type"] == "hash":
                client.hset(key, mapping={_bytes(name): _bytes(held) for name, held in value.items()})
            elif one["type"] == "zset":
                client.zadd(key, {_bytes(member): score for member, score in value})
            elif one["type"] == "set":
                client.sadd(key, *map(_bytes, value))
            elif one["type"] == "list":
                client.rpush(key, *map(_bytes, value))
            else:
                client.set(key, _bytes(value))
            if one["milliseconds"] > 0:
                client.pexpire(key, one["milliseconds"])


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


async def frozen(folder: Path, server: Any) -> dict[str, Any]:
    """See the head of this file."""
    from services.session.hosting import session_server
    from services.session.redis_store import SCHEMA
    from services.session.settings import SessionSettings

    given: dict[str, Any] = {
        "redis_host": "127.0.0.1",
        "redis_port": server.port,
        "permanent_session_lifetime": TEN_YEARS,
        "meld_data_dir": folder,
    }
    later = {"jwt_secret_key": SECRET, "meld_setup_code": CODE, "meld_webhook_allow": "127.0.0.1"}
    known = {name: value for name, value in later.items() if name in SessionSettings.model_fields}
    settings = SessionSettings(**given, **known)
    async with session_server(settings, "127.0.0.1:0", authenticator=_caller) as running:
        port = await running.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = session_pb2_grpc.SessionServiceStub(channel)
            await fill(stub)
            people = await fill_people(channel)
            said = await answers(stub)
            snapshot = b"".join([one.data async for one in stub.ExportSnapshot(pb.ExportSnapshotRequest())])
        await running.stop(0)
    files = {
        path.name: base64.b64encode(path.read_bytes()).decode()
        for path in sorted(settings.attachments_folder.iterdir())
        if path.is_file()
    }
    return {
        "schema": SCHEMA,
        "people": people,
        "keys": keys_of(server.port),
        "files": files,
        "snapshot": base64.b64encode(snapshot).decode(),
        "answers": said,
    }


async def _caller(metadata: Any) -> Any:
    """Who the call says that calls, in each release's own words."""
    from services.chassis.context import LOCAL_OWNER, Principal

    if "x-tenant" not in metadata:
        return LOCAL_OWNER
    from services.chassis import roles

    return Principal(
        metadata["x-tenant"],
        metadata["x-subject"],
        roles.scopes_of(metadata["x-role"]),
        role=metadata["x-role"],
    )


def main() -> None:
    from tests.support.redis_server import running_redis

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "redis").mkdir()
        with running_redis(folder / "redis") as server:
            kept = asyncio.run(frozen(folder / "data", server))
    json.dump(kept, sys.stdout, indent=1, ensure_ascii=True, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
