"""Files and Knowledge in memory, for tests of agents."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from services.agents.ports import StoredFile
from services.chassis.errors import NotFoundError, ResourceExhaustedError


class KeptFiles:
    """Is Files. given: files that are there, by attachment id: name, media type and bytes."""

    def __init__(self, given: dict[str, tuple[str, str, bytes]] | None = None) -> None:
        self.files = dict(given or {})
        self.keys: dict[str, str] = {}

    async def describe(self, attachment_id: str) -> StoredFile:
        if attachment_id not in self.files:
            raise NotFoundError("no such attachment", reason="ATTACHMENT_NOT_FOUND")
        name, media_type, data = self.files[attachment_id]
        return StoredFile(attachment_id, name, media_type, len(data), hashlib.sha256(data).hexdigest())

    async def read(self, attachment_id: str, limit: int) -> bytes:
        described = await self.describe(attachment_id)
        if described.bytes > limit:
            raise ResourceExhaustedError(
                f"the file is larger than {limit} bytes", reason="ATTACHMENT_TOO_LARGE"
            )
        return self.files[attachment_id][2]

    async def keep(self, filename: str, media_type: str, data: bytes, key: str) -> StoredFile:
        name = f"{key} {hashlib.sha256(data).hexdigest()}"
        if name not in self.keys:
            self.keys[name] = f"att_{len(self.files):026}"
            self.files[self.keys[name]] = (filename, media_type, data)
        return await self.describe(self.keys[name])


@dataclass(frozen=True)
class Ingested:
    """What was ingested."""

    collection_id: str
    filename: str
    media_type: str
    data: bytes
    title: str


class KeptDocuments:
    """Is Knowledge. documents: by external id."""

    def __init__(self) -> None:
        self.documents: dict[str, Ingested] = {}

    async def ingest(
        self,
        collection_id: str,
        filename: str,
        media_type: str,
        data: bytes,
        *,
        title: str,
        external_id: str,
    ) -> str:
        self.documents[external_id] = Ingested(collection_id, filename, media_type, data, title)
        return f"doc-{external_id}"
