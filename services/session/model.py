"""What the session service keeps: sessions, messages, runs and their events, things and files.

Times are microseconds since 1970 in UTC; only the time of an event, which its
producer gives, is in nanoseconds. 0 stands for a time that has not come.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.session.webhooks.model import NOTHING_SAID, Ending

T = TypeVar("T")

Scalar = str | float | bool | None


class Role(enum.Enum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"


class RunState(enum.Enum):
    """How a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Nothing can be added any more."""
        return self is not RunState.RUNNING


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds from the last write until it expires: a run, and a session with what was said in it."""

    runs: int
    conversations: int


@dataclass(frozen=True, slots=True)
class Topic:
    """What a session's creator says of it."""

    title: str
    collection_ids: tuple[str, ...]
    metadata: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What to change of a topic; None stays as it is."""

    title: str | None = None
    collection_ids: tuple[str, ...] | None = None
    metadata: Mapping[str, Scalar] | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation. messages: how many there are in it."""

    session_id: str
    topic: Topic
    messages: int
    create_time: int
    update_time: int
    expire_time: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One turn of one side, before it has its place.

    attributes: a serialised google.protobuf.Struct, kept as it came; empty where there is none.
    """

    message_id: str
    role: Role
    text: str
    agent_id: str
    run_id: str
    attributes: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A turn at its place. sequence: from 1, without gaps."""

    content: NewMessage
    sequence: int
    create_time: int


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a session in one go: messages from the newest back, without their attributes.

    place: where to go on when nothing more of it is wanted. whole: nothing older is left of it.
    """

    session: Session
    messages: tuple[Message, ...]
    place: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text, and whether it is what was asked for."""

    text: str
    matched: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A session in which something was said. message: None where the title alone has it."""

    session: Session
    message: Message | None
    snippet: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Appended:
    """The messages of an append in order. existing: they were there before."""

    messages: tuple[Message, ...]
    existing: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """What went with a session. files: names of those that no record names any more."""

    messages: int
    runs: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Payload:
    """A serialised message and the URL of its type, in the words of another service."""

    type_url: str
    value: bytes


@dataclass(frozen=True, slots=True)
class NewRun:
    """The opening of a run. session_id: empty where there is none. owner: who works on it; may be empty.
    parent_run_id: the run that it is below; empty for none.
    """

    run_id: str
    session_id: str
    agent_id: str
    request: Payload | None
    owner: str = ""
    parent_run_id: str = ""


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What a run has used of models. model: "" when none answered. cost_usd: None where it is not known."""

    input_tokens: int
    output_tokens: int
    model: str
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """The record of an agent's work, without its events and its journal.

    last_sequence: 0 before the first event; last_position: 0 before the first entry of the journal.
    takeovers: how often it got another owner. usage: None where it is not known.
    """

    opening: NewRun
    state: RunState
    create_time: int
    end_time: int
    last_sequence: int
    last_position: int = 0
    takeovers: int = 0
    usage: RunUsage | None = None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list has. session_id: "" for any. earliest: when they were created at the earliest."""

    session_id: str = ""
    state: RunState | None = None
    earliest: int = 0


@dataclass(frozen=True, slots=True)
class RunEntry:
    """Something that a run learnt from outside. position: from 1, without gaps, apart from the events."""

    position: int
    payload: Payload


@dataclass(frozen=True, slots=True)
class Appending:
    """What is appended to a run, all or none.

    state: an end state closes the run. agent_id: "" leaves what is stored. owner: "" when it does not matter
    who writes. ending: what webhooks are told beside an end state. usage: what is kept beside one.
    """

    events: Sequence[RunEvent] = ()
    entries: Sequence[RunEntry] = ()
    state: RunState | None = None
    agent_id: str = ""
    owner: str = ""
    ending: Ending = NOTHING_SAID
    usage: RunUsage | None = None


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened in a run. sequence: from 1, without gaps. event_time: nanoseconds."""

    sequence: int
    payload: Payload
    event_time: int


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events of a run and how the whole run stood when they were read.

    first_sequence: of the oldest event that is still kept; last_sequence + 1 where none is.
    """

    events: tuple[RunEvent, ...]
    state: RunState
    last_sequence: int
    first_sequence: int


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events for a watcher, and how the run stands after these."""

    events: tuple[RunEvent, ...]
    state: RunState


@dataclass(frozen=True, slots=True)
class NewItem:
    """A small thing of the owner's, as it is to be kept."""

    kind: str
    name: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Item:
    """A thing as it is kept. revision: 1, and one more with each change."""

    content: NewItem
    revision: int
    create_time: int
    update_time: int


@dataclass(frozen=True, slots=True)
class NewAttachment:
    """A file as it is to be kept. session_id, run_id: empty where there is none. sha256: in hexadecimal."""

    attachment_id: str
    session_id: str
    run_id: str
    filename: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file as it is kept. file: the name of its bytes."""

    content: NewAttachment
    file: str
    create_time: int
    expire_time: int


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries, and the place from which to go on; "" when there are no more."""

    items: tuple[T, ...]
    next_place: str
