"""Processes of the agents service are killed in the middle of runs, and the runs go on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc
from meldrag.session.v1 import session_pb2, session_pb2_grpc
from tests.contract.agents.neighbours import VectorNeighbour, hosted
from tests.support.launched import ROOT, launched
from tests.support.model_server import Answer, ModelServer, Stall
from tests.support.redis_server import free_port, running_redis

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

QUESTION = "When was the lighthouse of Brava built?"
TEXT = "The lighthouse of Brava was built in 1884. Its lamp burns whale oil."


def soon(true: Callable[[], Any], seconds: float = 60) -> Any:
    """What becomes true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError("it does not become true")


class Watcher:
    """Follows the events of a run over HTTP, from before the kill to the end."""

    def __init__(self, url: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, args=(url,), daemon=True)
        self._thread.start()

    def _read(self, url: str) -> None:
        with httpx.stream("GET", url, timeout=120) as response:
            for line in response.iter_lines():
                if line.startswith("data: "):
                    self.events.append(json.loads(line.removeprefix("data: ")))

    def all(self) -> list[dict[str, Any]]:
        """Every event, when the stream has ended."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.events


def test_a_detached_run_survives_the_kill_of_its_process_and_is_repeated_offline(tmp_path: Path) -> None:
    with ModelServer(Stall("It was built in 17"), Answer("It was built in 1884 [1].")) as server:
        model = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "k"}
        with launched(tmp_path / "house", model) as house:
            api = f"{house.base_url}/api/v1"
            with httpx.Client(base_url=api, timeout=60) as client:
                client.post("/collections", json={"name": "notes"}).raise_for_status()
                file = {"file": ("brava.md", f"# Brava\n\n{TEXT}\n")}
                client.post("/collections/notes/documents", files=file).raise_for_status()
                session = client.post("/sessions", json={}).json()["id"]
                started = client.post(
                    "/runs",
                    json={
                        "agent": "research",
                        "message": QUESTION,
                        "collections": ["notes"],
                        "background": True,
                        "session_id": session,
                    },
                )
                assert started.is_success, started.text
                run_id = started.json()["run_id"]
                watcher = Watcher(f"{api}/runs/{run_id}/events")
                soon(lambda: [event for event in watcher.events if event["type"] == "text"])

                house.send("agents", signal.SIGKILL)

                soon(lambda: client.get(f"/runs/{run_id}").json()["state"] != "RUNNING")
                record = client.get(f"/runs/{run_id}").json()
                assert record["text"] == "It was built in 1884 [1]."
                events = watcher.all()
                assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
                assert [event["type"] for event in events].count("ended") == 1
                shown = ""
                for event in events:
                    if event["type"] == "text":
                        piece = event["text"]
                        shown = piece["text"] if piece["reset"] else shown + piece["text"]
                assert shown == record["text"]
                messages = client.get(f"/sessions/{session}/messages").json()["messages"]
                assert [message["role"] for message in messages] == ["USER", "ASSISTANT"]
                assert len(server.chats) == 2

                # Nothing answers any more but the record.
                server.close()
                house.send("vector", signal.SIGSTOP)
                try:
                    repeated = client.post(f"/runs/{run_id}/replay").json()
                finally:
                    house.send("vector", signal.SIGCONT)
                assert "identical" in repeated, repeated
                assert (repeated["identical"], repeated["difference"]) == (True, None)
                ended = [event["ended"] for event in events if event["type"] == "ended"]
                assert [repeated["ended"]] == ended


@contextmanager
def process(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the house."""
    started = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "LOG_LEVEL": "INFO",
            **environment,
        },
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait(10)


class Workshop:
    """A session service on a real Redis, and an agents service that is killed and started again."""

    def __init__(self, folder: Path, vector: str, session: str) -> None:
        self.folder = folder
        self._address = f"127.0.0.1:{free_port()}"
        self._environment = {
            "MELD_AGENTS_ADDRESS": self._address,
            "MELD_VECTOR_ADDRESS": vector,
            "MELD_SESSION_ADDRESS": session,
        }
        self.channel = grpc.aio.insecure_channel(self._address)
        self.agents: Any = agents_pb2_grpc.AgentServiceStub(self.channel)
        self.records: Any = session_pb2_grpc.SessionServiceStub(grpc.aio.insecure_channel(session))

    def running(self) -> Any:
        """The agents service, for the duration of the block."""
        return process("tests.e2e.workshop_agents", str(self.folder), **self._environment)

    async def begin(self) -> str:
        """The id of a detached run."""
        request = agents_pb2.RunAgentRequest(agent_id="research", message=QUESTION, detached=True)
        call = self.agents.RunAgent(request, timeout=60, wait_for_ready=True)
        event = await call.read()
        assert event.started.recorded
        return str(event.run_id)

    async def until(self, name: str) -> None:
        """Waits for a file."""
        async with asyncio.timeout(60):
            while not (self.folder / name).exists():
                await asyncio.sleep(0.02)

    async def events(self, run_id: str) -> list[agents_pb2.RunAgentResponse]:
        """All events of a run, up to its end."""
        found = []
        watch = self.records.WatchRun(session_pb2.WatchRunRequest(run_id=run_id), timeout=60)
        async for batch in watch:
            for event in batch.events:
                payload = agents_pb2.RunAgentResponse()
                event.payload.Unpack(payload)
                found.append(payload)
        return found

    @property
    def mails(self) -> int:
        """How many were sent."""
        return len((self.folder / "mails").read_text().splitlines())


@pytest.fixture
async def workshop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """Without its agents service."""
    neighbour = VectorNeighbour()
    neighbour.put("meld_rag_vectors", "Brava", TEXT)
    session = f"127.0.0.1:{free_port()}"
    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as redis:
        environment = {
            "REDIS_HOST": redis.host,
            "REDIS_PORT": str(redis.port),
            "MELD_SESSION_ADDRESS": session,
        }
        with process("services.session", **environment):
            async with hosted("vector", neighbour) as vector:
                yield Workshop(tmp_path, vector, session)


async def test_a_mail_that_went_out_before_the_kill_goes_out_once(workshop: Workshop) -> None:
    with workshop.running() as first:
        run_id = await workshop.begin()
        await workshop.until("looking")
        first.kill()
        first.wait()
    (workshop.folder / "looking").unlink()
    with workshop.running():
        await workshop.until("looking")
        (workshop.folder / "go").touch()
        events = await workshop.events(run_id)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        ended = events[-1].ended
        assert list(ended.result.result.research.gaps) == ["1 mails"]
        assert workshop.mails == 1
        assert ended.result.usage.tool_calls == 2
        # Done again from the record, nothing is sent and nothing is looked at.
        (workshop.folder / "go").unlink()
        request = agents_pb2.ReplayRunRequest(run_id=run_id)
        responses = [response async for response in workshop.agents.ReplayRun(request, timeout=30)]
        assert responses[-1].outcome.identical, responses[-1].outcome
        assert [response.event for response in responses] == events
        assert workshop.mails == 1


async def test_a_mail_of_which_nobody_knows_whether_it_went_out_is_not_sent_again(workshop: Workshop) -> None:
    (workshop.folder / "slow-post").touch()
    with workshop.running() as first:
        run_id = await workshop.begin()
        await workshop.until("mailing")
        first.kill()
        first.wait()
    (workshop.folder / "slow-post").unlink()
    (workshop.folder / "go").touch()
    with workshop.running():
        events = await workshop.events(run_id)
    assert events[-1].ended.error.reason == "TOOL_OUTCOME_UNKNOWN"
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert workshop.mails == 1
