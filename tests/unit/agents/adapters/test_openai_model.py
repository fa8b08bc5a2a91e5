"""Retry-After headers, and requests for tools as servers write them; the rest is tested at the service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from services.agents.adapters.failures import retry_after
from services.agents.adapters.openai_model import open_endpoints
from services.agents.chat.capabilities import Capability
from services.agents.chat.providers import Provider
from services.agents.ports import ChatMessage, OfferedTool, Prompt, ToolRequest
from tests.support.model_server import ModelServer, Raw


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(header, now=60.0) == seconds


def call(index: int | None, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(
            [
                call(0, "a", "look", '{"at":'),
                call(0, None, None, '"x"}'),
                call(1, "b", "see", ""),
                call(1, None, None, "{}"),
            ],
            id="in parts, by index",
        ),
        pytest.param([call(0, "a", "look", '{"at":"x"}'), call(0, "b", "see", "{}")], id="all have index 0"),
        pytest.param(
            [call(None, "", "look", '{"at":"x"}'), call(None, "", "see", "{}")], id="no index, no id"
        ),
        pytest.param(
            [call(0, "a", "look", '{"at":'), call(0, "a", "look", '"x"}'), call(1, "b", "see", "{}")],
            id="the name again",
        ),
    ],
)
async def test_requests_for_tools_are_put_together(parts: list[dict[str, Any]]) -> None:
    deltas = [{"choices": [{"index": 0, "delta": {"tool_calls": [part]}}]} for part in parts]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in [*deltas, end]) + "data: [DONE]\n\n"
    tool = OfferedTool("look", "Looks.", {"type": "object"})
    with ModelServer(Raw(body.encode())) as server:
        able = Provider("openai", server.base_url, "m", SecretStr(""), frozenset({Capability.TOOLS}))
        async with open_endpoints([able], 100) as (endpoint,):
            asked = Prompt((ChatMessage("user", "Look."),), tools=(tool,))
            pieces = [piece async for piece in endpoint.attempt(asked, 10)]
    requests = [piece for piece in pieces if isinstance(piece, ToolRequest)]
    assert [(request.tool, request.arguments) for request in requests] == [
        ("look", '{"at":"x"}'),
        ("see", "{}"),
    ]
    assert len({request.call_id for request in requests}) == 2
