"""Neighbours that keep attachments and take documents."""

from __future__ import annotations

import hashlib
from typing import Any

from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import NotFoundError
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour

_PIECE = 256 << 10


class AttachmentKeeper(SessionNeighbour):
    """A session service with attachments. files: by id, with their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, tuple[session_pb2.Attachment, bytes]] = {}
        self.puts: dict[str, str] = {}
        self.reads = 0

    def give(self, attachment_id: str, filename: str, data: bytes, media_type: str = "image/png") -> str:
        """A file that somebody sent."""
        self.files[attachment_id] = (
            session_pb2.Attachment(
                attachment_id=attachment_id,
                filename=filename,
                media_type=media_type,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            ),
            data,
        )
        return attachment_id

    def _found(self, attachment_id: str) -> tuple[session_pb2.Attachment, bytes]:
        if attachment_id not in self.files:
            raise NotFoundError(
                "no such attachment",
                reason="ATTACHMENT_NOT_FOUND",
                metadata={"attachment_id": attachment_id},
            )
        return self.files[attachment_id]

    async def GetAttachment(self, request: Any, rpc: Any) -> session_pb2.GetAttachmentResponse:
        await self.faults.meet("GetAttachment")
        return session_pb2.GetAttachmentResponse(attachment=self._found(request.attachment_id)[0])

    async def ReadAttachment(self, request: Any, rpc: Any) -> Any:
        await self.faults.meet("ReadAttachment")
        attachment, data = self._found(request.attachment_id)
        self.reads += 1
        yield session_pb2.ReadAttachmentResponse(attachment=attachment)
        for start in range(0, len(data), _PIECE):
            yield session_pb2.ReadAttachmentResponse(data=data[start : start + _PIECE])

    async def PutAttachment(self, requests: Any, rpc: Any) -> session_pb2.PutAttachmentResponse:
        await self.faults.meet("PutAttachment")
        header, request_id, data = session_pb2.Attachment(), "", b""
        async for request in requests:
            if request.HasField("header"):
                header, request_id = request.header, request.request_id
            data += request.data
        existing = request_id in self.puts
        if not existing:
            self.puts[request_id] = self.give(
                f"att-{len(self.files)}", header.filename, data, header.media_type
            )
        kept = self.files[self.puts[request_id]][0]
        return session_pb2.PutAttachmentResponse(attachment=kept, existing=existing)


class DocumentTaker(VectorNeighbour):
    """A vector service that takes documents. taken: headers with their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[vector_pb2.IngestHeader, bytes]] = []

    async def IngestDocument(self, requests: Any, rpc: Any) -> Any:
        await self.faults.meet("IngestDocument")
        header, data = vector_pb2.IngestHeader(), b""
        async for request in requests:
            if request.HasField("header"):
                header = request.header
            data += request.data
        self.taken.append((header, data))
        document = vector_pb2.Document(document_id=f"doc-{len(self.taken)}", title=header.title)
        yield vector_pb2.IngestDocumentResponse(document=document)
