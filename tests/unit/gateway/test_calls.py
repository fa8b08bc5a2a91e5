"""Waiting for a service: bounded, and given up when nobody waits any more."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from meldrag.agents.v1 import agents_pb2
from services.chassis.errors import CancelledError
from services.gateway.calls import Client
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.limits import Drain, Patience, StreamSlots
from services.gateway.problem import ProblemError
from services.gateway.settings import GatewaySettings
from tests.support.waits import promised
from tests.unit.gateway.conftest import client_of
from tests.unit.gateway.scripted_services import ScriptedServices, for_ever_stream

EVENTS = [
    agents_pb2.RunAgentResponse(run_id="run_1", sequence=1, started=agents_pb2.RunStarted()),
    agents_pb2.RunAgentResponse(
        run_id="run_1", sequence=2, ended=agents_pb2.RunEnded(outcome=agents_pb2.RUN_OUTCOME_SUCCEEDED)
    ),
]


def test_a_client_is_gone_when_it_closed_its_side() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = Client(ours)
        assert not client.gone()
        theirs.sendall(b"the next request")
        assert not client.gone()
        assert ours.recv(100) == b"the next request"
        theirs.close()
        assert client.gone()
    assert client.gone()
    assert not Client(None).gone()


def test_a_slot_is_given_back_once() -> None:
    slots = StreamSlots(2)
    first, second = slots.take(), slots.take()
    with pytest.raises(ProblemError) as refused:
        slots.take()
    assert (refused.value.status, refused.value.reason) == (503, "TOO_MANY_STREAMS")
    first()
    first()
    slots.take()
    with pytest.raises(ProblemError):
        slots.take()
    second()


@pytest.mark.parametrize("script", [EVENTS, []], ids=["that ends", "that never begins"])
def test_each_stream_gives_its_slot_back(
    services: ScriptedServices, clients: Clients, script: list[agents_pb2.RunAgentResponse]
) -> None:
    http = client_of(Door(GatewaySettings(), clients, StreamSlots(1)))
    services.script["RunAgent"] = script
    statuses = {
        http.post("/api/v1/runs", json={"message": "m", "stream": True}).status_code for _ in range(3)
    }
    assert 503 not in statuses
    # A response that nobody reads is closed all the same.
    http.post("/api/v1/runs", json={"message": "m", "stream": True}, buffered=False).close()
    assert http.post("/api/v1/runs", json={"message": "m", "stream": True}).status_code != 503


def test_streams_leave_threads_for_others() -> None:
    for threads, streams in ((64, 56), (16, 8), (8, 4), (2, 1)):
        slots = slots_for(threads)
        for _ in range(streams):
            slots.take()
        with pytest.raises(ProblemError):
            slots.take()


def test_a_drain_begins_once_and_is_due_after_its_grace() -> None:
    drain = Drain()
    assert not drain.due()
    drain.begin(0.05)
    drain.begin(10)
    assert not drain.due()
    time.sleep(0.06)
    assert drain.due()


def test_a_method_has_the_contracts_time_and_a_client_may_ask_for_less_or_more(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["ListAgents"] = agents_pb2.ListAgentsResponse()
    for header in ({}, {"Request-Timeout": "2"}, {"Request-Timeout": "20"}, {"Request-Timeout": "1000"}):
        assert http.get("/api/v1/agents", headers=header).status_code == 200
    default, less, more, most = services.remaining
    # The wire rounds up by some milliseconds.
    assert 4 < default < 5.1
    assert 1 < less < 2.1
    assert 19 < more < 20.1
    assert 29 < most < 30.1


def test_no_thread_is_left_by_streams(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunAgent"] = EVENTS
    http.post("/api/v1/runs", json={"message": "m"})
    before = threading.active_count()
    for _ in range(20):
        http.post("/api/v1/runs", json={"message": "m", "stream": True})
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_head_of_a_stream_opens_none_for_long(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["WatchRun"] = for_ever_stream
    answer = http.head("/api/v1/runs/run_1/events")
    assert (answer.status_code, answer.content_type, answer.data) == (200, "text/event-stream", b"")
    assert services.cancelled["WatchRun"].wait(2)


@pytest.fixture
def patient(services: ScriptedServices) -> Iterator[FlaskClient]:
    """A gateway that waits two seconds for a service, with channels of its own."""
    clients = Clients(services.addresses)
    yield client_of(Door(GatewaySettings(), clients, StreamSlots(4), patience=Patience(2)))
    clients.close()


def test_what_may_be_repeated_waits_for_a_service_that_is_replaced(
    patient: FlaskClient, services: ScriptedServices
) -> None:
    services.script["ListAgents"] = agents_pb2.ListAgentsResponse()
    assert patient.get("/api/v1/agents").status_code == 200
    services.stop_one("agents")
    try:
        back = threading.Timer(0.7, services.start_one, ["agents"])
        back.start()
        assert patient.get("/api/v1/agents").status_code == 200
    finally:
        back.join()


def test_a_call_that_nobody_here_gave_up_is_not_the_clients_doing(
    patient: FlaskClient, services: ScriptedServices
) -> None:
    """A service that is replaced ends so what it has not answered, and one that asked it says the same."""
    cancelled = CancelledError("CANCELLED", reason="CANCELLED")
    answers: list[object] = [cancelled, agents_pb2.ListAgentsResponse()]

    async def scripted(_: object) -> object:
        return answers.pop(0)

    services.script["ListAgents"] = scripted
    answer = patient.get("/api/v1/agents")
    assert (answer.status_code, answers) == (200, []), answer.text

    # What may not be repeated says that the service has gone.
    services.script["CreateSession"] = cancelled
    answer = patient.post("/api/v1/sessions", json={"title": "t"})
    assert answer.status_code == 503, answer.text
    assert answer.get_json()["reason"] == "UPSTREAM_UNAVAILABLE"
    assert answer.get_json()["detail"] == "the session service cannot be reached"


def test_a_run_that_never_left_is_begun_when_there_is_a_connection(
    patient: FlaskClient, services: ScriptedServices
) -> None:
    """As with a gateway that starts first: a run may not be repeated, but this one was never sent."""
    services.script["RunAgent"] = EVENTS
    services.stop_one("agents")
    assert patient.get("/api/v1/agents", headers={"Request-Timeout": "0.1"}).status_code in {503, 504}
    back = threading.Timer(0.4, services.start_one, ["agents"])
    back.start()
    try:
        answer = patient.post("/api/v1/runs", json={"message": "m"}, headers={"X-Request-ID": "the-same"})
        assert answer.status_code == 200, answer.text
    finally:
        back.join()
    assert len(services.requests["RunAgent"]) == 1
    assert services.request_ids[-1] == "the-same"


def test_a_service_that_stays_away_is_waited_for_once(
    patient: FlaskClient, services: ScriptedServices
) -> None:
    services.stop_one("agents")
    try:
        began = time.monotonic()
        assert patient.get("/api/v1/agents").status_code == 503
        waited = time.monotonic() - began
        assert [patient.get("/api/v1/agents").status_code for _ in range(5)] == [503] * 5
    finally:
        services.start_one("agents")
    assert waited > 1.5
    assert time.monotonic() - began - waited < promised(waited)
