"""What somebody has in all services, each made when it is first asked for, with a canary in every text."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from meldrag.agents.v1 import agents_pb2, workflow_pb2
from meldrag.session.v1 import identity_pb2, session_pb2, webhook_pb2
from meldrag.vector.v1 import vector_pb2
from services.chassis.roles import OWNER
from tests.contract.isolation.house import Person

VECTOR = "/meldrag.vector.v1.VectorService/"
SESSION = "/meldrag.session.v1.SessionService/"
IDENTITY = "/meldrag.session.v1.IdentityService/"
WEBHOOK = "/meldrag.session.v1.WebhookService/"
AGENTS = "/meldrag.agents.v1.AgentService/"

REPLICAS = "/meldrag.agents.v1.ReplicaService/"
_OF_SERVICES = {
    VECTOR: ("collection", "document", "external", "deletion", "evaluation"),
    SESSION: ("session", "run", "attachment", "item"),
    IDENTITY: ("user", "key"),
    WEBHOOK: ("webhook",),
    AGENTS: ("workflow", "ended run", "live run"),
    REPLICAS: ("live run",),
}

RUN_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
STEP = "okay"


def new_run_id() -> str:
    """A well-formed id of a run."""
    return "run_" + "".join(secrets.choice(RUN_ALPHABET) for _ in range(26))


class Belongings:
    """Values that somebody could name in a request, by what they are.

    mark: stands in all that the owner chose. Lists have two entries or more, so that they have pages, and
    each method was called under a request id; with `few` there is one thing of each kind and no more.
    """

    def __init__(self, person: Person, *, few: bool = False) -> None:
        self.person = person
        self._few = few
        # Sees to the users of the tenant, as the same person.
        self.chief = person.house.person(person.principal.tenant_id, person.principal.subject, OWNER)
        self.mark = f"m{secrets.token_hex(6)}x"
        self.canary = f"canary{self.mark}"
        self.text = f"The {self.canary} sings of gold. It was built in 1884."
        self.made: dict[str, str] = {}
        self.document: Any = None
        self._live: Any = None
        self._makers: Mapping[str, Callable[[], Awaitable[str]]] = {
            "collection": self._collection,
            "deletion": self._deletion,
            "document": self._document,
            "external": self._external,
            "evaluation": self._evaluation,
            "session": self._session,
            "run": self._run,
            "attachment": self._attachment,
            "item": self._item,
            "workflow": self._workflow,
            "live run": self._live_run,
            "ended run": self._ended_run,
            "user": self._user,
            "key": self._key,
            "webhook": self._webhook,
        }

    async def get(self, kind: str) -> str:
        """The value of a kind."""
        if kind not in self.made:
            self.made[kind] = await self._makers[kind]()
        return self.made[kind]

    async def all(self, service: str) -> None:
        """Makes everything that a service can be asked for."""
        for kind in _OF_SERVICES[service]:
            await self.get(kind)

    def request_id(self, path: str) -> str:
        """The id with which a method was called."""
        return f"{self.mark}-{path.rpartition('/')[2]}"

    @property
    def secrets(self) -> set[str]:
        """What must never be heard by anybody else."""
        return {self.mark, self.person.principal.subject, *self.made.values()}

    async def close(self) -> None:
        """Leaves the run that waits."""
        if self._live is not None:
            self._live.cancel()

    def _numbers(self, most: int) -> range:
        return range(1, 2 if self._few else most + 1)

    def named(self, kind: str, number: int = 1) -> str:
        """A name that the owner chose."""
        return f"{kind}-{self.mark}-{number}"

    # -- the vector service ------------------------------------------------------------------------------

    async def _collection(self) -> str:
        for number in self._numbers(2):
            await self.person.ask(
                f"{VECTOR}CreateCollection",
                vector_pb2.CreateCollectionRequest(
                    collection_id=self.named("books", number),
                    description=self.canary,
                    request_id=self.request_id("CreateCollection") if number == 1 else "",
                ),
            )
        collection_id = self.named("books")
        if self._few:
            return collection_id
        await self.person.ask(
            f"{VECTOR}SetCollectionAccess",
            vector_pb2.SetCollectionAccessRequest(
                collection_id=collection_id, request_id=self.request_id("SetCollectionAccess")
            ),
        )
        await self.get("deletion")
        return collection_id

    async def _deletion(self) -> str:
        gone = self.named("gone")
        await self.person.ask(
            f"{VECTOR}CreateCollection", vector_pb2.CreateCollectionRequest(collection_id=gone)
        )
        deleted = await self.person.ask(
            f"{VECTOR}DeleteCollection",
            vector_pb2.DeleteCollectionRequest(
                collection_id=gone, request_id=self.request_id("DeleteCollection")
            ),
        )
        return str(deleted.receipt.tombstone_id)

    async def _document(self) -> str:
        collection_id = await self.get("collection")
        ids = []
        for number in self._numbers(3):
            header = vector_pb2.IngestHeader(
                collection_id=collection_id,
                filename=f"{self.canary}.txt",
                external_id=self.named("external", number),
                title=self.canary,
                request_id=self.request_id("IngestDocument") if number == 1 else "",
                wait_ready=True,
            )
            said = await self.person.ask(
                f"{VECTOR}IngestDocument",
                vector_pb2.IngestDocumentRequest(header=header),
                vector_pb2.IngestDocumentRequest(data=f"{self.text} {number}".encode()),
            )
            ids.append(said.document.document_id)
            self.document = self.document or said.document
        if self._few:
            return str(ids[0])
        await self.person.ask(
            f"{VECTOR}DeleteDocument",
            vector_pb2.DeleteDocumentRequest(
                collection_id=collection_id,
                document_id=ids[2],
                request_id=self.request_id("DeleteDocument"),
            ),
        )
        return str(ids[0])

    async def _external(self) -> str:
        await self.get("document")
        return self.named("external")

    async def _evaluation(self) -> str:
        collection_id, external_id = await self.get("collection"), await self.get("external")
        ids = []
        for number in self._numbers(3):
            header = vector_pb2.EvaluationHeader(
                collection_id=collection_id,
                label=self.canary,
                request_id=self.request_id("RunEvaluation") if number == 1 else "",
            )
            judgement = vector_pb2.Judgement(external_id=external_id)
            said = await self.person.ask(
                f"{VECTOR}RunEvaluation",
                vector_pb2.RunEvaluationRequest(header=header),
                *(
                    vector_pb2.RunEvaluationRequest(
                        query=vector_pb2.GoldenQuery(
                            query_id=self.named("query", which), query=self.text, judgements=[judgement]
                        )
                    )
                    for which in (1, 2)
                ),
            )
            ids.append(said.evaluation.evaluation_id)
        if not self._few:
            await self.person.ask(
                f"{VECTOR}DeleteEvaluation",
                vector_pb2.DeleteEvaluationRequest(
                    collection_id=collection_id,
                    evaluation_id=ids[2],
                    request_id=self.request_id("DeleteEvaluation"),
                ),
            )
        return str(ids[0])

    # -- the session service -----------------------------------------------------------------------------

    async def _session(self) -> str:
        ids = []
        for number in self._numbers(3):
            request = session_pb2.CreateSessionRequest(
                title=self.canary,
                collection_ids=[await self.get("collection")],
                request_id=self.request_id("CreateSession") if number == 1 else "",
            )
            ids.append((await self.person.ask(f"{SESSION}CreateSession", request)).session.session_id)
        if self._few:
            return str(ids[0])
        for number in (1, 2):
            message = session_pb2.Message(role=session_pb2.ROLE_USER, text=f"{self.canary} {number}")
            await self.person.ask(
                f"{SESSION}AppendMessage",
                session_pb2.AppendMessageRequest(
                    session_id=ids[0],
                    messages=[message],
                    request_id=self.request_id("AppendMessage") if number == 1 else self.named("more"),
                ),
            )
        await self.person.ask(
            f"{SESSION}UpdateSession",
            session_pb2.UpdateSessionRequest(
                session_id=ids[0], title=self.canary, request_id=self.request_id("UpdateSession")
            ),
        )
        await self.person.ask(
            f"{SESSION}DeleteSession",
            session_pb2.DeleteSessionRequest(session_id=ids[2], request_id=self.request_id("DeleteSession")),
        )
        return str(ids[0])

    async def _run(self) -> str:
        session_id = await self.get("session")
        ids = [new_run_id(), new_run_id()]
        for run_id in ids:
            run = session_pb2.Run(
                run_id=run_id, session_id=session_id, agent_id="research", owner=self.canary
            )
            run.request.type_url, run.request.value = "type.googleapis.com/test.Event", self.canary.encode()
            await self.person.ask(f"{SESSION}CreateRun", session_pb2.CreateRunRequest(run=run))
        appended = session_pb2.AppendRunEventsRequest(run_id=ids[0], state=session_pb2.RUN_STATE_SUCCEEDED)
        for number in (1, 2):
            event, entry = appended.events.add(sequence=number), appended.entries.add(position=number)
            event.payload.type_url = entry.payload.type_url = "type.googleapis.com/test.Event"
            event.payload.value = entry.payload.value = self.canary.encode()
        await self.person.ask(f"{SESSION}AppendRunEvents", appended)
        return ids[0]

    async def _attachment(self) -> str:
        session_id = await self.get("session")
        ids = []
        for number in self._numbers(2):
            header = session_pb2.Attachment(session_id=session_id, filename=f"{self.canary}.txt")
            first = session_pb2.PutAttachmentRequest(
                header=header, request_id=self.request_id("PutAttachment") if number == 1 else ""
            )
            piece = session_pb2.PutAttachmentRequest(data=self.text.encode())
            said = await self.person.ask(f"{SESSION}PutAttachment", first, piece)
            ids.append(said.attachment.attachment_id)
        return str(ids[0])

    async def _item(self) -> str:
        for number in (1, 2):
            item = session_pb2.Item(kind="note", name=self.named("item", number))
            item.payload.type_url, item.payload.value = "type.googleapis.com/test", self.canary.encode()
            await self.person.ask(
                f"{SESSION}PutItem",
                session_pb2.PutItemRequest(
                    item=item, request_id=self.request_id("PutItem") if number == 1 else ""
                ),
            )
        return self.named("item")

    # -- identity ----------------------------------------------------------------------------------------

    async def _user(self) -> str:
        ids = []
        for number in self._numbers(2):
            said = await self.chief.ask(
                f"{IDENTITY}CreateUser",
                identity_pb2.CreateUserRequest(
                    name=self.named("user", number),
                    password=secrets.token_urlsafe(16),
                    role="member",
                    request_id=self.request_id("CreateUser") if number == 1 else "",
                ),
            )
            ids.append(said.user.user_id)
        if self._few:
            return str(ids[0])
        await self.chief.ask(
            f"{IDENTITY}UpdateUser",
            identity_pb2.UpdateUserRequest(
                user_id=ids[0], role="viewer", request_id=self.request_id("UpdateUser")
            ),
        )
        await self.chief.ask(
            f"{IDENTITY}DeleteUser",
            identity_pb2.DeleteUserRequest(user_id=ids[1], request_id=self.request_id("DeleteUser")),
        )
        return str(ids[0])

    async def _key(self) -> str:
        user_id = await self.get("user")
        said = await self.chief.ask(
            f"{IDENTITY}CreateApiKey", identity_pb2.CreateApiKeyRequest(label=self.canary, user_id=user_id)
        )
        return str(said.api_key_id)

    # -- webhooks ----------------------------------------------------------------------------------------

    async def _webhook(self) -> str:
        ids = []
        for _ in self._numbers(2):
            # Nobody listens there; what is sent to it waits.
            made = webhook_pb2.CreateWebhookRequest(url=f"http://127.0.0.1:9/{self.mark}", label=self.canary)
            ids.append((await self.person.ask(f"{WEBHOOK}CreateWebhook", made)).webhook.webhook_id)
        for name in (self.request_id("TestWebhook"), ""):
            test = webhook_pb2.TestWebhookRequest(webhook_id=ids[0], request_id=name)
            await self.person.ask(f"{WEBHOOK}TestWebhook", test)
        listed = webhook_pb2.ListWebhookDeliveriesRequest(webhook_id=ids[0])
        async with asyncio.timeout(20):
            # Until nothing changes any more by itself: a message of this kind is tried once.
            while not self._few and any(
                one.state == webhook_pb2.WEBHOOK_DELIVERY_STATE_WAITING
                for one in (await self.person.ask(f"{WEBHOOK}ListWebhookDeliveries", listed)).deliveries
            ):
                await asyncio.sleep(0.1)
        return str(ids[0])

    # -- the agents service ------------------------------------------------------------------------------

    async def _workflow(self) -> str:
        step = workflow_pb2.WorkflowStep(step_id=STEP, agent_id="research", message=self.canary)
        for number in (1, 2, 3):
            made = workflow_pb2.Workflow(
                workflow_id=self.named("flow", number), title=self.canary, steps=[step]
            )
            await self.person.ask(
                f"{AGENTS}CreateWorkflow",
                agents_pb2.CreateWorkflowRequest(
                    workflow=made, request_id=self.request_id("CreateWorkflow") if number == 1 else ""
                ),
            )
        await self.person.ask(
            f"{AGENTS}DeleteWorkflow", agents_pb2.DeleteWorkflowRequest(workflow_id=self.named("flow", 3))
        )
        changed = workflow_pb2.Workflow(
            workflow_id=self.named("flow"), title=self.canary, steps=[step], revision=1
        )
        await self.person.ask(
            f"{AGENTS}UpdateWorkflow",
            agents_pb2.UpdateWorkflowRequest(workflow=changed, request_id=self.request_id("UpdateWorkflow")),
        )
        return self.named("flow")

    async def _live_run(self) -> str:
        """A workflow that waits for a decision."""
        step = workflow_pb2.WorkflowStep(step_id=STEP)
        step.approval.question = self.canary
        request = agents_pb2.RunWorkflowRequest(
            message=self.canary, steps=[step], request_id=self.request_id("RunWorkflow")
        )
        self._live = self.person.stream(f"{AGENTS}RunWorkflow", request)
        async for said in self._live:
            if said.event.step.state == workflow_pb2.STEP_STATE_WAITING:
                return str(said.event.run_id)
        raise AssertionError("no step waited")

    async def _ended_run(self) -> str:
        await self.get("document")
        said = await self.person.ask(
            f"{AGENTS}RunAgent",
            agents_pb2.RunAgentRequest(
                agent_id="research",
                message=f"What does the {self.canary} sing of?",
                collection_ids=[await self.get("collection")],
                request_id=self.request_id("RunAgent"),
            ),
        )
        return str(said.run_id)
