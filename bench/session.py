"""What a turn of a conversation costs the session service: `python -m bench.session`.

A turn is one append of a question and its answer and one list of the newest
messages, through gRPC, with the service in its own process and a Redis of its own
with AOF. Watch delay is the time from the call that records an event until a
watcher has it. A search is one for a word that stands in the oldest conversation alone, so all are
read, and beside it the time of somebody else's call.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from services.chassis.channel import open_aio_channel
from tests.support.redis_server import RedisServer, free_port, running_redis

DESCRIPTOR = session_pb2.DESCRIPTOR.services_by_name["SessionService"]
QUESTION = "What does the contract say about notice periods? " * 2
ANSWER = "The notice period is three months to the end of a quarter. " * 20
# Of a conversation that is searched: turns, bytes of an answer, and as many of what it cites.
TURNS = 10
SEARCHED = (
    "The spring tide at Hallgrim reaches 4.2 metres above the lowest mark, as its log of 1884 says. " * 22
)
RARE = "lighthouse"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--searched", type=int, default=1_000, help="conversations that are searched")
    parser.add_argument("--appendfsync", choices=["everysec", "always", "no"], default="always")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        running_redis(Path(directory), arguments=("--appendfsync", arguments.appendfsync)) as redis,
        running_service(redis) as address,
    ):
        asyncio.run(measure(address, arguments.clients, arguments.seconds))
        asyncio.run(searching(address, arguments.searched))


@contextmanager
def running_service(redis: RedisServer) -> Iterator[str]:
    """A session service in a process of its own; yields its address."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "services.session"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "SESSION_REDIS_HOST": redis.host,
            "SESSION_REDIS_PORT": str(redis.port),
            "MELD_SESSION_ADDRESS": address,
            "LOG_LEVEL": "WARNING",
        },
    )
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


async def measure(address: str, clients: Sequence[int], seconds: float) -> None:
    """Prints the rates and delays."""
    async with open_aio_channel(address, DESCRIPTOR) as channel:
        stub: Any = session_pb2_grpc.SessionServiceStub(channel)
        await turns(stub, 4, min(seconds, 1.0))
        for count in clients:
            appends, lists, elapsed = await turns(stub, count, seconds)
            print(
                f"{count:3} clients: {len(appends) / elapsed:7.0f} turns/s   "
                f"append {spread(appends)}   list {spread(lists)}"
            )
        print(f"watch delay, 1 watcher: {spread(await watch_delays(stub, 1, seconds))}")
        print(f"watch delay, 100 watchers of one run: {spread(await watch_delays(stub, 100, seconds))}")


async def turns(stub: Any, clients: int, seconds: float) -> tuple[list[float], list[float], float]:
    """Seconds of each append and list of `clients` conversations at once, and of the whole."""
    appends: list[float] = []
    lists: list[float] = []
    end = time.perf_counter() + seconds

    async def converse() -> None:
        session = (await stub.CreateSession(session_pb2.CreateSessionRequest(title="bench"))).session
        messages = [
            session_pb2.Message(role=session_pb2.ROLE_USER, text=QUESTION),
            session_pb2.Message(role=session_pb2.ROLE_ASSISTANT, text=ANSWER, agent_id="research"),
        ]
        number = 0
        while time.perf_counter() < end:
            started = time.perf_counter()
            await stub.AppendMessage(
                session_pb2.AppendMessageRequest(
                    session_id=session.session_id, messages=messages, request_id=str(number)
                )
            )
            appended = time.perf_counter()
            await stub.ListMessages(
                session_pb2.ListMessagesRequest(session_id=session.session_id, page_size=20, newest=True)
            )
            appends.append(appended - started)
            lists.append(time.perf_counter() - appended)
            number += 1

    started = time.perf_counter()
    await asyncio.gather(*(converse() for _ in range(clients)))
    return appends, lists, time.perf_counter() - started


async def watch_delays(stub: Any, watchers: int, seconds: float) -> list[float]:
    """Seconds from the call that records an event until each watcher has it."""
    run_id = f"run_{time.time_ns():026d}"
    await stub.CreateRun(
        session_pb2.CreateRunRequest(run=session_pb2.Run(run_id=run_id, agent_id="research"))
    )
    sent: dict[int, float] = {}
    delays: list[float] = []

    async def watch() -> None:
        async for response in stub.WatchRun(session_pb2.WatchRunRequest(run_id=run_id)):
            delays.extend(time.perf_counter() - sent[event.sequence] for event in response.events)

    tasks = [asyncio.create_task(watch()) for _ in range(watchers)]
    await asyncio.sleep(0.5)
    last = max(10, int(seconds * 20))
    for sequence in range(1, last + 1):
        event = session_pb2.RunEvent(sequence=sequence)
        event.payload.value = b"x" * 100
        state = session_pb2.RUN_STATE_SUCCEEDED if sequence == last else session_pb2.RUN_STATE_RUNNING
        sent[sequence] = time.perf_counter()
        await stub.AppendRunEvents(
            session_pb2.AppendRunEventsRequest(run_id=run_id, events=[event], state=state)
        )
        await asyncio.sleep(0.05)
    await asyncio.gather(*tasks)
    return delays


async def searching(address: str, conversations: int) -> None:
    """Prints what it takes to search conversations of ten turns."""
    async with open_aio_channel(address, DESCRIPTOR) as channel:
        stub: Any = session_pb2_grpc.SessionServiceStub(channel)
        await talk(stub, f"{SEARCHED} {RARE}")
        for _ in range(0, conversations - 1, 20):
            await asyncio.gather(*(talk(stub, SEARCHED) for _ in range(20)))
        for query in (RARE, "hallgrim tide"):
            walks, others, calls = [], list[float](), 0
            for _ in range(10):
                walk = asyncio.create_task(found(stub, query))
                others += await meanwhile(stub, walk)
                seconds, calls = walk.result()
                walks.append(seconds)
            print(f"search {query!r}, {calls} calls: {spread(walks)}; another's call: {spread(others)}")


async def talk(stub: Any, answer: str) -> None:
    """A conversation of ten turns, of which the first has this answer."""
    session = (await stub.CreateSession(session_pb2.CreateSessionRequest(title="bench"))).session
    for number in range(TURNS):
        said = session_pb2.Message(
            role=session_pb2.ROLE_ASSISTANT, text=SEARCHED if number else answer, agent_id="research"
        )
        said.attributes.update({"citations": [{"quote": SEARCHED}]})
        await stub.AppendMessage(
            session_pb2.AppendMessageRequest(
                session_id=session.session_id,
                messages=[session_pb2.Message(role=session_pb2.ROLE_USER, text=QUESTION), said],
                request_id=str(number),
            )
        )


async def found(stub: Any, query: str) -> tuple[float, int]:
    """Seconds and calls until the first match has come."""
    started = time.perf_counter()
    token, calls = "", 0
    while True:
        page = await stub.SearchSessions(session_pb2.SearchSessionsRequest(query=query, page_token=token))
        calls += 1
        token = page.next_page_token
        if page.matches or not token:
            assert page.matches, "the word stands there"
            return time.perf_counter() - started, calls


async def meanwhile(stub: Any, walk: asyncio.Task[Any]) -> list[float]:
    """Seconds of each call of somebody else while a search goes on."""
    delays = []
    while not walk.done():
        started = time.perf_counter()
        await stub.ListSessions(session_pb2.ListSessionsRequest(page_size=1))
        delays.append(time.perf_counter() - started)
        await asyncio.sleep(0.002)
    await walk
    return delays


def spread(values: Sequence[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered) * 1000:6.2f} ms, p99 {p99 * 1000:6.2f} ms"


if __name__ == "__main__":
    main()
