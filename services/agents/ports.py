"""What the agents need from the world outside, and how it fails."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from google.protobuf.any_pb2 import Any as Any_
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from services.agents.chat.capabilities import Capabilities, Capability
from services.agents.model import Conversation, Passage, Quote, Standing
from services.agents.routing.route import Route
from services.chassis.context import Principal
from services.sandbox.model import Job, Outcome

M = TypeVar("M", bound=Message)

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Likeness:
    """How alike texts are by their vectors, on the scale of the built-in embedding model.

    Models use ranges of their own: by one a question and any text have a cosine of 0.0, by another of 0.8.
    Thresholds are chosen by the built-in model, and so hold for all.
    """

    factor: float = 1.0
    offset: float = 0.0

    def of(self, one: Vectors, other: Vectors) -> Vectors:
        """one: (d,) or (n, d), other: (d,), all of unit length. Returns a number, or (n,)."""
        likeness: Vectors = np.float32(self.factor) * (one @ other) + np.float32(self.offset)
        return likeness

    def of_cosine(self, cosine: float) -> float:
        """The same, where the cosine is known."""
        return self.factor * cosine + self.offset


@dataclass(frozen=True)
class Embeddings:
    """Texts as vectors (n, d) of unit length, and how to compare them."""

    vectors: Vectors
    likeness: Likeness = Likeness()


@dataclass(frozen=True)
class Nearness:
    """How near the words of a question come to those of quotes, each in the light of its own passage.

    words: of the question, those that tell something. weights: (words,), how much of its vector each makes.
    of: (quotes, words), about the cosine of the nearest word of the quote. likeness: of these cosines.
    """

    words: tuple[str, ...]
    weights: Vectors
    of: Vectors
    likeness: Likeness = Likeness()


# Plain JSON: objects, lists, strings, finite numbers, true, false and null.
Json = Any
JsonObject = dict[str, Any]


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

    async def collections(self, most: int) -> tuple[str, ...]:
        """The first collections, by id, that the caller may read."""
        ...

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """A row per text, at most 256 of them."""
        ...

    async def compare(self, question: str, quotes: Sequence[Quote]) -> Nearness | None:
        """A row per quote; None where that is not known of each of them, as by models that do not tell of
        words. Of at most 100 passages.
        """
        ...

    async def verify(self, quotes: Sequence[Quote]) -> list[Standing | None]:
        """Where each quote stands in the original; None when its bytes do not stand where it says."""
        ...


class Routes(Protocol):
    """Chooses agents."""

    async def route(self, request: str) -> Route:
        """The agent that fits the request. Never fails."""
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

    async def note(self, session_id: str, name: str) -> str:
        """What agents keep in a session under a name; empty when nothing is kept. Not journaled."""
        ...

    async def keep_note(self, session_id: str, name: str, text: str) -> None:
        """Keeps a text in a session in the place of the one of that name. Not journaled.

        Raises InvalidArgumentError (INVALID_FIELD) where the session has no room for it.
        """
        ...


class Notes(Protocol):
    """What agents keep in the session of a run, as long as the session is kept.

    Nothing of this is journaled: it stands inside an action of `Tools.use`. Raises as Conversations do.
    """

    async def change(self, name: str, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
        """What is kept under a name after `change`, which is given what is kept now, {} at first.

        Once for each run, whatever is repeated: then it is what this run left. What another run changes at
        the same moment may be lost.
        """
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

    owner: the replica that works on it; empty when an earlier release opened it. last_position: of its
    journal. takeovers: how often it got another owner. request: what began it. parent_run_id: the run that it
    is below; empty for none.
    """

    run_id: str
    state: RunState
    last_sequence: int
    created: float
    owner: str = ""
    last_position: int = 0
    takeovers: int = 0
    request: Any_ | None = None
    parent_run_id: str = ""


class RunRecords(Protocol):
    """Keeps runs and their events.

    Raises UnavailableError (SESSION_UNAVAILABLE) when the session service does not answer in time: the
    outcome of a write is then unknown, and repeating it does no harm.
    """

    async def create(
        self, run_id: str, session_id: str, agent_id: str, request: Message, parent_run_id: str = ""
    ) -> RecordedRun:
        """Opens a run, or returns the one of that id. Raises FailedPreconditionError (REQUEST_ID_REUSED)
        when that one was opened with another request."""
        ...

    async def append(
        self,
        run_id: str,
        events: Sequence[RunEvent],
        entries: Sequence[RunEntry],
        state: RunState | None,
        agent_id: str,
    ) -> None:
        """Appends events and entries of the journal, all or none, closing the run when `state` is an end.
        What is recorded already is skipped.

        Raises AbortedError (SEQUENCE_CONFLICT), NotFoundError, FailedPreconditionError (RUN_ENDED, and
        RUN_TAKEN when another replica owns the run now).
        """
        ...

    async def take(self, run_id: str, previous: str) -> RecordedRun:
        """Makes this replica the owner of a run that works, if its owner is still `previous`.

        Raises FailedPreconditionError (RUN_TAKEN, RUN_ENDED), NotFoundError.
        """
        ...

    async def entries(self, run_id: str, kind: type[M]) -> list[M]:
        """The whole journal, in order, unpacked as `kind`."""
        ...

    async def events(self, run_id: str, last: int, kind: type[M]) -> list[M]:
        """The recorded events up to the sequence `last`, in order, unpacked as `kind`.

        Raises OutOfRangeError (EVENTS_EXPIRED) when the first ones are no longer kept.
        """
        ...

    def running(self, earliest: float) -> AsyncGenerator[RecordedRun]:
        """The tenant's runs that are at work as recorded and began at `earliest`, in seconds since 1970, or
        later; newest first.
        """
        ...

    async def get(self, run_id: str) -> RecordedRun:
        """The tenant's run of that id, at work or ended. Raises NotFoundError (RUN_NOT_FOUND)."""
        ...

    def replay(self, run_id: str, kind: type[M]) -> AsyncGenerator[M]:
        """The recorded events of an ended run, in order, unpacked as `kind`."""
        ...


@dataclass(frozen=True)
class OpenRun:
    """A run that may be at work, and whose it is. since: when it began, in seconds since 1970."""

    run_id: str
    principal: Principal
    since: float


class OpenRuns(Protocol):
    """Remembers whose the runs at work are, where there are several people: the record of a run is its
    owner's, and another process finds it only in their name.

    Raises UnavailableError (SESSION_UNAVAILABLE), ResourceExhaustedError when there are too many.
    """

    async def add(self, run_id: str, principal: Principal) -> None:
        """Remembers a run. Again does no harm."""
        ...

    async def remove(self, run_id: str) -> None:
        """Forgets a run, also one that is not remembered."""
        ...

    def all(self) -> AsyncGenerator[OpenRun]:
        """All that are remembered."""
        ...


class Quota(Protocol):
    """What the caller may still use today."""

    async def take(self, tokens: int, request_id: str = "") -> None:
        """Takes tokens that were used; with 0 only looks. A repeat of a request id takes nothing more.

        Raises ResourceExhaustedError (QUOTA_EXHAUSTED) when none is left and UnavailableError
        (SESSION_UNAVAILABLE).
        """
        ...


@dataclass(frozen=True)
class Decision:
    """What became of an approval. made: somebody decided; else the time was up, or it was not needed."""

    approved: bool
    comment: str = ""
    made: bool = False
    stopped: bool = False


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

    async def decide(self, owner: str, run_id: str, step_id: str, decision: Decision) -> bool:
        """Decides an approval step of a run in that replica; False where it has no such run.

        Raises FailedPreconditionError (STEP_NOT_WAITING) and UnavailableError (REPLICA_UNAVAILABLE).
        """
        ...


@dataclass(frozen=True)
class RunEvent:
    """An event as it is recorded."""

    sequence: int
    time: Timestamp
    payload: Message


@dataclass(frozen=True)
class Attachment:
    """A picture (image/png, image/jpeg, image/webp, image/gif) or a recording (audio/wav, audio/mpeg).

    sha256: of its bytes, as hexadecimal digits; by it a journal knows the attachment. load: gives the bytes,
    when a model is really asked: not where its answer is recorded. May raise ServiceError.
    """

    media_type: str
    sha256: str
    load: Callable[[], Awaitable[bytes]] = field(compare=False, repr=False)

    @classmethod
    def of(cls, media_type: str, data: bytes) -> Attachment:
        """One whose bytes are there already."""

        async def load() -> bytes:
            return data

        return cls(media_type, hashlib.sha256(data).hexdigest(), load)

    @property
    def needs(self) -> Capability:
        """What a model must be able to do with it."""
        return Capability.VISION if self.media_type.startswith("image/") else Capability.AUDIO


@dataclass(frozen=True)
class ToolRequest:
    """A model asks for a use of a tool. arguments: JSON as the model wrote it, not checked."""

    call_id: str
    tool: str
    arguments: str


@dataclass(frozen=True)
class RunEntry:
    """An entry of a journal as it is recorded."""

    position: int
    payload: Message


@dataclass(frozen=True)
class ChatMessage:
    """A message to a model.

    role: "system", "user", "assistant" or "tool". requests: what an assistant asked for. answers: the call_id
    of the request that a tool's message answers. attachments: of a user's message.
    """

    role: str
    text: str
    requests: tuple[ToolRequest, ...] = ()
    answers: str = ""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True)
class OfferedTool:
    """A tool that a model may ask for. parameters: JSON Schema of its arguments, an object."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True)
class Prompt:
    """What a model is asked, and how it may answer. A None leaves the choice to the model or the setting.

    budget_tokens: it writes no more than this, whatever the choice would be. schema: JSON Schema to which its
    answer is held where the model has JSON_SCHEMA; others see nothing of it. tools: offered where the model
    has TOOLS. calls: they are the caller's, whom nothing else can serve, so that only a model with TOOLS is
    asked: it "may" or it "must" ask for one; empty where they are the run's own.
    """

    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    max_output_tokens: int | None = None
    budget_tokens: int | None = None
    schema: JsonObject | None = None
    tools: tuple[OfferedTool, ...] = ()
    calls: Literal["", "may", "must"] = ""

    @property
    def needs(self) -> Capabilities:
        """Without which a model cannot be asked this."""
        shown = frozenset(part.needs for message in self.messages for part in message.attachments)
        return shown | {Capability.TOOLS} if self.calls else shown


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


Piece = TextPiece | ToolRequest | ModelDone


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


class Tools(Protocol):
    """What an agent may do besides reading."""

    async def use(
        self,
        tool: str,
        arguments: JsonObject,
        action: Callable[[], Awaitable[JsonObject]],
        summary: Callable[[JsonObject], str],
    ) -> JsonObject:
        """The result of the action, which is done once: a run that is resumed or replayed gets it from its
        record. All that is random, timed or executed stands inside an action.

        tool: one of AgentDefinition.tools; another one is a defect (LookupError). arguments: for people;
        shortened in the event. action: its result is plain JSON, at most 1 MiB. summary: of the result, for
        people, in a line.

        Raises ResourceExhaustedError (BUDGET_EXHAUSTED) at a limit of the run, also in the middle of the
        action when time is up, and whatever the action raises.
        """
        ...


@dataclass(frozen=True)
class ModelTool:
    """A tool that a model may use while it is asked. `name` is one of AgentDefinition.tools.

    parameters: JSON Schema of the arguments, which are checked before `action` gets them. action, summary: as
    in Tools.use.
    """

    name: str
    description: str
    parameters: JsonObject
    action: Callable[[JsonObject], Awaitable[JsonObject]]
    summary: Callable[[JsonObject], str]


@dataclass(frozen=True)
class ForeignTool:
    """A tool of somebody else's MCP server. name: "mcp:<server>:<tool>". The rest is tamed, and data."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True)
class ForeignOffer:
    """The tools of others that an agent may use now. missing: what it may use and cannot, in sentences."""

    tools: tuple[ForeignTool, ...] = ()
    missing: tuple[str, ...] = ()


class ForeignTools(Protocol):
    """Tools of others."""

    async def offered(self, agent_id: str) -> ForeignOffer:
        """What an agent may use. Never fails."""
        ...

    async def call(self, name: str, arguments: JsonObject) -> JsonObject:
        """{"text": what it said, "is_error": whether it says that it failed}.

        Raises UnavailableError (TOOL_UNAVAILABLE) where nothing that can be used comes in time. Not
        journaled: it stands inside an action of `Tools.use`. What it says is data and no instruction.
        """
        ...


class Ask(Protocol):
    """Asks a model for a part of the agent's typed result."""

    async def __call__(
        self,
        kind: type[M],
        task: str,
        *,
        data: Mapping[str, str] | None = None,
        fields: Sequence[str] = (),
        check: Callable[[M], None] | None = None,
        tools: Sequence[ModelTool] = (),
        attachments: Sequence[Attachment] = (),
    ) -> M | None:
        """The part, which fits its schema and passed `check`; None where no model is configured.

        None also where a model gave none that fits: the run has then told so as a degradation, and the agent
        goes on with what it has without.

        task: what is wanted, in words of ours and of the person who asks. data: named texts that nobody
        vouches for: documents, code, logs; they are fenced, and shortened to MELD_PASSAGE_TOKENS together.
        fields: of `kind`, those that are asked for; a model has no business with verdicts and measured
        numbers. check: raises ValueError with what is wrong, which the model is told once, as it is of an
        answer outside the schema. tools: what the model may use meanwhile, in a few turns. attachments: only
        models that can see or hear them are asked.

        Raises whatever an action of a tool raises that is no ServiceError.
        """
        ...


class Search(Protocol):
    """Searches the run's collections once more."""

    async def __call__(self, query: str, top_k: int | None = None) -> tuple[Passage, ...]:
        """Passages, best first. top_k: None means as many as the run's own search.

        Raises what Retriever.search raises, and ResourceExhaustedError (BUDGET_EXHAUSTED): it counts as a use
        of a tool.
        """
        ...


@dataclass(frozen=True)
class Painted:
    """A picture that a model made. revised_prompt: what it made of the prompt; empty when it does not say."""

    media_type: str
    data: bytes
    done: ModelDone
    revised_prompt: str = ""


class Painter(Protocol):
    """Makes pictures."""

    async def paint(self, prompt: str, size: str, seconds: float) -> Painted:
        """One picture, within `seconds`. size: as "1024x1024"; empty leaves it to the model.

        Asked once and never again: a call costs, also one of which nobody heard the end. Raises ModelError.
        """
        ...


class Painting(Protocol):
    """Has pictures made for a run."""

    async def paint(
        self, tool: str, prompt: str, size: str, keep: Callable[[Painted], Awaitable[JsonObject]]
    ) -> JsonObject:
        """What `keep` said of the picture that was made, as a use of `tool`, one of AgentDefinition.effects:
        a run that is resumed does not have it made again.

        Raises FailedPreconditionError (TOOL_UNAVAILABLE) where no model makes pictures, ModelError when none
        was made, InternalError (TOOL_OUTCOME_UNKNOWN) where nobody knows, UnavailableError when the record
        cannot be written, in which case nothing was asked for, and what `keep` and Tools.use raise.
        """
        ...


class Sandboxed(Protocol):
    """Executes code that nobody trusts."""

    async def run(self, job: Job) -> Outcome:
        """The outcome of the job. Raises FailedPreconditionError (TOOL_UNAVAILABLE) where there is none."""
        ...


@dataclass(frozen=True)
class StoredFile:
    """A file that the session service keeps. bytes: how many; sha256: of them, in hexadecimal."""

    attachment_id: str
    filename: str
    media_type: str
    bytes: int
    sha256: str


class Files(Protocol):
    """The files that a run was given, and those that it makes.

    Nothing of this is journaled: it stands inside an action of `Tools.use`, whose result names the file.

    Raises UnavailableError (SESSION_UNAVAILABLE) when the session service does not answer in time.
    """

    async def describe(self, attachment_id: str) -> StoredFile:
        """What is known of a file. Raises NotFoundError (ATTACHMENT_NOT_FOUND)."""
        ...

    async def read(self, attachment_id: str, limit: int) -> bytes:
        """All its bytes, which have the digest that is known of them.

        Raises NotFoundError (ATTACHMENT_NOT_FOUND), ResourceExhaustedError (ATTACHMENT_TOO_LARGE) beyond
        `limit` bytes, before any was read.
        """
        ...

    async def keep(self, filename: str, media_type: str, data: bytes, key: str) -> StoredFile:
        """Keeps a file with the run's session, once for each key and content of a run, whatever is repeated.

        Raises ResourceExhaustedError (ATTACHMENT_TOO_LARGE, STORAGE_FULL).
        """
        ...


class Attachments(Protocol):
    """All files of the tenant. Fails as Files do."""

    async def describe(self, attachment_id: str) -> StoredFile:
        """See Files."""
        ...

    async def read(self, attachment_id: str, limit: int) -> bytes:
        """See Files."""
        ...

    async def keep(
        self, filename: str, media_type: str, data: bytes, *, session_id: str, run_id: str, request_id: str
    ) -> StoredFile:
        """Keeps a file once for each request_id; it goes with the session where it has one."""
        ...


class Knowledge(Protocol):
    """Where text becomes a document that is found and cited.

    Not journaled, like Files. Raises UnavailableError (RETRIEVAL_UNAVAILABLE) when the vector service does
    not answer in time; other errors of that service pass through as they are.
    """

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
        """The id of the document, which is durable and being indexed. It takes the place of the one that has
        the same external_id.
        """
        ...


@dataclass(frozen=True)
class SoundFile:
    """A sound as it is sent to a model, or comes from one."""

    filename: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class Utterance:
    """Something said. start, end: seconds from the beginning of the sound."""

    start: float
    end: float
    text: str
    speaker: str = ""


@dataclass(frozen=True)
class Transcription:
    """What a model heard. utterances: none where it tells no times, and the whole is `text` alone.

    language: as the model names it. done: which model, and its tokens where it told them.
    """

    text: str
    utterances: tuple[Utterance, ...]
    language: str
    done: ModelDone


@dataclass(frozen=True)
class SpokenSound:
    """What a model said. voice: the one that it was asked for."""

    sound: SoundFile
    voice: str
    done: ModelDone


class AudioModel(Protocol):
    """Listens and speaks, as far as it is configured to."""

    @property
    def transcribes(self) -> bool:
        """Whether it listens."""
        ...

    @property
    def speaks(self) -> bool:
        """Whether it speaks."""
        ...

    async def transcribe(
        self, sound: SoundFile, language: str, seconds: float, meter: Meter
    ) -> Transcription:
        """What is said in a sound of at most 25 MB, within `seconds`. language: ISO 639-1, or empty.

        Raises ModelError, and what the meter raises.
        """
        ...

    async def speak(self, text: str, voice: str, seconds: float, meter: Meter) -> SpokenSound:
        """A text of at most 4,096 characters, spoken. voice: empty for its usual one.

        Raises ModelError, and what the meter raises.
        """
        ...


class Voice(Protocol):
    """The audio model of one run. Each call is a use of a tool: told, counted and journaled.

    Both give None where the model gave nothing: the run has then told so as a degradation. `tool` is one of
    AgentDefinition.tools; `arguments` are for people. Raises ResourceExhaustedError (BUDGET_EXHAUSTED) as
    Tools.use does, and what `sound` or `keep` raise.
    """

    @property
    def transcribes(self) -> bool:
        """Whether there is a model that listens."""
        ...

    @property
    def speaks(self) -> bool:
        """Whether there is a model that speaks."""
        ...

    async def transcribe(
        self, tool: str, arguments: JsonObject, sound: Callable[[], Awaitable[SoundFile]], language: str
    ) -> Transcription | None:
        """What is said. sound: makes the sound, when it is really to be sent."""
        ...

    async def speak(
        self,
        tool: str,
        arguments: JsonObject,
        text: str,
        voice: str,
        keep: Callable[[SpokenSound], Awaitable[JsonObject]],
    ) -> JsonObject | None:
        """What `keep` makes of the sound."""
        ...


class Meter(Protocol):
    """Counts what a run uses."""

    def charge_model_call(self) -> None:
        """Raises ResourceExhaustedError (BUDGET_EXHAUSTED) when the run may make no more."""
        ...


class ChatModel(Protocol):
    """Writes text."""

    def stream(self, prompt: Prompt, seconds: float, meter: Meter) -> AsyncGenerator[Piece]:
        """Text as it comes, requests for offered tools, then exactly one ModelDone, within `seconds`.

        Raises ModelError. Closing the iterator closes the connection to the model.
        """
        ...

    async def ping(self) -> None:
        """Raises ModelError when the model is known to be down. Never asks the model anything."""
        ...
