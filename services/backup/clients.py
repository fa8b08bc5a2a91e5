"""The two services that keep something, as this program reaches them."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.backup.failure import BackupError, NotReadyError
from services.chassis.certificates import Certificates
from services.chassis.channel import open_channel
from services.chassis.errors import ServiceError, from_rpc_error
from services.chassis.passes import Identity

T = TypeVar("T")

_PIECE_BYTES = 256 * 1024
_SNAPSHOT_SECONDS = 14_400.0
_CALL_SECONDS = 30.0
_HEALTH_SECONDS = 2.0
_READY_SECONDS = 20.0
# A service that was killed while it imported is followed by another attempt after at most this long.
_PATIENCE_SECONDS = 90.0
_PAUSE_SECONDS = 1.0

# What a later try may succeed after, with the same request id.
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED)


@dataclass(frozen=True)
class Keeper:
    """A service that keeps something. name: as its snapshots call it."""

    name: str
    address: str
    stub: Any
    health: Any
    requests: Any

    def export(self) -> Generator[bytes, None, None]:
        """Its snapshot, in pieces; the call ends when it is closed. Raises BackupError."""
        with self._told("cannot be copied"):
            call = self.stub.ExportSnapshot(self.requests.ExportSnapshotRequest(), timeout=_SNAPSHOT_SECONDS)
            try:
                for response in call:
                    yield response.data
            finally:
                call.cancel()

    def restore(
        self, path: Path, seen: Callable[[int], None] = lambda _: None, patience: float = _PATIENCE_SECONDS
    ) -> int:
        """Lets it take a snapshot; how many documents or sessions it keeps now. Raises ServiceError.

        seen: told how many bytes were sent, in any thread.
        """
        request_id = f"restore-{secrets.token_hex(16)}"

        def once() -> int:
            response = self.stub.ImportSnapshot(
                self._pieces(path, request_id, seen), timeout=_SNAPSHOT_SECONDS
            )
            return int(response.documents if self.name == "vector" else response.sessions)

        return repeated(once, patience)

    def _pieces(self, path: Path, request_id: str, seen: Callable[[int], None]) -> Iterator[Any]:
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE_BYTES):
                yield self.requests.ImportSnapshotRequest(data=piece, request_id=request_id)
                request_id = ""
                seen(stream.tell())

    def wait_healthy(self, seconds: float | None = None) -> None:
        """Until it says SERVING. Raises NotReadyError after `seconds`; after 20 when None."""
        end = time.monotonic() + (_READY_SECONDS if seconds is None else seconds)
        while True:
            try:
                reply = self.health.Check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_SECONDS)
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return
                state = "is not ready"
            except grpc.RpcError:
                state = "does not answer"
            if time.monotonic() > end:
                raise NotReadyError(f"the {self.name} service at {self.address} {state}")
            time.sleep(_PAUSE_SECONDS / 4)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            said = from_rpc_error(error)
            raise BackupError(
                f"the {self.name} service at {self.address} {what}: {said.message} ({said.reason})",
                cause=said,
            ) from None


@dataclass(frozen=True)
class Keepers:
    """Both of them."""

    vector: Keeper
    session: Keeper


@contextmanager
def open_keepers(
    vector_address: str,
    session_address: str,
    identity: Identity | None,
    certificates: Certificates | None,
) -> Iterator[Keepers]:
    """Channels to both for the duration of the block. Nothing is called.

    identity: says that the house itself calls; None where nobody logs in. certificates: see
    services.chassis.channel.
    """
    vector_service = vector_pb2.DESCRIPTOR.services_by_name["VectorService"]
    session_service = session_pb2.DESCRIPTOR.services_by_name["SessionService"]
    vector = open_channel(vector_address, vector_service, identity=identity, certificates=certificates)
    session = open_channel(session_address, session_service, identity=identity, certificates=certificates)
    keepers = Keepers(
        Keeper(
            "vector",
            vector_address,
            vector_pb2_grpc.VectorServiceStub(vector),
            health_pb2_grpc.HealthStub(vector),
            vector_pb2,
        ),
        Keeper(
            "session",
            session_address,
            session_pb2_grpc.SessionServiceStub(session),
            health_pb2_grpc.HealthStub(session),
            session_pb2,
        ),
    )
    with ExitStack() as channels:
        channels.enter_context(vector)
        channels.enter_context(session)
        try:
            yield keepers
        except (KeyboardInterrupt, SystemExit):
            # A signal may have torn a call out of gRPC's hands, and closing would wait for its end for ever.
            # The process is about to end.
            channels.pop_all()
            raise


def contracts() -> str:
    """SHA-256 of the contracts that this program was built with, in hex."""
    digest = hashlib.sha256()
    for file in (session_pb2.DESCRIPTOR, vector_pb2.DESCRIPTOR):
        digest.update(file.serialized_pb)
    return digest.hexdigest()


def repeated(call: Callable[[], T], patience: float) -> T:
    """The outcome of a call that may be repeated, tried until `patience` seconds have passed.

    Raises ServiceError.
    """
    end = time.monotonic() + patience
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            said: ServiceError = from_rpc_error(error)
            if said.code not in _PASSING or time.monotonic() > end:
                raise said from None
        time.sleep(_PAUSE_SECONDS)
