"""The gateway's application in this process, in front of scripted services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from services.gateway.app import create_app
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.scripted_services import ScriptedServices, running_services


@pytest.fixture(scope="session")
def running() -> Iterator[ScriptedServices]:
    with running_services() as services:
        yield services


@pytest.fixture
def services(running: ScriptedServices) -> ScriptedServices:
    running.reset()
    return running


@pytest.fixture(scope="session")
def clients(running: ScriptedServices) -> Iterator[Clients]:
    clients = Clients(running.addresses)
    yield clients
    clients.close()


@pytest.fixture
def settings() -> GatewaySettings:
    return GatewaySettings(cors_origins="https://good.com", meld_max_upload_bytes=1_000_000)


@pytest.fixture
def http(services: ScriptedServices, clients: Clients, settings: GatewaySettings) -> FlaskClient:
    return create_app(Door(settings, clients, slots_for(16))).test_client()
