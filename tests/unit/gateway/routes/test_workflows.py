from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2, workflow_pb2
from services.chassis.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from services.gateway import rendering
from tests.unit.gateway.routes.test_documents import events
from tests.unit.gateway.routes.test_runs import ENDED, STARTED, event, failed
from tests.unit.gateway.scripted_services import ScriptedServices

URL = "/api/v1/workflows/runs"

STEPS: list[dict[str, Any]] = [
    {
        "step_id": "debug",
        "agent_id": "code_debugger",
        "inputs": {"command": "pytest"},
        "bindings": [{"input": "files", "source": "inputs.files"}],
        "attempts": 2,
        "on_failure": "CONTINUE",
        "timeout_seconds": 60,
        "collection_ids": ["books"],
        "title": "The cause",
    },
    {
        "step_id": "ok",
        "after": ["debug"],
        "approval": {"question": "Mend it?", "timeout_seconds": 1.5, "approve_on_timeout": True},
    },
    {
        "step_id": "repair",
        "agent_id": "code_repair",
        "message": "Mend {debug.cause}",
        "condition": {"source": "debug.suspicious_lines", "comparison": "PRESENT"},
    },
    {"step_id": "all", "after": ["debug", "repair"], "meld": {}},
]


def said(step_id: str, what: agents_pb2.RunAgentResponse) -> agents_pb2.RunWorkflowResponse:
    return agents_pb2.RunWorkflowResponse(step_id=step_id, event=what)


BELOW = agents_pb2.RunAgentResponse(run_id="run_2", sequence=1, text=agents_pb2.TextDelta(text="below"))
CHANGED = event(
    2,
    step=agents_pb2.StepChanged(
        step_id="debug", state=workflow_pb2.STEP_STATE_RUNNING, run_id="run_2", attempt=1
    ),
)
SAID = [said("", STARTED), said("", CHANGED), said("debug", BELOW), said("", ENDED)]


def test_steps_arrive_as_they_were_written(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunWorkflow"] = SAID
    answer = http.post(
        URL,
        json={
            "message": "Mend it.",
            "steps": STEPS,
            "inputs": {"files": []},
            "collections": ["b-1"],
            "session_id": "s-1",
        },
        headers={"Idempotency-Key": "k-1"},
    )
    assert answer.status_code == 200
    assert (answer.json["run_id"], answer.json["text"]) == ("run_1", "Yes.")
    (request,) = services.requests["RunWorkflow"]
    assert (request.message, request.request_id, request.session_id) == ("Mend it.", "k-1", "s-1")
    debug, ok, repair, meld = request.steps
    assert (debug.agent_id, debug.attempts, debug.timeout.seconds) == ("code_debugger", 2, 60)
    assert debug.on_failure == workflow_pb2.FAILURE_POLICY_CONTINUE
    assert debug.bindings[0].source == "inputs.files"
    assert (ok.approval.timeout.nanos, ok.approval.approve_on_timeout) == (500_000_000, True)
    assert repair.condition.comparison == workflow_pb2.COMPARISON_PRESENT
    assert meld.WhichOneof("kind") == "meld"


def test_a_plan_can_be_sent_as_it_was_rendered(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunWorkflow"] = SAID
    http.post(URL, json={"message": "x", "steps": STEPS})
    (first,) = services.requests["RunWorkflow"]
    http.post(URL, json={"message": "x", "steps": [rendering.message(step) for step in first.steps]})
    again = services.requests["RunWorkflow"][-1]
    assert list(again.steps) == list(first.steps)


def test_events_of_steps_carry_their_step(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunWorkflow"] = SAID
    answer = http.post(URL, json={"message": "x", "workflow": "fix", "stream": True})
    told = events(answer)
    assert [one["data"]["step_id"] for one in told] == [None, None, "debug", None]
    assert [one["event"] for one in told] == ["started", "step", "text", "ended"]
    assert told[1]["data"]["step"]["state"] == "RUNNING"
    assert [one.get("id") for one in told] == ["1", "2", None, "3"]
    assert services.requests["RunWorkflow"][0].workflow_id == "fix"


def test_in_the_background(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunWorkflow"] = SAID
    answer = http.post(URL, json={"message": "x", "workflow": "fix", "background": True})
    assert (answer.status_code, answer.json["run_id"]) == (202, "run_1")
    assert services.requests["RunWorkflow"][0].detached


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"steps": {}}, "steps"),
        ({"steps": [{"agent_id": "x"}]}, "steps[0].step_id"),
        ({"steps": [{"step_id": "a", "bindings": [{"input": "x"}]}]}, "steps[0].bindings[0].source"),
        ({"steps": [{"step_id": "a", "on_failure": "explode"}]}, "steps[0].on_failure"),
        ({"steps": [{"step_id": "a", "approval": {}}]}, "steps[0].approval.question"),
        ({"message": 1}, "message"),
    ],
)
def test_what_cannot_be_read_is_named(
    http: FlaskClient, services: ScriptedServices, changed: dict[str, Any], field: str
) -> None:
    answer = http.post(URL, json={"message": "x", "steps": STEPS} | changed)
    assert (answer.status_code, answer.json["reason"]) == (400, "INVALID_FIELD")
    assert answer.json["metadata"]["field"] == field
    assert not services.requests["RunWorkflow"]


def test_refusals_and_failures_come_as_problems(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunWorkflow"] = InvalidArgumentError(
        "no", reason="WORKFLOW_INVALID", metadata={"step_id": "a", "path": "after", "cause": "a circle"}
    )
    answer = http.post(URL, json={"message": "x", "steps": STEPS})
    assert (answer.status_code, answer.json["reason"]) == (400, "WORKFLOW_INVALID")
    assert answer.json["metadata"] == {"step_id": "a", "path": "after", "cause": "a circle"}
    services.script["RunWorkflow"] = NotFoundError("no", reason="WORKFLOW_NOT_FOUND")
    assert http.post(URL, json={"message": "x", "workflow": "y"}).status_code == 404
    services.script["RunWorkflow"] = [said("", STARTED), said("", failed(8, "BUDGET_EXHAUSTED"))]
    assert http.post(URL, json={"message": "x", "workflow": "y"}).status_code == 429


def test_a_step_is_decided(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["DecideStep"] = agents_pb2.DecideStepResponse()
    url = "/api/v1/runs/run_1/steps/ok/decision"
    answer = http.post(url, json={"approved": False, "comment": "not now"})
    assert answer.json == {"run_id": "run_1", "step_id": "ok", "approved": False}
    (request,) = services.requests["DecideStep"]
    assert json_format.MessageToDict(request) == {"runId": "run_1", "stepId": "ok", "comment": "not now"}
    assert http.post(url, json={}).status_code == 400
    services.script["DecideStep"] = FailedPreconditionError("no", reason="STEP_NOT_WAITING")
    assert http.post(url, json={"approved": True}).status_code == 409
