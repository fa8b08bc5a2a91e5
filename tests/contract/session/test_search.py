"""Search in what was said, as a client sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
import redis

from meldrag.session.v1 import session_pb2
from services.session.conversations import Conversations
from services.session.model import Lifetimes, NewMessage, Role, Topic
from services.session.redis_store import open_redis_store
from services.session.searching import Searching
from tests.contract.session.conftest import House, refusal
from tests.support.redis_server import RedisServer

LIFETIMES = Lifetimes(86_400, 86_400)


async def search(house: House, query: str, **fields: Any) -> list[Any]:
    """All matches, page by page."""
    found, token = [], ""
    while True:
        request = session_pb2.SearchSessionsRequest(query=query, page_token=token, **fields)
        page = await house.stub.SearchSessions(request)
        found += page.matches
        token = page.next_page_token
        if not token:
            return found


def shown(match: Any) -> str:
    """A snippet with what is marked in brackets."""
    return "".join(f"[{piece.text}]" if piece.matched else piece.text for piece in match.snippet)


async def test_what_was_asked_and_answered_is_found_where_it_was_said(house: House) -> None:
    session = await house.session(title="About tides", collection_ids=["c"], metadata={"k": 1})
    asked = session_pb2.Message(role=session_pb2.ROLE_USER, text="How deep is the harbour of Élmsund?")
    said = session_pb2.Message(
        role=session_pb2.ROLE_ASSISTANT, text="Its Straße is deep.", agent_id="research", run_id="run_1"
    )
    said.attributes.update({"citations": [{"quote": "a lighthouse"}]})
    reply = await house.stub.AppendMessage(
        session_pb2.AppendMessageRequest(
            session_id=session.session_id, messages=[asked, said], request_id="1"
        )
    )
    kept = (await house.stub.GetSession(session_pb2.GetSessionRequest(session_id=session.session_id))).session

    (match,) = await search(house, "ELMSUND harb")
    assert match.session == kept
    first, second = reply.messages
    assert match.message == session_pb2.MatchedMessage(
        message_id=first.message_id,
        sequence=1,
        role=session_pb2.ROLE_USER,
        create_time=first.create_time,
    )
    assert shown(match) == "How deep is the [harb]our of [Élmsund]?"

    (match,) = await search(house, '"its strasse"')
    assert (match.message.sequence, match.message.agent_id) == (2, "research")
    assert match.message.message_id == second.message_id
    assert shown(match) == "[Its Straße] is deep."

    # Of several messages the last; a title where no message has it.
    (match,) = await search(house, "deep")
    assert match.message.sequence == 2
    (match,) = await search(house, "tides about")
    assert not match.HasField("message")
    assert shown(match) == "[About] [tides]"
    # All of it in one message; what belongs to a message besides is not what was said.
    for nowhere in ("harbour strasse", "tides deep", "lighthouse", "quay", '"harbour deep"', "arbour"):
        assert await search(house, nowhere) == []


async def test_matches_come_last_changed_first_in_pages(house: House) -> None:
    ids = [(await house.session(title=f"Tide {n}")).session_id for n in range(5)]
    await house.append(ids[1], "nothing", request_id="1")
    page = await house.stub.SearchSessions(session_pb2.SearchSessionsRequest(query="tide", page_size=2))
    assert [match.session.session_id for match in page.matches] == [ids[1], ids[4]]
    assert page.next_page_token
    found = await search(house, "tide", page_size=2)
    assert [match.session.session_id for match in found] == [ids[1], ids[4], ids[3], ids[2], ids[0]]


@pytest.mark.parametrize(("portion", "portions"), [(1, 1), (1, 3), (100, 2), (700, 1), (1 << 20, 64)])
async def test_a_search_that_stops_early_goes_on_where_it_was(
    redis_server: RedisServer, portion: int, portions: int
) -> None:
    """However little is read at once, a walk finds each session once, and ends."""
    async with open_redis_store("127.0.0.1", redis_server.port, "", LIFETIMES) as store:
        rules = Conversations(store)
        ids = []
        for number in range(4):
            session = await rules.create("local", Topic(f"Tide {number}", (), {}), "")
            ids.append(session.session_id)
            said = ["a tide", "then", "a tide", "and later"] if number != 2 else ["then", "nothing"]
            for place, text in enumerate(said):
                message = NewMessage("", Role.ASSISTANT, text, "", "", b"x" * 300)
                await rules.append("local", session.session_id, [message], str(place))
        searching = Searching(store, portion_bytes=portion, portions=portions)
        found, token, empty = [], "", 0
        for _ in range(100):
            page = await searching.search("local", "tide", 0, token)
            found += page.items
            empty += not page.items
            token = page.next_place
            if not token:
                break
        assert [(one.session.session_id, one.message and one.message.sequence) for one in found] == [
            (ids[3], 3),
            (ids[2], None),
            (ids[1], 3),
            (ids[0], 3),
        ]
        assert token == ""
        # A message a call: most calls find nothing, and yet go on.
        assert (empty > 3) == ((portion, portions) == (1, 1))


async def test_a_large_session_is_read_to_its_first_message(house: House) -> None:
    session_id = (await house.session()).session_id
    for number in range(4):
        text = f"{'Lighthouse ' if number == 0 else ''}{'x' * 700_000}"
        await house.append(session_id, text, request_id=str(number))
    (match,) = await search(house, "lighthouse")
    assert match.message.sequence == 1
    assert shown(match).startswith("[Lighthouse] xxx")


async def test_only_ones_own_sessions_are_searched(house: House) -> None:
    mine = (("x-tenant", "home"), ("x-subject", "me"))
    made = await house.stub.CreateSession(session_pb2.CreateSessionRequest(title="A tide"), metadata=mine)
    await house.stub.CreateSession(session_pb2.CreateSessionRequest(title="A tide too"), metadata=mine)
    request = session_pb2.SearchSessionsRequest(query="tide", page_size=1)
    page = await house.stub.SearchSessions(request, metadata=mine)
    assert len(page.matches) == 1
    going_on = session_pb2.SearchSessionsRequest(query="tide", page_size=1, page_token=page.next_page_token)
    rest = await house.stub.SearchSessions(going_on, metadata=mine)
    assert [match.session for match in rest.matches] == [made.session]
    for other in (
        (("x-tenant", "home"), ("x-subject", "you")),
        (("x-tenant", "other"), ("x-subject", "me")),
    ):
        answer = await house.stub.SearchSessions(request, metadata=other)
        assert answer == session_pb2.SearchSessionsResponse()
        error = await refusal(house.stub.SearchSessions(going_on, metadata=other))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
    going_on.query = "a tide"
    error = await refusal(house.stub.SearchSessions(going_on, metadata=mine))
    assert error.reason == "INVALID_PAGE_TOKEN"


async def test_what_is_gone_or_has_expired_is_not_found(house: House, redis_server: RedisServer) -> None:
    ids = [(await house.session(title="tide")).session_id for _ in range(3)]
    await house.stub.DeleteSession(session_pb2.DeleteSessionRequest(session_id=ids[0]))
    with redis.Redis(port=redis_server.port) as client:
        client.pexpire(f"meld:{{local}}:session:{ids[1]}", 1)
        await asyncio.sleep(0.05)
        assert [match.session.session_id for match in await search(house, "tide")] == [ids[2]]
        assert client.zcard("meld:{local}:sessions") == 1


@pytest.mark.parametrize(
    ("query", "wrong", "says"),
    [
        ("", "query", "query must say what to look for"),
        (" \n", "query", "query must say what to look for"),
        ("?!", "query", "query must have a word, or something between quotes"),
        ("secretive" * 60, "query", "query must have at most 500 characters"),
    ],
)
async def test_a_query_that_cannot_be_searched_is_refused_and_not_repeated(
    house: House, query: str, wrong: str, says: str
) -> None:
    error = await refusal(house.stub.SearchSessions(session_pb2.SearchSessionsRequest(query=query)))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert (error.metadata["field"], error.message) == (wrong, says)
    assert "secretive" not in str(error.metadata)
