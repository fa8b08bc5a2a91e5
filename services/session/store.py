"""What the domain needs of a store. Its users are `conversations`, `runs`, `items` and `attachments`.

Every method may raise UnavailableError (STORE_UNAVAILABLE), within a second and
before the caller's deadline, and every write ResourceExhaustedError
(STORE_FULL). After the first the outcome of a write is unknown; after the
second nothing was written. A write happens wholly or not at all. What belongs to
another tenant does not exist.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol

from services.session.entries import KINDS, Entry
from services.session.model import (
    Appended,
    Appending,
    Attachment,
    Deleted,
    EventPage,
    Item,
    Message,
    NewAttachment,
    NewItem,
    NewMessage,
    NewRun,
    Page,
    Read,
    Run,
    RunEntry,
    RunFilter,
    Session,
    Topic,
    TopicChange,
)
from services.session.requests import Once


class RunKey(NamedTuple):
    """A run of a tenant."""

    tenant: str
    run_id: str


class ConversationStore(Protocol):
    """Sessions and messages.

    A method with `once` answers a repeated request as the first time and raises
    FailedPreconditionError (REQUEST_ID_REUSED) when the content differs. One that
    names a session raises NotFoundError (SESSION_NOT_FOUND).
    """

    async def page_token_key(self) -> bytes:
        """A secret of 32 bytes that stays as long as the data."""

    async def create_session(self, tenant: str, session_id: str, topic: Topic, once: Once | None) -> Session:
        """Keeps a new session."""

    async def get_session(self, tenant: str, session_id: str) -> Session:
        """A session."""

    async def list_sessions(self, tenant: str, place: str, count: int) -> Page[Session]:
        """At most `count` sessions, last changed first, from a place on; fewer where they are large."""

    async def read_sessions(self, tenant: str, place: str, room: int) -> Page[Read]:
        """Sessions with what was said in them, last changed first, from a place on: some `room` bytes.

        A session that is larger comes in several pages, each with at least one message.
        """

    async def update_session(
        self, tenant: str, session_id: str, change: TopicChange, updated: int | None, once: Once | None
    ) -> Session:
        """Changes a session.

        updated: the update_time that it must have, else AbortedError (SESSION_CHANGED); None for any.
        """

    async def delete_session(
        self, tenant: str, session_id: str, updated: int | None, once: Once | None
    ) -> Deleted:
        """Deletes a session, its messages and its runs. updated: as for update_session."""

    async def append_messages(
        self, tenant: str, session_id: str, messages: Sequence[NewMessage], once: Once
    ) -> Appended:
        """Appends messages, all or none, at the next sequences."""

    async def list_messages(
        self, tenant: str, session_id: str, start: int, count: int, direction: Literal["up", "down"]
    ) -> Page[Message]:
        """At most `count` messages in order from sequence `start` up or down; 0 begins at the edge.

        Fewer where they are large. The next place is the sequence to go on from.
        """


class RunStore(Protocol):
    """Runs, their events and journals. One that names a run raises NotFoundError (RUN_NOT_FOUND)."""

    async def page_token_key(self) -> bytes:
        """A secret of 32 bytes that stays as long as the data."""

    async def create_run(self, tenant: str, run: NewRun, fingerprint: bytes) -> Run:
        """Opens a run, or returns the one that was opened with the same fingerprint.

        Raises FailedPreconditionError (REQUEST_ID_REUSED) when the fingerprint
        differs, NotFoundError (SESSION_NOT_FOUND).
        """

    async def append_to_run(self, tenant: str, run_id: str, appending: Appending) -> tuple[int, int]:
        """Appends events and entries, skips those that are recorded; the last sequence and position.

        Raises AbortedError (SEQUENCE_CONFLICT), FailedPreconditionError (RUN_ENDED, RUN_TAKEN),
        ResourceExhaustedError (JOURNAL_FULL).
        """

    async def take_run(self, tenant: str, run_id: str, previous: str, owner: str) -> Run:
        """Gives a run that works another owner, if its owner is `previous`, or `owner` already.

        Raises FailedPreconditionError (RUN_ENDED, RUN_TAKEN).
        """

    async def list_entries(self, tenant: str, run_id: str, after: int, count: int) -> Page[RunEntry]:
        """At most `count` entries of a journal after a position; fewer where they are large.

        The next place is the position to go on after.
        """

    async def get_run(self, tenant: str, run_id: str) -> Run:
        """A run."""

    async def list_runs(self, tenant: str, wanted: RunFilter, place: str, count: int) -> Page[Run]:
        """At most `count` runs, newest first, from a place on.

        Fewer where they are large. Raises NotFoundError (SESSION_NOT_FOUND).
        """


class EventStore(Protocol):
    """The events of runs, for those who watch."""

    async def read_events(self, tenant: str, run_id: str, after: int) -> EventPage:
        """The oldest kept events after a sequence, as many as a message may carry.

        Raises NotFoundError (RUN_NOT_FOUND).
        """

    def changes(self) -> AsyncIterator[RunKey | None]:
        """Runs as they change, without an end; None when a change may have been missed.

        Never raises; while the store does not answer there is nothing but a None.
        """


class ItemStore(Protocol):
    """Small things of the owner's, by kind and name. They do not expire."""

    async def page_token_key(self) -> bytes:
        """A secret of 32 bytes that stays as long as the data."""

    async def put_item(
        self, tenant: str, item: NewItem, previous: int, limit: int, once: Once | None
    ) -> Item:
        """Keeps a thing in the place of the revision `previous`; 0 for a new one, -1 for whatever is there.

        limit: how many of the kind there may be. Raises AlreadyExistsError (ITEM_EXISTS), NotFoundError
        (ITEM_NOT_FOUND), AbortedError (ITEM_CHANGED), ResourceExhaustedError (TOO_MANY_ITEMS) and
        FailedPreconditionError (REQUEST_ID_REUSED).
        """

    async def get_item(self, tenant: str, kind: str, name: str) -> Item | None:
        """A thing; None when it is not there."""

    async def list_items(self, tenant: str, kind: str, after: str, count: int) -> Page[Item]:
        """At most `count` things of a kind by name, after the name `after`; fewer where they are large.

        The next place is the name to go on after.
        """

    async def delete_item(self, tenant: str, kind: str, name: str) -> None:
        """Deletes a thing. Raises NotFoundError (ITEM_NOT_FOUND)."""


class AttachmentStore(Protocol):
    """What is known of files. What has expired, or whose session is gone, is not there.

    One that names a file raises NotFoundError (ATTACHMENT_NOT_FOUND).
    """

    async def page_token_key(self) -> bytes:
        """A secret of 32 bytes that stays as long as the data."""

    async def get_session(self, tenant: str, session_id: str) -> Session:
        """A session. Raises NotFoundError (SESSION_NOT_FOUND)."""

    async def put_attachment(
        self, tenant: str, new: NewAttachment, file: str, once: Once | None
    ) -> tuple[Attachment, bool]:
        """Keeps a file, whose bytes are on the disk; and whether it was there before, with its own bytes.

        Raises NotFoundError (SESSION_NOT_FOUND), FailedPreconditionError (REQUEST_ID_REUSED),
        ResourceExhaustedError (STORAGE_FULL) when the tenant has too many bytes.
        """

    async def get_attachment(self, tenant: str, attachment_id: str) -> Attachment:
        """What is known of a file."""

    async def list_attachments(
        self, tenant: str, session_id: str, place: str, count: int
    ) -> Page[Attachment]:
        """At most `count` files, newest first, from a place on; fewer where they are many that expired.

        session_id: "" for any. Raises NotFoundError (SESSION_NOT_FOUND).
        """

    async def delete_attachment(self, tenant: str, attachment_id: str) -> str:
        """Forgets a file; the name of its bytes."""


class FileRecords(Protocol):
    """What tells which bytes belong to something."""

    async def page_token_key(self) -> bytes:
        """A secret of 32 bytes that stays as long as the data."""

    def forget_dead(self, tenant: str) -> AsyncIterator[list[str]]:
        """Forgets what has expired or whose session is gone; the names of their bytes, in portions."""

    async def unnamed(self, files: Sequence[tuple[str, str, str]]) -> list[str]:
        """Those names (tenant, attachment id, name) that no record has."""


class SnapshotStore(Protocol):
    """All that is kept, of every tenant, taken and replaced as one."""

    @property
    def schema(self) -> int:
        """Of the form in which entries are kept."""

    def entries(self, kinds: Collection[str] = KINDS) -> AsyncIterator[Entry]:
        """What was there when the call began and still is, each one consistent in itself.

        Raises AbortedError (IMPORT_RUNNING) when it is replaced meanwhile.
        """

    async def has(self, entry: Entry) -> bool:
        """Whether a session, run, thing or file that was read is still there."""

    def importing(self) -> AbstractAsyncContextManager[Importing]:
        """The right to replace, for the duration of the block. Raises AbortedError (IMPORT_RUNNING)."""


class Importing(Protocol):
    """The right to replace all that is kept."""

    async def earlier(self, once: Once) -> int | None:
        """The sessions that an earlier import with this request brought; None when there was none.

        Raises FailedPreconditionError (REQUEST_ID_REUSED) when its content was another.
        """

    async def replace(
        self, entries: Iterator[Entry], counts: Mapping[str, int], created: int, once: Once | None
    ) -> int:
        """Replaces everything by `entries`; the sessions kept now.

        counts: of them, by kind; what was loaded is counted before it counts, and
        DataLossError (IMPORT_INCOMPLETE) is raised where it differs. created: when they were copied, in
        milliseconds since 1970; each gets the time again that it had left then. Wholly or not at all,
        whatever ends meanwhile. Iterates in a thread.
        """
