"""What can be seen of servers in this process: observations for the table of settings.

Each reads its settings from the environment, as the service itself does.
"""

from __future__ import annotations

import asyncio
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import redis
from flask.sessions import SecureCookieSessionInterface
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2 as pb
from meldrag.vector.v1 import vector_pb2_grpc
from services.agents.chat import providers
from services.chassis.errors import ServiceError
from services.chassis.health import Dependency
from services.chassis.server import Server
from services.chassis.settings import ServiceSettings, load
from services.gateway.app import create_app
from services.gateway.clients import Addresses, Clients
from services.gateway.door import Door, slots_for
from services.gateway.limits import Drain
from services.gateway.settings import GatewaySettings
from services.session.settings import SessionSettings
from services.vector.hosting import vector_server
from services.vector.models import configured
from services.vector.settings import VectorSettings
from tests.contract.agents.conftest import DEFAULT, agents_house, result_of
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, hosted
from tests.contract.agents.test_audio import TALK, Filing, house_on, run, talk
from tests.contract.session.conftest import running_house
from tests.contract.session.test_process import ended, start
from tests.contract.vector.world import eventually, running
from tests.support.model_folder import write_model
from tests.support.model_server import Answer, Heard, ModelServer, Spoken
from tests.support.plain_sandbox import PlainSandbox
from tests.support.redis_server import RedisServer, free_port

# A loopback address on which nothing of this machine listens by default.
ASIDE = "127.0.0.3"
PASSWORD = "Wd5r-k82mZq-xT7n-pLb3"
QUESTION = "When was the lighthouse of Brava built?"


class RedisAside(RedisServer):
    """A Redis on the address aside."""

    host = ASIDE


class Knocks:
    """A port on the address aside that notes that somebody came, and hangs up."""

    def __init__(self) -> None:
        self.came = threading.Event()
        knocks = self

        class _Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                knocks.came.set()

        self._server = socketserver.ThreadingTCPServer((ASIDE, 0), _Handler)
        self.port = self._server.server_address[1]

    def forget(self) -> None:
        """Until nobody comes any more: a service that was stopped may still have been on its way."""
        self.came.clear()
        for _ in range(40):
            if not self.came.wait(0.5):
                return
            self.came.clear()

    @contextmanager
    def listening(self) -> Iterator[Knocks]:
        """Listens for the duration of the block."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(5)


@dataclass
class Stage:
    """Where a variable shows what it does. patience: seconds to wait for what should come."""

    folder: Path
    open_redis: RedisServer
    locked_redis: RedisServer
    knocks: Knocks
    model: ModelServer
    patience: float = 30.0


# --- session -------------------------------------------------------------------------------------------


async def where_sessions_are(stage: Stage) -> str:
    """Which Redis has a session that was just made; "none" when it could not be."""
    servers = {"open": stage.open_redis, "locked": stage.locked_redis}
    for server in servers.values():
        with _client(server) as client:
            client.flushall()
    async with running_house(load(SessionSettings)) as house:
        try:
            await house.stub.CreateSession(session_pb2.CreateSessionRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            return "none" if error.code() == grpc.StatusCode.UNAVAILABLE else str(error)
    found = []
    for name, server in servers.items():
        with _client(server) as client:
            found += [name] * bool([key for key in client.keys("*") if key != b"meld:{store}"])
    assert len(found) == 1
    return found[0]


async def how_long_a_session_stays(stage: Stage) -> str:
    """Whether what was written goes within the hour."""
    with _client(stage.open_redis) as client:
        client.flushall()
        async with running_house(load(SessionSettings)) as house:
            await house.session()
        longest = max(client.ttl(key) for key in client.keys("*"))
    assert longest > 0
    return "within the hour" if longest <= 3600 else "longer"


def how_a_session_process_fares(stage: Stage) -> str:
    """Whether the service serves with this store, or ends and names the variable."""
    port = free_port()
    kind = os.environ.get("SESSION_TYPE", "")
    process = start(stage.open_redis, port, REDIS_HOST=ASIDE, SESSION_TYPE=kind)
    try:
        while process.poll() is None:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                health: Any = health_pb2_grpc.HealthStub(channel)
                try:
                    health.Check(health_pb2.HealthCheckRequest(), timeout=1, wait_for_ready=True)
                except grpc.RpcError:
                    continue
                return "serves"
        code, lines = ended(process)
        assert code == 2
        return "names it" if lines[0].startswith("session: SESSION_TYPE:") else lines[0]
    finally:
        process.kill()
        process.wait()


def _client(server: RedisServer) -> redis.Redis:
    return redis.Redis(host=server.host, port=server.port, password=server.password or None)


# --- agents --------------------------------------------------------------------------------------------


async def _exchange(stage: Stage, base_url: str) -> tuple[Any, list[str]]:
    """What the model server was asked in a run, None when nothing; and the collections that were searched."""
    vector, session = VectorNeighbour(), SessionNeighbour()
    for collection in (DEFAULT, "atlas"):
        vector.put(collection, "Lighthouse", "The lighthouse of Brava was built in 1884.")
    before = len(stage.model.requests)
    async with AsyncExitStack() as stack:
        addresses = [
            await stack.enter_async_context(hosted(name, neighbour))
            for name, neighbour in (("vector", vector), ("session", session))
        ]
        house = await stack.enter_async_context(agents_house(*addresses, base_url))
        await house.run(QUESTION)
    asked = [one for one in stage.model.requests[before:] if one.path.endswith("/chat/completions")]
    return (asked[0] if asked else None), list(vector.searches[-1].collection_ids)


async def bearer(stage: Stage) -> str:
    """The key that is shown to the endpoint of OPENAI_BASE_URL."""
    exchange, _ = await _exchange(stage, stage.model.base_url)
    return str(exchange.headers["authorization"])


async def model_asked(stage: Stage) -> str:
    """The model that is asked for."""
    exchange, _ = await _exchange(stage, stage.model.base_url)
    return str(exchange.body["model"])


async def listener_asked(stage: Stage) -> str | None:
    """The model that a recording is sent to."""
    del stage
    return await _sound_asked(Heard("Good morning."), attachment_ids=[TALK])


async def speaker_asked(stage: Stage) -> str | None:
    """The model that a text is given to speak."""
    del stage
    return await _sound_asked(Spoken(b"an mp3"), say={"text": "Good morning."})


async def _sound_asked(step: Heard | Spoken, **inputs: Any) -> str | None:
    with ModelServer(step, forever=Answer("I cannot tell."), strict=False) as server:
        async with house_on(
            Filing(att_talk=talk()), VectorNeighbour(), server.base_url, sandbox=PlainSandbox()
        ) as house:
            result_of(await run(house, **inputs))
        asked = [one for one in server.requests if "/audio/" in one.path]
    return str(asked[0].body["model"]) if asked else None


async def tokens_allowed(stage: Stage) -> int:
    """How long an answer may be."""
    exchange, _ = await _exchange(stage, stage.model.base_url)
    return int(exchange.body["max_tokens"])


async def collection_searched(stage: Stage) -> list[str]:
    """Where passages come from when nobody names a collection."""
    return (await _exchange(stage, ""))[1]


async def vendor_asked(stage: Stage) -> tuple[str, str] | None:
    """Key and model with which a vendor is asked, at an address of ours instead of the vendor's."""
    with pytest.MonkeyPatch.context() as patch:
        for vendor in ("anthropic", "google", "cohere"):
            patch.setitem(providers._BASE_URLS, vendor, stage.model.base_url)
        exchange, _ = await _exchange(stage, "")
    return exchange and (exchange.headers["authorization"], exchange.body["model"])


# --- vector --------------------------------------------------------------------------------------------


async def hits_of_a_search(stage: Stage) -> int:
    """How many of four documents are found, each of which shares a word with the question."""
    async with running(stage.folder) as client:
        await client.create()
        for number in range(4):
            await client.ready(f"Lighthouse number{number} far{number} away{number}.")
        found = await client.search("lighthouse", mode=pb.SEARCH_MODE_DENSE)
        return len(found.hits)


async def why_nothing_is_fetched(stage: Stage) -> str:
    """The reason for which there is no document from an address of this machine where nothing listens."""
    async with running(stage.folder) as client:
        await client.create()
        with pytest.raises(ServiceError) as error:
            await client.ingest("", filename="", url=f"http://{ASIDE}:{free_port()}/")
    return str(error.value.reason)


async def whether_a_file_is_kept(stage: Stage) -> bool:
    """Whether the document has what it was made of."""
    async with running(stage.folder) as client:
        await client.create()
        return (await client.ready("A sheet.")).has_original


async def where_the_index_is(stage: Stage) -> list[str]:
    """The folders, of the two it may be in, that the index has made."""
    async with running(stage.folder) as client:
        await client.create()
        await client.ready("A sheet.")
        await eventually(lambda: _is_ready(client))
    return [
        name
        for name, path in (("usual", stage.folder / "vector" / "chroma"), ("named", stage.folder / "named"))
        if path.exists()
    ]


async def _is_ready(client: Any) -> bool:
    return bool(client.application.keeper.state.name == "READY")


async def asks_the_server_aside(stage: Stage) -> bool:
    """Whether the index is looked for at the port aside."""
    await asyncio.to_thread(stage.knocks.forget)
    async with running(stage.folder) as client:
        await client.create()
        return await asyncio.to_thread(stage.knocks.came.wait, stage.patience)


async def components_of_a_vector(stage: Stage) -> int:
    """How long the vectors of the configured model are."""
    settings = load(VectorSettings)
    with configured(settings) as model:
        async with vector_server(settings, model, "127.0.0.1:0") as (server, _):
            address = f"127.0.0.1:{await server.start()}"
            try:
                async with grpc.aio.insecure_channel(address) as channel:
                    stub = vector_pb2_grpc.VectorServiceStub(channel)
                    made = await stub.EmbedTexts(pb.EmbedTextsRequest(texts=["a text"]), timeout=20)
            finally:
                await server.stop(0)
    return len(made.embeddings[0].values)


async def components_with_a_model_in_a_folder(stage: Stage) -> int:
    """The same where a folder has a model of the name that is set."""
    model = stage.folder / "ours" / "text-embedding-3-small"
    if not model.exists():
        write_model(model)
    return await components_of_a_vector(stage)


# --- chassis and gateway -------------------------------------------------------------------------------


async def pings_often(stage: Stage) -> bool:
    """Whether a dependency is asked thirty times before the patience ends."""
    pings = 0

    async def ping() -> None:
        nonlocal pings
        pings += 1

    server = Server(
        name="any",
        services=[],
        dependencies=[Dependency("anything", ping)],
        settings=load(ServiceSettings),
    )
    await server.start()
    try:
        async with asyncio.timeout(stage.patience):
            while pings < 30:
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    finally:
        await server.stop(0)
    return True


def cookie_is_signed(stage: Stage) -> bool:
    """Whether the application can sign a cookie that its key opens again."""
    app = _application()
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    return signer is not None and signer.loads(signer.dumps("kept")) == "kept"


def page_may_be_kept(stage: Stage) -> str:
    """What a browser is told about the page."""
    return str(_application().test_client().get("/").headers["Cache-Control"])


def _application() -> Any:
    settings = load(GatewaySettings)
    nowhere = Addresses(*["127.0.0.1:1"] * 3)
    with closing(Clients(nowhere)) as clients:
        return create_app(Door(settings, clients, slots_for(settings.gunicorn_threads), Drain(), lambda: b""))


def what_stops_a_gateway(stage: Stage) -> str:
    """What stops a gateway that needs its secrets and whose port is taken: a secret, or its port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "services.gateway"],
            env={**os.environ, "FLASK_PORT": str(taken.getsockname()[1])},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    return "its port" if "cannot listen" in done.stderr else done.stderr.split(" is needed")[0]


def port_listened_on(stage: Stage) -> int:
    """The port of a gateway's socket, on an address where nobody else listens."""
    code = (
        "from services.chassis.settings import load\nfrom services.gateway.server import GatewayServer\n"
        "from services.gateway.settings import GatewaySettings\n"
        "print(GatewayServer(load(GatewaySettings))._socket.getsockname()[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FLASK_HOST": ASIDE},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(done.stdout)
