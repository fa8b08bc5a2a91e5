"""A Redis that is stopped, killed, full, cut off or not there yet."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
from grpc_health.v1 import health_pb2

from meldrag.session.v1 import session_pb2
from services.chassis.errors import ServiceError
from services.session.model import Lifetimes
from services.session.redis_store import Place, open_redis_store
from tests.contract.session.conftest import (
    House,
    new_run_id,
    payload,
    refusal,
    running_house,
    settings_for,
)
from tests.contract.session.cutting_proxy import cutting_proxy
from tests.support.redis_server import RedisServer, running_redis
from tests.support.waits import promised

SERVING = health_pb2.HealthCheckResponse.SERVING
NAMES = (
    *("", "redis"),
    *(f"meldrag.session.v1.{name}Service" for name in ("Session", "Identity", "Webhook")),
)


async def becomes(house: House, serving: bool, within: float) -> None:
    """Waits until all health names say so. Fails when it takes longer than `within` seconds."""
    end = time.monotonic() + within
    while True:
        statuses = [
            (await house.health.Check(health_pb2.HealthCheckRequest(service=name))).status for name in NAMES
        ]
        if all((status == SERVING) == serving for status in statuses):
            return
        assert time.monotonic() < end, statuses
        await asyncio.sleep(0.05)


def log_with(directory: Path, text: bytes) -> Path | None:
    """The file of Redis's log that holds a text."""
    return next((log for log in directory.rglob("*.aof") if text in log.read_bytes()), None)


async def timed_refusal(call: Any) -> tuple[ServiceError, float]:
    started = time.monotonic()
    error = await refusal(call)
    return error, time.monotonic() - started


async def until_acknowledged(call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Repeats a call that the store was not available for."""
    for _ in range(100):
        try:
            await call(*arguments, **named)
            return
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
        await asyncio.sleep(0.02)
    raise AssertionError("never acknowledged")


async def test_a_stopped_redis_holds_nobody_up(own_redis: RedisServer) -> None:
    async with running_house(settings_for(own_redis)) as house:
        session_id = (await house.session()).session_id
        run_id = new_run_id()
        await house.run(run_id)
        watcher = asyncio.create_task(timed_refusal(house.watched(run_id)))
        await asyncio.sleep(0.2)
        own_redis.pause()
        try:
            # Within the caller's deadline, so that the reason reaches it.
            request = session_pb2.GetSessionRequest(session_id=session_id)
            error, seconds = await timed_refusal(house.stub.GetSession(request, timeout=1.2))
            assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
            assert seconds < 1.2 + 0.25

            # More at once than there are connections; the longest deadline.
            answers = await asyncio.gather(
                *(timed_refusal(house.append(session_id, "x", request_id=f"stopped-{n}")) for n in range(40)),
                *(timed_refusal(house.stub.GetSession(request, timeout=30)) for _ in range(10)),
            )
            assert {error.reason for error, _ in answers} == {"STORE_UNAVAILABLE"}
            assert max(seconds for _, seconds in answers) < 1.0 + 1.0
            await becomes(house, False, 3)
            error, _ = await asyncio.wait_for(watcher, 6)
            assert error.reason == "STORE_UNAVAILABLE"
        finally:
            own_redis.resume()
        await becomes(house, True, 5)
        # What was unknown is done once when it is repeated.
        for n in range(40):
            await until_acknowledged(house.append, session_id, "x", request_id=f"stopped-{n}")
        assert await house.texts(session_id) == ["x"] * 40


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_a_killed_redis_comes_back_with_every_acknowledged_message(own_redis: RedisServer) -> None:
    kills = min(50, int(os.environ.get("MELD_CHAOS_ROUNDS", "5")))
    chance = random.Random(19)
    async with running_house(settings_for(own_redis)) as house:
        session_id = (await house.session()).session_id
        acknowledged: list[str] = []
        stop = asyncio.Event()

        async def write(writer: int) -> None:
            turn = 0
            while not stop.is_set():
                text = f"{writer}:{turn}"
                # The same request until it is acknowledged.
                while True:
                    try:
                        await house.append(session_id, text, request_id=text)
                        break
                    except grpc.RpcError as error:
                        if error.code() != grpc.StatusCode.UNAVAILABLE:
                            raise
                        await asyncio.sleep(0.02)
                acknowledged.append(text)
                turn += 1

        writers = [asyncio.create_task(write(n)) for n in range(20)]
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.1, 0.4))
            own_redis.kill()
            await asyncio.to_thread(own_redis.start)
            started, count = time.monotonic(), len(acknowledged)
            while len(acknowledged) == count:
                assert time.monotonic() - started < promised(5)
                await asyncio.sleep(0.02)
        stop.set()
        await asyncio.gather(*writers)
        texts = await house.texts(session_id)
        print(f"{kills} kills, {len(acknowledged)} messages acknowledged")
        assert len(acknowledged) > 100
        assert sorted(texts) == sorted(acknowledged)
        await becomes(house, True, 5)


async def test_a_log_cut_within_a_write_doubles_nothing(own_redis: RedisServer, tmp_path: Path) -> None:
    """Redis 6.2 drops the half write at the next start and applies it at the one after."""

    async def written(text: bytes) -> Path:
        while (log := log_with(tmp_path, text)) is None:
            await asyncio.sleep(0.02)
        return log

    async with running_house(settings_for(own_redis)) as house:
        session_id = (await house.session()).session_id
        run_id = new_run_id()
        await house.run(run_id)
        await house.append(session_id, "first", request_id="first")
        await house.record(run_id, 1, 1)

        def last_message() -> Any:
            return house.append(session_id, "last message", request_id="last")

        def last_event() -> Any:
            return house.record(run_id, 2, 2)

        for write, words in ((last_message, b"last message"), (last_event, payload(2))):
            await write()
            log = await written(words)
            own_redis.kill()
            data = log.read_bytes()
            # Within the command that comes after the one with the words.
            log.write_bytes(data[: data.index(b"PEXPIREAT", data.index(words)) + 12])
            await asyncio.to_thread(own_redis.start)
            await becomes(house, True, 5)
            await house.append(session_id, words.decode(), request_id=words.decode())
            await write()
            await written(words)
            await asyncio.sleep(0.1)
            own_redis.kill()
            await asyncio.to_thread(own_redis.start)
            await becomes(house, True, 5)
            await write()
        assert await house.texts(session_id) == ["first", "last message", "last message", "event 2"]
        await house.record(run_id, 2, 3, session_pb2.RUN_STATE_SUCCEEDED)
        assert await house.watched(run_id) == ([1, 2, 3], session_pb2.RUN_STATE_SUCCEEDED)


async def test_answers_that_are_cut_off_double_nothing(redis_server: RedisServer) -> None:
    async with (
        cutting_proxy(redis_server.port, seed=7) as proxy,
        running_house(settings_for(proxy)) as house,
    ):
        session_id = (await house.session()).session_id
        run_id = new_run_id()
        await house.run(run_id)
        await becomes(house, True, 2)
        proxy.share = 0.1

        async def write(writer: int) -> None:
            for turn in range(8):
                name = f"{writer}-{turn}"
                await asyncio.gather(
                    *(
                        until_acknowledged(house.append, session_id, name, f"{name}b", request_id=name)
                        for _ in range(2)
                    )
                )

        async def record() -> None:
            for first in range(1, 101, 2):
                await until_acknowledged(house.record, run_id, first, first + 1)

        await asyncio.gather(record(), record(), *(write(writer) for writer in range(20)))
        proxy.share = 0.0
        assert proxy.cuts > 30
        texts = await house.texts(session_id)
        assert len(texts) == len(set(texts)) == 20 * 8 * 2
        # The two messages of an append stand together.
        assert all(texts[place + 1] == f"{texts[place]}b" for place in range(0, len(texts), 2))
        assert await house.record(run_id, 100, 100, session_pb2.RUN_STATE_SUCCEEDED) == 100
        assert (await house.watched(run_id))[0] == list(range(1, 101))


async def test_watchers_lose_nothing_when_signals_do(own_redis: RedisServer) -> None:
    async with running_house(settings_for(own_redis)) as house:
        run_id = new_run_id()
        await house.run(run_id)
        watcher = asyncio.create_task(house.watched(run_id))
        await house.record(run_id, 1, 5)
        with redis.Redis(port=own_redis.port) as client:
            for sequence in range(6, 31):
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                await house.record(run_id, sequence, sequence)
                await asyncio.sleep(0.02)
        await house.record(run_id, 31, 31, session_pb2.RUN_STATE_SUCCEEDED)
        assert await watcher == (list(range(1, 32)), session_pb2.RUN_STATE_SUCCEEDED)


async def test_a_full_redis_refuses_writes_and_keeps_what_it_has(own_redis: RedisServer) -> None:
    async with running_house(settings_for(own_redis)) as house:
        session_id = (await house.session()).session_id
        run_id = new_run_id()
        await house.run(run_id)
        await house.append(session_id, "kept", request_id="kept")
        with redis.Redis(port=own_redis.port) as client:
            client.config_set("maxmemory", client.info("memory")["used_memory"] + 2_000_000)
            acknowledged = 1
            for turn in range(40):
                try:
                    await house.append(session_id, "x" * 200_000, request_id=f"fill-{turn}")
                    acknowledged += 1
                except grpc.RpcError:
                    break
            # Small writes may still have found room.
            client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
            for call in (
                lambda: house.append(session_id, "x", request_id="more"),
                lambda: house.session(title="new"),
                lambda: house.record(run_id, 1, 1),
                lambda: house.run(new_run_id()),
            ):
                error = await refusal(call())
                assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")
            assert 1 < acknowledged < 40
            texts = await house.texts(session_id)
            assert (texts[0], len(texts)) == ("kept", acknowledged)
            assert client.info("stats")["evicted_keys"] == 0
            await becomes(house, True, 2)
            # Deleting works when nothing else does.
            receipt = await house.stub.DeleteSession(
                session_pb2.DeleteSessionRequest(session_id=session_id, request_id="room")
            )
            assert receipt.deleted_messages == acknowledged


async def test_a_service_that_comes_before_its_redis(own_redis: RedisServer) -> None:
    own_redis.kill()
    async with running_house(settings_for(own_redis)) as house:
        await becomes(house, False, 1)
        assert (await refusal(house.session())).reason == "STORE_UNAVAILABLE"
        await asyncio.to_thread(own_redis.start)
        await becomes(house, True, 5)
        assert (await house.session(title="first")).title == "first"


async def test_scripts_that_redis_forgot_are_sent_again(house: House, redis_server: RedisServer) -> None:
    session_id = (await house.session()).session_id
    with redis.Redis(port=redis_server.port) as client:
        client.script_flush()
    await asyncio.gather(*(house.append(session_id, str(n), request_id=str(n)) for n in range(10)))
    assert len(await house.texts(session_id)) == 10


async def test_the_password_is_used_and_a_wrong_one_is_told(tmp_path: Any, caplog: Any) -> None:
    with running_redis(tmp_path, password="right-password") as server:
        async with running_house(settings_for(server)) as house:
            assert (await house.session(title="in")).title == "in"
        for wrong in ("wrong-password", ""):
            async with running_house(settings_for(server, redis_password=wrong)) as house:
                error = await refusal(house.session())
                assert error.reason == "STORE_UNAVAILABLE"
                assert "password" in error.message
                await becomes(house, False, 1)
    assert "wrong-password" not in caplog.text


async def test_a_cancel_during_a_call_is_not_lost(redis_server: RedisServer) -> None:
    """It was, now and then, by redis-py before Python 3.12; then what stops the service waits for ever."""
    async with open_redis_store("127.0.0.1", redis_server.port, "", Lifetimes(1000, 1000)) as store:

        async def asking() -> None:
            while True:
                await store.run("webhooks_list", [Place("{local}:webhooks")], ["x"])

        for _ in range(200):
            task = asyncio.create_task(asking())
            await asyncio.sleep(random.random() * 0.01)
            task.cancel()
            done, _ = await asyncio.wait((task,), timeout=20)
            assert done
