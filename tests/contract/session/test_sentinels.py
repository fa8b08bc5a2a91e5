"""A primary, a replica and three sentinels: the service follows the primary."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis

from services.chassis.errors import ServiceError
from services.session.settings import SessionSettings
from tests.contract.session.conftest import House, refusal, running_house, settings_for
from tests.support.redis_server import RedisServer, executable, free_port, running_redis

PASSWORD = "of-the-house-0123456789"


@contextmanager
def running_sentinel(directory: Path, primary: int, quorum: int) -> Iterator[int]:
    """The port of a sentinel that calls the server at port `primary` "meld-rag"."""
    directory.mkdir()
    port = free_port()
    (directory / "sentinel.conf").write_text(
        f"bind 127.0.0.1\nport {port}\ndir {directory}\nlogfile {directory / 'log'}\n"
        f"sentinel monitor meld-rag 127.0.0.1 {primary} {quorum}\n"
        f"sentinel auth-pass meld-rag {PASSWORD}\n"
        "sentinel down-after-milliseconds meld-rag 1000\nsentinel failover-timeout meld-rag 5000\n"
    )
    process = subprocess.Popen(
        [executable(), str(directory / "sentinel.conf"), "--sentinel"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer, SessionSettings]]:
    """The primary, its replica, and settings that name three sentinels and no server."""
    with contextlib.ExitStack() as stack:
        servers = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            arguments: tuple[str, ...] = ("--masterauth", PASSWORD)
            if servers:
                arguments += ("--replicaof", "127.0.0.1", str(servers[0].port))
            servers.append(
                stack.enter_context(running_redis(tmp_path / name, password=PASSWORD, arguments=arguments))
            )
        primary, replica = servers
        ports = [stack.enter_context(running_sentinel(tmp_path / f"s{n}", primary.port, 2)) for n in range(3)]
        _wait(lambda: all(_knows_others(port) for port in ports), 60)
        settings = settings_for(
            primary,
            redis_port=1,
            session_redis_sentinels=",".join(f"127.0.0.1:{port}" for port in ports),
        )
        yield primary, replica, settings


def _knows_others(port: int) -> bool:
    with contextlib.suppress(redis.RedisError), redis.Redis(port=port) as sentinel:
        state: dict[str, Any] = sentinel.sentinel_master("meld-rag")
        return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)
    return False


def _wait(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.1)


async def _until_written(house: House, session_id: str, text: str, seconds: float) -> None:
    """Appends a message, again and again while the store does not take it."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(grpc.RpcError):
            await house.append(session_id, text, request_id=text)
            return
        assert time.monotonic() < end, "the store takes nothing"
        await asyncio.sleep(0.1)


async def test_the_service_follows_the_primary(
    watched: tuple[RedisServer, RedisServer, SessionSettings],
) -> None:
    primary, replica, settings = watched
    async with running_house(settings) as house:
        session_id = (await house.session()).session_id
        await house.append(session_id, "before", request_id="before")
        with redis.Redis(port=primary.port, password=PASSWORD) as client:
            assert client.wait(1, 10_000) == 1
        primary.kill()
        error = await refusal(house.append(session_id, "meanwhile", request_id="meanwhile"))
        assert isinstance(error, ServiceError)
        assert error.reason == "STORE_UNAVAILABLE"
        await _until_written(house, session_id, "after", 60)
        with redis.Redis(port=replica.port, password=PASSWORD) as client:
            assert client.info("replication")["role"] == "master"
        assert await house.texts(session_id) == ["before", "after"]

        # The old one comes back and is told to follow; nothing is written to it.
        primary.start()

        def follows() -> bool:
            with redis.Redis(port=primary.port, password=PASSWORD) as client:
                return bool(client.info("replication")["role"] == "slave")

        await asyncio.to_thread(_wait, follows, 60)
        await _until_written(house, session_id, "later", 30)
        assert await house.texts(session_id) == ["before", "after", "later"]


async def test_sentinels_that_do_not_answer_are_an_outage(
    watched: tuple[RedisServer, RedisServer, SessionSettings],
) -> None:
    _, _, settings = watched
    nobody = settings.model_copy(update={"session_redis_sentinels": "127.0.0.1:1,127.0.0.1:2"})
    async with running_house(nobody) as house:
        assert (await refusal(house.session())).reason == "STORE_UNAVAILABLE"


@pytest.mark.parametrize("value", ["redis", "redis:", ":26379", "redis:0", "redis:70000", "a:1,b"])
def test_a_bad_list_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        SessionSettings(session_redis_sentinels=value)
