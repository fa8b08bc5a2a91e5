"""The other replicas of this service, under the addresses that records name."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio

from meldrag.agents.v1 import replicas_pb2, replicas_pb2_grpc
from services.agents.ports import Decision
from services.chassis.addresses import is_every_interface
from services.chassis.certificates import Certificates
from services.chassis.channel import open_aio_channel
from services.chassis.errors import UnavailableError, from_rpc_error
from services.chassis.passes import Identity

SERVICE = replicas_pb2.DESCRIPTOR.services_by_name["ReplicaService"]

# The host of a container that is gone is given up by the network after about three seconds.
_SECONDS = 4.0


def replica_name(bind: str) -> str:
    """How records name this process: where others reach it, and a token, since addresses are used again.

    bind: host and port to listen on. Where that is every interface, the address of this machine's name
    counts, as containers know each other.
    """
    host, _, port = bind.rpartition(":")
    if is_every_interface(host):
        try:
            host = socket.gethostbyname(socket.gethostname())
        except OSError:
            host = "127.0.0.1"
    return f"{host}:{port}#{secrets.token_hex(4)}"


class ReplicaClient:
    """Is Replicas. It is asked rarely, so there is a connection for each question."""

    def __init__(
        self, name: str, identity: Identity | None = None, certificates: Certificates | None = None
    ) -> None:
        """identity, certificates: see services.chassis.channel."""
        self.name = name
        self._identity = identity
        self._certificates = certificates

    async def reach(self, owner: str, run_id: str, *, stop: bool) -> bool:
        """See Replicas."""
        async with self._asked(owner, run_id) as stub:
            if stub is None:
                return False
            request = replicas_pb2.ReachRunRequest(run_id=run_id, stop=stop)
            try:
                answer = await stub.ReachRun(request, timeout=_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise _silent(run_id) from from_rpc_error(error)
        return bool(answer.working)

    async def decide(self, owner: str, run_id: str, step_id: str, decision: Decision) -> bool:
        """See Replicas."""
        async with self._asked(owner, run_id) as stub:
            if stub is None:
                return False
            request = replicas_pb2.ReachStepRequest(
                run_id=run_id, step_id=step_id, approved=decision.approved, comment=decision.comment
            )
            try:
                answer = await stub.ReachStep(request, timeout=_SECONDS)
            except grpc.aio.AioRpcError as error:
                failure = from_rpc_error(error)
                if failure.reason in ("STEP_NOT_WAITING", "SESSION_UNAVAILABLE"):
                    raise failure from error
                raise _silent(run_id) from failure
        return bool(answer.working)

    @asynccontextmanager
    async def _asked(self, owner: str, run_id: str) -> AsyncIterator[Any]:
        """The stub of that replica; None where nobody listens. Raises UnavailableError."""
        address = owner.partition("#")[0]
        if address == self.name.partition("#")[0]:
            # An earlier process at this one's address.
            yield None
            return
        try:
            listened = await _listened_at(address)
        except TimeoutError:
            raise _silent(run_id) from None
        if not listened:
            yield None
            return
        async with open_aio_channel(
            address, SERVICE, identity=self._identity, certificates=self._certificates
        ) as channel:
            yield replicas_pb2_grpc.ReplicaServiceStub(channel)


async def _listened_at(address: str) -> bool:
    """Whether anybody listens there; gRPC does not tell a refusal from silence. Raises TimeoutError."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host, int(port))
    except TimeoutError:
        raise
    except (OSError, ValueError):
        return False
    writer.close()
    return True


def _silent(run_id: str) -> UnavailableError:
    return UnavailableError(
        "the replica that works on the run does not answer",
        reason="REPLICA_UNAVAILABLE",
        metadata={"run_id": run_id[:100]},
        retry_after=1.0,
    )
