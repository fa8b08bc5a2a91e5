"""The doctor, against a real HTTP server."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from services.agents.doctor import DoctorSettings, consulted, examine_all, main, report
from tests.support.mcp_server import running_server
from tests.support.model_server import Answer, Calls, Failure, ModelServer, Step


def able(body: dict[str, Any]) -> Step:
    """A model that can do everything."""
    content = body["messages"][-1]["content"]
    if "tools" in body:
        return Calls([(body["tools"][0]["function"]["name"], "{}")])
    if "response_format" in body:
        return Answer('{"zq_17": "left"}')
    if isinstance(content, list):
        return Answer("Orange." if content[1]["type"] == "image_url" else "A tone.")
    return Answer("ready")


def plain(body: dict[str, Any]) -> Step:
    """A model that writes text, whatever it is offered; its server refuses recordings."""
    content = body["messages"][-1]["content"]
    if isinstance(content, list) and content[1]["type"] == "input_audio":
        return Failure(400)
    return Answer('{"way": "left"}' if "response_format" in body else "It is a fine day.")


def settings(server: ModelServer, capabilities: str = "") -> DoctorSettings:
    return DoctorSettings(
        openai_base_url=server.base_url, openai_model="tiny", meld_model_capabilities=capabilities
    )


async def test_a_model_that_can_do_all_gets_a_line_to_set() -> None:
    with ModelServer(forever=able) as server:
        (model,) = await examine_all(settings(server))
        pictures = [
            part["image_url"]["url"]
            for exchange in server.chats
            for part in exchange.messages[-1]["content"]
            if isinstance(part, dict) and part["type"] == "image_url"
        ]
    assert model.well
    lines = report([model])
    assert lines[0].split() == ["model", "answers", "tools", "json_schema", "vision", "audio"]
    assert lines[1].split()[:3] == ["tiny", "yes", "yes"]
    assert lines[2] == "note  what was found: MELD_MODEL_CAPABILITIES=tiny=tools+json_schema+vision+audio"
    png = base64.b64decode(pictures[0].removeprefix("data:image/png;base64,"))
    assert png.startswith(b"\x89PNG")
    at = png.index(b"IDAT") + 4
    assert zlib.decompress(png[at : png.index(b"IEND") - 8])[1:4] == b"\xff\x80\x00"


async def test_what_is_declared_and_lacks_is_a_fault() -> None:
    with ModelServer(forever=plain) as server:
        (model,) = await examine_all(settings(server, "tiny=tools+json_schema+audio"))
    assert model.reached.works
    assert not model.well
    told = "\n".join(report([model]))
    assert "FAULT tiny has tools declared: it answered 'It is a fine day.'" in told
    assert "FAULT tiny has json_schema declared" in told
    assert "FAULT tiny has audio declared: the model answered with HTTP status 400" in told
    assert "vision declared" not in told
    assert told.endswith("MELD_MODEL_CAPABILITIES=tiny=")


async def test_all_that_is_declared_works_and_nothing_is_to_be_set() -> None:
    with ModelServer(forever=able) as server:
        (model,) = await examine_all(settings(server, "tiny=tools+json_schema+vision+audio"))
    assert len(report([model])) == 2


async def test_a_model_that_is_not_reached_is_asked_once() -> None:
    with ModelServer(Failure(401)) as server:
        (model,) = await examine_all(settings(server, "tiny=tools"))
        assert len(server.chats) == 1
    assert not model.well
    assert any(
        line.startswith("FAULT tiny at http://127.0.0.1") and "401" in line for line in report([model])
    )


def test_without_a_model_it_says_so() -> None:
    assert report([]) == ["No model is configured: answers are sentences of the documents."]


async def test_the_program_tells_of_models_and_of_the_sandbox(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MELD_SANDBOX", "off")
    with ModelServer(forever=able) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert await main() == 1
    told = capsys.readouterr().out
    assert "gpt-4" in told
    assert "FAULT the sandbox is switched off" in told


async def test_a_setting_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MELD_MODEL_CAPABILITIES", "gpt-4=sight")
    assert await main() == 1
    assert "MELD_MODEL_CAPABILITIES" in capsys.readouterr().out


async def test_mcp_servers_are_asked_which_of_the_allowed_tools_they_have() -> None:
    with running_server() as server:
        servers = {
            "docs": {"url": server.url, "agents": {"research": ["lookup", "nix"]}},
            "gone": {"url": "http://127.0.0.1:9/mcp", "agents": {"research": ["lookup"]}},
        }
        lines = await consulted(DoctorSettings(meld_mcp_servers=json.dumps(servers), openai_base_url=""))
    assert lines == [
        "ok    research may use mcp:docs:lookup",
        "FAULT research: The tool nix of the MCP server docs cannot be used: the server does not list it.",
        "FAULT research: The MCP server gone cannot be used: it cannot be reached.",
        "note  without a model nobody uses tools of MCP servers",
    ]
    assert await consulted(DoctorSettings(meld_mcp_servers="")) == []
