"""Workflows: several agents at work, each on its step, and decisions that steps wait for."""

from __future__ import annotations

import contextlib

from flask import Blueprint, Response, request

from meldrag.agents.v1 import agents_pb2, workflow_pb2
from services.gateway import rendering, steps
from services.gateway.body import Fields, Query, idempotency_key, json_object
from services.gateway.calls import Client, Upstream, stream, unary
from services.gateway.conditional import check_match
from services.gateway.door import answer, door
from services.gateway.openapi.operation import NOTHING, Answer, created, json, operation, pages, streams
from services.gateway.openapi.resources import TEXT, YES_OR_NO
from services.gateway.openapi.schema import record
from services.gateway.problem import invalid
from services.gateway.routes.runs import STARTED, raise_failure, started
from services.gateway.security import CONTENT_POLICY
from services.gateway.streaming import Stream, event_response, sse

blueprint = Blueprint("workflows", __name__)

_PICTURE = Answer({"image/svg+xml": {"type": "string"}})


@blueprint.post("/workflows/runs")
@operation(
    answers={200: streams("WorkflowEvent", also="RunResult"), 202: STARTED},
    body="NewWorkflowRun",
    problems=(404, 502),
    repeat="key",
)
def run_workflow() -> Response:
    """Runs steps, or a workflow by its name: answers as POST /runs does, with the events of all steps."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    as_events, background = fields.boolean("stream"), fields.boolean("background")
    if as_events and background:
        raise invalid("background", "a run in the background is followed under its events_url")
    message = agents_pb2.RunWorkflowRequest(
        message=fields.text("message", required=True),
        steps=_steps(fields),
        workflow_id=fields.text("workflow"),
        inputs=fields.struct("inputs"),
        session_id=fields.text("session_id"),
        collection_ids=fields.texts("collections"),
        request_id=idempotency_key(request),
        detached=background,
    )
    fields.finish()
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        # It holds a thread as long as a stream does.
        held.callback(door().slots.take())
        upstream = stream(door().clients.agents.RunWorkflow, message)
        held.callback(upstream.close)
        if background:
            return started(lambda: _own(upstream, client))
        if not as_events:
            return answer(rendering.run_result(_result(upstream, client)))
        first = upstream.first(client)
        if not first.step_id:
            raise_failure(first.event)
        body = Stream(upstream, client, door().drain, door().settings.meld_heartbeat_seconds, _event)
        return event_response(body.chunks(first), held.pop_all().close)


@blueprint.get("/workflows")
@operation(answers={200: pages("workflows", "Workflow")}, paged=True)
def list_workflows() -> Response:
    """A page of the workflows: those of the release, then the stored ones by id."""
    query = Query(request)
    page_size, page_token = query.page()
    query.finish()
    page = unary(
        door().clients.agents.ListWorkflows,
        agents_pb2.ListWorkflowsRequest(page_size=page_size, page_token=page_token),
    )
    return answer(rendering.page("workflows", map(rendering.workflow, page.workflows), page.next_page_token))


@blueprint.post("/workflows")
@operation(answers={201: created("Workflow")}, body="NewWorkflow", problems=(507,), repeat="key")
def create_workflow() -> Response:
    """Checks and stores a workflow."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    workflow_id = fields.text("id", required=True)
    made = agents_pb2.CreateWorkflowRequest(
        workflow=_workflow(fields, workflow_id), request_id=idempotency_key(request)
    )
    stored = unary(door().clients.agents.CreateWorkflow, made).workflow
    return answer(rendering.workflow(stored), 201, {"Location": f"/api/v1/workflows/{stored.workflow_id}"})


@blueprint.get("/workflows/<workflow_id>")
@operation(answers={200: json("Workflow")}, conditional=True)
def get_workflow(workflow_id: str) -> Response:
    """One workflow."""
    Query(request).finish()
    return answer(rendering.workflow(_stored(workflow_id)))


@blueprint.put("/workflows/<workflow_id>")
@operation(
    answers={200: json("Workflow")}, body="ChangedWorkflow", problems=(507,), repeat="key", matched=True
)
def update_workflow(workflow_id: str) -> Response:
    """Replaces a stored workflow; with a revision only the one that has it."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    revision = fields.integer("revision") or 0
    workflow = _workflow(fields, workflow_id)
    if "If-Match" in request.headers:
        stored = _stored(workflow_id)
        check_match(request, rendering.workflow(stored))
        # The service compares it once more, in the moment of the change.
        revision = revision or stored.revision
    workflow.revision = revision
    changed = agents_pb2.UpdateWorkflowRequest(workflow=workflow, request_id=idempotency_key(request))
    return answer(rendering.workflow(unary(door().clients.agents.UpdateWorkflow, changed).workflow))


@blueprint.delete("/workflows/<workflow_id>")
@operation(answers={204: NOTHING}, problems=(409,))
def delete_workflow(workflow_id: str) -> Response:
    """Deletes a stored workflow."""
    Query(request).finish()
    unary(door().clients.agents.DeleteWorkflow, agents_pb2.DeleteWorkflowRequest(workflow_id=workflow_id))
    return Response(status=204)


@blueprint.get("/workflows/<workflow_id>/picture")
@operation(answers={200: _PICTURE})
def draw_workflow(workflow_id: str) -> Response:
    """A workflow as a picture."""
    Query(request).finish()
    return _picture(agents_pb2.DrawWorkflowRequest(workflow_id=workflow_id))


@blueprint.post("/workflows/picture")
@operation(answers={200: _PICTURE}, body="Steps", problems=(404,), repeat="reads")
def draw_steps() -> Response:
    """Steps as a picture: checked, and kept nowhere."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    wanted = agents_pb2.DrawWorkflowRequest(steps=_steps(fields))
    fields.finish()
    return _picture(wanted)


@blueprint.post("/runs/<run_id>/steps/<step_id>/decision")
@operation(
    answers={200: json(record({"run_id": TEXT, "step_id": TEXT, "approved": YES_OR_NO}))},
    body="Decision",
    problems=(409,),
    repeat="same",
)
def decide_step(run_id: str, step_id: str) -> Response:
    """Approves or rejects a step that waits. The same decision again changes nothing."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    if not fields.has("approved"):
        raise invalid("approved", "true or false is needed")
    decision = agents_pb2.DecideStepRequest(
        run_id=run_id, step_id=step_id, approved=fields.boolean("approved"), comment=fields.text("comment")
    )
    fields.finish()
    unary(door().clients.agents.DecideStep, decision)
    return answer({"run_id": run_id, "step_id": step_id, "approved": decision.approved})


def _stored(workflow_id: str) -> workflow_pb2.Workflow:
    return unary(
        door().clients.agents.GetWorkflow, agents_pb2.GetWorkflowRequest(workflow_id=workflow_id)
    ).workflow


def _steps(fields: Fields) -> list[workflow_pb2.WorkflowStep]:
    """The field `steps`; none when it is not there."""
    found = steps.steps(fields.objects("steps")) if fields.has("steps") else []
    fields.drop("steps")
    return found


def _workflow(fields: Fields, workflow_id: str) -> workflow_pb2.Workflow:
    """What somebody wants to be stored. Takes the rest of the fields."""
    made = workflow_pb2.Workflow(
        workflow_id=workflow_id,
        title=fields.text("title"),
        description=fields.text("description"),
        steps=_steps(fields),
    )
    fields.finish()
    return made


def _picture(wanted: agents_pb2.DrawWorkflowRequest) -> Response:
    drawn = unary(door().clients.agents.DrawWorkflow, wanted)
    return Response(drawn.svg, mimetype="image/svg+xml", headers={"Content-Security-Policy": CONTENT_POLICY})


def _own(upstream: Upstream[agents_pb2.RunWorkflowResponse], client: Client) -> agents_pb2.RunAgentResponse:
    """The next event of the workflow itself."""
    while True:
        said = upstream.first(client)
        if not said.step_id:
            return said.event


def _result(upstream: Upstream[agents_pb2.RunWorkflowResponse], client: Client) -> agents_pb2.RunResult:
    """The answer of a workflow. Raises ProblemError when it ended without one."""
    while (event := _own(upstream, client)).WhichOneof("event") != "ended":
        pass
    raise_failure(event)
    return event.ended.result


def _event(said: agents_pb2.RunWorkflowResponse) -> bytes:
    """Only the workflow's own events have an id: from there it can be followed again."""
    event = said.event
    shown = rendering.run_event(event) | {"step_id": said.step_id or None}
    return sse(event.WhichOneof("event") or "unknown", shown, None if said.step_id else event.sequence)
