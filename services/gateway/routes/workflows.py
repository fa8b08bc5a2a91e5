"""Workflows: several agents at work, each on its step, and decisions that steps wait for."""

from __future__ import annotations

import contextlib

from flask import Blueprint, Response, request

from meldrag.agents.v1 import agents_pb2
from services.gateway import rendering, steps
from services.gateway.body import idempotency_key, json_object
from services.gateway.calls import Client, Upstream, stream, unary
from services.gateway.door import answer, door
from services.gateway.problem import invalid
from services.gateway.routes.runs import raise_failure, started
from services.gateway.streaming import Stream, event_response, sse

blueprint = Blueprint("workflows", __name__)


@blueprint.post("/workflows/runs")
def run_workflow() -> Response:
    """Runs steps, or a workflow by its name: answers as POST /runs does, with the events of all steps."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    as_events, background = fields.boolean("stream"), fields.boolean("background")
    if as_events and background:
        raise invalid("background", "a run in the background is followed under its events_url")
    message = agents_pb2.RunWorkflowRequest(
        message=fields.text("message", required=True),
        steps=steps.steps(fields.objects("steps")) if fields.has("steps") else (),
        workflow_id=fields.text("workflow"),
        inputs=fields.struct("inputs"),
        session_id=fields.text("session_id"),
        collection_ids=fields.texts("collections"),
        request_id=idempotency_key(request),
        detached=background,
    )
    fields.drop("steps")
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


@blueprint.post("/runs/<run_id>/steps/<step_id>/decision")
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
