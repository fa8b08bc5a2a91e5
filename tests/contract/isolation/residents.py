"""People who call by HTTP, each with an API key of their own, and what they have."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc.aio
import httpx

from meldrag.session.v1 import identity_pb2, identity_pb2_grpc
from services.chassis.context import Principal
from services.chassis.passes import METADATA_KEY, Passes
from services.chassis.roles import OWNER, scopes_of
from services.gateway.streaming import HEARTBEAT
from tests.contract.isolation.operations import Asked

API = "/api/v1"
HOME = "home"
STEP = "okay"
_SECONDS = 60.0


@dataclass(frozen=True)
class Heard:
    """All that somebody hears of a request."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    @property
    def raw(self) -> str:
        """Every byte, as text."""
        return "\n".join((*(f"{name}: {value}" for name, value in self.headers), self.body))

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class Town:
    """A house with a login, and its tenants. owners: of each tenant, made when they are first asked for."""

    url: str
    session_address: str
    passes: Passes
    http: httpx.AsyncClient
    owners: dict[str, Resident] = field(default_factory=dict)

    async def owner(self, tenant: str) -> Resident:
        """The first owner of a tenant. No route makes a tenant, so the session service is asked itself."""
        if tenant not in self.owners:
            name, password = f"o{secrets.token_hex(6)}", secrets.token_urlsafe(16)
            chief = Principal(tenant, "founder", scopes_of(OWNER), role=OWNER)
            async with grpc.aio.insecure_channel(self.session_address) as channel:
                stub: Any = identity_pb2_grpc.IdentityServiceStub(channel)
                made = await stub.CreateUser(
                    identity_pb2.CreateUserRequest(name=name, password=password, role=OWNER),
                    metadata=((METADATA_KEY, self.passes.issue(chief)),),
                    timeout=_SECONDS,
                )
            fields = {"name": name, "password": password, "tenant": tenant}
            said = await self.http.post(f"{self.url}{API}/auth/login", json=fields)
            assert said.status_code == 200, said.text
            signed_in = Resident(self, tenant, made.user.user_id, OWNER, (), said.json()["access_token"])
            key = await signed_in.ask("POST", "/api-keys", json={"label": "key"})
            self.owners[tenant] = replace(signed_in, key=key["secret"])
        return self.owners[tenant]

    async def resident(self, tenant: str, role: str, groups: tuple[str, ...] = ()) -> Resident:
        """Somebody new."""
        owner = await self.owner(tenant)
        fields = {
            "name": f"r{secrets.token_hex(6)}",
            "password": secrets.token_urlsafe(16),
            "role": role,
            "groups": list(groups),
        }
        made = await owner.ask("POST", "/users", json=fields)
        key = await owner.ask("POST", "/api-keys", json={"label": "key", "user": made["id"]})
        return Resident(self, tenant, made["id"], role, groups, key["secret"])


@dataclass(frozen=True)
class Resident:
    """Somebody who calls. key: what is shown as bearer."""

    town: Town
    tenant: str
    user_id: str
    role: str
    groups: tuple[str, ...]
    key: str

    async def another(self) -> Resident:
        """Somebody like this one who has nothing yet: of the same tenant, but in a new one for its owner."""
        if self.role == OWNER:
            return await self.town.owner(f"{self.tenant[:20]}-{secrets.token_hex(6)}")
        return await self.town.resident(self.tenant, self.role, self.groups)

    async def hear(self, asked: Asked) -> Heard:
        """The answer to a request, whatever it is."""
        async with self.town.http.stream(
            asked.method,
            f"{self.town.url}{asked.path}",
            params=asked.query,
            headers={**asked.headers, "Authorization": f"Bearer {self.key}"},
            json=asked.json,
            files=asked.files,
            data=asked.form,
            content=asked.content,
        ) as response:
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                # A stream that has nothing more to say would say so for ever.
                if HEARTBEAT in body:
                    break
        headers = tuple(sorted(response.headers.items()))
        return Heard(response.status_code, headers, body.decode(errors="backslashreplace"))

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        """The body of an answer that must be good."""
        heard = await self.hear(Asked(method, f"{API}{path}", **more))
        assert 200 <= heard.status < 300, (method, path, heard)
        return heard.json() if heard.body else None


class Possessions:
    """Values that somebody could name in a request, by what they are, each made when it is first asked for.

    mark: stands in all that the owner chose; gold: in the texts, and in no question. Lists have two entries
    or more, so that they have pages, and each operation was called under a key; with `few` there is one thing
    of each kind and no more.
    """

    def __init__(self, resident: Resident, *, few: bool = False) -> None:
        self.resident = resident
        self._few = few
        self.mark = f"m{secrets.token_hex(6)}x"
        self.gold = f"g{secrets.token_hex(6)}x"
        self.canary = f"canary{self.mark}"
        self.text = f"The {self.canary} sings of {self.gold}."
        self.made: dict[str, str] = {}
        # Tags and page tokens as they were first seen, by operation and name.
        self.seen: dict[tuple[str, str], str] = {}
        self._makers: Mapping[str, Callable[[], Awaitable[str]]] = {
            "collection": self._collection,
            "deletion": self._deletion,
            "document": self._document,
            "extraction": self._extraction,
            "external": self._external,
            "evaluation": self._evaluation,
            "resource": self._resource,
            "cursor": self._cursor,
            "session": self._session,
            "run": self._run,
            "live run": self._live_run,
            "attachment": self._attachment,
            "workflow": self._workflow,
            "user": self._user,
            "webhook": self._webhook,
            "key": self._key,
        }

    async def get(self, kind: str) -> str:
        """The value of a kind."""
        if kind not in self.made:
            self.made[kind] = await self._makers[kind]()
        return self.made[kind]

    def request_key(self, operation_id: str) -> str:
        """The Idempotency-Key with which an operation was called."""
        return f"{self.mark}-{operation_id}"

    @property
    def secrets(self) -> set[str]:
        """What must never be heard by anybody else."""
        return {self.mark, self.gold, self.resident.user_id, *self.made.values()}

    async def close(self) -> None:
        """Ends the run that waits."""
        if not self._few and "live run" in self.made:
            await self.resident.hear(Asked("POST", f"{API}/runs/{self.made['live run']}/cancel"))

    def named(self, kind: str, number: int = 1) -> str:
        """A name that the owner chose."""
        return f"{kind}-{self.mark}-{number}"

    def _numbers(self, most: int) -> range:
        return range(1, 2 if self._few else most + 1)

    def _once(self, operation_id: str, number: int = 1) -> dict[str, str]:
        return {"Idempotency-Key": self.request_key(operation_id)} if number == 1 and not self._few else {}

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        return await self.resident.ask(method, path, **more)

    # -- knowledge ---------------------------------------------------------------------------------------

    async def _collection(self) -> str:
        for number in self._numbers(2):
            await self._ask(
                "POST",
                "/collections",
                json={"id": self.named("books", number), "description": self.canary},
                headers=self._once("create_collection", number),
            )
        collection = self.named("books")
        if not self._few:
            await self._ask(
                "PUT",
                f"/collections/{collection}/access",
                json={"access": []},
                headers=self._once("set_collection_access"),
            )
        return collection

    async def _deletion(self) -> str:
        gone = self.named("gone")
        await self._ask("POST", "/collections", json={"id": gone})
        deleted = await self._ask("DELETE", f"/collections/{gone}", headers=self._once("delete_collection"))
        return str(deleted["tombstone_id"])

    async def _document(self) -> str:
        collection = await self.get("collection")
        ids = []
        for number in self._numbers(3):
            made = await self._ask(
                "POST",
                f"/collections/{collection}/documents",
                files={"file": (f"{self.canary}.txt", f"{self.text} {number}".encode())},
                form={"external_id": self.named("external", number), "title": self.canary},
                headers=self._once("upload_document", number),
            )
            ids.append(made["id"])
        async with asyncio.timeout(_SECONDS):
            while (document := await self._ask("GET", f"/collections/{collection}/documents/{ids[0]}"))[
                "state"
            ] != "READY":
                await asyncio.sleep(0.1)
        self.made["extraction"] = document["extraction_sha256"]
        if not self._few:
            await self._ask(
                "DELETE",
                f"/collections/{collection}/documents/{ids[2]}",
                headers=self._once("delete_document"),
            )
            lines = await self.resident.hear(
                Asked(
                    "POST",
                    f"{API}/collections/{collection}/documents/import",
                    content=json.dumps({"text": self.text, "id": self.named("line")}).encode() + b"\n",
                    headers=self._once("import_documents") | {"Content-Type": "application/x-ndjson"},
                )
            )
            assert lines.status == 200, lines
        return str(ids[0])

    async def _extraction(self) -> str:
        await self.get("document")
        return self.made["extraction"]

    async def _external(self) -> str:
        await self.get("document")
        return self.named("external")

    async def _evaluation(self) -> str:
        external, ids = await self.get("external"), []
        where = f"/collections/{await self.get('collection')}/evaluations"
        for number in self._numbers(3):
            queries = [
                {
                    "id": self.named("query", which),
                    "query": f"{self.canary} {which}",
                    "relevant": [{"external_id": external}],
                }
                for which in (1, 2)
            ]
            made = await self._ask(
                "POST",
                where,
                json={"label": self.canary, "queries": queries},
                headers=self._once("run_evaluation", number),
            )
            ids.append(made["id"])
        if not self._few:
            await self._ask("DELETE", f"{where}/{ids[2]}", headers=self._once("delete_evaluation"))
        return str(ids[0])

    async def _resource(self) -> str:
        document = await self.get("document")
        return f"meld://collections/{await self.get('collection')}/documents/{document}"

    async def _cursor(self) -> str:
        """Where a list of resources goes on: at a page of the collections, and one of documents."""
        await self.get("document")
        page = await self.resident.hear(Asked("GET", f"{API}/collections", {"page_size": "1"}))
        token = page.json()["next_page_token"]
        assert token
        return base64.urlsafe_b64encode(json.dumps([token, ""]).encode()).decode()

    # -- conversations -----------------------------------------------------------------------------------

    async def _session(self) -> str:
        ids = []
        for number in self._numbers(3):
            made = await self._ask(
                "POST", "/sessions", json={"title": self.canary}, headers=self._once("create_session", number)
            )
            ids.append(made["id"])
        if self._few:
            return str(ids[0])
        await self._ask(
            "PATCH",
            f"/sessions/{ids[0]}",
            json={"metadata": {"of": self.canary}},
            headers=self._once("update_session"),
        )
        await self._ask("DELETE", f"/sessions/{ids[2]}", headers=self._once("delete_session"))
        return str(ids[0])

    async def _run(self) -> str:
        session, collections, ids = await self.get("session"), list[str](), []
        # Who has little may not be allowed to write knowledge.
        if not self._few:
            await self.get("document")
            collections = [await self.get("collection")]
        for number in self._numbers(2):
            done = await self._ask(
                "POST",
                "/runs",
                json={
                    "agent": "research",
                    "message": f"What does the {self.canary} sing of?",
                    "collections": collections,
                    "session_id": session,
                },
                headers=self._once("create_run", number),
            )
            ids.append(done["run_id"])
        if not self._few:
            answer = await self.resident.hear(
                Asked(
                    "POST",
                    "/v1/chat/completions",
                    headers=self._once("create_chat_completion"),
                    json={
                        "model": "meld-research",
                        "messages": [{"role": "user", "content": f"What does the {self.canary} sing of?"}],
                        "collections": collections,
                    },
                )
            )
            assert answer.status == 200, answer
        return str(ids[0])

    async def _live_run(self) -> str:
        """A workflow that waits for a decision."""
        steps = [{"step_id": STEP, "approval": {"question": self.canary}}]
        made = await self._ask(
            "POST",
            "/workflows/runs",
            json={"message": self.canary, "steps": steps, "background": True},
            headers=self._once("run_workflow"),
        )
        path = f"/runs/{made['run_id']}"
        async with asyncio.timeout(_SECONDS):
            while (await self._ask("GET", path))["last_sequence"] < 2:
                await asyncio.sleep(0.1)
        return str(made["run_id"])

    async def _attachment(self) -> str:
        session = await self.get("session")
        ids = []
        for number in self._numbers(2):
            made = await self._ask(
                "POST",
                "/attachments",
                files={"file": (f"{self.canary}.txt", self.text.encode())},
                form={"session_id": session},
                headers=self._once("put_attachment", number),
            )
            ids.append(made["id"])
        return str(ids[0])

    async def _workflow(self) -> str:
        step = {"step_id": STEP, "agent_id": "research", "message": self.canary}
        for number in self._numbers(2):
            await self._ask(
                "POST",
                "/workflows",
                json={"id": self.named("flow", number), "title": self.canary, "steps": [step]},
                headers=self._once("create_workflow", number),
            )
        if not self._few:
            await self._ask(
                "PUT",
                f"/workflows/{self.named('flow')}",
                json={"title": self.canary, "steps": [step], "revision": 1},
                headers=self._once("update_workflow"),
            )
        return self.named("flow")

    # -- people ------------------------------------------------------------------------------------------

    async def _user(self) -> str:
        """Somebody whom the owner of the tenant has made for the one who has all this."""
        chief = await self.resident.town.owner(self.resident.tenant)
        ids = []
        for number in self._numbers(2):
            made = await chief.ask(
                "POST",
                "/users",
                json={
                    "name": self.named("user", number),
                    "password": secrets.token_urlsafe(16),
                    "role": "member",
                },
                headers=self._once("create_user", number),
            )
            ids.append(made["id"])
        if not self._few:
            await chief.ask(
                "PATCH", f"/users/{ids[0]}", json={"role": "viewer"}, headers=self._once("update_user")
            )
            await chief.ask("DELETE", f"/users/{ids[1]}", headers=self._once("delete_user"))
        return str(ids[0])

    async def _key(self) -> str:
        made = await self._ask("POST", "/api-keys", json={"label": self.canary})
        return str(made["id"])

    async def _webhook(self) -> str:
        ids = []
        for number in self._numbers(2):
            # Nobody listens there.
            made = await self._ask(
                "POST",
                "/webhooks",
                json={"url": f"http://127.0.0.1:9/{self.named('hook', number)}", "label": self.canary},
            )
            ids.append(made["id"])
        if self._few:
            return str(ids[0])
        where = f"/webhooks/{ids[0]}"
        for headers in (self._once("test_webhook"), {}):
            await self._ask("POST", f"{where}/test", headers=headers)
        async with asyncio.timeout(_SECONDS):
            # Until nothing changes any more by itself: a message of this kind is tried once.
            while any(
                one["state"] == "WAITING"
                for one in (await self._ask("GET", f"{where}/deliveries"))["deliveries"]
            ):
                await asyncio.sleep(0.1)
        return str(ids[0])


@asynccontextmanager
async def town_at(url: str, session_address: str, passes: Passes) -> AsyncIterator[Town]:
    """People of the house at an address, until the block ends."""
    async with httpx.AsyncClient(timeout=_SECONDS) as http:
        yield Town(url, session_address, passes, http)
