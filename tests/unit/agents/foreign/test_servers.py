"""The setting that names MCP servers: what it may say, and that a fault shows no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.agents.foreign.consulting import check_consulting
from services.agents.foreign.servers import parse, tool_name
from services.agents.roster.registry import Registry
from services.agents.settings import AgentsSettings
from services.chassis.settings import SettingsError, load

SECRET = "Kq8-zz31-very-secret"


def setting(**server: Any) -> str:
    said = {"url": "https://docs.example/mcp", "agents": {"research": ["lookup"]}, **server}
    return json.dumps({"docs": {name: value for name, value in said.items() if value is not None}})


def test_servers_say_where_they_are_and_who_may_use_what() -> None:
    (server,) = parse(setting(headers={"Authorization": f"Bearer {SECRET}"}))
    assert (server.name, server.url) == ("docs", "https://docs.example/mcp")
    assert server.tools_for("research") == ("lookup",)
    assert server.tools_for("ceo") == ()
    assert server.headers == {"Authorization": f"Bearer {SECRET}"}
    assert SECRET not in repr(server)
    assert tool_name("docs", "lookup") == "mcp:docs:lookup"
    assert parse("") == parse("  ") == ()


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        "[]",
        "[" * 100_000,
        json.dumps({"Docs!": {}}),
        json.dumps({"docs": SECRET}),
        setting(url=None),
        setting(agents=None),
        setting(agents={}),
        setting(agents={"research": []}),
        setting(agents={"research": "lookup"}),
        setting(agents={"research": ["look up"]}),
        setting(agents={"research": ["a", "a"]}),
        setting(agents={"research": [f"t{number}" for number in range(33)]}),
        setting(url=f"ftp://{SECRET}/"),
        setting(url="file:///etc/passwd"),
        setting(url=f"https://user:{SECRET}@docs.example/"),
        setting(url="https:///mcp"),
        setting(url="https://docs.example:99999/"),
        setting(url=7),
        setting(headers={"Authorization": f"{SECRET}\r\nX: y"}),
        setting(headers={"bad name": SECRET}),
        setting(headers=[SECRET]),
        setting(timeout=3),
        json.dumps({f"s{number}": {} for number in range(17)}),
    ],
)
def test_a_fault_names_the_variable_and_shows_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("MELD_MCP_SERVERS", text)
    with pytest.raises(SettingsError) as caught:
        load(AgentsSettings)
    assert str(caught.value).startswith("MELD_MCP_SERVERS: ")
    assert SECRET not in str(caught.value)


def test_the_setting_comes_from_the_environment_or_a_file_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = setting(headers={"Authorization": f"Bearer {SECRET}"})
    monkeypatch.setenv("MELD_MCP_SERVERS", text)
    read = load(AgentsSettings)
    assert read.mcp_servers == parse(text)
    assert SECRET not in repr(read)
    monkeypatch.delenv("MELD_MCP_SERVERS")
    (tmp_path / "meld_mcp_servers").write_text(f"{text}\n")
    monkeypatch.setenv("MELD_SECRETS_DIR", str(tmp_path))
    assert load(AgentsSettings).mcp_servers == parse(text)


@pytest.mark.parametrize("agent", ["ceo", "nobody"])
def test_an_agent_without_use_for_tools_of_others_is_not_given_any(agent: str) -> None:
    settings = AgentsSettings(meld_mcp_servers=setting(agents={agent: ["lookup"]}))
    with pytest.raises(
        SettingsError, match=f"'{agent}', which uses no tools of others; those that do: research"
    ):
        check_consulting(settings, Registry())


def test_research_may_use_tools_of_others() -> None:
    check_consulting(AgentsSettings(meld_mcp_servers=setting()), Registry())
