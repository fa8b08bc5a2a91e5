"""The files of one run."""

from __future__ import annotations

import hashlib

from services.agents.ports import Attachments, StoredFile


class RunFiles:
    """Is Files: what the run makes belongs to it and its session. session_id: empty where there is none."""

    def __init__(self, attachments: Attachments, run_id: str, session_id: str) -> None:
        self._attachments = attachments
        self._run_id = run_id
        self._session_id = session_id

    async def describe(self, attachment_id: str) -> StoredFile:
        """See Files."""
        return await self._attachments.describe(attachment_id)

    async def read(self, attachment_id: str, limit: int) -> bytes:
        """See Files."""
        return await self._attachments.read(attachment_id, limit)

    async def keep(self, filename: str, media_type: str, data: bytes, key: str) -> StoredFile:
        """See Files."""
        # The content is a part of the name: an action that a killed service repeats may make other bytes, and
        # its result then speaks of those.
        name = hashlib.sha256(b"\0".join((key.encode(), filename.encode(), media_type.encode(), data)))
        return await self._attachments.keep(
            filename,
            media_type,
            data,
            session_id=self._session_id,
            run_id=self._run_id,
            request_id=f"{self._run_id}-file-{name.hexdigest()}",
        )
