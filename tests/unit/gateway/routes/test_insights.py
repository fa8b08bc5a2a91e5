from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from google.protobuf import timestamp_pb2
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider

from meldrag.session.v1 import session_pb2
from services.chassis import telemetry
from services.chassis.errors import UnavailableError
from services.gateway.clients import Clients
from services.gateway.door import Door, slots_for
from services.gateway.routes.insights import contracts_sha256
from services.gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import client_of
from tests.unit.gateway.scripted_services import ScriptedServices


def recorded(number: int, **more: object) -> session_pb2.Run:
    now = int(time.time())
    return session_pb2.Run(
        run_id=f"run_{number}",
        agent_id="research",
        session_id="ses_1",
        state=session_pb2.RUN_STATE_SUCCEEDED,
        create_time=timestamp_pb2.Timestamp(seconds=now - 60),
        end_time=timestamp_pb2.Timestamp(seconds=now - 58),
        **more,  # type: ignore[arg-type]
    )


def page(*runs: session_pb2.Run, token: str = "") -> session_pb2.ListRunsResponse:
    return session_pb2.ListRunsResponse(runs=runs, next_page_token=token)


def test_all_pages_are_read_and_steps_are_not_counted(http: FlaskClient, services: ScriptedServices) -> None:
    async def listed(asked: session_pb2.ListRunsRequest) -> session_pb2.ListRunsResponse:
        return (
            page(recorded(2)) if asked.page_token else page(recorded(1, parent_run_id="run_9"), token="more")
        )

    services.script["ListRuns"] = listed
    answer = http.get("/api/v1/insights?period=24h")
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["runs"], answer.json["complete"], answer.json["median_seconds"]) == (1, True, 2.0)
    earliest = services.requests["ListRuns"][0].earliest_create_time.ToSeconds()
    assert abs(earliest - (time.time() - 86_400)) < 60


def test_more_runs_than_are_looked_at_are_said(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListRuns"] = page(*(recorded(number) for number in range(500)), token="more")
    answer = http.get("/api/v1/insights")
    assert answer.json is not None
    assert (answer.json["runs"], answer.json["complete"], answer.json["period"]) == (10_000, False, "7d")


def test_csv_is_a_file_with_a_line_a_run(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListRuns"] = page(recorded(1))
    answer = http.get("/api/v1/insights?period=30d&format=csv")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="insights-30d.csv"'
    assert answer.text.splitlines()[1].startswith("run_1,research,ses_1,SUCCEEDED,")


def test_other_periods_and_forms_are_refused(http: FlaskClient) -> None:
    for query in ("period=1y", "format=xml", "since=yesterday"):
        assert http.get(f"/api/v1/insights?{query}").status_code == 400, query


def test_a_record_that_is_down_is_no_empty_insight(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListRuns"] = UnavailableError("closed", reason="STORE_UNAVAILABLE")
    assert http.get("/api/v1/insights").status_code == 503


@pytest.fixture
def measuring(
    monkeypatch: pytest.MonkeyPatch, services: ScriptedServices, clients: Clients, settings: GatewaySettings
) -> Iterator[FlaskClient]:
    """A gateway that measures what it answers, as a started one does."""
    meters = MeterProvider(metric_readers=[PrometheusMetricReader(scope_info_enabled=False)])
    monkeypatch.setattr(telemetry, "meter", lambda: meters.get_meter("test"))
    yield client_of(Door(settings, clients, slots_for(16)))
    meters.shutdown()


def test_the_system_names_its_contracts_and_what_failed(measuring: FlaskClient) -> None:
    assert measuring.get("/api/v1/nowhere").status_code == 404
    answer = measuring.get("/api/v1/system")
    assert answer.json is not None
    assert answer.json["versions"]["contracts_sha256"] == contracts_sha256()
    assert re.fullmatch("[0-9a-f]{64}", contracts_sha256())
    requests = answer.json["requests"]
    assert requests["refused"] >= 1
    assert requests["refused"] + requests["failed"] == sum(error["count"] for error in requests["errors"])
