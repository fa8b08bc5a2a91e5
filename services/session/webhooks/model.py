"""Webhooks and the messages that are sent by them.

Times are microseconds since 1970 in UTC by the clock of the store; 0 stands for a time that has not come.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RUN_FINISHED = "run.finished"
DOCUMENT_READY = "document.ready"
DOCUMENT_FAILED = "document.failed"
TEST = "webhook.test"
DOCUMENT_TYPES = (DOCUMENT_FAILED, DOCUMENT_READY)
# Those that a webhook may listen to.
EVENT_TYPES = (*DOCUMENT_TYPES, RUN_FINISHED)

# Why one is switched off; "" while it is on.
DISABLED_REASONS = ("", "owner", "gone", "failing", "key")

# Of the answer that a message may hold.
ANSWER_CHARACTERS = 32_000


class MessageState(enum.Enum):
    """How a message stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(enum.Enum):
    """What becomes of a message after a try."""

    DELIVERED = "delivered"
    AGAIN = "again"
    FAILED = "failed"
    # The receiver wants no more of them, ever.
    GONE = "gone"
    # It cannot be signed: its secret was made with another key than the house has.
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook to keep."""

    webhook_id: str
    url: str
    label: str
    event_types: tuple[str, ...]
    include_answer: bool
    # As it is kept, see secret_making.
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """What to change of a webhook; None stays."""

    url: str | None = None
    label: str | None = None
    event_types: tuple[str, ...] | None = None
    include_answer: bool | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as its owner sees it, without its secret.

    disabled_reason: of DISABLED_REASONS. failing_time: since when nothing arrives; 0 when the last try was a
    good one. dropped: messages for which there was no room. previous_secret_expire_time: until when the
    secret before the last one signs as well, 0 when it does not.
    """

    webhook_id: str
    url: str
    label: str
    event_types: tuple[str, ...]
    include_answer: bool
    enabled: bool
    disabled_reason: str
    failing_time: int
    dropped: int
    previous_secret_expire_time: int
    create_time: int
    update_time: int


@dataclass(frozen=True, slots=True)
class Message:
    """What is told to a webhook. status: of the last try, 0 for no answer. error: why the last try failed."""

    message_id: str
    webhook_id: str
    event_type: str
    state: MessageState
    attempts: int
    status: int
    error: str
    event_time: int
    attempt_time: int
    next_time: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that is this process's to send, until its lease ends.

    secrets: as they are kept, the one that holds, then the one before it while that holds as well. token:
    proves to the store whose it is.
    """

    space: str
    message: Message
    data: Mapping[str, Any] = field(repr=False)
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    token: str


@dataclass(frozen=True, slots=True)
class Ending:
    """What webhooks are told of the end of a run, beside what its record has.

    answer: cut to ANSWER_CHARACTERS. answer_mode, error_reason: empty where there is none.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    answer: str = field(default="", repr=False)
    answer_mode: str = ""
    error_reason: str = ""


NOTHING_SAID = Ending()


@dataclass(frozen=True, slots=True)
class Listener:
    """Somebody with a webhook that is sent what happens to documents, as a caller of other services.

    cursor: how far they were told, "" where that is nothing yet. since: what happened before does not count.
    """

    tenant_id: str
    subject: str
    role: str
    groups: tuple[str, ...]
    cursor: str
    since: int


@dataclass(frozen=True, slots=True)
class DocumentEvent:
    """What happened to a document. event_type: one of DOCUMENT_TYPES. warnings: how many it has.

    again: it was READY before, and was read again since.
    """

    event_type: str
    collection_id: str
    document_id: str
    title: str
    filename: str
    error_reason: str
    warnings: int
    event_time: int
    again: bool = False

    @property
    def name(self) -> str:
        """The same whenever it is told. A document is READY for the first time once; it may be READY again,
        and have FAILED, more often.
        """
        once = self.event_type == DOCUMENT_READY and not self.again
        return self.document_id if once else f"{self.document_id} {self.event_time}"

    @property
    def data(self) -> dict[str, Any]:
        """What receivers are told."""
        return {
            "again": self.again,
            "collection_id": self.collection_id,
            "document_id": self.document_id,
            "error_reason": self.error_reason or None,
            "filename": self.filename or None,
            "state": "READY" if self.event_type == DOCUMENT_READY else "FAILED",
            "title": self.title,
            "warnings": self.warnings,
        }
