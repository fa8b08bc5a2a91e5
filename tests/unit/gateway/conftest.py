"""The gateway's application in this process, in front of scripted services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.gateway.app import create_app
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.scripted_services import ScriptedServices, running_services


class ReadingClient(FlaskClient):
    """Reads and closes every answer, as a server does; Flask's own leaves a stream open until it is read."""

    def open(self, *args: Any, buffered: bool = True, **kwargs: Any) -> TestResponse:
        return super().open(*args, buffered=buffered, **kwargs)


def client_of(door: Door) -> FlaskClient:
    """A client of a gateway's application in this process."""
    app = create_app(door)
    app.test_client_class = ReadingClient
    return app.test_client()


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
    return client_of(Door(settings, clients, slots_for(16)))
