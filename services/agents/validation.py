"""Checks what callers send, before anything is done with it."""

from __future__ import annotations

import math
import re

from meldrag.agents.v1 import agents_pb2
from services.chassis.errors import InvalidArgumentError

MAX_MESSAGE = 32_000
_MAX_COLLECTIONS = 16
_MAX_OUTPUT_TOKENS = 1_000_000
_MAX_INPUT_BYTES = 2_000_000
_MAX_COMMENT = 2_000
_MAX_TURNS = 40
_MAX_HISTORY_BYTES = 64_000
_MAX_INSTRUCTIONS = 16_000
_SHOWN = 100

_COLLECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
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
    if len(request.collection_ids) > _MAX_COLLECTIONS:
        raise _invalid(
            "collection_ids", str(len(request.collection_ids)), f"at most {_MAX_COLLECTIONS} collections"
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
