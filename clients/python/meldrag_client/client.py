"""The client for threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, cast

import grpc

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc, workflow_pb2
from meldrag.session.v1 import identity_pb2_grpc, session_pb2_grpc
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from meldrag_client import files, requests
from meldrag_client.channels import RuledChannel, Stream, opened
from meldrag_client.errors import MeldError, of_call, of_run
from meldrag_client.files import Ingested

AGENTS, VECTOR, SESSION = "127.0.0.1:50051", "127.0.0.1:50052", "127.0.0.1:50053"


class Meld:
    """Calls of the services; safe for threads. All raise MeldError.

    agents, vector, session: addresses, as "host:port". token: sent as bearer token with
    every call. credentials: of TLS; without them nothing is encrypted. timeout of a
    call: seconds, the contract's own when None, never more than the contract's most.

    agents, vector, session, identity: the stubs, for every method that has no method here.
    """

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
            opened(_Channel, grpc, address, token, credentials) for address in (agents, vector, session)
        ]
        of_agents, of_vector, of_session = (cast(grpc.Channel, channel) for channel in self._channels)
        self.agents = agents_pb2_grpc.AgentServiceStub(of_agents)
        self.vector = vector_pb2_grpc.VectorServiceStub(of_vector)
        self.session = session_pb2_grpc.SessionServiceStub(of_session)
        self.identity = identity_pb2_grpc.IdentityServiceStub(of_session)

    def __enter__(self) -> Meld:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what is under way and closes the connections."""
        for channel in self._channels:
            channel.close()

    def create_collection(
        self,
        name: str,
        description: str = "",
        *,
        exist_ok: bool = False,
        timeout: float | None = None,
    ) -> vector_pb2.Collection:
        """Creates a collection; with exist_ok one that is there already is as good."""
        wanted = vector_pb2.CreateCollectionRequest(
            collection_id=name, description=description, request_id=requests.new_request_id()
        )
        try:
            return self.vector.CreateCollection(wanted, timeout=timeout).collection
        except MeldError as error:
            if not exist_ok or error.reason != "COLLECTION_EXISTS":
                raise
        there = vector_pb2.GetCollectionRequest(collection_id=name)
        return self.vector.GetCollection(there, timeout=timeout).collection

    def ingest(
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
        """Sends one file and waits until it is found by meaning, or only until it is safe.

        progress: told of each stage. Raises OSError for a file that cannot be read.
        """
        sent = files.messages(
            collection,
            Path(path),
            external_id=external_id,
            title=title,
            metadata=metadata,
            request_id=request_id,
            wait_ready=wait_ready,
        )
        # A file that cannot be read is told here, not within gRPC's thread.
        header = next(sent)
        stages = []
        for said in self.vector.IngestDocument(_chained(header, sent), timeout=timeout):
            stages.append(said)
            if progress is not None:
                progress(said)
        return ingested(Path(path), stages)

    def ingest_all(
        self,
        collection: str,
        paths: Iterable[str | os.PathLike[str]],
        *,
        at_once: int = 4,
        wait_ready: bool = True,
        timeout: float | None = None,
    ) -> Generator[Ingested, None, None]:
        """Sends files, and directories with what is in them; what became of each, in their order."""

        def one(path: Path) -> Ingested:
            try:
                return self.ingest(collection, path, wait_ready=wait_ready, timeout=timeout)
            except (MeldError, OSError) as error:
                return Ingested(path, error=error)

        found = files.files(paths)
        with ThreadPoolExecutor(at_once) as pool:
            waiting = [pool.submit(one, path) for path in islice(found, at_once)]
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(one, path) for path in islice(found, 1)]

    def search(
        self,
        query: str,
        collections: Sequence[str],
        *,
        top_k: int = 0,
        mode: requests.Mode = "hybrid",
        timeout: float | None = None,
    ) -> Sequence[vector_pb2.Hit]:
        """The passages that fit, best first."""
        return self.vector.Search(requests.search(query, collections, top_k, mode), timeout=timeout).hits

    def ask(
        self,
        message: str,
        *,
        agent: str = "auto",
        collections: Sequence[str] = (),
        session: str = "",
        inputs: Mapping[str, Any] | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Generator[agents_pb2.RunAgentResponse, None, None]:
        """The events of a run as they happen. Leaving them cancels it.

        After the last event of a run that failed or was cancelled MeldError is raised.
        """
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
            for event in call:
                yield event
                raise_failure(event)
        finally:
            call.cancel()

    def answer(self, message: str, **wanted: Any) -> agents_pb2.RunResult:
        """The answer to a question, with its citations; the arguments of `ask`."""
        with closing(self.ask(message, **wanted)) as events:
            for event in events:
                if event.WhichOneof("event") == "ended":
                    raise_failure(event)
                    return event.ended.result
        raise no_answer()

    def run_workflow(
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
    ) -> Generator[agents_pb2.RunWorkflowResponse, None, None]:
        """The events of a workflow and of its steps, as they happen; see `ask`."""
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
            for said in call:
                yield said
                if not said.step_id:
                    raise_failure(said.event)
        finally:
            call.cancel()

    def verify(
        self,
        citations: Iterable[agents_pb2.Citation | vector_pb2.Citation],
        *,
        timeout: float | None = None,
    ) -> Sequence[vector_pb2.CitationVerdict]:
        """Of each citation whether those very bytes stand there."""
        return self.vector.VerifyCitations(requests.citations(citations), timeout=timeout).verdicts


def ingested(path: Path, stages: Sequence[vector_pb2.IngestDocumentResponse]) -> Ingested:
    """What the messages of an ingest mean. Raises MeldError for a document that failed."""
    if not stages:
        raise MeldError(grpc.StatusCode.UNKNOWN, "the stream ended before anything was known of the file")
    document = stages[-1].document
    if document.state == vector_pb2.DOCUMENT_STATE_FAILED:
        error = document.error
        raise MeldError(
            grpc.StatusCode.FAILED_PRECONDITION, error.message, reason=error.reason, domain="vector.meldrag"
        )
    return Ingested(path, document, any(stage.existing for stage in stages))


def raise_failure(event: agents_pb2.RunAgentResponse) -> None:
    """Raises MeldError after the last event of a run that has no answer."""
    if event.WhichOneof("event") == "ended" and (error := of_run(event.ended, event.run_id)) is not None:
        raise error


def no_answer() -> MeldError:
    """The events ended before the run did."""
    return MeldError(grpc.StatusCode.UNKNOWN, "the run's events ended before the run")


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


class _Stream(Stream):
    def __iter__(self) -> _Stream:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise of_call(error) from error


class _Channel(RuledChannel):
    stream = _Stream

    def _whole(self, path: str, call: Any) -> Callable[..., Any]:
        def ruled(request: Any, timeout: float | None = None, metadata: Any = (), **more: Any) -> Any:
            try:
                return call(request, **self._ruled(path, timeout, metadata), **more)
            except grpc.RpcError as error:
                raise of_call(error) from error

        return ruled
