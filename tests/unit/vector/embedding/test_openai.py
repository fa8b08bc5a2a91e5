from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from services.vector.embedding.openai import OpenAiEmbedder
from services.vector.embedding.ports import (
    EmbedderDeadlineError,
    EmbedderRejectedError,
    EmbedderTextError,
    EmbedderUnavailableError,
)
from services.vector.embedding.scale import BUILT_IN
from tests.support.waits import promised

KEY = "sk-test-4f0c1e"
DIMENSION = 8

Step = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: Endpoint
    body: dict[str, Any]

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: dict[str, Any]) -> None:
        self.body = body
        self.server.requests.append((time.monotonic(), self.path, self.headers, body))
        try:
            self.server.steps.pop(0)(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Endpoint(ThreadingHTTPServer):
    """Answers each request with the next step of its script, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, *steps: Step) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.steps = list(steps)
        self.requests: list[tuple[float, str, Message, dict[str, Any]]] = []
        self.stopping = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


def raw_vector(text: str, dimension: int = DIMENSION) -> list[float]:
    """Depends on the text, and is not of length 1."""
    return [float(len(text)), float(ord(text[0])), *([1.0] * (dimension - 2))]


def expected(texts: list[str]) -> np.ndarray[Any, Any]:
    rows = np.array([raw_vector(text) for text in texts], np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def vectors(*, encoding: str = "base64", dimension: int = DIMENSION, backwards: bool = False) -> Step:
    def step(handler: Handler) -> None:
        data = []
        for index, text in enumerate(handler.body["input"]):
            floats = raw_vector(text, dimension)
            packed = base64.b64encode(np.array(floats, "<f4").tobytes()).decode()
            data.append({"index": index, "embedding": packed if encoding == "base64" else floats})
        handler.send(200, json.dumps({"data": data[::-1] if backwards else data}).encode())

    return step


def status(code: int, error: str = "", retry_after: str | None = None) -> Step:
    """A failure whose message repeats what it was sent, as some endpoints do."""

    def step(handler: Handler) -> None:
        message = f"{handler.headers['Authorization']} {handler.body}"
        headers = {} if retry_after is None else {"Retry_After": retry_after}
        handler.send(
            code, json.dumps({"error": {"message": message, "code": error or None}}).encode(), **headers
        )

    return step


def body(content: bytes) -> Step:
    return lambda handler: handler.send(200, content)


def hang(handler: Handler) -> None:
    handler.server.stopping.wait(20)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Never silent for long and never at an end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.stopping.wait(0.05):
        handler.wfile.write(b" ")
    handler.close_connection = True


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.stopping.set()
    server.shutdown()
    server.server_close()
    thread.join()
    assert not server.steps, "a step of the script was not asked for"


@pytest.fixture
def embedder(endpoint: Endpoint) -> Iterator[OpenAiEmbedder]:
    client = OpenAiEmbedder(
        model="text-embedding-3-small", dimension=DIMENSION, base_url=endpoint.base_url, api_key=KEY
    )
    yield client
    client.close()


def within(seconds: float) -> float:
    return time.monotonic() + seconds


@pytest.mark.parametrize("encoding", ["base64", "float"])
def test_vectors_come_in_the_order_of_the_texts_and_of_length_one(
    endpoint: Endpoint, embedder: OpenAiEmbedder, encoding: str
) -> None:
    endpoint.steps = [vectors(encoding=encoding, backwards=True)]

    answer = embedder.embed_queries(["one", "three", "z"], deadline=within(5))

    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, expected(["one", "three", "z"]), atol=1e-6)
    _, path, headers, sent = endpoint.requests[0]
    assert path == "/v1/embeddings"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (sent["model"], sent["dimensions"]) == ("text-embedding-3-small", DIMENSION)


def test_a_question_is_a_text_like_others(endpoint: Endpoint, embedder: OpenAiEmbedder) -> None:
    endpoint.steps = [vectors()]

    vector = embedder.embed_question("three", deadline=within(5))

    np.testing.assert_allclose(vector, expected(["three"])[0], atol=1e-6)
    assert endpoint.requests[0][3]["input"] == ["three"]


def test_many_texts_go_in_several_requests(endpoint: Endpoint, embedder: OpenAiEmbedder) -> None:
    endpoint.steps = [vectors(), vectors(), vectors()]
    texts = [chr(97 + i % 26) * (i + 1) for i in range(300)]
    texts += ["é" * 140_000, "large " * 10_000]

    answer = embedder.embed_passages(texts, deadline=within(20))

    np.testing.assert_allclose(answer, expected(texts), atol=1e-6)
    sizes = [
        (len(sent["input"]), sum(len(t.encode()) for t in sent["input"])) for *_, sent in endpoint.requests
    ]
    assert sum(count for count, _ in sizes) == 302
    assert all(count <= 256 and size <= 300_000 for count, size in sizes)


def test_no_texts_ask_for_nothing(embedder: OpenAiEmbedder) -> None:
    assert embedder.embed_passages([], deadline=within(5)).shape == (0, DIMENSION)


def test_a_model_of_one_dimension_is_not_asked_for_another(endpoint: Endpoint) -> None:
    endpoint.steps = [vectors()]
    embedder = OpenAiEmbedder(
        model="nomic-embed-text", dimension=DIMENSION, base_url=endpoint.base_url, api_key=KEY
    )
    embedder.embed_queries(["one"], deadline=within(5))
    embedder.close()
    assert "dimensions" not in endpoint.requests[0][3]


def test_an_endpoint_that_asks_for_no_key_needs_none(endpoint: Endpoint) -> None:
    endpoint.steps = [vectors()]
    embedder = OpenAiEmbedder(
        model="nomic-embed-text", dimension=DIMENSION, base_url=endpoint.base_url, api_key=""
    )
    np.testing.assert_allclose(
        embedder.embed_queries(["one"], deadline=within(5)), expected(["one"]), atol=1e-6
    )
    embedder.close()


def test_its_scale_is_measured_when_it_is_asked_for(endpoint: Endpoint, embedder: OpenAiEmbedder) -> None:
    endpoint.steps = [vectors(), vectors()]
    assert embedder.scale() == BUILT_IN
    end = time.monotonic() + 20
    while embedder.scale() == BUILT_IN and time.monotonic() < end:
        time.sleep(0.02)
    assert embedder.scale() != BUILT_IN
    # Questions and answers, once each.
    assert len(endpoint.requests) == 2


def test_after_its_end_its_scale_is_asked_for_in_vain(endpoint: Endpoint) -> None:
    embedder = OpenAiEmbedder(model="m", dimension=DIMENSION, base_url=endpoint.base_url, api_key=KEY)
    embedder.close()
    assert embedder.scale() == BUILT_IN


def test_an_endpoint_that_is_down_is_not_asked_for_its_scale_again_and_again(
    endpoint: Endpoint, embedder: OpenAiEmbedder
) -> None:
    endpoint.steps = [status(401)]
    for _ in range(40):
        assert embedder.scale() == BUILT_IN
        time.sleep(0.02)
    assert len(endpoint.requests) == 1


def test_retry_after_is_kept(endpoint: Endpoint, embedder: OpenAiEmbedder) -> None:
    endpoint.steps = [status(429, "rate_limit_exceeded", retry_after="0.6"), vectors()]

    answer = embedder.embed_queries(["one"], deadline=within(10))

    np.testing.assert_allclose(answer, expected(["one"]), atol=1e-6)
    (first, *_), (second, *_) = endpoint.requests
    assert second - first >= 0.6


def test_a_wait_beyond_the_deadline_is_not_begun(endpoint: Endpoint, embedder: OpenAiEmbedder) -> None:
    endpoint.steps = [status(429, retry_after="30")]
    started = time.monotonic()

    with pytest.raises(EmbedderUnavailableError, match="429") as failure:
        embedder.embed_queries(["one"], deadline=within(5))

    assert failure.value.retry_after == 30
    assert time.monotonic() - started < promised(2)


def test_a_failure_that_passes_is_tried_again(endpoint: Endpoint, embedder: OpenAiEmbedder) -> None:
    endpoint.steps = [status(500), status(503), vectors()]
    answer = embedder.embed_queries(["one"], deadline=within(10))
    np.testing.assert_allclose(answer, expected(["one"]), atol=1e-6)


def test_a_failure_that_stays_ends_after_five_requests(endpoint: Endpoint, embedder: OpenAiEmbedder) -> None:
    endpoint.steps = [status(500, retry_after="0.01")] * 5
    with pytest.raises(EmbedderUnavailableError, match="500"):
        embedder.embed_queries(["one"], deadline=within(30))
    assert len(endpoint.requests) == 5


@pytest.mark.parametrize(
    ("code", "error", "of_text"),
    [
        (400, "context_length_exceeded", True),
        (413, "too_large", True),
        (422, "unprocessable", True),
        (401, "invalid_api_key", False),
        (403, "forbidden", False),
        (404, "model_not_found", False),
        (429, "insufficient_quota", False),
    ],
)
def test_a_refusal_is_final_and_repeats_neither_key_nor_text(
    endpoint: Endpoint, embedder: OpenAiEmbedder, code: int, error: str, of_text: bool
) -> None:
    endpoint.steps = [status(code, error)]

    with pytest.raises(EmbedderRejectedError, match=rf"{code}.*{error}") as failure:
        embedder.embed_passages(["a private text"], deadline=within(5))

    assert isinstance(failure.value, EmbedderTextError) is of_text
    assert KEY not in str(failure.value)
    assert "private" not in str(failure.value)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("step", [hang, drip])
def test_no_call_outlives_its_deadline(endpoint: Endpoint, embedder: OpenAiEmbedder, step: Step) -> None:
    endpoint.steps = [step]
    started = time.monotonic()

    with pytest.raises(EmbedderDeadlineError):
        embedder.embed_queries(["one"], deadline=within(0.7))

    assert 0.65 < time.monotonic() - started < promised(1.2)


def test_the_deadline_covers_all_attempts(endpoint: Endpoint, embedder: OpenAiEmbedder) -> None:
    endpoint.steps = [status(503, retry_after="0.3"), hang]
    started = time.monotonic()
    with pytest.raises(EmbedderDeadlineError):
        embedder.embed_queries(["one"], deadline=within(0.9))
    assert time.monotonic() - started < promised(1.4)


def test_another_dimension_is_refused_and_says_what_to_do(
    endpoint: Endpoint, embedder: OpenAiEmbedder
) -> None:
    endpoint.steps = [vectors(dimension=12)]
    with pytest.raises(EmbedderRejectedError, match=r"12 dimensions where 8 .* VECTOR_DIMENSION to 12"):
        embedder.embed_queries(["one"], deadline=within(5))


@pytest.mark.parametrize(
    "content",
    [
        b"<html>It works!</html>",
        b"{}",
        b'{"data": []}',
        b'{"data": [{"index": 3, "embedding": [1, 1, 1, 1, 1, 1, 1, 1]}]}',
        b'{"data": [{"index": 0, "embedding": [0, 0, 0, 0, 0, 0, 0, 0]}]}',
        b'{"data": [{"index": 0, "embedding": [NaN, 1, 1, 1, 1, 1, 1, 1]}]}',
        b'{"data": [{"index": 0, "embedding": ["a", 1, 1, 1, 1, 1, 1, 1]}]}',
        b'{"data": [{"index": 0, "embedding": "not base64"}]}',
        b'{"data": [{"index": 0, "embedding": null}]}',
        b'{"data": [{"index": 0, "embedding": [' + b"9" * 400 + b", 1, 1, 1, 1, 1, 1, 1]}]}",
        b'{"data": ' + b"[" * 100_000,
    ],
)
def test_an_answer_that_is_none_is_an_error(
    endpoint: Endpoint, embedder: OpenAiEmbedder, content: bytes
) -> None:
    endpoint.steps = [body(content)]
    with pytest.raises(EmbedderUnavailableError, match="answer"):
        embedder.embed_queries(["one"], deadline=within(5))


@pytest.mark.parametrize("text", ["", "\ud800"])
def test_texts_the_endpoint_would_refuse_are_not_sent(
    endpoint: Endpoint, embedder: OpenAiEmbedder, text: str
) -> None:
    with pytest.raises(EmbedderRejectedError):
        embedder.embed_passages(["fine", text], deadline=within(5))
    assert not endpoint.requests


def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        embedder = OpenAiEmbedder(
            model="m", dimension=8, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1", api_key=KEY
        )
        with pytest.raises(EmbedderUnavailableError, match="out of reach"):
            embedder.embed_queries(["one"], deadline=within(1))
        with pytest.raises(EmbedderUnavailableError, match="out of reach"):
            embedder.ping(deadline=within(1))
        embedder.close()


@pytest.mark.parametrize("step", [body(b'{"data": []}'), status(404)])
def test_ping_is_content_with_an_endpoint_that_answers(
    endpoint: Endpoint, embedder: OpenAiEmbedder, step: Step
) -> None:
    """And asks for nothing that is paid for: no health check may call a model."""
    endpoint.steps = [step]
    embedder.ping(deadline=within(2))
    assert [request[1] for request in endpoint.requests] == ["/v1/models"]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (status(401, "invalid_api_key"), EmbedderRejectedError),
        (status(503), EmbedderUnavailableError),
        (hang, EmbedderDeadlineError),
    ],
)
def test_ping_fails_as_a_call_would(
    endpoint: Endpoint, embedder: OpenAiEmbedder, step: Step, error: type[Exception]
) -> None:
    endpoint.steps = [step]
    with pytest.raises(error):
        embedder.ping(deadline=within(0.5))


def test_after_close_it_is_unavailable(embedder: OpenAiEmbedder) -> None:
    embedder.close()
    with pytest.raises(EmbedderUnavailableError, match="closed"):
        embedder.embed_queries(["one"], deadline=within(1))


def test_httpx_is_whole_before_openai_looks_into_it() -> None:
    """openai asks sys.modules for it at every call; Chroma loads it in another thread after the start."""
    program = (
        "import sys, services.vector.embedding.openai;"
        " sys.exit(not hasattr(sys.modules.get('httpx'), 'Timeout') or 'chromadb' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
