"""What comes over the wire besides well-formed requests, and what the processes do about it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from pathlib import Path

import httpx
import psutil
import pytest

from meldrag.agents.v1 import agents_pb2
from meldrag.vector.v1 import vector_pb2
from tests.contract.gateway.conftest import Gateway, Start, within
from tests.support.waits import promised
from tests.unit.gateway.scripted_services import ScriptedServices, for_ever

HEAD = b"Host: 127.0.0.1\r\nConnection: close\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"
RUN = b"POST /api/v1/runs HTTP/1.1\r\n" + JSON
UPLOAD = (
    b"POST /api/v1/collections/c/documents HTTP/1.1\r\n"
    + HEAD
    + b"Content-Type: multipart/form-data; boundary=b\r\n"
)
BAD = {
    "length and chunked": (RUN + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (RUN + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "negative length": (RUN + b"Content-Length: -1\r\n\r\n", 400),
    "bad chunk size": (RUN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400),
    "bad trailer": (RUN + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nb a d\r\n\r\n", 400),
    "unknown coding": (RUN + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
    "header of 20 KB": (b"GET /livez HTTP/1.1\r\n" + HEAD + b"X-A: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    "200 headers": (
        b"GET /livez HTTP/1.1\r\n" + HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n",
        431,
    ),
    "URI of 9 KB": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 414),
    "no host": (b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    "no host in HTTP/1.0": (b"GET /livez HTTP/1.0\r\n\r\n", 400),
    "foreign host": (b"GET /livez HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 400),
    "foreign suffix": (b"GET /livez HTTP/1.1\r\nHost: localhost.evil\r\nConnection: close\r\n\r\n", 400),
    "two hosts": (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n", 400),
    "TRACE": (b"TRACE /livez HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
    "CONNECT": (b"CONNECT 127.0.0.1:443 HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
    "BREW": (b"BREW /livez HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
    "wrong verb": (b"DELETE /api/v1/runs HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
    "no HTTP at all": (b"\x16\x03\x01 hello\r\n\r\n", 400),
    "NUL in a header": (b"GET /livez HTTP/1.1\r\n" + HEAD + b"X-A: a\x00b\r\n\r\n", 400),
    "path up": (b"GET /assets/..%2f..%2fsettings.py HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
    "path up, plain": (b"GET /assets/../settings.py HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
    "path up, twice encoded": (b"GET /assets/%252e%252e/settings.py HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
    "absolute path": (b"GET /assets//etc/passwd HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
    "two slashes": (b"GET //livez HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
    "NUL in the path": (b"GET /api/v1/agents/%00 HTTP/1.1\r\n" + HEAD + b"\r\n", 400),
    "mixed case": (b"GET /LiveZ HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
    "trailing dot": (b"GET /livez. HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
    "length over the limit": (RUN + b"Content-Length: 10000000\r\n\r\n", 413),
    "JSON of 10 MB": (RUN + b"Content-Length: 10000000\r\n\r\n" + b" " * 10_000_000, 413),
    "chunked over the limit": (
        RUN
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"80000\r\n"
        + b" " * 0x80000
        + b"\r\n"
        + b"80001\r\n"
        + b" " * 0x80001
        + b"\r\n0\r\n\r\n",
        413,
    ),
    "chunked upload over the limit": (
        UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n400000\r\n"
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 0x400000,
        413,
    ),
    "body that stays away": (RUN + b"Content-Length: 100\r\n\r\n{", 408),
    "text instead of JSON": (b"POST /api/v1/runs HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}", 415),
}


@pytest.mark.parametrize(("request_bytes", "status"), BAD.values(), ids=BAD.keys())
def test_what_is_not_a_good_request_gets_a_problem_and_harms_nobody(
    gateway: Gateway, services: ScriptedServices, request_bytes: bytes, status: int
) -> None:
    answer = gateway.say(request_bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] %d " % status, head), answer[:300]
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["request_id"] == re.search(rb"X-Request-ID: (\S+)", head)[1].decode()  # type: ignore[index]
    assert "Traceback" not in body.decode()
    assert not services.requests
    assert httpx.get(f"{gateway.url}/livez").status_code == 200


def test_bad_requests_do_not_fatten_the_process(gateway: Gateway, services: ScriptedServices) -> None:
    (worker,) = psutil.Process(gateway.process.pid).children()
    heavy = [
        BAD[name][0] for name in ("JSON of 10 MB", "chunked over the limit", "chunked upload over the limit")
    ]
    nested = b'{"message": ' + b"[" * 400_000 + b"]" * 400_000 + b"}"
    heavy.append(RUN + b"Content-Length: %d\r\n\r\n" % len(nested) + nested)
    for request_bytes in heavy:
        gateway.say(request_bytes)
    before = worker.memory_info().rss
    for request_bytes in heavy * 5:
        assert re.match(rb"HTTP/1.1 4", gateway.say(request_bytes))
    assert worker.memory_info().rss - before < 20_000_000


@pytest.mark.parametrize("length", [2_000_000, 10_000_000])
def test_a_connection_that_is_given_up_says_so(gateway: Gateway, length: int) -> None:
    """Whoever keeps connections must not send the next request on one whose unread body ends it."""
    with httpx.Client(base_url=gateway.url, timeout=30) as http:
        for _ in range(5):
            refused = http.post(
                "/api/v1/runs", content=b" " * length, headers={"Content-Type": "application/json"}
            )
            assert (refused.status_code, refused.headers["Connection"]) == (413, "close")
            assert http.get("/livez").status_code == 200
            short = http.post("/api/v1/runs", content=b"{}", headers={"Content-Type": "text/plain"})
            assert (short.status_code, short.headers["Connection"]) == (415, "keep-alive")


def test_a_chunked_body_within_the_limit_arrives_whole(gateway: Gateway, services: ScriptedServices) -> None:
    services.script["RouteTask"] = agents_pb2.RouteTaskResponse(agent_id="ceo")
    message = "m" * 900_000
    body = json.dumps({"message": message}).encode()
    answer = httpx.post(
        f"{gateway.url}/api/v1/agents/route",
        content=(body[start : start + 70_000] for start in range(0, len(body), 70_000)),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 200
    assert services.requests["RouteTask"][0].message == message


def test_a_body_shorter_than_declared_never_reaches_a_service(
    gateway: Gateway, services: ScriptedServices
) -> None:
    with gateway.connect() as connection:
        connection.sendall(RUN + b'Content-Length: 100\r\n\r\n{"message": "m"}')
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"BODY_INCOMPLETE" in answer
    assert not services.requests


def test_a_kept_alive_connection_serves_one_request_after_another(
    gateway: Gateway, services: ScriptedServices
) -> None:
    services.script["ListAgents"] = agents_pb2.ListAgentsResponse()
    with httpx.Client(base_url=gateway.url) as http:
        for _ in range(5):
            assert http.get("/api/v1/agents").status_code == 200
            assert http.post("/api/v1/runs", json={"wrong": 1}).status_code == 400


def test_pipelined_and_split_requests_are_all_served(gateway: Gateway) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with gateway.connect() as connection:
        for byte in one[:-1]:
            connection.sendall(bytes([byte]))
        connection.sendall(one[-1:] + one + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.count(b"HTTP/1.1 200 OK") == 3


def test_silent_and_half_open_clients_do_not_keep_others_waiting(
    gateway: Gateway, services: ScriptedServices
) -> None:
    services.script["ListAgents"] = agents_pb2.ListAgentsResponse()
    with contextlib.ExitStack() as held:
        for number in range(200):
            connection = held.enter_context(gateway.connect())
            if number % 2:
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: loc")
        slowest = 0.0
        for _ in range(10):
            began = time.monotonic()
            assert httpx.get(f"{gateway.url}/api/v1/agents").status_code == 200
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < promised(1.0)
        # All of them are cut off after MELD_CLIENT_IDLE_SECONDS.
        connection.settimeout(5)
        assert connection.recv(1) == b""


def test_overload_is_refused_at_once_and_the_process_still_says_that_it_lives(
    start: Start, services: ScriptedServices
) -> None:
    services.script["ListAgents"] = for_ever
    gateway = start(GUNICORN_THREADS="2", MELD_DRAIN_SECONDS="0")
    ask = b"GET /api/v1/agents HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with contextlib.ExitStack() as held:
        # Two have a thread, two wait for one.
        for _ in range(4):
            held.enter_context(gateway.connect()).sendall(ask)
        assert within(5, lambda: len(services.requests["ListAgents"]) == 2)
        time.sleep(0.2)
        began = time.monotonic()
        refused = httpx.post(f"{gateway.url}/api/v1/runs", json={"message": "m" * 500_000})
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert refused.json()["reason"] == "TOO_MANY_REQUESTS"
        assert httpx.get(f"{gateway.url}/livez").json() == {"status": "ok"}
        # Those that hold the threads never end, so whoever waited for one would wait until its deadline.
        assert time.monotonic() - began < promised(5)
    assert within(5, lambda: httpx.get(f"{gateway.url}/api/v1/nothing").status_code == 404)


def test_a_head_that_trickles_is_cut_off(gateway: Gateway) -> None:
    with gateway.connect() as connection:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 5:
                connection.sendall(b"G")
                time.sleep(0.1)
        assert time.monotonic() - began < promised(4)


def test_a_service_that_hangs_never_outlasts_the_deadline(
    gateway: Gateway, services: ScriptedServices
) -> None:
    services.script["ListAgents"] = for_ever
    began = time.monotonic()
    answer = httpx.get(f"{gateway.url}/api/v1/agents", headers={"Request-Timeout": "0.5"}, timeout=5)
    # 250 ms is the promise; the rest is for a busy machine.
    assert time.monotonic() - began < promised(0.5 + 0.25 + 0.5)
    assert answer.status_code == 504
    # The service itself may be the first to notice.
    assert answer.json()["reason"] in ("UPSTREAM_DEADLINE", "DEADLINE")
    assert services.cancelled["ListAgents"].wait(1)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", "1e9", "9" * 30])
def test_a_request_timeout_is_a_number_of_seconds(gateway: Gateway, value: str) -> None:
    answer = httpx.get(f"{gateway.url}/api/v1/agents", headers={"Request-Timeout": value})
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_REQUEST_TIMEOUT")


def test_one_trace_and_one_request_id_go_all_the_way(gateway: Gateway, services: ScriptedServices) -> None:
    services.script["Search"] = vector_pb2.SearchResponse()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    answer = httpx.post(
        f"{gateway.url}/api/v1/collections/c/search",
        json={"query": "q"},
        headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "X-Request-ID": "mine-1"},
    )
    assert answer.headers["X-Request-ID"] == "mine-1"
    assert services.request_ids == ["mine-1"]
    assert services.trace_ids == [trace_id]
    forged = httpx.get(f"{gateway.url}/livez", headers={"X-Request-ID": "a b\t<script>"})
    assert re.fullmatch(r"[0-9a-f]{32}", forged.headers["X-Request-ID"])


def test_a_service_that_comes_back_is_used_again_at_once(
    gateway: Gateway, services: ScriptedServices
) -> None:
    services.script["ListCollections"] = vector_pb2.ListCollectionsResponse()
    services.script["ListAgents"] = agents_pb2.ListAgentsResponse()
    with httpx.Client(base_url=gateway.url, timeout=5) as http:
        assert http.get("/readyz").status_code == 200
        assert http.get("/api/v1/collections").status_code == 200
        services.stop_one("vector")
        try:
            down = http.get("/api/v1/collections")
            assert (down.status_code, down.json()["reason"]) == (503, "UPSTREAM_UNAVAILABLE")
            assert down.json()["detail"] == "the vector service cannot be reached"
            assert "127.0.0.1" not in down.text
            assert http.get("/readyz").json()["down"] == ["vector"]
            assert http.get("/livez").status_code == 200
            assert http.get("/api/v1/agents").status_code == 200
        finally:
            services.start_one("vector")
        began = time.monotonic()
        while http.get("/api/v1/collections").status_code != 200:
            assert time.monotonic() - began < promised(5)
            time.sleep(0.05)
        assert http.get("/readyz").status_code == 200


def counted(gateway: Gateway, route: str, status: str) -> float:
    """Requests of a route with a status, as /metrics tells."""
    text = httpx.get(f"{gateway.url}/metrics").text
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith("http_server_request_duration_seconds_count")
        and f'http_route="{route}"' in line
        and f'http_response_status_code="{status}"' in line
    )


def works(process: psutil.Process) -> bool:
    """Whether it is more than an entry that nobody has collected yet."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_metrics_are_the_sum_over_all_workers_even_those_that_died(
    start: Start, services: ScriptedServices, tmp_path: Path
) -> None:
    services.script["ListAgents"] = agents_pb2.ListAgentsResponse()
    gateway = start(GUNICORN_WORKERS="2", GUNICORN_THREADS="4", TMPDIR=str(tmp_path))
    # It answers as soon as the first worker does.
    assert within(5, lambda: len(psutil.Process(gateway.process.pid).children()) == 2)
    workers = psutil.Process(gateway.process.pid).children()
    for _ in range(30):
        # A new connection each time, so that both workers get some.
        assert httpx.get(f"{gateway.url}/api/v1/agents").status_code == 200
    httpx.get(f"{gateway.url}/api/v1/nothing")

    def settled() -> bool:
        return counted(gateway, "/api/v1/agents", "200") == 30 and counted(gateway, "unknown", "404") == 1

    assert within(5, settled)
    # Each has written what it knows by now; the one that dies leaves it behind.
    time.sleep(1)
    workers[0].kill()

    def replaced() -> bool:
        pids = {child.pid for child in psutil.Process(gateway.process.pid).children()}
        return len(pids) == 2 and workers[0].pid not in pids

    assert within(10, replaced)
    assert settled()
    # Nothing is left behind.
    assert list(tmp_path.glob("meldrag-gateway-*"))
    assert gateway.stop() == 0
    assert not list(tmp_path.glob("meldrag-gateway-*"))
    assert within(5, lambda: not any(map(works, workers)))
