"""Runs: agents at work, as an answer, as events, or in the background."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, request

from meldrag.agents.v1 import agents_pb2
from meldrag.session.v1 import session_pb2
from services.gateway import rendered, rendering
from services.gateway.body import Query, idempotency_key, json_object, no_body
from services.gateway.calls import Client, EndOfStreamError, Upstream, client_gone, stream, unary
from services.gateway.door import answer, door
from services.gateway.openapi.operation import Answer, Parameter, json, operation, pages, streams, text_of
from services.gateway.openapi.resources import TEXT, YES_OR_NO
from services.gateway.openapi.schema import record
from services.gateway.problem import ProblemError, from_code, invalid
from services.gateway.streaming import Stream, event_response, last_event_id, sse

blueprint = Blueprint("runs", __name__)

STARTED = json(record({"run_id": TEXT, "events_url": TEXT}), headers=("Location",))
_SEQUENCE = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}

_REFUSAL_SECONDS = 1.0


@blueprint.post("/runs")
@operation(
    answers={200: streams("RunEvent", also="RunResult"), 202: STARTED},
    body="NewRun",
    problems=(404, 502),
    repeat="key",
)
def create_run() -> Response:
    """Lets an agent work: answers with its result, with its events, or at once when in the background."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    as_events, background = fields.boolean("stream"), fields.boolean("background")
    if as_events and background:
        raise invalid("background", "a run in the background is followed under its events_url")
    message = agents_pb2.RunAgentRequest(
        agent_id=fields.text("agent") or "auto",
        message=fields.text("message", required=True),
        session_id=fields.text("session_id"),
        collection_ids=fields.texts("collections"),
        inputs=fields.struct("inputs"),
        request_id=idempotency_key(request),
        detached=background,
        top_k=fields.integer("top_k", minimum=1),
        temperature=fields.number("temperature"),
        max_output_tokens=fields.integer("max_output_tokens", minimum=1),
    )
    fields.finish()
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        # A run that is waited for holds a thread as long as a stream does.
        held.callback(door().slots.take())
        upstream = stream(door().clients.agents.RunAgent, message)
        held.callback(upstream.close)
        if background:
            return started(lambda: upstream.first(client))
        if not as_events:
            return answer(rendering.run_result(_result(upstream, client)))
        first = upstream.first(client)
        raise_failure(first)
        body = Stream(upstream, client, door().drain, door().settings.meld_heartbeat_seconds, _event)
        return event_response(body.chunks(first), held.pop_all().close)


def _result(upstream: Upstream[agents_pb2.RunAgentResponse], client: Client) -> agents_pb2.RunResult:
    """The answer of a run. Raises ProblemError when it ended without one."""
    with contextlib.suppress(EndOfStreamError):
        while True:
            event = upstream.wait(client)
            if event.WhichOneof("event") == "ended":
                raise_failure(event)
                return event.ended.result
    raise ProblemError(502, "NO_ANSWER", "the run's events ended before the run")


def raise_failure(event: agents_pb2.RunAgentResponse) -> None:
    """Raises the problem of a run that has ended without an answer."""
    if event.WhichOneof("event") != "ended":
        return
    ended = event.ended
    if ended.outcome == agents_pb2.RUN_OUTCOME_CANCELLED:
        raise ProblemError(409, "RUN_CANCELLED", "the run was cancelled", metadata={"run_id": event.run_id})
    if ended.outcome != agents_pb2.RUN_OUTCOME_SUCCEEDED:
        raise from_code(
            ended.error.code,
            ended.error.reason or "RUN_FAILED",
            ended.error.message or "the run failed",
            metadata={"run_id": event.run_id},
        )


def started(following: Callable[[], agents_pb2.RunAgentResponse]) -> Response:
    """Leaves a detached run once it is known that it can be followed. It goes on by itself.

    following: its next event.
    """
    while True:
        event = following()
        kind = event.WhichOneof("event")
        raise_failure(event)
        if kind == "started":
            break
    if not event.started.recorded:
        unary(door().clients.agents.CancelRun, agents_pb2.CancelRunRequest(run_id=event.run_id))
        raise ProblemError(
            503,
            "SESSION_UNAVAILABLE",
            "the run cannot be recorded now, so it could not be followed",
            retry_after=1.0,
        )
    url = rendering.events_url(event.run_id)
    return answer(
        {"run_id": event.run_id, "events_url": url}, 202, {"Location": f"/api/v1/runs/{event.run_id}"}
    )


def _event(event: agents_pb2.RunAgentResponse) -> bytes:
    return sse(event.WhichOneof("event") or "unknown", rendering.run_event(event), event.sequence)


@blueprint.get("/runs")
@operation(
    answers={200: pages("runs", "RunRecord")},
    query=(text_of("session_id", "Only runs of this session."),),
    problems=(404,),
    paged=True,
)
def list_runs() -> Response:
    """A page of the recorded runs, newest first; of one session when asked."""
    query = Query(request)
    page_size, page_token = query.page()
    session_id = query.text("session_id")
    query.finish()
    page = unary(
        door().clients.session.ListRuns,
        session_pb2.ListRunsRequest(session_id=session_id, page_size=page_size, page_token=page_token),
    )
    return answer(rendering.page("runs", map(rendering.run_record, page.runs), page.next_page_token))


@blueprint.get("/runs/<run_id>")
@operation(answers={200: json("Run")}, conditional=True)
def get_run(run_id: str) -> Response:
    """A recorded run: how it stands, and its answer once it has one."""
    Query(request).finish()
    record = unary(door().clients.session.GetRun, session_pb2.GetRunRequest(run_id=run_id)).run
    result = rendering.run_record(record)
    ended = _ended(record)
    if ended is not None and ended.HasField("result"):
        result |= rendering.run_result(ended.result)
    else:
        result |= {"answer_mode": None, "text": None, "citations": [], "result": None, "usage": None}
        result |= {"degraded": []}
    failed = ended is not None and ended.HasField("error")
    result["error"] = rendering.run_error(ended.error) if ended is not None and failed else None
    return answer(result)


def _ended(record: session_pb2.Run) -> agents_pb2.RunEnded | None:
    """The last event of a run that has ended."""
    if record.state in (session_pb2.RUN_STATE_UNSPECIFIED, session_pb2.RUN_STATE_RUNNING):
        return None
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        upstream = stream(
            door().clients.session.WatchRun,
            session_pb2.WatchRunRequest(
                run_id=record.run_id, after_sequence=max(0, record.last_sequence - 1)
            ),
        )
        held.callback(upstream.close)
        last = None
        with contextlib.suppress(EndOfStreamError):
            while True:
                for event in _recorded(upstream.wait(client)):
                    if event.WhichOneof("event") == "ended":
                        last = event.ended
        return last


@blueprint.get("/runs/<run_id>/events")
@operation(
    answers={200: streams("RunEvent"), 204: Answer(description="Nothing will ever come after this event.")},
    query=(Parameter("after", _SEQUENCE, "The sequence after which to go on."), rendered.PARAMETER),
    headers=(text_of("Last-Event-ID", "The same, as browsers send it; it goes before."),),
    problems=(410,),
)
def watch_run(run_id: str) -> Response:
    """The events of a run after Last-Event-ID or `after`: those recorded, then those that come."""
    query = Query(request)
    after = last_event_id(request, query.integer("after"))
    shown = rendered.asked(query)
    query.finish()
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        upstream = stream(
            door().clients.session.WatchRun,
            session_pb2.WatchRunRequest(run_id=run_id, after_sequence=after),
        )
        held.callback(upstream.close)
        try:
            first = _soon(upstream, client)
        except EndOfStreamError:
            # Nothing will ever come after this event; 204 tells a browser to stop asking.
            return Response(status=204)
        render = _rendered_events if shown else _recorded_events
        body = Stream(upstream, client, door().drain, door().settings.meld_heartbeat_seconds, render)
        return event_response(body.chunks(first), held.pop_all().close)


def _soon(
    upstream: Upstream[session_pb2.WatchRunResponse], client: Client
) -> session_pb2.WatchRunResponse | None:
    """The first events, or None when the run is silent: then the response begins without them.

    A watch that is refused is refused within this time, while a status can still be sent.
    """
    end = time.monotonic() + _REFUSAL_SECONDS
    while time.monotonic() < end:
        first = upstream.poll(_REFUSAL_SECONDS / 5)
        if first is not None:
            return first
        if client.gone():
            raise client_gone()
    return None


def _recorded(said: session_pb2.WatchRunResponse) -> Iterator[agents_pb2.RunAgentResponse]:
    """The events in a message of the record."""
    for recorded in said.events:
        event = agents_pb2.RunAgentResponse()
        recorded.payload.Unpack(event)
        event.sequence = recorded.sequence
        yield event


def _recorded_events(said: session_pb2.WatchRunResponse) -> bytes:
    return b"".join(map(_event, _recorded(said)))


def _rendered_events(said: session_pb2.WatchRunResponse) -> bytes:
    """The same, with the answer as HTML beside its text."""
    return b"".join(map(_rendered_event, _recorded(said)))


def _rendered_event(event: agents_pb2.RunAgentResponse) -> bytes:
    name, shown = event.WhichOneof("event") or "unknown", rendering.run_event(event)
    if name == "ended" and event.ended.HasField("result"):
        shown[name]["result"] |= rendered.result(event.ended.result)
    return sse(name, shown, event.sequence)


@blueprint.post("/runs/<run_id>/cancel")
@operation(
    answers={200: json(record({"run_id": TEXT, "cancelled": YES_OR_NO}))},
    body="Empty",
    repeat="same",
)
def cancel_run(run_id: str) -> Response:
    """Stops a run; it ends within a second. Cancelling an ended run changes nothing."""
    no_body(request)
    cancelled = unary(door().clients.agents.CancelRun, agents_pb2.CancelRunRequest(run_id=run_id))
    return answer({"run_id": run_id, "cancelled": cancelled.cancelled})


@blueprint.post("/runs/<run_id>/replay")
@operation(answers={200: json("Replay")}, body="Empty", problems=(409, 502), repeat="reads")
def replay_run(run_id: str) -> Response:
    """Runs a recorded run again from its record: whether all is the same, else the first difference."""
    no_body(request)
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        # Like a run that is waited for, it holds a thread.
        held.callback(door().slots.take())
        upstream = stream(door().clients.agents.ReplayRun, agents_pb2.ReplayRunRequest(run_id=run_id))
        held.callback(upstream.close)
        ended, outcome = None, None
        with contextlib.suppress(EndOfStreamError):
            while True:
                said = upstream.wait(client)
                if said.event.WhichOneof("event") == "ended":
                    ended = said.event.ended
                if said.HasField("outcome"):
                    outcome = said.outcome
    if outcome is None:
        raise ProblemError(502, "NO_ANSWER", "the replay ended before it was known how it went")
    return answer({"run_id": run_id} | rendering.replay(outcome, ended))
