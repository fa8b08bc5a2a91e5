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
        ({"steps": [{"step_id": "a", "timeout_seconds": 1e300}]}, "steps[0].timeout_seconds"),
        ({"steps": [{"step_id": "a", "timeout_seconds": -1}]}, "steps[0].timeout_seconds"),
        (
            {"steps": [{"step_id": "a", "approval": {"question": "?", "timeout_seconds": 1e19}}]},
            "steps[0].approval.timeout_seconds",
        ),
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


STORED = workflow_pb2.Workflow(workflow_id="mend", title="Mend", revision=3)
STORED.create_time.FromSeconds(1_700_000_000)
STORED.update_time.FromSeconds(1_700_000_100)


def stored() -> workflow_pb2.Workflow:
    """The workflow with STEPS, as the agents service has it."""
    made = workflow_pb2.Workflow()
    made.CopyFrom(STORED)
    made.steps.extend(
        json_format.ParseDict(plain, workflow_pb2.WorkflowStep())
        for plain in (
            {
                "step_id": "debug",
                "agent_id": "code_debugger",
                "inputs": {"command": "pytest"},
                "bindings": [{"input": "files", "source": "inputs.files"}],
                "attempts": 2,
                "on_failure": "FAILURE_POLICY_CONTINUE",
                "timeout": "60s",
                "collection_ids": ["books"],
                "title": "The cause",
            },
            {
                "step_id": "ok",
                "after": ["debug"],
                "approval": {"question": "Mend it?", "timeout": "1.5s", "approve_on_timeout": True},
            },
            {
                "step_id": "repair",
                "agent_id": "code_repair",
                "message": "Mend {debug.cause}",
                "condition": {"source": "debug.suspicious_lines", "comparison": "COMPARISON_PRESENT"},
            },
            {"step_id": "all", "after": ["debug", "repair"], "meld": {}},
        )
    )
    return made


def test_a_workflow_that_is_shown_can_be_sent_back(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetWorkflow"] = agents_pb2.GetWorkflowResponse(workflow=stored())
    shown = http.get("/api/v1/workflows/mend").get_json()
    assert shown["steps"] == STEPS
    assert (shown["id"], shown["title"], shown["built_in"], shown["revision"]) == ("mend", "Mend", False, 3)
    services.script["UpdateWorkflow"] = agents_pb2.UpdateWorkflowResponse(workflow=stored())
    kept = {name: shown[name] for name in ("title", "description", "steps", "revision")}
    answer = http.put("/api/v1/workflows/mend", json=kept)
    assert answer.get_json() == shown
    sent = services.requests["UpdateWorkflow"][-1].workflow
    assert list(sent.steps) == list(stored().steps)
    assert (sent.workflow_id, sent.revision) == ("mend", 3)


def test_a_workflow_is_stored_and_deleted(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["CreateWorkflow"] = agents_pb2.CreateWorkflowResponse(workflow=stored())
    answer = http.post(
        "/api/v1/workflows",
        json={"id": "mend", "title": "Mend", "steps": STEPS},
        headers={"Idempotency-Key": "k-1"},
    )
    assert (answer.status_code, answer.headers["Location"]) == (201, "/api/v1/workflows/mend")
    sent = services.requests["CreateWorkflow"][-1]
    assert (sent.workflow.workflow_id, sent.request_id) == ("mend", "k-1")
    services.script["DeleteWorkflow"] = agents_pb2.DeleteWorkflowResponse()
    assert http.delete("/api/v1/workflows/mend").status_code == 204


def test_workflows_are_listed_page_by_page(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListWorkflows"] = agents_pb2.ListWorkflowsResponse(
        workflows=[stored()], next_page_token="s1"
    )
    shown = http.get("/api/v1/workflows?page_size=1").get_json()
    assert [each["id"] for each in shown["workflows"]] == ["mend"]
    assert shown["next_page_token"] == "s1"
    assert services.requests["ListWorkflows"][-1].page_size == 1


def test_a_picture_is_an_image_that_does_nothing(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["DrawWorkflow"] = agents_pb2.DrawWorkflowResponse(svg="<svg/>")
    answer = http.get("/api/v1/workflows/mend/picture")
    assert (answer.data, answer.mimetype) == (b"<svg/>", "image/svg+xml")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert http.post("/api/v1/workflows/picture", json={"steps": STEPS}).data == b"<svg/>"
    assert len(services.requests["DrawWorkflow"][-1].steps) == 4


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (NotFoundError("no", reason="WORKFLOW_NOT_FOUND"), 404),
        (FailedPreconditionError("no", reason="WORKFLOW_BUILT_IN"), 409),
        (InvalidArgumentError("no", reason="WORKFLOW_INVALID"), 400),
    ],
)
def test_refusals_say_why(http: FlaskClient, services: ScriptedServices, failure: Any, status: int) -> None:
    services.script["UpdateWorkflow"] = failure
    answer = http.put("/api/v1/workflows/mend", json={"steps": STEPS})
    assert (answer.status_code, answer.get_json()["reason"]) == (status, failure.reason), answer.get_json()
