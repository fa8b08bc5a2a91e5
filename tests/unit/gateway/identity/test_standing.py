"""Streams end soon after their caller was signed out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import grpc
import pytest

from meldrag.agents.v1 import agents_pb2
from meldrag.session.v1 import identity_pb2
from services.gateway.calls import Client, Upstream
from services.gateway.identity.standing import Standing
from services.gateway.limits import Drain
from services.gateway.streaming import Stream

SHOWN = identity_pb2.IdentifyRequest(access_token="tok")


class Refused(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


class Identity:
    """Lets everybody in until it has something to refuse with."""

    def __init__(self) -> None:
        self.asked: list[tuple[identity_pb2.IdentifyRequest, float]] = []
        self.refusal: grpc.StatusCode | None = None

    def identify(
        self, request: identity_pb2.IdentifyRequest, timeout: float
    ) -> identity_pb2.IdentifyResponse:
        self.asked.append((request, timeout))
        if self.refusal is not None:
            raise Refused(self.refusal)
        return identity_pb2.IdentifyResponse()


@pytest.fixture
def identity() -> Identity:
    return Identity()


def test_it_asks_when_it_is_time_and_lets_go_on(identity: Identity) -> None:
    assert Standing(identity.identify, SHOWN, seconds=60).problem() is None
    assert identity.asked == []
    assert Standing(identity.identify, SHOWN, seconds=0).problem() is None
    ((asked, timeout),) = identity.asked
    assert (asked.access_token, asked.open_stream, timeout) == ("tok", True, 2.0)
    # What the request has shown to be let in stays as it was.
    assert not SHOWN.open_stream


def test_who_was_signed_out_hears_why(identity: Identity) -> None:
    identity.refusal = grpc.StatusCode.UNAUTHENTICATED
    problem = Standing(identity.identify, SHOWN, seconds=0).problem()
    assert problem is not None
    assert (problem.status, problem.reason) == (401, "SIGNED_OUT")


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_nobody_is_sent_away_because_nobody_can_be_asked(identity: Identity, code: grpc.StatusCode) -> None:
    identity.refusal = code
    standing = Standing(identity.identify, SHOWN, seconds=0)
    assert standing.problem() is None
    identity.refusal = grpc.StatusCode.UNAUTHENTICATED
    assert standing.problem() is not None


class Talking:
    """A call that says something again and again, and never ends."""

    def __init__(self) -> None:
        self.cancelled = False

    def __iter__(self) -> Iterator[agents_pb2.RunAgentResponse]:
        while not self.cancelled:
            yield agents_pb2.RunAgentResponse(sequence=1)

    def cancel(self) -> None:
        self.cancelled = True


def stream_of(call: Any, standing: Standing | None) -> Stream[agents_pb2.RunAgentResponse]:
    upstream: Upstream[agents_pb2.RunAgentResponse] = Upstream(call, agents_pb2.RunAgentRequest)
    return Stream(upstream, Client(None), Drain(), 60, lambda said: b"said\n", standing=standing)


def test_a_stream_ends_with_it_and_so_does_the_call_behind_it(identity: Identity) -> None:
    call = Talking()
    chunks = stream_of(call, Standing(identity.identify, SHOWN, seconds=0)).chunks(None)
    assert next(chunks) == b"said\n"
    identity.refusal = grpc.StatusCode.UNAUTHENTICATED
    (last,) = chunks
    assert last.startswith(b"event: error\ndata: {")
    assert b'"status":401' in last
    assert b'"reason":"SIGNED_OUT"' in last
    assert call.cancelled


def test_a_house_without_a_login_asks_nobody() -> None:
    chunks = cast(Any, stream_of(Talking(), None).chunks(None))
    assert [next(chunks) for _ in range(3)] == [b"said\n"] * 3
    chunks.close()
