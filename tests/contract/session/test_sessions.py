"""Sessions and messages as a client sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
import redis
from google.protobuf import timestamp_pb2

from meldrag.session.v1 import session_pb2
from tests.contract.session.conftest import House, refusal
from tests.support.redis_server import RedisServer


async def test_a_session_comes_back_as_it_was_created(house: House) -> None:
    created = await house.session(
        title="Über Röhren", collection_ids=["col_1", "col_2"], metadata={"page": 3, "who": "я", "none": None}
    )
    got = (await house.stub.GetSession(session_pb2.GetSessionRequest(session_id=created.session_id))).session
    assert got == created
    assert got.title == "Über Röhren"
    assert list(got.collection_ids) == ["col_1", "col_2"]
    assert dict(got.metadata.items()) == {"page": 3.0, "who": "я", "none": None}
    assert got.messages == 0
    assert got.expire_time.ToMicroseconds() - got.update_time.ToMicroseconds() == 365 * 86_400_000_000


async def test_creating_twice_under_one_request_id_makes_one_session(house: House) -> None:
    first = await house.session(title="one", request_id="r 1: {*}")
    await house.stub.UpdateSession(
        session_pb2.UpdateSessionRequest(session_id=first.session_id, title="changed")
    )
    assert await house.session(title="one", request_id="r 1: {*}") == first
    listed = await house.stub.ListSessions(session_pb2.ListSessionsRequest())
    assert [session.session_id for session in listed.sessions] == [first.session_id]
    error = await refusal(house.session(title="two", request_id="r 1: {*}"))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED")
    assert error.metadata == {"request_id": "r 1: {*}"}


async def test_an_update_changes_what_is_given_and_nothing_else(house: House) -> None:
    session = await house.session(title="a", collection_ids=["c"], metadata={"k": "v"})
    request = session_pb2.UpdateSessionRequest(session_id=session.session_id, title="", request_id="u")
    changed = (await house.stub.UpdateSession(request)).session
    assert (changed.title, list(changed.collection_ids), changed.metadata["k"]) == ("", ["c"], "v")
    assert changed.update_time.ToMicroseconds() > session.update_time.ToMicroseconds()
    other = session_pb2.UpdateSessionRequest(session_id=session.session_id)
    other.collection_ids.values.extend([])
    other.metadata.update({})
    assert list((await house.stub.UpdateSession(other)).session.collection_ids) == []
    assert (await house.stub.UpdateSession(request)).session == changed
    clash = session_pb2.UpdateSessionRequest(session_id=session.session_id, title="b", request_id="u")
    assert (await refusal(house.stub.UpdateSession(clash))).reason == "REQUEST_ID_REUSED"


async def test_a_session_is_changed_and_deleted_only_as_it_was_read(house: House) -> None:
    read = await house.session(title="a")
    named: dict[str, Any] = {"session_id": read.session_id}
    change = session_pb2.UpdateSessionRequest(
        **named, title="b", request_id="u", expected_update_time=read.update_time
    )
    changed = (await house.stub.UpdateSession(change)).session
    # A repeated request answers as the first did, though the session is another one by now.
    assert (await house.stub.UpdateSession(change)).session == changed
    never = timestamp_pb2.Timestamp()
    for late in (read.update_time, never):
        for call in (
            house.stub.UpdateSession(
                session_pb2.UpdateSessionRequest(**named, title="c", expected_update_time=late)
            ),
            house.stub.DeleteSession(session_pb2.DeleteSessionRequest(**named, expected_update_time=late)),
        ):
            error = await refusal(call)
            assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "SESSION_CHANGED")
            assert error.metadata == {"session_id": read.session_id}
    assert (await house.stub.GetSession(session_pb2.GetSessionRequest(**named))).session == changed
    await house.append(read.session_id, "question", request_id="1")
    deletion = session_pb2.DeleteSessionRequest(**named, expected_update_time=changed.update_time)
    # What was said since counts as a change.
    assert (await refusal(house.stub.DeleteSession(deletion))).reason == "SESSION_CHANGED"
    now = (await house.stub.GetSession(session_pb2.GetSessionRequest(**named))).session.update_time
    deletion = session_pb2.DeleteSessionRequest(**named, expected_update_time=now, request_id="d")
    assert (await house.stub.DeleteSession(deletion)).deleted_messages == 1
    assert (await house.stub.DeleteSession(deletion)).deleted_messages == 1


async def test_appended_messages_get_the_next_sequences(house: House) -> None:
    session_id = (await house.session()).session_id
    message = session_pb2.Message(
        role=session_pb2.ROLE_ASSISTANT, text="answer\0 ✓", agent_id="research", run_id="run_1"
    )
    message.attributes.update({"citations": [{"quote": "q", "start": 4}]})
    await house.append(session_id, "question", request_id="1")
    reply = await house.stub.AppendMessage(
        session_pb2.AppendMessageRequest(session_id=session_id, messages=[message], request_id="2")
    )
    assert not reply.existing
    (stored,) = reply.messages
    assert (stored.sequence, stored.text, stored.role) == (2, "answer\0 ✓", session_pb2.ROLE_ASSISTANT)
    assert (stored.agent_id, stored.run_id, stored.attributes) == (
        "research",
        "run_1",
        message.attributes,
    )
    listed = await house.stub.ListMessages(session_pb2.ListMessagesRequest(session_id=session_id))
    assert listed.messages[1] == stored
    session = (await house.stub.GetSession(session_pb2.GetSessionRequest(session_id=session_id))).session
    assert session.messages == 2
    assert session.update_time == stored.create_time


async def test_a_repeated_append_answers_as_the_first_did(house: House) -> None:
    session_id = (await house.session()).session_id
    first = await house.append(session_id, "a", "b", request_id="same")
    await house.append(session_id, "c", request_id="other")
    again = await house.append(session_id, "a", "b", request_id="same")
    assert again.existing
    assert list(again.messages) == list(first.messages)
    assert await house.texts(session_id) == ["a", "b", "c"]
    error = await refusal(house.append(session_id, "a", "B", request_id="same"))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED")
    # The border between two texts counts, too.
    assert (await refusal(house.append(session_id, "ab", request_id="same"))).reason == "REQUEST_ID_REUSED"


async def test_twenty_writers_append_each_message_once_and_in_order(house: House) -> None:
    session_id = (await house.session()).session_id

    async def write(writer: int) -> None:
        for turn in range(10):
            texts = [f"{writer}:{turn}:{part}" for part in range(1 + turn % 3)]
            answers = await asyncio.gather(
                *(
                    house.append(session_id, *texts, request_id=f"{writer}-{turn}")
                    for _ in range(1 + turn % 2)
                )
            )
            assert sum(not answer.existing for answer in answers) == 1
            assert all(list(answer.messages) == list(answers[0].messages) for answer in answers)

    await asyncio.gather(*map(write, range(20)))
    texts = await house.texts(session_id)
    wanted = {f"{w}:{t}:{p}" for w in range(20) for t in range(10) for p in range(1 + t % 3)}
    assert len(texts) == len(wanted)
    assert set(texts) == wanted
    for writer in range(20):
        own = [text for text in texts if text.startswith(f"{writer}:")]
        assert own == sorted(own)


async def test_pages_of_messages_from_both_ends(house: House) -> None:
    session_id = (await house.session()).session_id
    for start in range(0, 50, 10):
        await house.append(session_id, *map(str, range(start, start + 10)), request_id=str(start))

    async def pages(newest: bool, size: int) -> list[list[str]]:
        found, token = [], ""
        while True:
            page = await house.stub.ListMessages(
                session_pb2.ListMessagesRequest(
                    session_id=session_id, page_size=size, page_token=token, newest=newest
                )
            )
            found.append([message.text for message in page.messages])
            token = page.next_page_token
            if not token:
                return found

    assert await pages(False, 20) == [
        [str(n) for n in range(20)],
        [str(n) for n in range(20, 40)],
        [str(n) for n in range(40, 50)],
    ]
    assert await pages(True, 20) == [
        [str(n) for n in range(30, 50)],
        [str(n) for n in range(10, 30)],
        [str(n) for n in range(10)],
    ]
    assert await pages(True, 50) == await pages(False, 50) == [[str(n) for n in range(50)]]


async def test_a_page_of_large_messages_fits_a_grpc_message(house: House) -> None:
    session_id = (await house.session()).session_id
    for turn in range(3):
        await house.append(
            session_id, *(f"{turn}{part}" + "x" * 999_998 for part in range(3)), request_id=f"{turn}"
        )
    texts = await house.texts(session_id)
    assert [text[:2] for text in texts] == ["00", "01", "02", "10", "11", "12", "20", "21", "22"]
    newest = await house.stub.ListMessages(
        session_pb2.ListMessagesRequest(session_id=session_id, newest=True)
    )
    assert newest.messages[-1].text[:2] == "22"
    assert newest.next_page_token


async def test_sessions_are_listed_last_changed_first(house: House) -> None:
    ids = [(await house.session(title=str(n))).session_id for n in range(7)]
    await house.append(ids[2], "hello", request_id="1")
    wanted = [ids[2], *(ids[n] for n in (6, 5, 4, 3, 1, 0))]
    found, token = [], ""
    while True:
        page = await house.stub.ListSessions(session_pb2.ListSessionsRequest(page_size=3, page_token=token))
        assert len(page.sessions) <= 3
        found += [session.session_id for session in page.sessions]
        token = page.next_page_token
        if not token:
            break
    assert found == wanted


async def test_a_deleted_session_is_gone_with_all_that_belongs_to_it(
    house: House, redis_server: RedisServer
) -> None:
    session_id = (await house.session()).session_id
    await house.append(session_id, "a", "b", request_id="1")
    run_id = "run_" + "d" * 26
    await house.run(run_id, session_id=session_id)
    await house.record(run_id, 1, 3)
    request = session_pb2.DeleteSessionRequest(session_id=session_id, request_id="delete")
    receipt = await house.stub.DeleteSession(request)
    assert (receipt.deleted_messages, receipt.deleted_runs) == (2, 1)
    assert await house.stub.DeleteSession(request) == receipt
    for call, reason in (
        (house.stub.GetSession(session_pb2.GetSessionRequest(session_id=session_id)), "SESSION_NOT_FOUND"),
        (house.append(session_id, "c", request_id="2"), "SESSION_NOT_FOUND"),
        (house.append(session_id, "a", "b", request_id="1"), "SESSION_NOT_FOUND"),
        (
            house.stub.ListMessages(session_pb2.ListMessagesRequest(session_id=session_id)),
            "SESSION_NOT_FOUND",
        ),
        (house.stub.GetRun(session_pb2.GetRunRequest(run_id=run_id)), "RUN_NOT_FOUND"),
        (
            house.stub.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session_id)),
            "SESSION_NOT_FOUND",
        ),
    ):
        error = await refusal(call)
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, reason)
    with redis.Redis(port=redis_server.port) as client:
        kept = {key.decode() for key in client.keys("*")}
    assert {key for key in kept if session_id in key or run_id in key} == set()
    assert {key.split(":")[2] for key in kept if key.startswith("meld:{local}")} == {"once"}


async def test_sessions_and_messages_expire_after_the_last_write(
    house_on: Any, redis_server: RedisServer
) -> None:
    async with house_on(permanent_session_lifetime=2) as house:
        written, idle = (await house.session()).session_id, (await house.session()).session_id
        for turn in range(3):
            await asyncio.sleep(0.8)
            await house.append(written, str(turn), request_id=str(turn))
        assert len(await house.texts(written)) == 3
        listed = await house.stub.ListSessions(session_pb2.ListSessionsRequest())
        assert [session.session_id for session in listed.sessions] == [written]
        error = await refusal(house.stub.GetSession(session_pb2.GetSessionRequest(session_id=idle)))
        assert error.reason == "SESSION_NOT_FOUND"
        await asyncio.sleep(2.2)
        error = await refusal(house.texts(written))
        assert error.reason == "SESSION_NOT_FOUND"
    with redis.Redis(port=redis_server.port) as client:
        assert client.keys("meld:{local}*") == []


async def test_another_tenants_session_answers_as_a_missing_one(house: House) -> None:
    session_id = (await house.session(title="secret")).session_id
    stub, foreign = house.stub, (("x-tenant", "other"),)
    messages = [session_pb2.Message(role=session_pb2.ROLE_USER, text="x")]

    def calls(wanted: str) -> list[Any]:
        return [
            stub.GetSession(session_pb2.GetSessionRequest(session_id=wanted), metadata=foreign),
            stub.UpdateSession(
                session_pb2.UpdateSessionRequest(session_id=wanted, title="x"), metadata=foreign
            ),
            stub.DeleteSession(session_pb2.DeleteSessionRequest(session_id=wanted), metadata=foreign),
            stub.ListMessages(session_pb2.ListMessagesRequest(session_id=wanted), metadata=foreign),
            stub.ListRuns(session_pb2.ListRunsRequest(session_id=wanted), metadata=foreign),
            stub.AppendMessage(
                session_pb2.AppendMessageRequest(session_id=wanted, messages=messages, request_id="1"),
                metadata=foreign,
            ),
            stub.CreateRun(
                session_pb2.CreateRunRequest(
                    run=session_pb2.Run(run_id="run_" + "f" * 26, session_id=wanted, agent_id="ceo")
                ),
                metadata=foreign,
            ),
        ]

    missing = "ses_" + "0" * 26
    for there, absent in zip(calls(session_id), calls(missing), strict=True):
        one, other = await refusal(there), await refusal(absent)
        assert (one.code, one.reason, one.message) == (other.code, other.reason, other.message)
        assert one.metadata == {"session_id": session_id}
        assert other.metadata == {"session_id": missing}
    listed = await stub.ListSessions(session_pb2.ListSessionsRequest(), metadata=foreign)
    assert list(listed.sessions) == []
    assert await house.texts(session_id) == []


async def test_request_ids_of_two_tenants_do_not_meet(house: House) -> None:
    mine = await house.session(title="mine", request_id="same")
    theirs = await house.stub.CreateSession(
        session_pb2.CreateSessionRequest(title="theirs", request_id="same"), metadata=(("x-tenant", "other"),)
    )
    assert theirs.session.session_id != mine.session_id
    assert theirs.session.title == "theirs"


@pytest.mark.parametrize(
    "change",
    ["", "tampered", "not base64 !", "other tenant", "other session", "other direction", "A" * 100_000],
)
async def test_a_page_token_serves_its_own_request_only(house: House, change: str) -> None:
    one, two = (await house.session()).session_id, (await house.session()).session_id
    for session_id in (one, two):
        await house.append(session_id, "a", "b", "c", request_id="1")
    token = (
        await house.stub.ListMessages(session_pb2.ListMessagesRequest(session_id=one, page_size=1))
    ).next_page_token
    request = session_pb2.ListMessagesRequest(session_id=one, page_size=2, page_token=token)
    metadata = None
    match change:
        case "":
            page = await house.stub.ListMessages(request)
            assert [message.text for message in page.messages] == ["b", "c"]
            return
        case "tampered":
            request.page_token = token[:-1] + ("A" if token[-1] != "A" else "B")
        case "other tenant":
            metadata = (("x-tenant", "other"),)
        case "other session":
            request.session_id = two
        case "other direction":
            request.newest = True
        case _:
            request.page_token = change
    error = await refusal(house.stub.ListMessages(request, metadata=metadata))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")


async def test_a_page_token_outlives_the_process_that_made_it(house_on: Any) -> None:
    async with house_on() as house:
        session_id = (await house.session()).session_id
        await house.append(session_id, "a", "b", request_id="1")
        request = session_pb2.ListMessagesRequest(session_id=session_id, page_size=1)
        request.page_token = (await house.stub.ListMessages(request)).next_page_token
    async with house_on() as house:
        page = await house.stub.ListMessages(request)
        assert [message.text for message in page.messages] == ["b"]


_USER = session_pb2.Message(role=session_pb2.ROLE_USER, text="x")


@pytest.mark.parametrize(
    ("method", "request_fields", "field"),
    [
        ("GetSession", {"session_id": "ses:1"}, "session_id"),
        ("GetSession", {"session_id": "*"}, "session_id"),
        ("GetSession", {"session_id": "{x}"}, "session_id"),
        ("GetSession", {"session_id": "a\0b"}, "session_id"),
        ("GetSession", {"session_id": "x" * 1_000_000}, "session_id"),
        ("GetSession", {"session_id": ""}, "session_id"),
        ("ListMessages", {"session_id": "s", "page_size": -1}, "page_size"),
        ("ListMessages", {"session_id": "s", "page_size": 1001}, "page_size"),
        ("ListSessions", {"page_size": 1_000_000_000}, "page_size"),
        ("CreateSession", {"title": "t" * 201}, "title"),
        ("CreateSession", {"title": "a\0"}, "title"),
        ("CreateSession", {"collection_ids": ["a:b"]}, "collection_ids"),
        ("CreateSession", {"collection_ids": ["a", "a"]}, "collection_ids"),
        ("CreateSession", {"collection_ids": [f"c{n}" for n in range(101)]}, "collection_ids"),
        ("CreateSession", {"metadata": {"a": {"b": 1}}}, "metadata"),
        ("CreateSession", {"metadata": {"a": [1]}}, "metadata"),
        ("CreateSession", {"metadata": {"a": float("nan")}}, "metadata"),
        ("CreateSession", {"metadata": {"a": "x" * 20_000}}, "metadata"),
        ("CreateSession", {"request_id": "r" * 129}, "request_id"),
        ("CreateSession", {"request_id": "a\nb"}, "request_id"),
        ("AppendMessage", {"session_id": "s", "messages": [_USER], "request_id": ""}, "request_id"),
        ("AppendMessage", {"session_id": "s", "messages": [], "request_id": "r"}, "messages"),
        ("AppendMessage", {"session_id": "s", "messages": [_USER] * 17, "request_id": "r"}, "messages"),
        (
            "AppendMessage",
            {"session_id": "s", "messages": [session_pb2.Message(text="x")], "request_id": "r"},
            "messages.role",
        ),
        (
            "AppendMessage",
            {
                "session_id": "s",
                "messages": [_USER, session_pb2.Message(role=session_pb2.ROLE_USER, text="é" * 500_001)],
                "request_id": "r",
            },
            "messages[1].text",
        ),
        (
            "AppendMessage",
            {
                "session_id": "s",
                "messages": [session_pb2.Message(role=session_pb2.ROLE_USER, text="e" * 1_000_000)] * 4,
                "request_id": "r",
            },
            "messages",
        ),
        ("CreateRun", {"run": {"run_id": "run_short", "agent_id": "ceo"}}, "run.run_id"),
        ("CreateRun", {"run": {"run_id": "run_" + "{" * 26, "agent_id": "ceo"}}, "run.run_id"),
        ("CreateRun", {"run": {"run_id": "run_" + "a" * 26}}, "run.agent_id"),
        ("AppendRunEvents", {"run_id": "r", "events": [{"sequence": 0}]}, "events.sequence"),
        ("AppendRunEvents", {"run_id": "r", "events": [{"sequence": 1}, {"sequence": 3}]}, "events.sequence"),
        ("AppendRunEvents", {"run_id": "r", "state": 77}, "state"),
    ],
)
async def test_a_bad_field_is_named(house: House, method: str, request_fields: Any, field: str) -> None:
    request = getattr(session_pb2, f"{method}Request")(**request_fields)
    error = await refusal(getattr(house.stub, method)(request))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert error.metadata["field"] == field
    assert len(error.metadata["value"]) <= 100
