"""The MCP servers that the setting MELD_MCP_SERVERS names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_SERVER = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_TOOL = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,4000}[\x21-\x7e])?")
_MAX_SERVERS = 16
_MAX_TOOLS = 32
_PARTS = {"url", "headers", "agents"}


@dataclass(frozen=True)
class McpServer:
    """A server, and which of its tools each agent may use. headers: sent with every request, and secret."""

    name: str
    url: str
    agents: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def tools_for(self, agent_id: str) -> tuple[str, ...]:
        """The tools that an agent may use; the server's own names."""
        return self.agents.get(agent_id, ())


def tool_name(server: str, tool: str) -> str:
    """What a tool is called in a run."""
    return f"mcp:{server}:{tool}"


def parse(text: str) -> tuple[McpServer, ...]:
    """The servers of a setting: {"docs": {"url": "https://…/mcp", "headers": {}, "agents": {"research":
    ["lookup"]}}}.

    Raises ValueError that names the server and the part, and shows no value: it may be a secret.
    """
    if not text.strip():
        return ()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None
    if not isinstance(value, dict) or len(value) > _MAX_SERVERS:
        raise ValueError(f"must be an object of at most {_MAX_SERVERS} servers")
    return tuple(_server(name, said) for name, said in value.items())


def _server(name: str, said: Any) -> McpServer:
    if not _SERVER.fullmatch(name):
        raise ValueError("a server's name has 1 to 32 small letters, digits, _ and -")
    if not isinstance(said, dict) or not set(said) <= _PARTS or not {"url", "agents"} <= set(said):
        raise ValueError(f"the server {name} has a url, agents, and perhaps headers, and nothing else")
    return McpServer(name, _url(name, said["url"]), _agents(name, said["agents"]), _headers(name, said))


def _url(name: str, url: Any) -> str:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or "@" in parts.netloc or parts.fragment:
        raise ValueError(f"the url of the server {name} is http:// or https://, with a host and no user")
    return str(url)


def _agents(name: str, agents: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(agents, dict) or not agents:
        raise ValueError(f"the server {name} names the agents that may use it: agents is an object")
    for agent, tools in agents.items():
        known = isinstance(tools, list) and all(_is_tool(tool) for tool in tools)
        if not known or not 0 < len(tools) <= _MAX_TOOLS or len(set(tools)) < len(tools):
            raise ValueError(f"the server {name} names 1 to {_MAX_TOOLS} tools for the agent {agent[:40]!r}")
    return {agent: tuple(tools) for agent, tools in agents.items()}


def _is_tool(tool: Any) -> bool:
    return isinstance(tool, str) and _TOOL.fullmatch(tool) is not None


def _headers(name: str, said: Mapping[str, Any]) -> dict[str, str]:
    headers = said.get("headers", {})
    valid = isinstance(headers, dict) and all(
        isinstance(value, str) and _HEADER.fullmatch(key) and _HEADER_VALUE.fullmatch(value)
        for key, value in headers.items()
    )
    if not valid:
        raise ValueError(f"the headers of the server {name} are an object of names and plain texts")
    return dict(headers)
