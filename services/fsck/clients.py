"""The vector service, as this program reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc

from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.chassis.certificates import Certificates
from services.chassis.channel import open_channel
from services.chassis.errors import from_rpc_error
from services.chassis.passes import Identity

_PAGE_SECONDS = 3_600.0
_PURGE_SECONDS = 14_400.0
# A page is seconds of work, so this is days.
_MOST_PAGES = 100_000


class Keeper:
    """What can be asked of it. Every method raises ServiceError."""

    def __init__(self, channel: Any) -> None:
        self._stub = vector_pb2_grpc.VectorServiceStub(channel)

    def check(self, collection_id: str) -> Iterator[vector_pb2.CheckIndexResponse]:
        """The pages of a comparison of a collection, or of everything."""
        message = vector_pb2.CheckIndexRequest(collection_id=collection_id, every_tenant=not collection_id)
        yield from _pages(self._stub.CheckIndex, message)

    def repair(self, collection_id: str) -> Iterator[vector_pb2.RepairIndexResponse]:
        """The pages of a repair."""
        message = vector_pb2.RepairIndexRequest(collection_id=collection_id, every_tenant=not collection_id)
        yield from _pages(self._stub.RepairIndex, message)

    def purge(self) -> vector_pb2.PurgeDeletedResponse:
        """Leaves no byte of what was deleted."""
        try:
            request = vector_pb2.PurgeDeletedRequest()
            done: vector_pb2.PurgeDeletedResponse = self._stub.PurgeDeleted(request, timeout=_PURGE_SECONDS)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        return done


def _pages(method: Any, message: Any) -> Iterator[Any]:
    for _ in range(_MOST_PAGES):
        try:
            page = method(message, timeout=_PAGE_SECONDS)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        yield page
        if not page.next_page_token:
            return
        message.page_token = page.next_page_token


@contextmanager
def open_keeper(
    address: str, identity: Identity | None = None, certificates: Certificates | None = None
) -> Iterator[Keeper]:
    """A channel for the duration of the block. Nothing is called.

    identity: says that the house itself calls; None where nobody logs in. certificates: see
    services.chassis.channel.
    """
    service = vector_pb2.DESCRIPTOR.services_by_name["VectorService"]
    channel = open_channel(address, service, identity=identity, certificates=certificates)
    with ExitStack() as closing:
        closing.enter_context(channel)
        try:
            yield Keeper(channel)
        except (KeyboardInterrupt, SystemExit):
            # A signal may have torn a call out of gRPC's hands, and closing would wait for its end for ever.
            # The process is about to end.
            closing.pop_all()
            raise
