"""Attachments in the session service."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import grpc
import grpc.aio

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from services.agents.adapters.session_client import translated
from services.agents.ports import StoredFile
from services.chassis.errors import DataLossError, ResourceExhaustedError

_READ_SECONDS = 2.0
# The largest file, over a disk or a network that is slow.
_FILE_SECONDS = 60.0
_PIECE_BYTES = 256 << 10


class AttachmentClient:
    """Attachments over a channel to the session service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = session_pb2_grpc.SessionServiceStub(channel)

    async def describe(self, attachment_id: str) -> StoredFile:
        """See Attachments."""
        request = session_pb2.GetAttachmentRequest(attachment_id=attachment_id)
        try:
            found = await self._stub.GetAttachment(request, timeout=_READ_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
        return _stored(found.attachment)

    async def read(self, attachment_id: str, limit: int) -> bytes:
        """See Attachments."""
        request = session_pb2.ReadAttachmentRequest(attachment_id=attachment_id)
        call = self._stub.ReadAttachment(request, timeout=_FILE_SECONDS)
        data = bytearray()
        expected = ""
        try:
            async for piece in call:
                if piece.HasField("attachment"):
                    expected = piece.attachment.sha256
                    if piece.attachment.bytes > limit:
                        raise ResourceExhaustedError(
                            f"{piece.attachment.filename} has more than {limit} bytes",
                            reason="ATTACHMENT_TOO_LARGE",
                            metadata={"limit": str(limit)},
                        )
                data += piece.data
        except grpc.RpcError as error:
            raise translated(error) from error
        finally:
            call.cancel()
        found = hashlib.sha256(data).hexdigest()
        if found != expected:
            raise DataLossError(
                f"the bytes of the attachment {attachment_id} are not those that were kept",
                reason="CHECKSUM_MISMATCH",
                metadata={"expected": expected, "found": found},
            )
        return bytes(data)

    async def keep(
        self, filename: str, media_type: str, data: bytes, *, session_id: str, run_id: str, request_id: str
    ) -> StoredFile:
        """See Attachments."""

        async def parts() -> AsyncIterator[session_pb2.PutAttachmentRequest]:
            header = session_pb2.Attachment(
                session_id=session_id,
                run_id=run_id,
                filename=filename,
                media_type=media_type,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
            yield session_pb2.PutAttachmentRequest(header=header, request_id=request_id)
            for start in range(0, len(data), _PIECE_BYTES):
                yield session_pb2.PutAttachmentRequest(data=data[start : start + _PIECE_BYTES])

        try:
            kept = await self._stub.PutAttachment(parts(), timeout=_FILE_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
        return _stored(kept.attachment)


def _stored(attachment: session_pb2.Attachment) -> StoredFile:
    return StoredFile(
        attachment.attachment_id,
        attachment.filename,
        attachment.media_type,
        attachment.bytes,
        attachment.sha256,
    )
