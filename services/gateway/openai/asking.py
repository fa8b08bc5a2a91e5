"""A chat completion's request as a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from google.protobuf import struct_pb2

from meldrag.agents.v1 import agents_pb2
from services.gateway.body import Fields, parse_object, to_struct
from services.gateway.openai import calling, content
from services.gateway.openai.calling import Offer, Said
from services.gateway.openai.content import Content, Media
from services.gateway.openai.failure import unsupported
from services.gateway.openai.models import AUTO, agent_of, model_of
from services.gateway.problem import invalid

Json = Any
SourcesAs = Literal["field", "footnotes", "none"]

# What the contract takes of a history.
_MAX_TURNS = 40
_MAX_HISTORY_BYTES = 64_000
_SOURCES = {name: name for name in ("field", "footnotes", "none")}
# Wishes about how a model draws its words, how fast and for whom. An answer keeps every promise without them.
_TOLERATED = (
    "top_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "reasoning_effort",
    "verbosity",
    "prediction",
)
_MEDIA_WORDS = {"image": "picture", "audio": "recording"}


@dataclass(frozen=True)
class Asked:
    """What a client wants.

    model: as it was asked for. agent_id: "auto" lets triage choose. media: pictures and recordings of the
    question. earlier: those of the newest message before it that has any. inputs: None where there are none.
    offer: the client's tools; exchanges: what they were asked for the question and have answered.
    """

    model: str
    agent_id: str
    question: str
    instructions: str
    history: tuple[agents_pb2.PriorTurn, ...]
    media: tuple[Media, ...]
    earlier: tuple[Media, ...]
    stream: bool
    usage_wanted: bool
    sources: SourcesAs
    session_id: str
    collections: tuple[str, ...]
    inputs: struct_pb2.Struct | None
    temperature: float | None
    max_output_tokens: int | None
    offer: Offer
    exchanges: tuple[agents_pb2.ToolExchange, ...]

    @property
    def passes_tools(self) -> bool:
        """Whether it takes an agent that passes the client's tools to its model."""
        return bool(self.offer.tools or self.exchanges)

    def run(
        self, agent_id: str, attachment_ids: Sequence[str], request_id: str
    ) -> agents_pb2.RunAgentRequest:
        """The run that answers it. attachment_ids: of what goes with the question.

        Raises ProblemError 400.
        """
        request = agents_pb2.RunAgentRequest(
            agent_id=agent_id,
            message=self.question,
            session_id=self.session_id,
            collection_ids=self.collections,
            inputs=self.inputs,
            request_id=request_id,
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
            history=self.history,
            instructions=self.instructions,
            tools=self.offer.tools,
            tool_required=self.offer.required,
            tool_exchanges=self.exchanges,
        )
        if attachment_ids:
            named = request.inputs.fields["attachment_ids"]
            if named.WhichOneof("kind") not in (None, "list_value"):
                raise invalid("inputs.attachment_ids", "a list is needed")
            named.list_value.extend(attachment_ids)
        return request

    def taken(self) -> tuple[str, tuple[Media, ...]]:
        """The agent, and what of the media goes to it.

        With "auto" it depends on what comes with the question, as on the page. An agent that is named and
        gets a question without any is given what came before, if it works on that. Raises ProblemError 400.
        """
        kinds = {item.kind for item in self.media}
        if self.agent_id == AUTO and self.passes_tools:
            raise unsupported("tools", f"{model_of(AUTO)} passes none on; name an agent that does")
        if self.agent_id == AUTO:
            if len(kinds) > 1:
                raise invalid(
                    "messages", "pictures and recordings go to different agents; send the one or the other"
                )
            return next(iter(kinds), AUTO), self.media
        media = self.media or tuple(item for item in self.earlier if item.kind == self.agent_id)
        return self.agent_id, media


def read(fields: Fields) -> Asked:
    """The request. Raises ProblemError 400 that names what is wrong, and 404 for an unknown model."""
    ours = _Ours(fields)
    model = fields.text("model", required=True)
    agent_id = _agent(model, ours.text("agent"))
    session_id = ours.text("session_id")
    talk = _Talk.of(fields.json("messages"))
    if session_id and talk.turns:
        raise invalid(
            "session_id", "the session keeps what was said; send the question alone, or leave session_id out"
        )
    stream = fields.boolean("stream")
    options = fields.object("stream_options")
    if options is not None and not stream:
        raise invalid("stream_options", "belongs to a stream")
    most = fields.integer("max_completion_tokens", minimum=1)
    older = fields.integer("max_tokens", minimum=1)
    asked = Asked(
        model=model,
        agent_id=agent_id,
        question=talk.question.text or _instead(talk.question.media),
        instructions="\n\n".join(talk.instructions),
        history=_fitting(talk.turns),
        media=talk.question.media,
        earlier=next((turn.media for _, turn in reversed(talk.turns) if turn.media), ()),
        stream=stream,
        usage_wanted=_usage_wanted(options),
        sources=cast(SourcesAs, ours.choice("sources", _SOURCES) or "field"),
        session_id=session_id,
        collections=tuple(ours.words("collections")),
        inputs=ours.struct("inputs"),
        temperature=fields.number("temperature"),
        max_output_tokens=older if most is None else most,
        offer=calling.offer(fields),
        exchanges=talk.exchanges,
    )
    if session_id and asked.passes_tools:
        raise invalid("session_id", "a session keeps no calls of tools; leave it out and send what was said")
    _refuse_promises(fields)
    for name in _TOLERATED:
        fields.drop(name)
    fields.finish()
    return asked


def _agent(model: str, named: str) -> str:
    agent_id = agent_of(model)
    if named and agent_id not in (AUTO, named):
        raise invalid("agent", f"the model {model} is another agent; leave one of the two out")
    return named or agent_id


def _usage_wanted(options: Fields | None) -> bool:
    if options is None:
        return False
    wanted = options.boolean("include_usage")
    options.drop("include_obfuscation")
    options.finish()
    return wanted


def _instead(media: Sequence[Media]) -> str:
    """The words of a question that has none, only pictures or recordings."""
    if not media:
        return ""
    return "What do they show?" if media[0].kind == "image" else "What is to be heard?"


# -- our own fields ------------------------------------------------------------------------------------------


class _Ours:
    """Fields that only this server knows: in the request itself, or in its metadata, which holds strings."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        metadata = fields.json("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            raise invalid("metadata", "an object is needed")
        # The rest of it is the client's own.
        self._metadata: Mapping[str, Json] = metadata or {}

    def _where(self, name: str) -> Fields:
        if self._fields.has(name):
            return self._fields
        self._fields.drop(name)
        return Fields({name: self._metadata.get(name)}, "metadata.")

    def text(self, name: str) -> str:
        return self._where(name).text(name)

    def choice(self, name: str, values: Mapping[str, str]) -> str | None:
        return self._where(name).choice(name, values)

    def words(self, name: str) -> list[str]:
        """A list of strings, or one with commas."""
        if isinstance(value := self._metadata.get(name), str) and not self._fields.has(name):
            self._fields.drop(name)
            return [word.strip() for word in value.split(",") if word.strip()]
        return self._where(name).texts(name)

    def struct(self, name: str) -> struct_pb2.Struct | None:
        """An object, or a string that is the JSON of one."""
        if isinstance(value := self._metadata.get(name), str) and not self._fields.has(name):
            self._fields.drop(name)
            return to_struct(parse_object(value.encode()), f"metadata.{name}")
        return self._where(name).struct(name)


# -- messages ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Message:
    """One message. calls: what an assistant asked for; answers: the call that a tool's message answers."""

    role: str
    content: Content
    calls: tuple[agents_pb2.ToolCall, ...] = ()
    answers: str = ""

    @property
    def said(self) -> Said:
        """Without what only a user's message has."""
        return Said(self.content.text, self.calls, self.answers)


@dataclass(frozen=True)
class _Talk:
    """The messages, told apart. turns: what was said before the question, whether by the caller. exchanges:
    what the question has led to so far.
    """

    question: Content
    instructions: tuple[str, ...]
    turns: tuple[tuple[bool, Content], ...]
    exchanges: tuple[agents_pb2.ToolExchange, ...]

    @classmethod
    def of(cls, messages: Json) -> _Talk:
        if not isinstance(messages, list) or not messages:
            raise invalid("messages", "a list of at least one message is needed")
        instructions: list[str] = []
        talk: list[_Message] = []
        for index, value in enumerate(messages):
            path = f"messages[{index}]"
            message = _message(value, path)
            said = message.content
            if message.role in ("system", "developer"):
                if said.media:
                    raise invalid(f"{path}.content", f"a {message.role} message holds text alone")
                instructions.append(said.text)
            elif said.text or said.media or message.calls or message.answers:
                talk.append(message)
        asked = max((at for at, message in enumerate(talk) if message.role == "user"), default=-1)
        behind = talk[asked + 1 :]
        if asked < 0 or not all(message.calls or message.answers for message in behind):
            raise invalid(
                "messages",
                "the last message must be the user's, and not empty: it is the question; or a tool's, which"
                " answers what was asked of it for that question",
            )
        return cls(
            talk[asked].content,
            tuple(filter(None, instructions)),
            tuple(_turns(talk[:asked])),
            calling.exchanges([message.said for message in behind]),
        )


def _turns(talk: Sequence[_Message]) -> Iterator[tuple[bool, Content]]:
    """What was said, whether by the caller. Tools that were asked for an earlier question are the caller's:
    what they answered is told as the caller's words.
    """
    names: dict[str, str] = {}
    for message in talk:
        names |= {call.call_id: call.name for call in message.calls}
        if message.answers:
            if message.answers not in names:
                raise invalid("messages", "a tool's message answers one of the tool_calls before it")
            yield True, Content(f"({names[message.answers]} answered: {message.content.text})")
        elif message.content.text or message.content.media:
            yield message.role == "user", message.content


def _message(value: Json, path: str) -> _Message:
    if not isinstance(value, dict):
        raise invalid(path, "an object is needed")
    # Clients send back what they were given, with all that is not there as null.
    fields = Fields({name: item for name, item in value.items() if item is not None}, f"{path}.")
    role = fields.text("role", required=True)
    if role not in ("system", "developer", "user", "assistant", "tool"):
        raise invalid(f"{path}.role", "must be one of system, developer, user, assistant, tool")
    calls: tuple[agents_pb2.ToolCall, ...] = ()
    answers = ""
    if role == "assistant" and fields.has("tool_calls"):
        calls = calling.asked(fields.json("tool_calls"), f"{path}.tool_calls")
    if role == "tool":
        answers = fields.text("tool_call_id", required=True)
        if not answers:
            raise invalid(f"{path}.tool_call_id", "names the call that is answered")
    if any(fields.json(name) for name in ("tool_calls", "function_call")):
        raise invalid(path, "tools are asked for by the assistant, in tool_calls")
    said = content.read(fields.json("content"), f"{path}.content")
    if said.media and answers:
        raise invalid(f"{path}.content", "a tool answers with text")
    for name in ("name", "refusal", "annotations"):
        fields.drop(name)
    fields.finish()
    return _Message(role, said, calls, answers)


def _fitting(turns: Sequence[tuple[bool, Content]]) -> tuple[agents_pb2.PriorTurn, ...]:
    """The newest turns that the contract takes, oldest first. Pictures in them are named, not shown."""
    kept: list[agents_pb2.PriorTurn] = []
    left = _MAX_HISTORY_BYTES
    for from_caller, said in reversed(turns[-_MAX_TURNS:]):
        text = "\n".join(filter(None, (said.text, *(f"({_MEDIA_WORDS[item.kind]})" for item in said.media))))
        left -= len(text.encode())
        if left < 0:
            break
        kept.insert(0, agents_pb2.PriorTurn(from_caller=from_caller, text=text))
    return tuple(kept)


# -- what cannot be done -------------------------------------------------------------------------------------


def _refuse_promises(fields: Fields) -> None:
    """What would be a lie to pass over. Raises ProblemError 400 that names it."""
    if fields.integer("n", minimum=1) not in (None, 1):
        raise unsupported("n", "there is one answer to a question")
    if fields.boolean("logprobs") or fields.integer("top_logprobs"):
        raise unsupported("logprobs", "answers have citations, and no probabilities of tokens")
    if fields.boolean("store"):
        raise unsupported("store", "completions are not kept under this API; runs are, under /api/v1/runs")
    form = fields.object("response_format")
    if form is not None and form.text("type", required=True) != "text":
        raise unsupported(
            "response_format", "an agent's answer is a text; its typed result is in the field meld.result"
        )
    if fields.json("modalities") not in (None, ["text"]):
        raise unsupported("modalities", "an answer is a text; what agents draw or speak are attachments")
    for name, why in (
        ("stop", "an answer with citations is not cut in the middle"),
        ("logit_bias", "it reaches no model from here"),
        ("audio", "an answer is a text"),
        ("web_search_options", "agents search the documents, not the web"),
    ):
        if fields.json(name):
            raise unsupported(name, why)
