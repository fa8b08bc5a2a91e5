from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from google.protobuf import any_pb2

from meldrag.agents.v1 import agents_pb2, results_pb2
from meldrag.session.v1 import session_pb2
from services.chassis.errors import (
    AbortedError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    UnavailableError,
)
from tests.unit.gateway.routes.test_documents import events
from tests.unit.gateway.scripted_services import ScriptedServices

URL = "/api/v1/runs"


def event(sequence: int, **what: Any) -> agents_pb2.RunAgentResponse:
    return agents_pb2.RunAgentResponse(run_id="run_1", sequence=sequence, **what)


STARTED = event(1, started=agents_pb2.RunStarted(agent_id="auto", recorded=True))
RESULT = agents_pb2.RunResult(
    run_id="run_1",
    agent_id="research",
    answer_mode=agents_pb2.ANSWER_MODE_EXTRACTIVE,
    text="Yes.",
    result=results_pb2.AgentResult(research=results_pb2.ResearchResult(confidence=1)),
)
ENDED = event(3, ended=agents_pb2.RunEnded(outcome=agents_pb2.RUN_OUTCOME_SUCCEEDED, result=RESULT))
EVENTS = [STARTED, event(2, text=agents_pb2.TextDelta(text="Yes.\nNo")), ENDED]


def failed(
    code: int, reason: str, outcome: Any = agents_pb2.RUN_OUTCOME_FAILED
) -> agents_pb2.RunAgentResponse:
    error = agents_pb2.RunError(reason=reason, message="said why", code=code)
    return event(2, ended=agents_pb2.RunEnded(outcome=outcome, error=error))


def test_a_run_answers_with_its_result(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunAgent"] = EVENTS
    answer = http.post(URL, json={"message": "Is it so?"})
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["run_id"], answer.json["agent"], answer.json["text"]) == ("run_1", "research", "Yes.")
    assert answer.json["result"]["confidence"] == 1
    assert services.requests["RunAgent"] == [agents_pb2.RunAgentRequest(agent_id="auto", message="Is it so?")]


def test_every_parameter_reaches_the_agents(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunAgent"] = EVENTS
    body = {
        "agent": "ceo",
        "message": "m",
        "session_id": "s",
        "collections": ["a", "b"],
        "inputs": {"options": ["x", "y"]},
        "top_k": 7,
        "temperature": 0,
        "max_output_tokens": 100,
    }
    assert http.post(URL, json=body, headers={"Idempotency-Key": "k"}).status_code == 200
    asked = services.requests["RunAgent"][0]
    assert (asked.agent_id, asked.session_id, list(asked.collection_ids)) == ("ceo", "s", ["a", "b"])
    assert (asked.top_k, asked.temperature, asked.max_output_tokens) == (7, 0, 100)
    assert asked.HasField("temperature")
    assert (asked.request_id, asked.detached) == ("k", False)
    assert list(asked.inputs["options"]) == ["x", "y"]


def test_events_stream_with_their_sequence_as_id(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunAgent"] = EVENTS
    answer = http.post(URL, json={"message": "m", "stream": True})
    assert answer.content_type == "text/event-stream"
    assert answer.headers["X-Accel-Buffering"] == "no"
    got = events(answer)
    assert [(item["id"], item["event"]) for item in got] == [("1", "started"), ("2", "text"), ("3", "ended")]
    assert got[1]["data"]["text"] == {"text": "Yes.\nNo", "reset": False}
    assert got[2]["data"]["ended"]["result"]["text"] == "Yes."


FAILURES = [
    (failed(14, "RETRIEVAL_UNAVAILABLE"), 503),
    (failed(3, "INPUTS_INVALID"), 400),
    (failed(8, "BUDGET_EXHAUSTED"), 429),
    (failed(13, "RESULT_INVALID"), 500),
    (failed(4, "DEADLINE"), 504),
    (failed(99, "NEW_REASON"), 500),
    (failed(1, "CANCELLED", agents_pb2.RUN_OUTCOME_CANCELLED), 409),
    (UnavailableError("x", reason="MODEL_TRUNCATED"), 503),
    (NotFoundError("x", reason="AGENT_NOT_FOUND"), 404),
    (InvalidArgumentError("x", reason="INVALID_FIELD"), 400),
    (FailedPreconditionError("x", reason="REQUEST_ID_REUSED"), 422),
    (AbortedError("x", reason="RUN_IN_PROGRESS"), 409),
    ([], 502),
]


@pytest.mark.parametrize(("scripted", "status"), FAILURES, ids=lambda value: str(value)[:50])
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_is_never_200(
    http: FlaskClient, services: ScriptedServices, scripted: Any, status: int, stream: bool
) -> None:
    services.script["RunAgent"] = scripted
    answer = http.post(URL, json={"message": "m", "stream": stream})
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


def test_a_run_that_fails_after_events_is_a_problem_as_json(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = [STARTED, failed(14, "MODEL_TRUNCATED")]
    answer = http.post(URL, json={"message": "m"})
    assert (answer.status_code, answer.json["reason"]) == (503, "MODEL_TRUNCATED")
    assert answer.json["metadata"] == {"run_id": "run_1"}


def test_a_run_without_an_end_is_a_problem(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunAgent"] = [STARTED]
    assert http.post(URL, json={"message": "m"}).status_code == 502


def test_a_running_request_id_says_when_to_come_back(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["RunAgent"] = AbortedError("runs", reason="RUN_IN_PROGRESS")
    answer = http.post(URL, json={"message": "m"}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "1")


@pytest.mark.parametrize(
    ("tail", "last"),
    [
        ([UnavailableError("gone", reason="SESSION_UNAVAILABLE")], ["error"]),
        ([failed(14, "MODEL_TRUNCATED")], ["ended"]),
        ([ENDED], ["ended"]),
    ],
    ids=["error", "failed", "succeeded"],
)
def test_a_stream_ends_exactly_once(
    http: FlaskClient, services: ScriptedServices, tail: list[Any], last: list[str]
) -> None:
    services.script["RunAgent"] = [STARTED, *tail]
    names = [item["event"] for item in events(http.post(URL, json={"message": "m", "stream": True}))]
    assert [name for name in names if name in ("error", "ended")] == last == names[-1:]


def test_a_run_in_the_background_is_left_once_it_can_be_followed(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = EVENTS
    answer = http.post(URL, json={"message": "m", "background": True})
    assert answer.status_code == 202
    assert answer.json == {"run_id": "run_1", "events_url": "/api/v1/runs/run_1/events"}
    assert answer.headers["Location"] == "/api/v1/runs/run_1"
    assert services.requests["RunAgent"][0].detached


def test_a_run_that_cannot_be_followed_is_not_left_alone(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["RunAgent"] = [event(1, started=agents_pb2.RunStarted(recorded=False)), ENDED]
    services.script["CancelRun"] = agents_pb2.CancelRunResponse(cancelled=True)
    answer = http.post(URL, json={"message": "m", "background": True})
    assert (answer.status_code, answer.json["reason"]) == (503, "SESSION_UNAVAILABLE")
    assert services.requests["CancelRun"] == [agents_pb2.CancelRunRequest(run_id="run_1")]


def test_stream_and_background_exclude_each_other(http: FlaskClient, services: ScriptedServices) -> None:
    answer = http.post(URL, json={"message": "m", "background": True, "stream": True})
    assert answer.status_code == 400


BAD: list[dict[str, Any]] = [
    {},
    {"message": None},
    {"message": 5},
    {"message": "a\0b"},
    {"message": "m", "session_id": "a\0b"},
    {"message": "m", "collections": ["a\0b"]},
    *({"message": "m", "top_k": top_k} for top_k in (0, -1, 10**10, "5", 2.5, True)),
    {"message": "m", "temperature": "hot"},
    {"message": "m", "temperature": True},
    {"message": "m", "collections": "papers"},
    {"message": "m", "collections": [1]},
    {"message": "m", "inputs": []},
    {"message": "m", "inputs": {"n": 2**60}},
    {"message": "m", "stream": "yes"},
    {"message": "m", "tenant_id": "other"},
    {"message": "m", "role": "admin"},
    {"message": "m", "detached": True},
]


@pytest.mark.parametrize("body", BAD, ids=str)
def test_a_wrong_field_is_400_and_never_reaches_the_agents(
    http: FlaskClient, services: ScriptedServices, body: dict[str, Any]
) -> None:
    answer = http.post(URL, json=body)
    assert answer.status_code == 400
    assert not services.requests


def recorded(*payloads: agents_pb2.RunAgentResponse) -> session_pb2.WatchRunResponse:
    return session_pb2.WatchRunResponse(
        events=[session_pb2.RunEvent(sequence=item.sequence, payload=packed(item)) for item in payloads]
    )


def packed(message: agents_pb2.RunAgentResponse) -> any_pb2.Any:
    result = any_pb2.Any()
    result.Pack(message)
    return result


def record(state: Any, last_sequence: int = 3) -> session_pb2.GetRunResponse:
    run = session_pb2.Run(run_id="run_1", agent_id="research", state=state, last_sequence=last_sequence)
    return session_pb2.GetRunResponse(run=run)


def test_a_recorded_run_is_answered_from_its_last_event(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["GetRun"] = record(session_pb2.RUN_STATE_SUCCEEDED)
    services.script["WatchRun"] = recorded(ENDED)
    answer = http.get(f"{URL}/run_1")
    assert answer.json is not None
    assert (answer.json["state"], answer.json["text"], answer.json["error"]) == ("SUCCEEDED", "Yes.", None)
    assert answer.json["answer_mode"] == "EXTRACTIVE"
    assert services.requests["WatchRun"] == [session_pb2.WatchRunRequest(run_id="run_1", after_sequence=2)]


def test_a_failed_run_tells_its_error(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetRun"] = record(session_pb2.RUN_STATE_FAILED, 2)
    services.script["WatchRun"] = recorded(failed(14, "MODEL_TRUNCATED"))
    answer = http.get(f"{URL}/run_1")
    assert (answer.json["state"], answer.json["text"]) == ("FAILED", None)
    assert answer.json["error"] == {"reason": "MODEL_TRUNCATED", "message": "said why", "code": 14}


def test_a_run_that_works_is_not_waited_for(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetRun"] = record(session_pb2.RUN_STATE_RUNNING)
    answer = http.get(f"{URL}/run_1")
    assert (answer.json["state"], answer.json["text"]) == ("RUNNING", None)
    assert "WatchRun" not in services.requests


def test_runs_are_listed_by_session(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["ListRuns"] = session_pb2.ListRunsResponse(runs=[session_pb2.Run(run_id="run_1")])
    assert http.get(f"{URL}?session_id=s&page_size=5").json["runs"][0]["run_id"] == "run_1"
    assert services.requests["ListRuns"] == [session_pb2.ListRunsRequest(session_id="s", page_size=5)]


@pytest.mark.parametrize(
    ("headers", "query", "after"),
    [
        ({}, "", 0),
        ({"Last-Event-ID": "2"}, "", 2),
        ({}, "?after=2", 2),
        ({"Last-Event-ID": "2"}, "?after=1", 2),
    ],
    ids=["from the first", "header", "query", "header first"],
)
def test_events_are_followed_from_a_place_on(
    http: FlaskClient, services: ScriptedServices, headers: dict[str, str], query: str, after: int
) -> None:
    services.script["WatchRun"] = [recorded(EVENTS[1]), recorded(), recorded(ENDED)]
    answer = http.get(f"{URL}/run_1/events{query}", headers=headers)
    assert [(item["id"], item["event"]) for item in events(answer)] == [("2", "text"), ("3", "ended")]
    assert services.requests["WatchRun"][0].after_sequence == after


@pytest.mark.parametrize(
    ("mode", "html"),
    [
        (agents_pb2.ANSWER_MODE_GENERATIVE, "<p><em>Yes</em> [1].</p>\n"),
        (agents_pb2.ANSWER_MODE_EXTRACTIVE, None),
    ],
)
def test_what_a_model_wrote_comes_as_html_for_those_who_ask(
    http: FlaskClient, services: ScriptedServices, mode: Any, html: str | None
) -> None:
    ended = agents_pb2.RunAgentResponse(run_id="run_1", sequence=3)
    ended.ended.outcome = agents_pb2.RUN_OUTCOME_SUCCEEDED
    ended.ended.result.MergeFrom(agents_pb2.RunResult(answer_mode=mode, text="*Yes* [1]."))
    for query, added in [("", {}), ("?render=html", {"html": html})]:
        services.script["WatchRun"] = [recorded(EVENTS[1]), recorded(ended)]
        _, last = events(http.get(f"{URL}/run_1/events{query}"))
        result = last["data"]["ended"]["result"]
        assert result["text"] == "*Yes* [1]."
        assert {name: result[name] for name in result if name == "html"} == added
    assert http.get(f"{URL}/run_1/events?render=svg").status_code == 400


@pytest.mark.parametrize("last", ["abc", "-1", "1.5", "9" * 19, "9" * 40, "run_2:5", "١"])
def test_a_forged_last_event_id_is_400(http: FlaskClient, services: ScriptedServices, last: str) -> None:
    answer = http.get(f"{URL}/run_1/events", headers={"Last-Event-ID": last})
    assert answer.status_code == 400
    assert not services.requests


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("no", reason="RUN_NOT_FOUND"), 404),
        (OutOfRangeError("gone", reason="EVENTS_EXPIRED"), 410),
        (InvalidArgumentError("beyond", reason="INVALID_FIELD"), 400),
        (UnavailableError("down", reason="STORE_UNAVAILABLE"), 503),
    ],
    ids=["other stream", "too old", "beyond the end", "store down"],
)
def test_a_watch_that_is_refused_has_its_status(
    http: FlaskClient, services: ScriptedServices, error: Exception, status: int
) -> None:
    services.script["WatchRun"] = error
    assert http.get(f"{URL}/run_1/events").status_code == status


def test_after_the_end_a_browser_is_told_to_stop_asking(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["WatchRun"] = []
    assert http.get(f"{URL}/run_1/events", headers={"Last-Event-ID": "3"}).status_code == 204


def test_a_run_is_cancelled(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["CancelRun"] = agents_pb2.CancelRunResponse(cancelled=True)
    assert http.post(f"{URL}/run_1/cancel").json == {"run_id": "run_1", "cancelled": True}
    assert http.post(f"{URL}/run_1/cancel", json={}).status_code == 200
    assert http.post(f"{URL}/run_1/cancel", json={"force": True}).status_code == 400


def test_a_replay_says_whether_all_is_the_same(http: FlaskClient, services: ScriptedServices) -> None:
    same = agents_pb2.ReplayOutcome(identical=True)
    services.script["ReplayRun"] = [
        agents_pb2.ReplayRunResponse(event=event(1, started=agents_pb2.RunStarted())),
        agents_pb2.ReplayRunResponse(event=ENDED, outcome=same),
    ]
    answer = http.post(f"{URL}/run_1/replay").json
    assert (answer["run_id"], answer["identical"], answer["difference"]) == ("run_1", True, None)
    assert answer["ended"]["outcome"] == "SUCCEEDED"
    assert services.requests["ReplayRun"] == [agents_pb2.ReplayRunRequest(run_id="run_1")]


def test_a_replay_names_the_first_difference(http: FlaskClient, services: ScriptedServices) -> None:
    difference = agents_pb2.ReplayDifference(
        kind="model", position=4, recorded="Be brief", repeated="Be brave", path="$.messages[0].text"
    )
    other = agents_pb2.ReplayOutcome(difference=difference)
    services.script["ReplayRun"] = [agents_pb2.ReplayRunResponse(outcome=other)]
    assert http.post(f"{URL}/run_1/replay", json={}).json == {
        "run_id": "run_1",
        "identical": False,
        "difference": {
            "kind": "model",
            "position": 4,
            "recorded": "Be brief",
            "repeated": "Be brave",
            "path": "$.messages[0].text",
        },
        "ended": None,
    }
    services.script["ReplayRun"] = FailedPreconditionError(
        "no journal", reason="NOT_REPLAYABLE", metadata={"run_id": "run_1", "cause": "no journal"}
    )
    refused = http.post(f"{URL}/run_1/replay")
    assert (refused.status_code, refused.json["reason"]) == (409, "NOT_REPLAYABLE")
    services.script["ReplayRun"] = []
    assert http.post(f"{URL}/run_1/replay").status_code == 502
    assert http.post(f"{URL}/run_1/replay", json={"more": 1}).status_code == 400
