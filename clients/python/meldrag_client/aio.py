"""The client for an event loop: `Meld`, with `await` and `async for`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc, workflow_pb2
from meldrag.session.v1 import identity_pb2_grpc, session_pb2_grpc
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from meldrag_client import files, requests
from meldrag_client.channels import RuledChannel, Stream, opened
from meldrag_client.client import AGENTS, SESSION, VECTOR, ingested, no_answer, raise_failure
from meldrag_client.errors import MeldError, of_call
from meldrag_client.files import Ingested


class AsyncMeld:
    """See Meld. Made and used within one event loop."""

    def __init__(
        self,
        agents: str = AGENTS,
        vector: str = VECTOR,
        session: str = SESSION,
        *,
        token: str = "",
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._channels = [
            opened(_Channel, grpc.aio, address, token, credentials) for address in (agents, vector, session)
        ]
        of_agents, of_vector, of_session = (cast(grpc.aio.Channel, channel) for channel in self._channels)
        self.agents: agents_pb2_grpc.AgentServiceAsyncStub = agents_pb2_grpc.AgentServiceStub(of_agents)
        self.vector: vector_pb2_grpc.VectorServiceAsyncStub = vector_pb2_grpc.VectorServiceStub(of_vector)
        self.session: session_pb2_grpc.SessionServiceAsyncStub = session_pb2_grpc.SessionServiceStub(
            of_session
        )
        self.identity: identity_pb2_grpc.IdentityServiceAsyncStub = identity_pb2_grpc.IdentityServiceStub(
            of_session
        )

    async def __aenter__(self) -> AsyncMeld:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends what is under way and closes the connections."""
        for channel in self._channels:
            await channel.close()

    async def create_collection(
        self,
        name: str,
        description: str = "",
        *,
        exist_ok: bool = False,
        timeout: float | None = None,
    ) -> vector_pb2.Collection:
        """See Meld.create_collection."""
        wanted = vector_pb2.CreateCollectionRequest(
            collection_id=name, description=description, request_id=requests.new_request_id()
        )
        try:
            return (await self.vector.CreateCollection(wanted, timeout=timeout)).collection
        except MeldError as error:
            if not exist_ok or error.reason != "COLLECTION_EXISTS":
                raise
        there = vector_pb2.GetCollectionRequest(collection_id=name)
        return (await self.vector.GetCollection(there, timeout=timeout)).collection

    async def ingest(
        self,
        collection: str,
        path: str | os.PathLike[str],
        *,
        external_id: str = "",
        title: str = "",
        metadata: Mapping[str, Any] | None = None,
        request_id: str = "",
        wait_ready: bool = True,
        timeout: float | None = None,
        progress: Callable[[vector_pb2.IngestDocumentResponse], None] | None = None,
    ) -> Ingested:
        """See Meld.ingest."""
        sent = files.messages(
            collection,
            Path(path),
            external_id=external_id,
            title=title,
            metadata=metadata,
            request_id=request_id,
            wait_ready=wait_ready,
        )
        header = await asyncio.to_thread(next, sent)
        stages = []
        async for said in self.vector.IngestDocument(_read(header, sent), timeout=timeout):
            stages.append(said)
            if progress is not None:
                progress(said)
        return ingested(Path(path), stages)

    async def ingest_all(
        self,
        collection: str,
        paths: Iterable[str | os.PathLike[str]],
        *,
        at_once: int = 4,
        wait_ready: bool = True,
        timeout: float | None = None,
    ) -> AsyncGenerator[Ingested, None]:
        """See Meld.ingest_all."""

        async def one(path: Path) -> Ingested:
            try:
                return await self.ingest(collection, path, wait_ready=wait_ready, timeout=timeout)
            except (MeldError, OSError) as error:
                return Ingested(path, error=error)

        found = files.files(paths)
        waiting = [asyncio.create_task(one(path)) for path in islice(found, at_once)]
        try:
            while waiting:
                yield await waiting.pop(0)
                waiting += [asyncio.create_task(one(path)) for path in islice(found, 1)]
        finally:
            for task in waiting:
                task.cancel()

    async def search(
        self,
        query: str,
        collections: Sequence[str],
        *,
        top_k: int = 0,
        mode: requests.Mode = "hybrid",
        timeout: float | None = None,
    ) -> Sequence[vector_pb2.Hit]:
        """See Meld.search."""
        wanted = requests.search(query, collections, top_k, mode)
        return (await self.vector.Search(wanted, timeout=timeout)).hits

    async def ask(
        self,
        message: str,
        *,
        agent: str = "auto",
        collections: Sequence[str] = (),
        session: str = "",
        inputs: Mapping[str, Any] | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[agents_pb2.RunAgentResponse, None]:
        """See Meld.ask."""
        wanted = requests.run(
            message,
            agent=agent,
            collections=collections,
            session=session,
            inputs=inputs,
            request_id=request_id,
        )
        call = self.agents.RunAgent(wanted, timeout=timeout)
        try:
            async for event in call:
                yield event
                raise_failure(event)
        finally:
            call.cancel()

    async def answer(self, message: str, **wanted: Any) -> agents_pb2.RunResult:
        """See Meld.answer."""
        async with aclosing(self.ask(message, **wanted)) as events:
            async for event in events:
                if event.WhichOneof("event") == "ended":
                    raise_failure(event)
                    return event.ended.result
        raise no_answer()

    async def run_workflow(
        self,
        workflow: str,
        message: str,
        *,
        steps: Iterable[workflow_pb2.WorkflowStep] = (),
        collections: Sequence[str] = (),
        session: str = "",
        inputs: Mapping[str, Any] | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[agents_pb2.RunWorkflowResponse, None]:
        """See Meld.run_workflow."""
        wanted = requests.workflow(
            workflow,
            message,
            steps=steps,
            collections=collections,
            session=session,
            inputs=inputs,
            request_id=request_id,
        )
        call = self.agents.RunWorkflow(wanted, timeout=timeout)
        try:
            async for said in call:
                yield said
                if not said.step_id:
                    raise_failure(said.event)
        finally:
            call.cancel()

    async def verify(
        self,
        citations: Iterable[agents_pb2.Citation | vector_pb2.Citation],
        *,
        timeout: float | None = None,
    ) -> Sequence[vector_pb2.CitationVerdict]:
        """See Meld.verify."""
        wanted = requests.citations(citations)
        return (await self.vector.VerifyCitations(wanted, timeout=timeout)).verdicts


async def _read(first: Any, rest: Iterator[Any]) -> AsyncIterator[Any]:
    """Messages whose bytes are read beside the event loop."""
    yield first
    while (message := await asyncio.to_thread(next, rest, None)) is not None:
        yield message


class _Stream(Stream):
    def __init__(self, call: Any) -> None:
        super().__init__(call)
        self._messages = call.__aiter__()

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._messages)
        except grpc.RpcError as error:
            raise of_call(error) from error


class _Channel(RuledChannel):
    stream = _Stream

    def _whole(self, path: str, call: Any) -> Callable[..., Any]:
        async def ruled(request: Any, timeout: float | None = None, metadata: Any = (), **more: Any) -> Any:
            try:
                return await call(request, **self._ruled(path, timeout, metadata), **more)
            except grpc.RpcError as error:
                raise of_call(error) from error

        return ruled
