"""Programs where people sign in: the official clients of /v1 and /mcp with API keys, and streams that
end when whoever began them is signed out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import httpx2
import openai
import pytest
from mcp import MCPError
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from services.gateway.identity import standing
from tests.support.launched import House, launched
from tests.support.model_server import ModelServer, Stall
from tests.support.waits import promised

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PASSWORD = "the tide comes at nine"
CODE = "lift-off-41"
LIMIT = 150
LOGIN = {
    "MELD_LOGIN": "required",
    "JWT_SECRET_KEY": "w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU",
    "MELD_SETUP_CODE": CODE,
    "MELD_RATE_LIMIT_PER_MINUTE": str(LIMIT),
}
DEEP = "The harbour of Elmsund is fourteen metres deep."
QUESTION: Any = [{"role": "user", "content": "How deep is the harbour of Elmsund?"}]
# A stream asks every five seconds whether its caller is still known; the rest is for a busy machine.
SOON = 30.0


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in, with a key for programs."""

    town: Town
    name: str
    token: str
    refresh: str
    user_id: str
    key: str
    key_id: str

    def http(self, shown: str = "") -> httpx.Client:
        """As this person; shown: instead of the access token."""
        return self.town.http({"Authorization": f"Bearer {shown or self.token}"})


@dataclass
class Town:
    """A running house with an owner."""

    house: House
    model: ModelServer
    olga: Person | None = None

    @property
    def url(self) -> str:
        return self.house.base_url

    def http(self, headers: dict[str, str] | None = None) -> httpx.Client:
        return httpx.Client(base_url=f"{self.url}/api/v1", timeout=60, headers=headers)

    def person(self, name: str, role: str) -> Person:
        """Somebody new."""
        assert self.olga is not None
        with self.olga.http() as owner:
            fields = {"name": name, "password": PASSWORD, "role": role, "groups": []}
            owner.post("/users", json=fields).raise_for_status()
        return self.sign_in(name)

    def sign_in(self, name: str) -> Person:
        with self.http() as http:
            said = http.post("/auth/login", json={"name": name, "password": PASSWORD}).raise_for_status()
            bearer = {"Authorization": f"Bearer {said.json()['access_token']}"}
            key = http.post("/api-keys", json={"label": "program"}, headers=bearer).raise_for_status()
        tokens, made = said.json(), key.json()
        return Person(
            self,
            name,
            tokens["access_token"],
            tokens["refresh_token"],
            tokens["user"]["id"],
            made["secret"],
            made["id"],
        )

    def openai(self, key: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)

    @asynccontextmanager
    async def mcp(self, key: str) -> AsyncIterator[Client]:
        """The official client, which takes a key where its HTTP client has it."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http)) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    # Answers that never end: what asks the model is a stream that is open.
    with ModelServer(*[Stall("It is")] * 3) as model:
        environment = {**LOGIN, "OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "k"}
        with launched(tmp_path_factory.mktemp("town"), environment) as house:
            town = Town(house, model)
            with town.http() as nobody:
                first = {"name": "olga", "password": PASSWORD, "setup_code": CODE}
                nobody.post("/auth/setup", json=first).raise_for_status()
            town.olga = town.sign_in("olga")
            with town.olga.http() as owner:
                owner.post("/collections", json={"name": "pilots"}).raise_for_status()
                everyone = {"access": [{"group": "everyone", "role": "reader"}]}
                owner.put("/collections/pilots/access", json=everyone).raise_for_status()
                file = {"file": ("harbour.md", f"# Elmsund\n\n{DEEP}\n")}
                owner.post("/collections/pilots/documents", files=file).raise_for_status()
            yield town


# -- the openai client --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["none", "mrk_home-aaaaaaaaaaaaaaaa_" + "b" * 52])
def test_openais_client_hears_in_its_own_words_that_a_key_is_none(town: Town, key: str) -> None:
    with town.openai(key) as client:
        for ask in (
            client.models.list,
            lambda: client.chat.completions.create(model="meld-research", messages=QUESTION),
            lambda: client.chat.completions.create(model="meld-research", messages=QUESTION, stream=True),
            lambda: client.embeddings.create(model="meld-embedding", input="x"),
        ):
            with pytest.raises(openai.AuthenticationError) as refused:
                ask()
            body: Any = refused.value.body
            assert (body["type"], body["code"]) == ("authentication_error", "invalid_api_key")
            assert refused.value.response.headers["www-authenticate"].startswith("Bearer")
            assert refused.value.response.headers["x-should-retry"] == "false"


def test_a_viewers_key_asks_openais_way_and_adds_nothing(town: Town) -> None:
    vera = town.person("vera", "viewer")
    with town.openai(vera.key) as client, vera.http(vera.key) as http:
        assert "meld-research" in [model.id for model in client.models.list()]
        assert len(client.embeddings.create(model="meld-embedding", input="x").data) == 1
        # The model's answer never comes to an end; that it began is what is asked here.
        with client.chat.completions.create(
            model="meld-research", messages=QUESTION, stream=True, extra_body={"collections": ["pilots"]}
        ) as stream:
            assert next(stream).choices[0].delta.role == "assistant"
            town.model.wait_chats(1, 60)
        file = {"file": ("a.txt", b"The harbour is shallow.")}
        refused = http.post("/collections/pilots/documents", files=file)
        assert (refused.status_code, refused.json()["reason"]) == (403, "SCOPE_MISSING")
        with pytest.raises(openai.NotFoundError) as nowhere:
            client.files.create(file=b"The harbour is shallow.", purpose="assistants")
        assert nowhere.value.code == "unknown_url"


def test_what_belongs_to_somebody_is_not_there_for_anothers_key(town: Town) -> None:
    anna, ben = town.person("anna", "member"), town.person("ben", "member")
    with anna.http() as http:
        http.post("/collections", json={"name": "diary"}).raise_for_status()
        session = http.post("/sessions", json={"title": "mine"}).raise_for_status().json()["id"]
    with town.openai(ben.key) as client:
        for theirs, missing in (
            ({"collections": ["diary"]}, {"collections": ["diarx"]}),
            ({"session_id": session}, {"session_id": session[:-2] + "zz"}),
        ):
            said = []
            for extra in (theirs, missing):
                with pytest.raises(openai.NotFoundError) as refused:
                    client.chat.completions.create(model="meld-research", messages=QUESTION, extra_body=extra)
                value = str(next(iter(extra.values()))).strip("[']")
                said.append((refused.value.code, refused.value.message.replace(value, "")))
            assert said[0] == said[1]


def test_openais_client_hears_that_the_minute_is_used_up(town: Town) -> None:
    busy = town.person("max", "viewer")
    with town.openai(busy.key) as client, ThreadPoolExecutor(4) as threads:

        def ask(_: int) -> openai.RateLimitError | None:
            try:
                client.models.list()
            except openai.RateLimitError as refused:
                return refused
            return None

        # The minute may end while they are asked.
        refused = [one for one in threads.map(ask, range(2 * LIMIT + 20)) if one is not None]
    assert refused
    assert refused[0].code == "rate_limit_exceeded"
    assert 1 <= int(refused[0].response.headers["retry-after"]) <= 60
    assert refused[0].response.headers["x-should-retry"] == "true"


def test_a_revoked_key_is_refused_at_once(town: Town) -> None:
    kay = town.person("kay", "member")
    with town.openai(kay.key) as client, kay.http() as http:
        client.models.list()
        http.delete(f"/api-keys/{kay.key_id}").raise_for_status()
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


# -- the mcp client -----------------------------------------------------------------------------------------


NO_KEYS = pytest.mark.parametrize("key", ["", "mrk_home-aaaaaaaaaaaaaaaa_" + "b" * 52])


@NO_KEYS
async def test_mcps_client_is_not_let_in_without_a_key(town: Town, key: str) -> None:
    with pytest.raises((MCPError, ExceptionGroup, httpx2.HTTPStatusError)):
        async with town.mcp(key) as client:
            await client.list_tools()


@NO_KEYS
def test_mcps_door_says_in_json_rpc_that_a_key_is_none(town: Town, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    said = httpx.post(f"{town.url}/mcp", json=asked, headers=headers, timeout=60)
    assert said.status_code == 401
    assert said.headers["www-authenticate"].startswith("Bearer")
    assert said.json()["jsonrpc"] == "2.0"
    assert said.json()["error"]["data"]["reason"] == ("CREDENTIAL_WRONG" if key else "CREDENTIAL_MISSING")


async def test_a_viewers_key_searches_and_reads_and_nothing_else(town: Town) -> None:
    vivian, dora = town.person("vivian", "viewer"), town.person("dora", "member")
    with dora.http() as http:
        http.post("/collections", json={"name": "doras"}).raise_for_status()
        file = {"file": ("d.md", "Dora keeps a parrot.")}
        secret = http.post("/collections/doras/documents", files=file).raise_for_status().json()["id"]
    async with town.mcp(vivian.key) as client:
        assert len((await client.list_tools()).tools) == 15
        found = await client.call_tool("search", {"query": "harbour"})
        assert found.structured_content["hits"][0]["text"].endswith(DEEP)
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        (document,) = (uri for uri in listed if "/documents/" in uri)
        (whole,) = (await client.read_resource(document)).contents
        assert DEEP in whole.text
        assert "doras" not in (await client.read_resource("meld://collections")).contents[0].text
        said = []
        for theirs in (secret, secret[:-4] + "0000"):
            with pytest.raises(MCPError) as refused:
                await client.read_resource(f"meld://collections/doras/documents/{theirs}")
            said.append(str(refused.value))
        assert said[0] == said[1]
        assert said[0].startswith("COLLECTION_NOT_FOUND")
        answer = await client.call_tool("search", {"query": "parrot", "collections": ["doras"]})
        assert answer.is_error
        assert "parrot" not in answer.content[0].text


async def test_mcps_client_is_refused_with_a_key_that_was_revoked_while_it_is_open(town: Town) -> None:
    kim = town.person("kim", "member")
    async with town.mcp(kim.key) as client:
        await client.list_tools()
        with kim.http() as http:
            http.delete(f"/api-keys/{kim.key_id}").raise_for_status()
        with pytest.raises((MCPError, httpx2.HTTPStatusError)):
            await client.call_tool("search", {"query": "harbour"})


def test_mcps_door_says_that_the_minute_is_used_up(town: Town) -> None:
    mary = town.person("mary", "viewer")
    with httpx.Client(timeout=60, headers={"Authorization": f"Bearer {mary.key}"}) as http:

        def ask(_: int) -> httpx.Response:
            return http.post(f"{town.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})

        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(ask, range(2 * LIMIT + 20)))
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["data"]["reason"] == "QUOTA_EXHAUSTED"


# -- streams that are open ----------------------------------------------------------------------------------


@contextmanager
def watched(person: Person, shown: str = "") -> Iterator[httpx.Response]:
    """The events of a workflow that waits for a decision, open; none of them is read yet."""
    steps = [{"step_id": "okay", "approval": {"question": "May it go on?"}}]
    with person.http(shown) as http:
        began = http.post("/workflows/runs", json={"message": "x", "steps": steps, "background": True})
        url = began.raise_for_status().json()["events_url"].removeprefix("/api/v1")
        with http.stream("GET", url) as stream:
            assert stream.status_code == 200
            yield stream


def rest(stream: httpx.Response) -> str:
    """All that comes until the stream ends."""
    began = time.monotonic()
    text = "".join(stream.iter_text())
    assert time.monotonic() - began < promised(SOON)
    return text


def ends_signed_out(text: str) -> bool:
    """Whether the last event says why there are no more."""
    last = text.strip().split("\n\n")[-1]
    return last.startswith("event: error\n") and '"SIGNED_OUT"' in last and "\nid:" not in f"\n{last}"


def test_a_stream_ends_after_its_caller_has_signed_out(town: Town) -> None:
    ida = town.person("ida", "member")
    with watched(ida) as stream, town.http() as nobody:
        nobody.post("/auth/logout", json={"token": ida.refresh}).raise_for_status()
        assert ends_signed_out(rest(stream))
    # The run goes on: it belongs to the person and not to the session.
    with ida.http(ida.key) as http:
        assert [run["state"] for run in http.get("/runs").json()["runs"]] == ["RUNNING"]


def test_a_stream_ends_after_its_key_was_revoked_and_others_go_on(town: Town) -> None:
    uma = town.person("uma", "member")
    with watched(uma, uma.key) as stream, watched(uma) as other, uma.http() as http:
        http.delete(f"/api-keys/{uma.key_id}").raise_for_status()
        assert ends_signed_out(rest(stream))
        # Identity is asked about the other one twice more, and it still goes on.
        texts, heard, until = other.iter_text(), "", time.monotonic() + 2 * standing.SECONDS + 1
        while time.monotonic() < until:
            piece = next(texts, None)
            assert piece is not None, f"it ended: {heard}"
            heard += piece
            assert "SIGNED_OUT" not in heard


def test_streams_end_after_a_new_password_or_when_somebody_is_disabled(town: Town) -> None:
    assert town.olga is not None
    lea, leo = town.person("lea", "member"), town.person("leo", "member")
    with watched(lea) as hers, watched(leo, leo.key) as his, lea.http() as http, town.olga.http() as owner:
        changed = {"current_password": PASSWORD, "new_password": f"{PASSWORD} again"}
        http.post("/auth/password", json=changed).raise_for_status()
        owner.patch(f"/users/{leo.user_id}", json={"disabled": True}).raise_for_status()
        assert ends_signed_out(rest(hers))
        assert ends_signed_out(rest(his))


def test_a_chat_ends_after_its_key_was_revoked(town: Town) -> None:
    ola = town.person("ola", "member")
    with (
        town.openai(ola.key) as client,
        ola.http() as http,
        client.chat.completions.create(
            model="meld-research", messages=QUESTION, stream=True, extra_body={"collections": ["pilots"]}
        ) as stream,
    ):
        next(stream)
        http.delete(f"/api-keys/{ola.key_id}").raise_for_status()
        began = time.monotonic()
        with pytest.raises(openai.APIError) as ended:
            list(stream)
        assert time.monotonic() - began < promised(SOON)
        assert ended.value.code == "signed_out"


async def test_a_tool_of_mcp_ends_after_its_key_was_revoked(town: Town) -> None:
    pia = town.person("pia", "member")
    began = asyncio.Event()

    async def progress(*_: Any) -> None:
        began.set()

    asked = {"question": QUESTION[0]["content"], "collections": ["pilots"], "agent": "research"}
    async with town.mcp(pia.key) as client:
        call = asyncio.create_task(client.call_tool("ask", asked, progress_callback=progress))
        await asyncio.wait_for(began.wait(), 60)
        with pia.http() as http:
            http.delete(f"/api-keys/{pia.key_id}").raise_for_status()
        answer = await asyncio.wait_for(call, SOON)
    assert answer.is_error
    assert answer.content[0].text.startswith("SIGNED_OUT")
