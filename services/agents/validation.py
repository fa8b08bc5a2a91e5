"""Checks what callers send, before anything is done with it."""

from __future__ import annotations

import math
import re

from meldrag.agents.v1 import agents_pb2
from services.agents.answering.calling import is_object
from services.chassis.errors import InvalidArgumentError

MAX_MESSAGE = 32_000
# That one search takes.
MAX_COLLECTIONS = 16
_MAX_OUTPUT_TOKENS = 1_000_000
_MAX_INPUT_BYTES = 2_000_000
_MAX_COMMENT = 2_000
_MAX_TURNS = 40
_MAX_HISTORY_BYTES = 64_000
_MAX_INSTRUCTIONS = 16_000
_MAX_TOOLS = 64
_MAX_TOOLS_BYTES = 100_000
_MAX_DESCRIPTION = 4_000
_MAX_EXCHANGES = 32
_MAX_CALLS = 16
_MAX_EXCHANGES_BYTES = 256_000
_SHOWN = 100

_COLLECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TOOL = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
# Blanks, zero-width characters, direction marks.
_INVISIBLE = re.compile(r"[\s\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]*")


def check_message(message: str) -> None:
    """1 to 32,000 characters, something visible among them, no NUL."""
    if not message or _INVISIBLE.fullmatch(message):
        raise _invalid("message", message, "the message is empty")
    if len(message) > MAX_MESSAGE:
        raise _invalid(
            "message", message, f"the message has {len(message)} characters; {MAX_MESSAGE} are allowed"
        )
    if "\0" in message:
        raise _invalid("message", message, "the message holds a NUL character")


def check_run(request: agents_pb2.RunAgentRequest) -> None:
    """Every field of the request. Raises InvalidArgumentError (INVALID_FIELD)."""
    check_message(request.message)
    if not request.agent_id:
        raise _invalid("agent_id", "", "agent_id is missing")
    if request.session_id and not _RESOURCE.fullmatch(request.session_id):
        raise _invalid("session_id", request.session_id, "session_id is malformed")
    if request.request_id and not _REQUEST_ID.fullmatch(request.request_id):
        raise _invalid("request_id", request.request_id, "request_id has 1 to 128 visible ASCII characters")
    if len(request.collection_ids) > MAX_COLLECTIONS:
        raise _invalid(
            "collection_ids", str(len(request.collection_ids)), f"at most {MAX_COLLECTIONS} collections"
        )
    for collection_id in request.collection_ids:
        if not _COLLECTION.fullmatch(collection_id):
            raise _invalid("collection_ids", collection_id, "a collection id is malformed")
    if request.HasField("top_k") and not 1 <= request.top_k <= 100:
        raise _invalid("top_k", str(request.top_k), "top_k is 1 to 100")
    if request.HasField("temperature") and not (
        math.isfinite(request.temperature) and 0 <= request.temperature <= 2
    ):
        raise _invalid("temperature", str(request.temperature), "temperature is 0 to 2")
    if request.HasField("max_output_tokens") and not 1 <= request.max_output_tokens <= _MAX_OUTPUT_TOKENS:
        raise _invalid(
            "max_output_tokens", str(request.max_output_tokens), f"1 to {_MAX_OUTPUT_TOKENS} tokens"
        )
    if request.inputs.ByteSize() > _MAX_INPUT_BYTES:
        raise _invalid("inputs", str(request.inputs.ByteSize()), f"at most {_MAX_INPUT_BYTES} bytes")
    _check_history(request)
    _check_tools(request)
    _check_exchanges(request)
    if len(request.instructions) > _MAX_INSTRUCTIONS or "\0" in request.instructions:
        raise _invalid(
            "instructions",
            str(len(request.instructions)),
            f"instructions have at most {_MAX_INSTRUCTIONS} characters, and no NUL",
        )


def _check_history(request: agents_pb2.RunAgentRequest) -> None:
    if not request.history:
        return
    if request.session_id:
        raise _invalid("history", "", "a run with a session has that session's history, and no other")
    if len(request.history) > _MAX_TURNS:
        raise _invalid("history", str(len(request.history)), f"at most {_MAX_TURNS} turns")
    size = sum(len(turn.text.encode()) for turn in request.history)
    if size > _MAX_HISTORY_BYTES:
        raise _invalid("history", str(size), f"at most {_MAX_HISTORY_BYTES} bytes together")
    for turn in request.history:
        if not turn.text or "\0" in turn.text:
            raise _invalid("history", turn.text, "a turn is empty, or holds a NUL character")


def _check_tools(request: agents_pb2.RunAgentRequest) -> None:
    if not (request.tools or request.tool_exchanges):
        if request.tool_required:
            raise _invalid("tool_required", "true", "there is no tool that could be asked for")
        return
    if request.session_id:
        raise _invalid("tools", "", "a session keeps no calls of tools; send the history with the request")
    if request.agent_id == "auto":
        raise _invalid("tools", "", "tools go to an agent that is named")
    if request.tool_required and not request.tools:
        raise _invalid("tool_required", "true", "there is no tool that could be asked for")
    if len(request.tools) > _MAX_TOOLS:
        raise _invalid("tools", str(len(request.tools)), f"at most {_MAX_TOOLS} tools")
    size = sum(tool.ByteSize() for tool in request.tools)
    if size > _MAX_TOOLS_BYTES:
        raise _invalid("tools", str(size), f"at most {_MAX_TOOLS_BYTES} bytes together")
    names = [tool.name for tool in request.tools]
    for tool in request.tools:
        if not _TOOL.fullmatch(tool.name) or names.count(tool.name) > 1:
            raise _invalid("tools", tool.name, "a name has 1 to 64 letters, digits, _ and -, and stands once")
        if len(tool.description) > _MAX_DESCRIPTION or "\0" in tool.description:
            raise _invalid("tools", tool.name, f"a description has at most {_MAX_DESCRIPTION} characters")
        if tool.parameters and not is_object(tool.parameters):
            raise _invalid("tools", tool.name, "the parameters are no JSON object")


def _check_exchanges(request: agents_pb2.RunAgentRequest) -> None:
    exchanges = request.tool_exchanges
    if len(exchanges) > _MAX_EXCHANGES:
        raise _invalid("tool_exchanges", str(len(exchanges)), f"at most {_MAX_EXCHANGES} exchanges")
    size = sum(exchange.ByteSize() for exchange in exchanges)
    if size > _MAX_EXCHANGES_BYTES:
        raise _invalid("tool_exchanges", str(size), f"at most {_MAX_EXCHANGES_BYTES} bytes together")
    for exchange in exchanges:
        called = [call.call_id for call in exchange.calls]
        answered = [answer.call_id for answer in exchange.answers]
        if not 1 <= len(called) <= _MAX_CALLS or len(set(called)) < len(called):
            raise _invalid(
                "tool_exchanges", str(len(called)), f"1 to {_MAX_CALLS} calls, each with its own id"
            )
        if sorted(called) != sorted(answered):
            raise _invalid("tool_exchanges", ", ".join(called), "each call has one answer")
        for call in exchange.calls:
            if not _REQUEST_ID.fullmatch(call.call_id) or not _TOOL.fullmatch(call.name):
                raise _invalid("tool_exchanges", call.call_id, "the id or the name of a call is malformed")
            if not is_object(call.arguments):
                raise _invalid("tool_exchanges", call.call_id, "the arguments of a call are no JSON object")


def check_comment(comment: str) -> None:
    """At most 2,000 characters, no NUL."""
    if len(comment) > _MAX_COMMENT or "\0" in comment:
        raise _invalid("comment", comment, f"a comment has at most {_MAX_COMMENT} characters, and no NUL")


def page(page_size: int, page_token: str, ids: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The ids of a page and the token of the next one, which is the last id of this one."""
    if not 0 <= page_size <= 1000:
        raise _invalid("page_size", str(page_size), "page_size is 0 to 1,000")
    if page_token and page_token not in ids:
        raise _invalid("page_token", page_token, "the page token was not made by this service")
    start = ids.index(page_token) + 1 if page_token else 0
    shown = ids[start : start + (page_size or 100)]
    return shown, shown[-1] if shown and shown[-1] != ids[-1] else ""


def _invalid(field: str, value: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        message, reason="INVALID_FIELD", metadata={"field": field, "value": value[:_SHOWN]}
    )
