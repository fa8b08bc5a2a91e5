"""What gRPC calls: each method through the switch, and the two that are about the record as a whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor

from meldrag.vector.v1 import vector_pb2 as pb
from meldrag.vector.v1 import vector_pb2_grpc
from services.chassis import context as call
from services.chassis.snapshot import PIECE_BYTES
from services.vector import identifiers
from services.vector.faults import invalid_field
from services.vector.servicer import VectorServicer
from services.vector.snapshots.exporting import Exporting
from services.vector.snapshots.restoring import Restoring
from services.vector.switch import Switch

SERVICE = pb.DESCRIPTOR.services_by_name["VectorService"]
_READS = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS


class SwitchedServicer(vector_pb2_grpc.VectorServiceServicer):
    """meldrag.vector.v1.VectorService over whichever application answers now."""

    def __init__(self, switch: Switch, exporting: Exporting, restoring: Restoring) -> None:
        self._switch = switch
        self._exporting = exporting
        self._restoring = restoring
        for method in SERVICE.methods:
            if method.name not in vars(SwitchedServicer):
                setattr(self, method.name, self._through(method))

    async def ExportSnapshot(
        self, request: pb.ExportSnapshotRequest, context: Any
    ) -> AsyncIterator[pb.ExportSnapshotResponse]:
        """See the contract."""
        del request, context
        pieces = self._exporting.run()
        try:
            async for piece in pieces:
                yield pb.ExportSnapshotResponse(data=piece)
        finally:
            await pieces.aclose()

    async def ImportSnapshot(
        self, request_iterator: AsyncIterator[pb.ImportSnapshotRequest], context: Any
    ) -> pb.ImportSnapshotResponse:
        """See the contract."""
        del context
        requests = aiter(request_iterator)
        first = await anext(requests, pb.ImportSnapshotRequest())
        request_id = identifiers.line("request_id", first.request_id, 128)
        contents = await self._restoring.run(call.principal().space, request_id, _pieces(first, requests))
        return pb.ImportSnapshotResponse(content_sha256=contents.content_sha256, **contents.counts)

    def _through(self, method: MethodDescriptor) -> Callable[[Any, Any], Any]:
        writes = method.GetOptions().idempotency_level != _READS
        switch = self._switch

        async def respond_once(request: Any, context: Any) -> Any:
            return await switch.call(
                lambda application: getattr(VectorServicer(application), method.name)(request, context),
                writes=writes,
            )

        async def respond_in_pieces(request: Any, context: Any) -> AsyncGenerator[Any, None]:
            items = switch.stream(
                lambda application: getattr(VectorServicer(application), method.name)(request, context),
                writes=writes,
            )
            try:
                async for item in items:
                    yield item
            finally:
                await items.aclose()

        return respond_in_pieces if method.server_streaming else respond_once


async def _pieces(
    first: pb.ImportSnapshotRequest, requests: AsyncIterator[pb.ImportSnapshotRequest]
) -> AsyncIterator[bytes]:
    message: pb.ImportSnapshotRequest | None = first
    while message is not None:
        if len(message.data) > PIECE_BYTES:
            raise invalid_field("data", len(message.data), f"must have at most {PIECE_BYTES} bytes")
        yield message.data
        message = await anext(requests, None)
