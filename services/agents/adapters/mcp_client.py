"""Other people's MCP servers, over the official client and streamable HTTP.

A server is believed nothing: its answers are bounded in bytes and time, its schemas are tamed, redirects stay
on its own origin, it can ask nothing of us, and what it says is data.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx2
import mcp_types as types
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import TypeAdapter

from services.agents.foreign.schema import SchemaError, plain, tamed
from services.agents.foreign.servers import McpServer, tool_name
from services.agents.ports import ForeignOffer, ForeignTool, JsonObject
from services.chassis import redaction
from services.chassis.errors import ServiceError, UnavailableError

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Of one answer of a server, its headers not counted.
MAX_BYTES = 1 << 20
_MAX_TEXT = 64_000
_MAX_PAGES = 10
# A list is believed for so long, and so is that there is none.
_KEEP_SECONDS = 300.0
_FORGET_SECONDS = 30.0
_GOODBYE_SECONDS = 2.0


@dataclass(frozen=True)
class Patience:
    """Seconds that a server gets to list its tools, and to do what it is asked."""

    listing: float = 5.0
    call: float = 30.0


@dataclass(frozen=True)
class _Listed:
    """What a server listed. failure: why it did not. until: how long that is believed."""

    tools: dict[str, types.Tool]
    failure: str
    until: float


class McpTools:
    """Is ForeignTools. Opens a connection for each question, so nothing of one reaches another."""

    def __init__(
        self,
        servers: Sequence[McpServer],
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = {server.name: server for server in servers}
        self._patience = patience or Patience()
        self._clock = clock
        self._listed: dict[str, _Listed] = {}
        for server in servers:
            for value in server.headers.values():
                redaction.register(value)

    async def offered(self, agent_id: str) -> ForeignOffer:
        """See ForeignTools."""
        servers = [server for server in self._servers.values() if server.tools_for(agent_id)]
        offers = await asyncio.gather(*(self._offer(server, agent_id) for server in servers))
        return ForeignOffer(
            tuple(tool for offer in offers for tool in offer.tools),
            tuple(reason for offer in offers for reason in offer.missing),
        )

    async def _offer(self, server: McpServer, agent_id: str) -> ForeignOffer:
        listed = await self._listing(server)
        if listed.failure:
            return ForeignOffer((), (listed.failure,))
        tools, missing = [], []
        for name in server.tools_for(agent_id):
            found = listed.tools.get(name)
            try:
                if found is None:
                    raise SchemaError("the server does not list it")
                shown, schema = plain(found.description), tamed(found.input_schema)
                tools.append(ForeignTool(tool_name(server.name, name), shown, schema))
            except SchemaError as error:
                missing.append(f"The tool {name} of the MCP server {server.name} cannot be used: {error}.")
        return ForeignOffer(tuple(tools), tuple(missing))

    async def _listing(self, server: McpServer) -> _Listed:
        known = self._listed.get(server.name)
        if known is not None and self._clock() < known.until:
            return known
        try:
            tools, failure, keep = await self._list(server), "", _KEEP_SECONDS
        except ServiceError as error:
            tools, failure, keep = {}, f"{error.message}.", _FORGET_SECONDS
        listed = _Listed(tools, failure, self._clock() + keep)
        self._listed[server.name] = listed
        return listed

    async def _list(self, server: McpServer) -> dict[str, types.Tool]:
        async def ask(client: Client) -> dict[str, types.Tool]:
            wanted = {tool for tools in server.agents.values() for tool in tools}
            found: dict[str, types.Tool] = {}
            cursor: str | None = None
            for _ in range(_MAX_PAGES):
                page = await client.session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
                found |= {tool.name: tool for tool in page.tools if tool.name in wanted}
                cursor = page.next_cursor
                if not cursor:
                    break
            return found

        return await self._asked(server, self._patience.listing, ask)

    async def call(self, name: str, arguments: JsonObject) -> JsonObject:
        """See ForeignTools."""
        _, server_name, tool = name.split(":", 2)
        server = self._servers[server_name]
        if not any(tool in tools for tools in server.agents.values()):
            raise LookupError(f"nobody may use the tool {name}")

        async def ask(client: Client) -> types.CallToolResult:
            # Not the session's own call_tool, which runs the server's output schema over the result.
            request = types.CallToolRequest(
                params=types.CallToolRequestParams(name=tool, arguments=arguments)
            )
            return await client.session.send_request(request, TypeAdapter(types.CallToolResult))

        result = await self._asked(server, self._patience.call, ask)
        return {"text": _text(result), "is_error": result.is_error}

    async def _asked(self, server: McpServer, seconds: float, ask: Callable[[Client], Awaitable[T]]) -> T:
        """What `ask` gets of a server within the time. Raises UnavailableError, not in the server's words."""
        meter = _Meter()
        cause = f"it did not answer within {seconds:g} s"
        try:
            async with asyncio.timeout(seconds), _opened(server, meter) as client:
                return await ask(client)
        except TimeoutError:
            pass
        except Exception as error:
            # Whatever a server makes the client stumble over: a refusal, no JSON, a broken connection, or
            # several of these at once.
            _log.info("the MCP server %s failed", server.name, exc_info=error)
            cause = "its answer cannot be used"
            if meter.status >= 300:
                cause = f"it answered with the status {meter.status}"
            elif meter.refused:
                cause = "it cannot be reached"
        if meter.exceeded:
            cause = f"its answer is larger than {MAX_BYTES} bytes"
        raise UnavailableError(
            f"The MCP server {server.name} cannot be used: {cause}",
            reason="TOOL_UNAVAILABLE",
            metadata={"tool": f"mcp:{server.name}"},
        )


@asynccontextmanager
async def _opened(server: McpServer, meter: _Meter) -> AsyncIterator[Client]:
    transport = _Metered(meter)
    # No proxy of the environment: what is between would not be counted.
    async with httpx2.AsyncClient(
        transport=transport,
        headers=dict(server.headers),
        timeout=httpx2.Timeout(10.0, read=None),
        trust_env=False,
    ) as http:
        wire = streamable_http_client(server.url, http_client=http, max_sse_event_size=MAX_BYTES)
        async with Client(wire, cache=None, input_required_max_rounds=1) as client:
            yield client


@dataclass
class _Meter:
    """What was seen of a server. status: the last one that is no success."""

    status: int = 0
    exceeded: bool = False
    refused: bool = False


class _Metered(httpx2.AsyncHTTPTransport):
    """Counts what comes, and takes no more than is allowed of each answer."""

    def __init__(self, meter: _Meter) -> None:
        super().__init__()
        self._meter = meter

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, which breaks off where it is too large. It is asked for as it is, not packed."""
        request.headers["Accept-Encoding"] = "identity"
        if request.method == "DELETE":
            # A goodbye, perhaps when the time is up already.
            request.extensions["timeout"] = dict.fromkeys(
                ("connect", "read", "write", "pool"), _GOODBYE_SECONDS
            )
        try:
            response = await super().handle_async_request(request)
        except httpx2.TransportError:
            self._meter.refused = True
            raise
        if response.status_code >= 300:
            self._meter.status = response.status_code
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("a packed answer that nobody asked for")
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Counted(response, self._meter),
            extensions=response.extensions,
        )


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response, meter: _Meter) -> None:
        self._response = response
        self._meter = meter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for piece in self._response.aiter_raw():
            count += len(piece)
            if count > MAX_BYTES:
                self._meter.exceeded = True
                raise httpx2.ReadError("the answer is too large")
            yield piece

    async def aclose(self) -> None:
        """Ends the answer."""
        await self._response.aclose()


def _text(result: types.CallToolResult) -> str:
    """What a tool said, in words; its structured result where there are none."""
    texts = [part.text for part in result.content if isinstance(part, types.TextContent)]
    others = len(result.content) - len(texts)
    if not texts and result.structured_content is not None:
        texts = [json.dumps(result.structured_content, ensure_ascii=False)]
    if others:
        texts.append(f"({others} parts that are no text are left out)")
    whole = "\n".join(texts)
    return whole if len(whole) <= _MAX_TEXT else f"{whole[:_MAX_TEXT]}\n(cut off)"
