"""Tools of the client: offered with a request, asked for in an answer, and answered in the next request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meldrag.agents.v1 import agents_pb2
from services.gateway.body import Fields
from services.gateway.openai.failure import unsupported
from services.gateway.problem import invalid

Json = Any


@dataclass(frozen=True)
class Offer:
    """What the model may ask for. required: it must ask; one: for one tool and no more in a turn."""

    tools: tuple[agents_pb2.CallerTool, ...] = ()
    required: bool = False
    one: bool = False


def offer(fields: Fields) -> Offer:
    """The tools of a request. Raises ProblemError 400."""
    _refuse_functions(fields)
    tools, choice = fields.json("tools"), fields.json("tool_choice")
    parallel = fields.json("parallel_tool_calls")
    if not tools:
        if choice not in (None, "none", "auto"):
            raise unsupported("tool_choice", "there are no tools to choose from")
        return Offer()
    if choice == "none":
        return Offer()
    if not isinstance(tools, list):
        raise invalid("tools", "a list is needed")
    read = tuple(_tool(value, f"tools[{index}]") for index, value in enumerate(tools))
    one = parallel is False
    if choice in (None, "auto"):
        return Offer(read, one=one)
    if choice == "required":
        return Offer(read, required=True, one=one)
    name = _chosen(choice)
    chosen = tuple(tool for tool in read if tool.name == name)
    if not chosen:
        raise invalid("tool_choice", "names none of the tools")
    return Offer(chosen, required=True, one=one)


def _refuse_functions(fields: Fields) -> None:
    """The form that tools had before, unless it says that nothing is to be called."""
    functions, choice = fields.json("functions"), fields.json("function_call")
    if choice not in (None, "none", "auto") or (functions and choice != "none"):
        raise unsupported("functions" if functions else "function_call", "send them as tools")


def _tool(value: Json, path: str) -> agents_pb2.CallerTool:
    fields = _object(value, path)
    if fields.text("type", required=True) != "function":
        raise unsupported("tools", "a tool is a function; models are given no others")
    function = fields.object("function")
    fields.finish()
    if function is None:
        raise invalid(f"{path}.function", "an object is needed")
    if function.boolean("strict"):
        raise unsupported("tools", "nothing here holds a model to a schema of yours; leave strict out")
    parameters = function.json("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise invalid(f"{path}.function.parameters", "an object is needed")
    tool = agents_pb2.CallerTool(
        name=function.text("name", required=True),
        description=function.text("description"),
        parameters=json.dumps(parameters, ensure_ascii=False) if parameters else "",
    )
    function.finish()
    return tool


def _chosen(choice: Json) -> str:
    if not isinstance(choice, dict):
        raise invalid("tool_choice", 'must be "none", "auto", "required" or a function')
    fields = Fields(choice, "tool_choice.")
    if fields.text("type", required=True) != "function":
        raise unsupported("tool_choice", "one function can be chosen, or all of the tools")
    function = fields.object("function")
    fields.finish()
    if function is None:
        raise invalid("tool_choice.function", "an object is needed")
    name = function.text("name", required=True)
    function.finish()
    return name


def _object(value: Json, path: str) -> Fields:
    if not isinstance(value, dict):
        raise invalid(path, "an object is needed")
    # Clients send back what they were given, with all that is not there as null.
    return Fields({name: item for name, item in value.items() if item is not None}, f"{path}.")


# -- messages ------------------------------------------------------------------------------------------------


def asked(value: Json, path: str) -> tuple[agents_pb2.ToolCall, ...]:
    """The `tool_calls` of an assistant's message. Raises ProblemError 400."""
    if not isinstance(value, list):
        raise invalid(path, "a list is needed")
    return tuple(_call(item, f"{path}[{index}]") for index, item in enumerate(value))


def _call(value: Json, path: str) -> agents_pb2.ToolCall:
    fields = _object(value, path)
    call_id = fields.text("id", required=True)
    if fields.text("type") not in ("", "function"):
        raise invalid(f"{path}.type", "a tool is a function")
    # Of chunks that a client has put together.
    fields.drop("index")
    function = fields.object("function")
    fields.finish()
    if function is None:
        raise invalid(f"{path}.function", "an object is needed")
    call = agents_pb2.ToolCall(
        call_id=call_id,
        name=function.text("name", required=True),
        arguments=function.text("arguments") or "{}",
    )
    function.finish()
    return call


@dataclass(frozen=True)
class Said:
    """A message on the way to an answer: the model's, with what it asked for, or a tool's answer."""

    text: str
    calls: tuple[agents_pb2.ToolCall, ...] = ()
    answers: str = ""


def exchanges(messages: Sequence[Said]) -> tuple[agents_pb2.ToolExchange, ...]:
    """What followed on the question, turn by turn. Raises ProblemError 400 where an answer lacks or is
    strange.
    """
    made: list[agents_pb2.ToolExchange] = []
    for message in messages:
        if message.calls:
            made.append(agents_pb2.ToolExchange(text=message.text, calls=message.calls))
            continue
        open_ids = {call.call_id for call in made[-1].calls} if made else set()
        open_ids -= {answer.call_id for answer in made[-1].answers} if made else set()
        if message.answers not in open_ids:
            raise invalid("messages", "a tool's message answers one of the tool_calls before it, once")
        made[-1].answers.add(call_id=message.answers, text=message.text)
    for exchange in made:
        if len(exchange.answers) < len(exchange.calls):
            raise invalid("messages", "each of the tool_calls needs the message of a tool that answers it")
    return tuple(made)


# -- answers -------------------------------------------------------------------------------------------------


def told(calls: Sequence[agents_pb2.ToolCall], *, one: bool) -> list[dict[str, Json]]:
    """The `tool_calls` of an answer. one: only the first; the model asks for the others when it has that."""
    return [
        {
            "id": call.call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls[: 1 if one else None]
    ]
