"""What the agents need from the world outside, and how it fails."""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from services.agents.model import Conversation, Passage, Quote, Standing

M = TypeVar("M", bound=Message)

Vectors = NDArray[np.float32]


class Retriever(Protocol):
    """Finds and checks passages.

    Every method raises UnavailableError (RETRIEVAL_UNAVAILABLE) when the vector service does not answer in
    time; other errors of that service pass through as they are.
    """

    async def search(
        self, query: str, collection_ids: Sequence[str], top_k: int | None
    ) -> tuple[tuple[Passage, ...], str]:
        """Passages, best first, and why the search was degraded (empty when it was not).

        top_k: None means the vector service's own setting. Raises NotFoundError (COLLECTION_NOT_FOUND).
        """
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of unit length per text, at most 256 of them."""
        ...

    async def verify(self, quotes: Sequence[Quote]) -> list[Standing | None]:
        """Where each quote stands in the original; None when its bytes do not stand where it says."""
        ...


class Conversations(Protocol):
    """Reads and continues sessions.

    Raises UnavailableError (SESSION_UNAVAILABLE) when the session service does not answer in time,
    NotFoundError (SESSION_NOT_FOUND) for a session that is not there.
    """

    async def read(self, session_id: str) -> Conversation:
        """The session's collections and newest turns."""
        ...

    async def append_exchange(
        self, session_id: str, request_id: str, question: str, answer: Answered
    ) -> None:
        """Appends a question and its answer, once for each request_id whatever is repeated."""
        ...


@dataclass(frozen=True)
class Answered:
    """What is kept of an answer in a session. `attributes` are plain JSON values."""

    text: str
    agent_id: str
    run_id: str
    attributes: dict[str, object]


class RunState(enum.Enum):
    """How a recorded run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class RecordedRun:
    """A run as recorded. `created` is in seconds since 1970.

    owner: the replica that opened it; empty when an earlier release did.
    """

    run_id: str
    state: RunState
    last_sequence: int
    created: float
    owner: str = ""


class RunRecords(Protocol):
    """Keeps runs and their events.

    Raises UnavailableError (SESSION_UNAVAILABLE) when the session service does not answer in time: the
    outcome of a write is then unknown, and repeating it does no harm.
    """

    async def create(self, run_id: str, session_id: str, agent_id: str, request: Message) -> RecordedRun:
        """Opens a run, or returns the one of that id. Raises FailedPreconditionError (REQUEST_ID_REUSED)
        when that one was opened with another request."""
        ...

    async def append(
        self, run_id: str, events: Sequence[RunEvent], state: RunState | None, agent_id: str
    ) -> None:
        """Appends events, closing the run when `state` is an end. What is recorded already is skipped.

        Raises AbortedError (SEQUENCE_CONFLICT), FailedPreconditionError (RUN_ENDED), NotFoundError.
        """
        ...

    async def get(self, run_id: str) -> RecordedRun:
        """The tenant's run of that id, at work or ended. Raises NotFoundError (RUN_NOT_FOUND)."""
        ...

    def replay(self, run_id: str, kind: type[M]) -> AsyncGenerator[M]:
        """The recorded events of an ended run, in order, unpacked as `kind`."""
        ...


class Replicas(Protocol):
    """The other processes of this service.

    name: how records name this one.
    """

    @property
    def name(self) -> str: ...

    async def reach(self, owner: str, run_id: str, *, stop: bool) -> bool:
        """Whether the run is at work in that replica, which stops it when told to.

        False where nobody listens any more. Raises UnavailableError (REPLICA_UNAVAILABLE) when it does not
        answer.
        """
        ...


@dataclass(frozen=True)
class RunEvent:
    """An event as it is recorded."""

    sequence: int
    time: Timestamp
    payload: Message


@dataclass(frozen=True)
class ChatMessage:
    """A message to a model. role: "system", "user" or "assistant"."""

    role: str
    text: str


@dataclass(frozen=True)
class Prompt:
    """What a model is asked, and how it may answer. A None leaves the choice to the model or the setting."""

    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True)
class TextPiece:
    """Some more text of the model's answer."""

    text: str


@dataclass(frozen=True)
class ModelDone:
    """The model ended by itself. Tokens are 0 when the endpoint did not tell them.

    cut: it stopped because max_output_tokens were used up.
    """

    model: str
    input_tokens: int
    output_tokens: int
    cut: bool = False


class ModelError(Exception):
    """A model did not give a whole answer.

    repeatable: the same request may succeed later (a connection, 408, 409, 429, 5xx, a timeout).
    retry_after: seconds after which the endpoint wants to be asked again; None when it said nothing.
    ill: the endpoint is to blame and not the request; counts against its health.
    truncated: text had come before it broke off.
    """

    def __init__(
        self,
        message: str,
        *,
        model: str,
        repeatable: bool = False,
        ill: bool = False,
        retry_after: float | None = None,
        truncated: bool = False,
    ) -> None:
        super().__init__(message)
        self.model = model
        self.repeatable = repeatable
        self.ill = ill
        self.retry_after = retry_after
        self.truncated = truncated


class Meter(Protocol):
    """Counts what a run uses."""

    def charge_model_call(self) -> None:
        """Raises ResourceExhaustedError (BUDGET_EXHAUSTED) when the run may make no more."""
        ...


class ChatModel(Protocol):
    """Writes text."""

    def stream(self, prompt: Prompt, seconds: float, meter: Meter) -> AsyncGenerator[TextPiece | ModelDone]:
        """Text as it comes, then exactly one ModelDone, within `seconds`.

        Raises ModelError. Closing the iterator closes the connection to the model.
        """
        ...

    async def ping(self) -> None:
        """Raises ModelError when the model is known to be down. Never asks the model anything."""
        ...
