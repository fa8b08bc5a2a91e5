"""What is known of files, in Redis: a hash for each, with indexes by time.

Nothing of it expires by itself, since something would then have to remember how many
bytes went with it: one of a session is there as long as the session is, another one
until its own time, and the sweep forgets those that are gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from services.session import failures
from services.session.model import Attachment, NewAttachment, Page, Session
from services.session.redis_store import (
    Fields,
    RedisStore,
    attachment,
    attachment_bytes,
    attachments,
    attachments_of,
    fields_of,
    fingerprint_of,
    once_place,
    session_keys,
    session_place,
)
from services.session.requests import Once

_SWEPT = 200


class RedisAttachments:
    """Is an AttachmentStore and FileRecords. lifetime_seconds: of one that has no session."""

    def __init__(self, store: RedisStore, lifetime_seconds: int, total_bytes: int) -> None:
        """total_bytes: of all files of a tenant together; each counts 4 KiB at least."""
        self._store = store
        self._lifetime = lifetime_seconds * 1000
        self._total = total_bytes

    async def page_token_key(self) -> bytes:
        """See AttachmentStore."""
        return await self._store.page_token_key()

    async def get_session(self, tenant: str, session_id: str) -> Session:
        """See AttachmentStore."""
        return await self._store.get_session(tenant, session_id)

    async def put_attachment(
        self, tenant: str, new: NewAttachment, file: str, once: Once | None
    ) -> tuple[Attachment, bool]:
        """See AttachmentStore."""
        in_session = (
            (*session_keys(tenant, new.session_id), attachments_of(tenant, new.session_id))
            if new.session_id
            else ()
        )
        reply = await self._store.run(
            "attachment_put",
            [
                *(attachment(tenant, new.attachment_id), attachments(tenant), attachment_bytes(tenant)),
                *(once_place(tenant, "attach", once), *in_session),
            ],
            [
                *(self._store.conversation_lifetime, self._lifetime, self._total),
                *(new.attachment_id, new.session_id),
                *(fingerprint_of(once), new.size),
                *("run_id", new.run_id, "filename", new.filename, "media_type", new.media_type),
                *("sha256", new.sha256, "file", file),
            ],
        )
        match reply[0]:
            case b"missing":
                raise failures.session_not_found(new.session_id)
            case b"reused":
                raise failures.request_id_reused(once.request_id if once else "")
            case b"full":
                raise failures.attachments_full(self._total)
        return _attachment_of(fields_of(reply[1])), reply[0] == b"existing"

    async def get_attachment(self, tenant: str, attachment_id: str) -> Attachment:
        """See AttachmentStore."""
        reply = await self._store.run(
            "attachment_read", [attachment(tenant, attachment_id)], [session_place(tenant, "")]
        )
        if reply[0] == b"missing":
            raise failures.attachment_not_found(attachment_id)
        return _attachment_of(fields_of(reply[1]))

    async def list_attachments(
        self, tenant: str, session_id: str, place: str, count: int
    ) -> Page[Attachment]:
        """See AttachmentStore."""
        index = attachments(tenant)
        if session_id:
            await self._store.get_session(tenant, session_id)
            index = attachments_of(tenant, session_id)
        last, found = await self._store.run(
            "attachments_list", [index], [place, count, attachment(tenant, ""), session_place(tenant, "")]
        )
        return Page(tuple(_attachment_of(fields_of(flat)) for flat in found), last.decode())

    async def delete_attachment(self, tenant: str, attachment_id: str) -> str:
        """See AttachmentStore."""
        reply = await self._store.run(
            "attachment_delete",
            [attachment(tenant, attachment_id), attachments(tenant), attachment_bytes(tenant)],
            [attachment_id, session_place(tenant, "")],
        )
        if reply[0] == b"missing":
            raise failures.attachment_not_found(attachment_id)
        return str(reply[1].decode())

    async def forget_dead(self, tenant: str) -> AsyncIterator[list[str]]:
        """See FileRecords."""
        place = ""
        while True:
            last, files = await self._store.run(
                "attachments_sweep",
                [attachments(tenant), attachment_bytes(tenant)],
                [place, _SWEPT, attachment(tenant, ""), session_place(tenant, "")],
            )
            yield [name.decode() for name in files]
            if not last:
                return
            place = last.decode()

    async def unnamed(self, files: Sequence[tuple[str, str, str]]) -> list[str]:
        """See FileRecords. Names none while the data are being replaced."""
        generation = await self._store.generation()
        client: Any = self._store.client

        async def begin() -> list[bytes | None]:
            async with client.pipeline(transaction=False) as pipeline:
                for tenant, attachment_id, _ in files:
                    pipeline.hget(attachment(tenant, attachment_id).under(generation), "file")
                return list(await pipeline.execute())

        named = await self._store.timed(begin)
        if await self._store.generation() != generation:
            return []
        return [file[2] for file, name in zip(files, named, strict=True) if name != file[2].encode()]


def _attachment_of(fields: Fields) -> Attachment:
    new = NewAttachment(
        attachment_id=fields[b"attachment_id"].decode(),
        session_id=fields[b"session_id"].decode(),
        run_id=fields[b"run_id"].decode(),
        filename=fields[b"filename"].decode(),
        media_type=fields[b"media_type"].decode(),
        size=int(fields[b"bytes"]),
        sha256=fields[b"sha256"].decode(),
    )
    return Attachment(new, fields[b"file"].decode(), int(fields[b"created"]), int(fields[b"expires"]))
