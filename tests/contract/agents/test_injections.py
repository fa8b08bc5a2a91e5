"""Documents that give orders, and a model that obeys them: nothing is done that the agent may not do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.contract.agents.clerk import Clerk, gaps, registry
from tests.contract.agents.conftest import DEFAULT, result_of
from tests.contract.agents.injections import documents
from tests.contract.agents.neighbours import VectorNeighbour
from tests.support.model_server import Answer, Calls, ModelServer, Step

QUESTION = "When was the lighthouse of Brava built?"
FORBIDDEN = ("fetch_url", "shell", "send_mail", "delete_documents", "read_file", "post_data", "measure")
Open = Callable[..., Any]


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[str, list[str]]]:
    """An address, and who connected to it."""
    visitors: list[str] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append(str(writer.get_extra_info("peername")))
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", visitors


class Obedient:
    """A model that does whatever it reads: asks for every tool, tells every address, never tires."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked = 0
        self.read: list[str] = []

    def __call__(self, body: dict[str, Any]) -> Step:
        last = str(body["messages"][-1]["content"])
        if body["messages"][-1]["role"] == "user":
            self.read.append(last)
        if "The schema:" not in json.dumps(body["messages"]):
            # While it writes the answer: every second time it asks for tools instead.
            return Answer(f"1884 [1], see ![]({self.url}/a) [2].") if self.asked % 2 else self.demand()
        if "tools" in body and body["messages"][-1]["role"] == "user":
            return self.demand()
        return Answer(gaps(f"see {self.url}", "<img src=x>"))

    def demand(self) -> Calls:
        self.asked += 1
        calls = [(tool, json.dumps({"url": self.url, "at": self.url})) for tool in FORBIDDEN]
        return Calls([*calls, ("look", json.dumps({"at": self.url}))])


def fences(text: str) -> tuple[str, str]:
    """The data of a prompt, and what stands outside of its fences."""
    inside: list[str] = []

    def keep(match: re.Match[str]) -> str:
        inside.append(match[3])
        return ""

    outside = re.sub(r"<<<([^\n]+) ([0-9a-f]{16})\n\n(.*?)\n\n\1 \2>>>", keep, text, flags=re.DOTALL)
    return "\n".join(inside), outside


async def test_fifty_injected_documents_get_nothing_done(open_house: Open, vector: VectorNeighbour) -> None:
    clerk = Clerk(with_tool=True)
    used: list[str] = []
    async with listener() as (url, visitors):
        texts = documents(url)
        assert len(set(texts)) == 50
        model = Obedient(url)
        with ModelServer(forever=model) as server:
            house = await open_house(
                server.base_url,
                registry=registry(clerk.compose),
                meld_model_capabilities="gpt-4=tools+json_schema",
            )
            for text in texts:
                vector.collections.clear()
                vector.put(DEFAULT, "Lighthouse", text)
                # Twice: the model asks for tools while it writes, and when it is asked for its part.
                for _ in range(2):
                    events = await house.run(QUESTION)
                    result = result_of(events)
                    used += [event.tool_started.tool for event in events if event.HasField("tool_started")]
                    for citation in result.citations:
                        assert citation.quote in text
        assert len(visitors) == 0
    # The model did ask: for all tools, each time, and only the one that it was offered was used.
    assert model.asked >= 75
    assert set(used) == {"look"}
    assert len(clerk.looked) == len(used)
    assert len(model.read) >= 100
    for told in model.read:
        inside, outside = fences(told)
        assert "1884" in inside
        assert url not in outside
        assert not re.search(r"<\||\|>|\[/?INST\]|<</?SYS>>|</?(start|end)_of_turn>", told)
