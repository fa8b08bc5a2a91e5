"""The gateway's application in this process, in front of scripted services."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from services.gateway.app import create_app
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.openapi.operation import is_not_there
from services.gateway.settings import GatewaySettings
from tests.support.documented import Documented, document_of_code
from tests.unit.gateway.scripted_services import ScriptedServices, running_services

# Services that say what no service does (no script, a code or a defect of the test's own), clients that left.
UNDECLARED = frozenset((405, 499, 500, 501))


@functools.cache
def documented() -> Documented:
    return Documented(document_of_code())


class ReadingClient(FlaskClient):
    """Reads and closes every answer, as a server does; Flask's own leaves a stream open until it is read.

    Every answer is held against the OpenAPI document, so each test of a route is one of its declaration too.
    """

    def open(self, *args: Any, buffered: bool = True, **kwargs: Any) -> TestResponse:
        answer = super().open(*args, buffered=buffered, **kwargs)
        if buffered and answer.status_code not in UNDECLARED:
            self._hold(answer)
        return answer

    def _hold(self, answer: TestResponse) -> None:
        asked = answer.request
        urls = self.application.url_map.bind("localhost")
        with contextlib.suppress(HTTPException):
            rule, _ = urls.match(asked.path, asked.method, return_rule=True)
            view = self.application.view_functions[rule.endpoint]
            if asked.method not in ("HEAD", "OPTIONS") and not is_not_there(view):
                path = re.sub(r"<(?:path:)?([a-z_]+)>", r"{\1}", rule.rule)
                kind = answer.headers.get("Content-Type", "")
                documented().check(path, asked.method, answer.status_code, kind, answer.data)


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
