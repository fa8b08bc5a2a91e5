from __future__ import annotations

from flask.testing import FlaskClient

from services.gateway.clients import Addresses, Clients
from services.gateway.door import Door, slots_for
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import client_of
from tests.unit.gateway.scripted_services import ScriptedServices


def test_all_is_well(http: FlaskClient, services: ScriptedServices) -> None:
    answer = http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["down"], answer.json["degraded"]) == ("ready", [], [])
    assert answer.json["services"]["session"] == {
        "status": "ready",
        "dependencies": {"redis": "up", "session_extra": "up"},
    }


def test_what_a_service_needs_is_named_when_it_is_down(http: FlaskClient, services: ScriptedServices) -> None:
    services.down.add("redis")
    services.refresh()
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert (answer.json["status"], answer.json["down"]) == ("unavailable", ["session", "redis"])
    assert answer.json["services"]["session"]["dependencies"]["redis"] == "down"
    assert answer.json["services"]["vector"]["status"] == "ready"
    assert http.get("/livez").json == {"status": "ok"}
    assert http.get("/health").status_code == 503


def test_what_a_service_can_do_without_only_degrades(http: FlaskClient, services: ScriptedServices) -> None:
    services.down.add("vector_extra")
    services.refresh()
    answer = http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["degraded"]) == ("degraded", ["vector_extra"])
    health = http.get("/health").json
    assert health is not None
    assert (health["live"], health["status"]) == (True, "degraded")


def test_services_that_are_not_there_are_named() -> None:
    clients = Clients(Addresses("127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1"))
    http = client_of(Door(GatewaySettings(), clients, slots_for(16)))
    answer = http.get("/readyz")
    clients.close()
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["down"] == ["agents", "session", "vector"]
    assert answer.json["services"]["vector"] == {"status": "unreachable", "dependencies": {}}


def test_metrics_can_be_switched_off(services: ScriptedServices, clients: Clients) -> None:
    door = Door(GatewaySettings(metrics_enabled=False), clients, slots_for(16))
    assert client_of(door).get("/metrics").status_code == 404
