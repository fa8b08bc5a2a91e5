"""What works, and what says why it does not, while a part of the house is down, frozen or left alone.

The processes are real and under the test's hand (tests/support/fleet.py); the
model is a scripted server that speaks the real protocol.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import httpx
import pytest

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc
from tests.support.fleet import Fleet, running_fleet
from tests.support.model_server import Answer, ModelServer
from tests.support.waits import promised

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

QUESTION = "How deep is the harbour of Elmsund?"
TEXT = "# Elmsund\n\nThe harbour of Elmsund is fourteen metres deep. Its light burns since 1871.\n"
SLOW = Answer("The harbour is fourteen metres deep [1]. " * 60, delay=0.05)
OVERRUN_SECONDS = 0.25


@dataclass
class Scene:
    """A ready house with one document, and the model that it asks."""

    fleet: Fleet
    model: ModelServer
    session_id: str
    document_id: str

    def url(self, path: str) -> str:
        return f"{self.fleet.base_url}{path}"

    def ask(
        self,
        *,
        timeout: float = 30,
        request_timeout: str | None = None,
        http: httpx.Client | None = None,
        **body: object,
    ) -> httpx.Response:
        headers = {} if request_timeout is None else {"Request-Timeout": request_timeout}
        payload = {"agent": "research", "message": QUESTION, "collections": ["harbours"], **body}
        post = httpx.post if http is None else http.post
        return post(self.url("/api/v1/runs"), json=payload, headers=headers, timeout=timeout)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    # The breaker of the model must not stay open between tests, so failures are few and far between.
    with (
        ModelServer(forever=SLOW, strict=False) as model,
        running_fleet(
            tmp_path_factory.mktemp("house"),
            {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "sk-scripted-key"},
        ) as fleet,
    ):
        api = f"{fleet.base_url}/api/v1"
        httpx.post(f"{api}/collections", json={"name": "harbours"}).raise_for_status()
        files = {"file": ("elmsund.md", TEXT.encode(), "text/markdown")}
        document = httpx.post(
            f"{api}/collections/harbours/documents", files=files, timeout=30
        ).raise_for_status()
        session = httpx.post(f"{api}/sessions", json={"title": "Harbours"}).raise_for_status()
        yield Scene(fleet, model, session.json()["id"], document.json()["id"])


@pytest.fixture(autouse=True)
def whole_again(scene: Scene) -> Iterator[None]:
    """Each test leaves a house that is ready."""
    yield
    scene.fleet.wait_ready(15)


def names_down(scene: Scene) -> set[str]:
    _, body = scene.fleet.readiness()
    down, degraded = body.get("down", []), body.get("degraded", [])
    assert isinstance(down, list)
    assert isinstance(degraded, list)
    return {*down, *degraded}


def eventually(condition: Callable[[], bool], seconds: float) -> float:
    began, seconds = time.monotonic(), promised(seconds)
    while not condition():
        assert time.monotonic() - began < seconds, f"did not become true within {seconds} s"
        time.sleep(0.03)
    return time.monotonic() - began


def refused(answer: httpx.Response) -> str:
    """The reason of a 503."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["reason"]
    assert problem["detail"]
    assert problem["request_id"]
    return str(problem["reason"])


def get(scene: Scene, path: str) -> httpx.Response:
    return httpx.get(scene.url(path), timeout=10)


SEARCH = {"query": "harbour depth"}
ROUTES: dict[str, tuple[str, Callable[[Scene], httpx.Response]]] = {
    # name: (what it needs, the call)
    "agents": ("agents", lambda s: get(s, "/api/v1/agents")),
    "document": ("vector", lambda s: get(s, f"/api/v1/collections/harbours/documents/{s.document_id}")),
    "search": (
        "vector",
        lambda s: httpx.post(s.url("/api/v1/collections/harbours/search"), json=SEARCH, timeout=10),
    ),
    "sessions": ("session", lambda s: get(s, "/api/v1/sessions")),
    "messages": ("session", lambda s: get(s, f"/api/v1/sessions/{s.session_id}/messages")),
    "page": ("gateway", lambda s: get(s, "/")),
}


@pytest.mark.parametrize(
    ("victim", "needed_by", "names"),
    [
        ("redis", "session", {"session", "redis"}),
        ("session", "session", {"session"}),
        ("vector", "vector", {"vector"}),
        ("agents", "agents", {"agents"}),
    ],
)
def test_what_needs_the_dead_part_says_so_and_the_rest_works(
    scene: Scene, victim: str, needed_by: str, names: set[str]
) -> None:
    scene.fleet.kill(victim)
    try:
        eventually(lambda: names <= names_down(scene), 3)
        assert scene.fleet.readiness()[0] == 503
        assert get(scene, "/livez").status_code == 200
        for route, (needs, call) in ROUTES.items():
            answer = call(scene)
            if needs == needed_by:
                refused(answer)
            else:
                assert answer.status_code == 200, (route, answer.text)
    finally:
        scene.fleet.start(victim)
    scene.fleet.wait_ready(15)
    # Each worker of the gateway has a channel of its own, which comes back by itself.
    for _, call in ROUTES.values():
        eventually(lambda call=call: call(scene).status_code == 200, 5)


def test_without_redis_a_run_works_and_says_what_it_did_without(scene: Scene) -> None:
    scene.fleet.kill("redis")
    try:
        eventually(lambda: "redis" in names_down(scene), 3)
        answer = scene.ask()
        assert answer.status_code == 200, answer.text
        assert [entry["component"] for entry in answer.json()["degraded"]] == ["session"]
        assert answer.json()["citations"]
        refused(scene.ask(session_id=scene.session_id))
    finally:
        scene.fleet.start("redis")
    eventually(lambda: get(scene, f"/api/v1/sessions/{scene.session_id}").status_code == 200, 5)


def test_recovery_needs_nobody(scene: Scene) -> None:
    """From the moment that Redis is back, its routes work within five seconds."""
    scene.fleet.kill("redis")
    eventually(lambda: "redis" in names_down(scene), 3)
    scene.fleet.start("redis")
    eventually(lambda: scene.fleet.readiness()[0] == 200, 5)


def test_without_the_model_the_answer_is_extractive_and_says_so(scene: Scene) -> None:
    scene.model.close()
    try:
        eventually(lambda: "model" in names_down(scene), 5)
        status, body = scene.fleet.readiness()
        assert (status, body["status"]) == (200, "degraded")
        answer = scene.ask().json()
        assert answer["answer_mode"] == "EXTRACTIVE"
        assert "model" in [entry["component"] for entry in answer["degraded"]]
        assert "fourteen metres" in answer["text"]
        assert answer["citations"][0]["quote"] in TEXT
    finally:
        scene.model = ModelServer(
            forever=Answer("It is fourteen metres deep [1]."), strict=False, port=scene.model.port
        )
        scene.model.__enter__()
    eventually(lambda: "model" not in names_down(scene), 5)
    eventually(lambda: scene.ask().json()["answer_mode"] == "GENERATIVE", 40)
    scene.model._forever = SLOW


@pytest.mark.parametrize("victim", ["redis", "session", "vector", "agents"])
def test_a_frozen_part_makes_no_request_outlive_its_deadline(scene: Scene, victim: str) -> None:
    """Show 5: the answer comes by the deadline that the client named, and a quarter second."""
    scene.fleet.pause(victim)
    overruns = {}
    # One client, made before: what it takes to make one is not the house's time.
    http = httpx.Client(timeout=10)
    try:
        calls: dict[str, Callable[[], httpx.Response]] = {
            "run": lambda: scene.ask(request_timeout="1", http=http),
            "run in a session": lambda: scene.ask(
                request_timeout="1", http=http, session_id=scene.session_id
            ),
            "search": lambda: http.post(
                scene.url("/api/v1/collections/harbours/search"),
                json=SEARCH,
                headers={"Request-Timeout": "1"},
            ),
            "sessions": lambda: http.get(scene.url("/api/v1/sessions"), headers={"Request-Timeout": "1"}),
            "agents": lambda: http.get(scene.url("/api/v1/agents"), headers={"Request-Timeout": "1"}),
            "livez": lambda: http.get(scene.url("/livez")),
        }
        for name, call in calls.items():
            began = time.monotonic()
            answer = call()
            took = time.monotonic() - began
            assert answer.status_code in {200, 503, 504}, (name, answer.text)
            if took > 1 + promised(OVERRUN_SECONDS):
                overruns[name] = round(took, 3)
    finally:
        scene.fleet.resume(victim)
        http.close()
    assert not overruns


def closed_within(scene: Scene, exchanges: int, left: Callable[[], object]) -> float:
    """Seconds from the caller's leaving until the model server sees its socket close."""
    exchange = scene.model.wait_chats(exchanges + 1, promised(15))[exchanges]
    time.sleep(0.3)  # some text is on its way
    began = time.monotonic()
    left()
    assert exchange.wait_abandoned(promised(5)), "the model's socket was never closed"
    assert exchange.abandoned is not None
    return exchange.abandoned - began


def test_an_http_client_that_leaves_its_stream_stops_the_model(scene: Scene) -> None:
    before = len(scene.model.chats)
    with httpx.Client(timeout=20) as http:
        body = {"agent": "research", "message": QUESTION, "collections": ["harbours"], "stream": True}
        stream = http.stream("POST", scene.url("/api/v1/runs"), json=body)
        answer = stream.__enter__()
        lines = answer.iter_lines()
        next(lines)
        assert closed_within(scene, before, answer.close) < promised(1)


def test_an_http_client_that_leaves_while_it_waits_stops_the_model(scene: Scene) -> None:
    before = len(scene.model.chats)
    client = httpx.Client(timeout=20)
    body = {"agent": "research", "message": QUESTION, "collections": ["harbours"], "stream": False}

    def wait() -> None:
        try:
            client.post(scene.url("/api/v1/runs"), json=body, timeout=1.5)
        except httpx.HTTPError:
            return

    waiting = threading.Thread(target=wait)
    began = time.monotonic()
    waiting.start()
    exchange = scene.model.wait_chats(before + 1, promised(15))[before]
    assert exchange.wait_abandoned(promised(6))
    assert exchange.abandoned is not None
    assert exchange.abandoned - (began + 1.5) < promised(1)
    waiting.join()
    client.close()


def test_a_grpc_client_that_leaves_stops_the_model(scene: Scene) -> None:
    before = len(scene.model.chats)
    with grpc.insecure_channel(f"127.0.0.1:{scene.fleet.ports['agents']}") as channel:
        call = agents_pb2_grpc.AgentServiceStub(channel).RunAgent(
            agents_pb2.RunAgentRequest(agent_id="research", message=QUESTION, collection_ids=["harbours"]),
            timeout=20,
        )
        next(call)
        assert closed_within(scene, before, call.cancel) < promised(1)


def test_a_gateway_that_dies_stops_the_model(scene: Scene) -> None:
    before = len(scene.model.chats)

    def stream() -> None:
        body = {"agent": "research", "message": QUESTION, "collections": ["harbours"], "stream": True}
        try:
            with httpx.stream("POST", scene.url("/api/v1/runs"), json=body, timeout=20) as answer:
                for _ in answer.iter_lines():
                    pass
        except httpx.HTTPError:
            return

    reader = threading.Thread(target=stream)
    reader.start()
    try:
        assert closed_within(scene, before, lambda: scene.fleet.kill("gateway")) < promised(1)
    finally:
        scene.fleet.start("gateway")
        reader.join()


def test_a_cancelled_run_stops_the_model_and_is_recorded_as_cancelled(scene: Scene) -> None:
    before = len(scene.model.chats)
    started = scene.ask(background=True)
    assert started.status_code == 202, started.text
    run = started.json()
    cancel = scene.url(f"/api/v1/runs/{run['run_id']}/cancel")
    assert closed_within(scene, before, lambda: httpx.post(cancel).raise_for_status()) < promised(1)
    with httpx.stream("GET", scene.url(f"/api/v1/runs/{run['run_id']}/events"), timeout=10) as answer:
        text = "".join(answer.iter_text())
    assert text.count("event: ended") == 1
    assert "CANCELLED" in text


def test_a_background_run_outlives_its_gateway(scene: Scene) -> None:
    scene.model._forever = Answer("The harbour is fourteen metres deep [1]. " * 8, delay=0.05)
    try:
        run = scene.ask(background=True).json()
        time.sleep(0.5)
        scene.fleet.kill("gateway")
        scene.fleet.start("gateway")
        scene.fleet.wait_ready(10)
        url = scene.url(f"/api/v1/runs/{run['run_id']}/events")
        sequences, ended = [], 0
        with httpx.stream("GET", url, headers={"Last-Event-ID": "2"}, timeout=20) as answer:
            for line in answer.iter_lines():
                if line.startswith("id:"):
                    sequences.append(int(line[3:]))
                ended += line == "event: ended"
        assert sequences == list(range(3, 3 + len(sequences)))
        assert ended == 1
    finally:
        scene.model._forever = SLOW
