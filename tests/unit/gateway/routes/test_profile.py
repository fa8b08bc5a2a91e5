from __future__ import annotations

import threading

import pytest
from flask.testing import FlaskClient

from services.chassis import context
from services.chassis.context import Principal
from services.gateway import observation
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import client_of
from tests.unit.gateway.scripted_services import ScriptedServices

PATH = "/api/v1/profile?seconds=0.05"


@pytest.fixture
def profiled(services: ScriptedServices, clients: Clients) -> FlaskClient:
    return client_of(Door(GatewaySettings(profiling_enabled=True), clients, slots_for(16)))


def test_it_is_off_unless_it_is_switched_on(http: FlaskClient) -> None:
    answer = http.post(PATH)
    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["detail"] == "PROFILING_ENABLED is off"


def test_a_profile_of_the_worker(profiled: FlaskClient) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="somebody")
    thread.start()
    try:
        answer = profiled.post(PATH)
    finally:
        stop.set()
        thread.join()
    assert (answer.status_code, answer.content_type) == (200, "text/plain; charset=utf-8")
    assert any(line.startswith("somebody;") for line in answer.text.splitlines())
    assert profiled.get(PATH).status_code == 405


@pytest.mark.parametrize("seconds", ["0", "31", "soon"])
def test_its_length_is_bounded(profiled: FlaskClient, seconds: str) -> None:
    answer = profiled.post(f"/api/v1/profile?seconds={seconds}")
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["metadata"] == {"field": "seconds"}


@pytest.mark.parametrize(
    ("address", "headers"),
    [("10.0.0.3", {}), ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}), ("127.0.0.1", {"Via": "1.1 proxy"})],
)
def test_other_machines_get_none(profiled: FlaskClient, address: str, headers: dict[str, str]) -> None:
    answer = profiled.post(PATH, environ_base={"REMOTE_ADDR": address}, headers=headers)
    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["reason"] == "PROFILE_NOT_ALLOWED"


def test_whoever_is_no_administrator_gets_none(
    profiled: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observation.context, "LOCAL_OWNER", Principal("local", "guest", frozenset()))
    assert context.LOCAL_OWNER.subject == "guest"
    assert profiled.post(PATH).status_code == 403


def test_one_at_a_time(services: ScriptedServices, clients: Clients) -> None:
    door = Door(GatewaySettings(profiling_enabled=True), clients, slots_for(16))
    first = threading.Thread(target=door.profiler.profile, args=(5,), daemon=True)
    first.start()
    http = client_of(door)
    for _ in range(100):
        answer = http.post("/api/v1/profile?seconds=0.01")
        if answer.status_code == 409:
            break
    assert answer.status_code == 409
    assert answer.json is not None
    assert answer.json["reason"] == "PROFILER_BUSY"
