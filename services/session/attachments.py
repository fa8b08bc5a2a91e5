"""Files of conversations and of runs: the rules, over a store and a folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import IO

from services.chassis.crash import crash_point
from services.chassis.errors import ServiceError, UnavailableError
from services.session import failures, validation
from services.session.attachment_files import PIECE_BYTES, AttachmentFiles, Received
from services.session.conversations import new_id
from services.session.model import Attachment, NewAttachment, Page
from services.session.page_tokens import PageTokens
from services.session.requests import once
from services.session.store import AttachmentStore

# Each holds a file on the disk that counts for nobody yet.
MAX_UPLOADS = 16


class Attachments:
    """What may be done with files.

    limit_bytes: of one file. All methods raise InvalidArgumentError (INVALID_FIELD, INVALID_PAGE_TOKEN) and
    what the store raises.
    """

    def __init__(
        self,
        store: AttachmentStore,
        files: AttachmentFiles,
        limit_bytes: int,
        make_id: Callable[[str], str] = new_id,
    ) -> None:
        self._store = store
        self._files = files
        self._limit = limit_bytes
        self._make_id = make_id
        self._uploads = 0

    async def put(
        self, tenant: str, header: NewAttachment, pieces: AsyncIterator[bytes], request_id: str
    ) -> tuple[Attachment, bool]:
        """Keeps a file, once per request id when there is one; and whether it was there before.

        header: its size and sha256 are checked where they are given (0 and ""). Raises ResourceExhaustedError
        (ATTACHMENT_TOO_LARGE, STORAGE_FULL, TOO_MANY_CALLS), DataLossError (CHECKSUM_MISMATCH).
        """
        given = validation.new_attachment(replace(header, attachment_id=self._make_id("att_")))
        if request_id:
            validation.request_id(request_id)
        if given.size > self._limit:
            raise failures.attachment_too_large(self._limit)
        if given.session_id:
            # Before its bytes come.
            await self._store.get_session(tenant, given.session_id)
        if self._uploads >= MAX_UPLOADS:
            raise failures.too_many_uploads(MAX_UPLOADS)
        self._uploads += 1
        try:
            async with self._files.received(pieces, self._limit) as received:
                _compare(given, received)
                new = replace(given, size=received.size, sha256=received.sha256)
                return await self._put(tenant, new, received, request_id)
        finally:
            self._uploads -= 1

    async def _put(
        self, tenant: str, new: NewAttachment, received: Received, request_id: str
    ) -> tuple[Attachment, bool]:
        content = (new.session_id, new.run_id, new.filename, new.media_type, new.sha256)
        request = once(request_id, content)
        name = await self._files.keep(received, tenant, new.attachment_id)
        crash_point("attachment_named")
        try:
            kept, existing = await self._store.put_attachment(tenant, new, name, request)
        except UnavailableError:
            # Nobody knows whether a record names it; if none does, the sweep finds it.
            raise
        except ServiceError:
            await self.discard((name,))
            raise
        crash_point("attachment_recorded")
        if existing:
            await self.discard((name,))
        return kept, existing

    async def get(self, tenant: str, attachment_id: str) -> Attachment:
        """What is known of a file. Raises NotFoundError (ATTACHMENT_NOT_FOUND)."""
        return await self._store.get_attachment(tenant, _attachment_id(attachment_id))

    async def read(
        self, tenant: str, attachment_id: str, start: int, end: int
    ) -> AsyncGenerator[tuple[Attachment | None, bytes], None]:
        """What is known of a file, then its bytes from `start` to before `end`, 0 for all, in pieces.

        Raises NotFoundError (ATTACHMENT_NOT_FOUND), DataLossError (RECORD_DAMAGED) where bytes are missing.
        """
        kept = await self.get(tenant, attachment_id)
        size = kept.content.size
        if not 0 <= start <= size:
            raise failures.invalid_field("byte_start", start, f"must be 0 to {size}")
        if end and not start <= end <= size:
            raise failures.invalid_field("byte_end", end, f"must be 0, or byte_start to {size}")
        left = (end or size) - start
        try:
            stream = await asyncio.to_thread(self._files.open, kept.file)
        except FileNotFoundError:
            # It may have gone between the two looks: then it is missing, and no damage.
            await self.get(tenant, attachment_id)
            raise failures.record_damaged("attachment", attachment_id, "its bytes are missing") from None
        with stream:
            stream.seek(start)
            first: Attachment | None = kept
            while left or first:
                piece = await asyncio.to_thread(_read, stream, min(left, PIECE_BYTES))
                if not piece and left:
                    raise failures.record_damaged("attachment", attachment_id, "it is cut short")
                left -= len(piece)
                yield first, piece
                first = None

    async def list_attachments(
        self, tenant: str, session_id: str, page_size: int, page_token: str
    ) -> Page[Attachment]:
        """A page of files, newest first."""
        count = validation.page_size(page_size)
        validation.optional_identifier("session_id", session_id)
        tokens = PageTokens(await self._store.page_token_key(), tenant, "ListAttachments", session_id)
        page = await self._store.list_attachments(tenant, session_id, tokens.place(page_token), count)
        return replace(page, next_place=tokens.token(page.next_place))

    async def delete(self, tenant: str, attachment_id: str) -> None:
        """Deletes a file. Raises NotFoundError (ATTACHMENT_NOT_FOUND)."""
        name = await self._store.delete_attachment(tenant, _attachment_id(attachment_id))
        await self.discard((name,))

    async def discard(self, names: Sequence[str]) -> None:
        """Removes the bytes of what was deleted."""
        if names:
            await asyncio.to_thread(self._files.discard, names)


def _attachment_id(value: str) -> str:
    return validation.identifier("attachment_id", value)


def _read(stream: IO[bytes], count: int) -> bytes:
    return stream.read(count)


def _compare(given: NewAttachment, received: Received) -> None:
    for expected, found in (
        (str(given.size or received.size), str(received.size)),
        (given.sha256 or received.sha256, received.sha256),
    ):
        if expected != found:
            raise failures.checksum_mismatch(expected, found)
