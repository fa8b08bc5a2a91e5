"""Answers in protocols of others: OpenAI's below /v1, and JSON-RPC as MCP has it."""

from __future__ import annotations

from services.gateway.openapi.resources import ANYTHING, TEXT, WHOLE
from services.gateway.openapi.schema import Components, Schema, array, nullable, record, reference

# What a completion tells of its run besides what the protocol has.
_OF_THE_RUN = ("run_id", "agent", "answer_mode", "result", "degraded", "session_id", "events_url")


def _always(value: str) -> Schema:
    return {"type": "string", "const": value}


_NULL: Schema = {"type": "null"}
_FINISH: Schema = {"type": "string", "enum": ["stop", "length", "tool_calls"]}
_VERSION = _always("2.0")
_RPC_ID: Schema = {"type": ["string", "integer", "null"]}
_RPC_FAULT = record({"code": WHOLE, "message": TEXT, "data": {}}, optional=("data",))


def add(made: Components) -> None:
    """Puts the components of both protocols to the others."""
    made.add("OpenAIError", _error())
    made.add("Model", _model())
    made.add("Models", record({"object": _always("list"), "data": array(reference("Model"))}))
    made.add("Completion", _completion(made))
    made.add("CompletionChunk", _chunk(made))
    made.add("Embeddings", _embeddings())
    made.add(
        "RpcError",
        record(
            {"jsonrpc": _VERSION, "id": _RPC_ID, "error": _RPC_FAULT},
            "Why a message was not served; error.data is the Problem where the gateway found it.",
        ),
    )
    made.add(
        "RpcMessage",
        record(
            {
                "jsonrpc": _VERSION,
                "id": _RPC_ID,
                "result": ANYTHING,
                "error": _RPC_FAULT,
                "method": TEXT,
                "params": ANYTHING,
            },
            "A response of JSON-RPC, or a notification on the way to it.",
            optional=("id", "result", "error", "method", "params"),
        ),
    )


def _error() -> Schema:
    fault = record(
        {
            "message": TEXT | {"description": "What is wrong, for people."},
            "type": TEXT,
            "param": nullable(TEXT) | {"description": "The field that it is about."},
            "code": TEXT | {"description": "What is wrong, for programs: a reason in small letters."},
        }
    )
    return record({"error": fault}, "Why a request was refused or failed, as OpenAI says it.")


def _model() -> Schema:
    return record(
        {
            "id": TEXT,
            "object": _always("model"),
            "created": WHOLE,
            "owned_by": TEXT,
            "name": TEXT,
            "description": TEXT,
        },
        "An agent, or what embeds, under the name of a model.",
    )


def _own(made: Components) -> dict[str, Schema]:
    """The members that only this server has."""
    told = made.schemas["RunResult"]["properties"]
    verified: Schema = {"properties": {"verified": {"const": True}}, "required": ["verified"]}
    return {
        "meld": record({name: told[name] for name in _OF_THE_RUN}),
        "sources": array({"allOf": [reference("Citation"), verified]}),
    }


def _usage() -> Schema:
    return record(dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), WHOLE))


def _called(more: dict[str, Schema] | None = None) -> Schema:
    """What the model asks of the client's tools."""
    function = record({"name": TEXT, "arguments": TEXT | {"description": "A JSON object."}})
    return record({**(more or {}), "id": TEXT, "type": _always("function"), "function": function})


def _completion(made: Components) -> Schema:
    message = record(
        {
            "role": _always("assistant"),
            "content": nullable(TEXT),
            "refusal": _NULL,
            "tool_calls": array(_called()),
        },
        optional=("tool_calls",),
    )
    choice = record({"index": WHOLE, "message": message, "logprobs": _NULL, "finish_reason": _FINISH})
    return record(
        {
            "id": TEXT,
            "object": _always("chat.completion"),
            "created": WHOLE,
            "model": TEXT,
            "choices": array(choice),
            "usage": _usage(),
            **_own(made),
        },
        "The answer of a run as a completion. With sources: none there are no sources.",
        optional=("sources",),
    )


def _chunk(made: Components) -> Schema:
    delta = record(
        {"role": TEXT, "content": TEXT, "tool_calls": array(_called({"index": WHOLE}))},
        optional=("role", "content", "tool_calls"),
    )
    finish = nullable(_FINISH)
    choice = record({"index": WHOLE, "delta": delta, "logprobs": _NULL, "finish_reason": finish})
    return record(
        {
            "id": TEXT,
            "object": _always("chat.completion.chunk"),
            "created": WHOLE,
            "model": TEXT,
            "choices": array(choice),
            "usage": nullable(_usage()),
            **_own(made),
        },
        "A piece of a completion; the last one with a choice tells of the run and of its sources.",
        optional=("usage", "meld", "sources"),
    )


def _embeddings() -> Schema:
    values: Schema = {
        "anyOf": [array({"type": "number"}), {"type": "string", "contentEncoding": "base64"}],
        "description": "Numbers, or as base64 their floats of 4 bytes, the lowest byte first.",
    }
    row = record({"object": _always("embedding"), "index": WHOLE, "embedding": values})
    usage = record(dict.fromkeys(("prompt_tokens", "total_tokens"), WHOLE))
    return record(
        {"object": _always("list"), "data": array(row), "model": TEXT, "usage": usage},
        "One row for each text.",
    )
