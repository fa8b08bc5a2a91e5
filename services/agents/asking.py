"""Asks a model for a part of an agent's typed result, and takes nothing that does not fit."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib import resources
from typing import Any, Generic, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from services.agents import json_schema
from services.agents.answering import prompt
from services.agents.model import Degradation
from services.agents.ports import (
    Attachment,
    ChatMessage,
    ChatModel,
    JsonObject,
    ModelDone,
    ModelError,
    ModelTool,
    OfferedTool,
    Prompt,
    TextPiece,
    ToolRequest,
    Tools,
)
from services.agents.run import Run
from services.chassis.errors import InternalError, ResourceExhaustedError, ServiceError

_log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)

# Answers of the model to one question, those that ask for tools counted.
_MAX_TURNS = 8
# Beyond this a model is out of control.
_MAX_CHARACTERS = 200_000
_MAX_TOOL_RESULT = 8_000
_MAX_CAUSE = 300
# What functions may be called, with room for a number behind it.
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_MAX_NAME = 60
# A small variation makes JSON wrong, never better.
_TEMPERATURE = 0.0


class Asker:
    """Implements ports.Ask for one run.

    allowed: the names in AgentDefinition.tools. A model may use those among them that it is offered; what
    else it asks for is refused.
    """

    def __init__(
        self,
        run: Run,
        model: ChatModel | None,
        tools: Tools,
        *,
        agent_prompt: str,
        allowed: Sequence[str],
        data_tokens: int,
        fence: str,
    ) -> None:
        self._run = run
        self._model = model
        self._tools = tools
        self._allowed = frozenset(allowed)
        self._system = f"{agent_prompt.strip()}\n\n{load_rules().strip()}"
        self._data_tokens = data_tokens
        self._fence = fence

    def give_up(self) -> None:
        """The model does not answer in this run: it is asked no more."""
        self._model = None

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
        """See ports.Ask."""
        if strange := [tool.name for tool in tools if tool.name not in self._allowed]:
            raise LookupError(f"the agent {self._run.agent_id} does not name the tools {strange}")
        if self._model is None:
            return None
        wanted = _Wanted(kind, json_schema.asked(kind.DESCRIPTOR, fields), check)
        question = self._question(task, data or {}, wanted.schema)
        asked = [
            ChatMessage("system", self._system),
            ChatMessage("user", question, attachments=tuple(attachments)),
        ]
        try:
            return await self._converse(self._model, wanted, asked, tools)
        except ModelError as error:
            if error.ill or error.repeatable:
                self.give_up()
            self._without(f"{error.model or 'the model'}: {error}")
        except InternalError as error:
            if error.reason != "RESULT_INVALID":
                raise
            self._without(error.message)
        except ResourceExhaustedError as error:
            if error.reason != "BUDGET_EXHAUSTED":
                raise
            self._run.degrade(Degradation("budget", f"{error.message}; the model is asked no more."))
            self.give_up()
        return None

    def _without(self, reason: str) -> None:
        _log.warning("a result is made without the model: %s", reason)
        self._run.degrade(Degradation("model", f"{reason}. This part of the result was made without it."))

    def _question(self, task: str, data: Mapping[str, str], schema: JsonObject) -> str:
        # A quarter of a token for each byte, shared by what is shown.
        share = 4 * self._data_tokens // max(1, len(data))
        shown = [
            prompt.fenced(name, prompt.shortened(text, share), self._fence) for name, text in data.items()
        ]
        return "\n\n".join([*shown, task, f"The schema: {json.dumps(schema, ensure_ascii=False)}"])

    async def _converse(
        self,
        model: ChatModel,
        wanted: _Wanted[M],
        messages: list[ChatMessage],
        tools: Sequence[ModelTool],
    ) -> M:
        offered = _offered(tools)
        told: _FaultError | None = None
        for turn in range(_MAX_TURNS):
            # The last turns are for the answer, and so is the one that mends it.
            offers = {} if told or turn >= _MAX_TURNS - 2 else offered
            text, requests, done = await self._complete(model, messages, wanted.schema, offers)
            if requests:
                messages.append(ChatMessage("assistant", text, requests))
                for asked in requests:
                    answer = await self._used(asked, offered)
                    messages.append(ChatMessage("tool", answer, answers=asked.call_id))
                continue
            try:
                return wanted.read(text, cut=done.cut)
            except _FaultError as fault:
                if told is not None:
                    raise self._invalid(done.model, fault) from fault
                told = fault
                messages += [ChatMessage("assistant", text), ChatMessage("user", _repair(fault))]
        raise self._invalid("the model", _FaultError(f"no answer within {_MAX_TURNS} turns"))

    async def _complete(
        self,
        model: ChatModel,
        messages: Sequence[ChatMessage],
        schema: JsonObject,
        offers: Mapping[str, ModelTool],
    ) -> tuple[str, tuple[ToolRequest, ...], ModelDone]:
        """One answer of the model, whole. Raises ModelError and what the ledger raises."""
        ledger = self._run.ledger
        asked = Prompt(
            tuple(messages),
            temperature=_TEMPERATURE,
            budget_tokens=ledger.tokens_left(),
            schema=schema,
            tools=tuple(
                OfferedTool(name, tool.description, tool.parameters) for name, tool in offers.items()
            ),
        )
        pieces: list[str] = []
        requests: list[ToolRequest] = []
        done: ModelDone | None = None
        try:
            async with aclosing(model.stream(asked, ledger.seconds_left(), ledger)) as answer:
                async for piece in answer:
                    match piece:
                        case TextPiece(text):
                            pieces.append(text)
                        case ToolRequest():
                            requests.append(piece)
                        case ModelDone():
                            done = piece
                    if sum(map(len, pieces)) > _MAX_CHARACTERS:
                        raise ModelError("the model does not end", model="", ill=True)
            if done is None:
                raise ModelError("the model's answer broke off", model="", ill=True)
            ledger.charge_tokens(done)
        finally:
            self._run.tell_usage()
        return "".join(pieces), tuple(requests), done

    async def _used(self, asked: ToolRequest, offered: Mapping[str, ModelTool]) -> str:
        """What the model is told of a tool that it asked for. Raises what ends the run's means."""
        tool = offered.get(asked.tool)
        if tool is None:
            _log.warning("a model asked for the tool %.100r, which it was not offered", asked.tool)
            return f"Refused: there is no such tool here. There are: {', '.join(offered) or 'none'}."
        try:
            arguments = _json(asked.arguments or "{}")
        except ValueError as error:
            return f"Refused: the arguments are no JSON: {error}"
        if not isinstance(arguments, dict):
            return "Refused: the arguments are no JSON object."
        if fault := json_schema.fault(arguments, tool.parameters):
            return f"Refused: the arguments do not fit: {prompt.harmless(fault)}"
        try:
            result = await self._tools.use(tool.name, arguments, lambda: tool.action(arguments), tool.summary)
        except ServiceError as error:
            if error.reason == "BUDGET_EXHAUSTED":
                raise
            return f"Failed: {prompt.harmless(error.message)}"
        # Sorted, as the journal keeps it: a run that is repeated has to ask in the same words.
        shown = json.dumps(result, ensure_ascii=False, sort_keys=True)
        return prompt.fenced(f"result of {tool.name}", prompt.shortened(shown, _MAX_TOOL_RESULT), self._fence)

    def _invalid(self, model: str, fault: _FaultError) -> InternalError:
        return InternalError(
            f"{model} gave no answer that fits: {fault}",
            reason="RESULT_INVALID",
            metadata={"agent_id": self._run.agent_id, "cause": str(fault)},
        )


def _offered(tools: Sequence[ModelTool]) -> dict[str, ModelTool]:
    """The tools under names that every model's server takes, each its own."""
    named: dict[str, ModelTool] = {}
    for tool in tools:
        plain = _NO_NAME.sub("_", tool.name)[:_MAX_NAME]
        name, number = plain, 1
        while name in named:
            number += 1
            name = f"{plain}_{number}"
        named[name] = tool
    return named


def load_rules() -> str:
    """What a model is told besides the agent's own prompt."""
    return (resources.files("services.agents.answering") / "asking.md").read_text("utf-8")


class _FaultError(Exception):
    """Why an answer does not fit; told to the model once."""


@dataclass(frozen=True)
class _Wanted(Generic[M]):
    """What a model is to answer."""

    kind: type[M]
    schema: JsonObject
    check: Callable[[M], None] | None

    def read(self, text: str, *, cut: bool) -> M:
        """The answer as a message. Raises _FaultError."""
        try:
            value = _json(_bare(text))
        except ValueError as error:
            cause = "it was cut off at the limit of tokens, be shorter" if cut else f"it is no JSON: {error}"
            raise _FaultError(cause[:_MAX_CAUSE]) from error
        if fault := json_schema.fault(value, self.schema):
            raise _FaultError(fault[:_MAX_CAUSE])
        message = self.kind()
        try:
            json_format.ParseDict(value, message)
            if self.check is not None:
                self.check(message)
        except (json_format.ParseError, ValueError) as error:
            raise _FaultError(str(error)[:_MAX_CAUSE]) from error
        return message


def _bare(text: str) -> str:
    """The text from its first brace to its last: models put words and fences around."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _json(text: str) -> Any:
    """Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested without end") from error


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _repair(fault: _FaultError) -> str:
    return f"That does not fit: {prompt.harmless(str(fault))}. Answer again with the whole JSON object alone."
