"""The service as a process: it starts, stops, and says in one line why it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import grpc
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.session.redis_store import SCHEMA
from tests.support.redis_server import RedisServer, free_port
from tests.support.waits import promised


def start(redis_server: RedisServer, port: int, **variables: str) -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if "REDIS" not in name and "SESSION" not in name
    }
    return subprocess.Popen(
        [sys.executable, "-m", "services.session"],
        env={
            **environment,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "REDIS_PORT": str(redis_server.port),
            "MELD_SESSION_ADDRESS": f"127.0.0.1:{port}",
            **variables,
        },
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors.splitlines()


def serving(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=20, wait_for_ready=True)
        except grpc.RpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def test_the_process_serves_and_a_signal_ends_it(redis_server: RedisServer) -> None:
    port = free_port()
    process = start(redis_server, port)
    try:
        assert serving(port)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code, _ = ended(process)
        assert code == 0
        assert time.monotonic() - started < promised(5)
    finally:
        process.kill()


def test_data_of_a_newer_release_are_left_alone(redis_server: RedisServer) -> None:
    with redis.Redis(port=redis_server.port) as client:
        client.hset("meld:{store}", mapping={"schema": SCHEMA + 1, "page_token_key": "k"})
        code, lines = ended(start(redis_server, free_port()))
        assert code == 1
        assert lines == [
            f"session: Redis holds data of schema {SCHEMA + 1}, and this release reads up to {SCHEMA}: "
            "start the release that wrote them, or a newer one"
        ]
        assert client.keys("*") == [b"meld:{store}"]


def test_a_store_that_is_not_offered_is_named(redis_server: RedisServer) -> None:
    code, lines = ended(start(redis_server, free_port(), SESSION_TYPE="filesystem"))
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith("session: SESSION_TYPE:")
