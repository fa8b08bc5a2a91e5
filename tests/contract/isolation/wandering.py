"""Random operations of three tenants with everything that is kept: a state machine for hypothesis.

Ids of one's own things, of others', of things that are gone and of things that never were are mixed. After
each answer: it has no canary of what its asker may not read, nor of what is gone; what is foreign or gone is
answered word for word as what never was; what is one's own is as the model (estates) has it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import Message
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from meldrag.session.v1 import session_pb2 as session
from meldrag.session.v1 import webhook_pb2 as hooks
from meldrag.vector.v1 import vector_pb2 as vector
from tests.contract.isolation.attacks import absent
from tests.contract.isolation.belongings import SESSION, VECTOR, WEBHOOK, new_run_id
from tests.contract.isolation.estates import CANARY, Actor, Estates, Right, Thing, new_canary
from tests.contract.isolation.house import Answer, House
from tests.contract.isolation.settling import Told, listed, settle, words

# Names that all tenants use for collections of their own.
SHARED = ("books", "notes", "laws")
MODES = (vector.SEARCH_MODE_LEXICAL, vector.SEARCH_MODE_DENSE, vector.SEARCH_MODE_HYBRID)
SECONDS = 60.0
_MOMENTS = re.compile(r"^ *(seconds|nanos): -?\d+\n", re.MULTILINE)
_TYPE = "type.googleapis.com/test"


@dataclass(frozen=True)
class Operation:
    """A call that names one thing. make: its messages out of the ids by kind, and a new canary.

    needs: of the thing, or of the collection that it is in.
    """

    kind: str
    needs: Right
    make: Callable[[Mapping[str, str], str], list[Message]]
    refused: str = "COLLECTION_ACCESS_DENIED"


def _document(ids: Mapping[str, str]) -> dict[str, str]:
    return {"collection_id": ids["collection"], "document_id": ids["document"]}


def _evaluation(ids: Mapping[str, str]) -> dict[str, str]:
    return {"collection_id": ids["collection"], "evaluation_id": ids["evaluation"]}


def _ingest(ids: Mapping[str, str], canary: str) -> list[Message]:
    header = vector.IngestHeader(
        collection_id=ids["collection"],
        filename=f"{canary}.txt",
        external_id=f"e-{canary}",
        title=canary,
        wait_ready=True,
    )
    return [
        vector.IngestDocumentRequest(header=header),
        vector.IngestDocumentRequest(data=words(canary).encode()),
    ]


def _import(ids: Mapping[str, str], canary: str) -> list[Message]:
    return [
        vector.ImportDocumentsRequest(
            collection_id=ids["collection"], external_id=f"e-{canary}", title=canary, text=words(canary)
        )
    ]


def _evaluate(ids: Mapping[str, str], canary: str) -> list[Message]:
    header = vector.EvaluationHeader(collection_id=ids["collection"], label=canary)
    query = vector.GoldenQuery(
        query_id="q",
        query="gold harbour",
        judgements=[vector.Judgement(quote="sings of gold in the harbour")],
    )
    return [vector.RunEvaluationRequest(header=header), vector.RunEvaluationRequest(query=query)]


def _search(ids: Mapping[str, str], canary: str) -> list[Message]:
    return [
        vector.SearchRequest(
            collection_ids=[ids["collection"]],
            query="gold harbour",
            similarity_threshold=-1.0,
            explain=True,
            filter=vector.Filter(document_ids=[ids["document"]]),
        )
    ]


def _events(ids: Mapping[str, str], canary: str) -> list[Message]:
    request = session.AppendRunEventsRequest(run_id=ids["run"], state=session.RUN_STATE_SUCCEEDED)
    request.events.add(sequence=1).payload.type_url = _TYPE
    request.events[0].payload.value = canary.encode()
    return [request]


def _run(ids: Mapping[str, str], canary: str) -> list[Message]:
    run = session.Run(run_id=new_run_id(), session_id=ids["session"], agent_id="research", owner=canary)
    return [session.CreateRunRequest(run=run)]


def _attachment(ids: Mapping[str, str], canary: str) -> list[Message]:
    header = session.Attachment(session_id=ids["session"], filename=f"{canary}.txt")
    return [session.PutAttachmentRequest(header=header), session.PutAttachmentRequest(data=canary.encode())]


def _message(ids: Mapping[str, str], canary: str) -> list[Message]:
    said = session.Message(role=session.ROLE_USER, text=canary)
    return [session.AppendMessageRequest(session_id=ids["session"], messages=[said], request_id=canary[2:8])]


OPERATIONS: Mapping[str, Operation] = {
    f"{VECTOR}GetCollection": Operation(
        "collection", Right.READ, lambda i, c: [vector.GetCollectionRequest(collection_id=i["collection"])]
    ),
    f"{VECTOR}ListDocuments": Operation(
        "collection", Right.READ, lambda i, c: [vector.ListDocumentsRequest(collection_id=i["collection"])]
    ),
    f"{VECTOR}ListEvaluations": Operation(
        "collection", Right.READ, lambda i, c: [vector.ListEvaluationsRequest(collection_id=i["collection"])]
    ),
    f"{VECTOR}IngestDocument": Operation("collection", Right.WRITE, _ingest),
    f"{VECTOR}ImportDocuments": Operation("collection", Right.WRITE, _import),
    f"{VECTOR}RunEvaluation": Operation("collection", Right.READ, _evaluate),
    f"{VECTOR}ReembedCollection": Operation(
        "collection", Right.OWN, lambda i, c: [vector.ReembedCollectionRequest(collection_id=i["collection"])]
    ),
    f"{VECTOR}CancelReembed": Operation(
        "collection", Right.OWN, lambda i, c: [vector.CancelReembedRequest(collection_id=i["collection"])]
    ),
    f"{VECTOR}DeleteCollection": Operation(
        "collection", Right.OWN, lambda i, c: [vector.DeleteCollectionRequest(collection_id=i["collection"])]
    ),
    f"{VECTOR}GetDocument": Operation(
        "document", Right.READ, lambda i, c: [vector.GetDocumentRequest(**_document(i))]
    ),
    f"{VECTOR}ReadDocumentText": Operation(
        "document", Right.READ, lambda i, c: [vector.ReadDocumentTextRequest(**_document(i))]
    ),
    f"{VECTOR}ReadDocumentOriginal": Operation(
        "document", Right.READ, lambda i, c: [vector.ReadDocumentOriginalRequest(**_document(i))]
    ),
    f"{VECTOR}Search": Operation("document", Right.READ, _search),
    f"{VECTOR}RetryIngest": Operation(
        "document", Right.WRITE, lambda i, c: [vector.RetryIngestRequest(**_document(i))]
    ),
    f"{VECTOR}CancelIngest": Operation(
        "document", Right.WRITE, lambda i, c: [vector.CancelIngestRequest(**_document(i))]
    ),
    f"{VECTOR}ReprocessDocument": Operation(
        "document", Right.WRITE, lambda i, c: [vector.ReprocessDocumentRequest(**_document(i))]
    ),
    f"{VECTOR}CancelReprocess": Operation(
        "document", Right.WRITE, lambda i, c: [vector.CancelReprocessRequest(**_document(i))]
    ),
    f"{VECTOR}DeleteDocument": Operation(
        "document", Right.WRITE, lambda i, c: [vector.DeleteDocumentRequest(**_document(i))]
    ),
    f"{VECTOR}GetEvaluation": Operation(
        "evaluation", Right.READ, lambda i, c: [vector.GetEvaluationRequest(**_evaluation(i))]
    ),
    f"{VECTOR}ListEvaluationQueries": Operation(
        "evaluation", Right.READ, lambda i, c: [vector.ListEvaluationQueriesRequest(**_evaluation(i))]
    ),
    f"{VECTOR}DeleteEvaluation": Operation(
        "evaluation", Right.WRITE, lambda i, c: [vector.DeleteEvaluationRequest(**_evaluation(i))]
    ),
    f"{VECTOR}GetDeletion": Operation(
        "deletion", Right.OWN, lambda i, c: [vector.GetDeletionRequest(tombstone_id=i["deletion"])]
    ),
    f"{SESSION}GetSession": Operation(
        "session", Right.OWN, lambda i, c: [session.GetSessionRequest(session_id=i["session"])]
    ),
    f"{SESSION}UpdateSession": Operation(
        "session",
        Right.OWN,
        lambda i, c: [session.UpdateSessionRequest(session_id=i["session"], title="New")],
    ),
    f"{SESSION}DeleteSession": Operation(
        "session", Right.OWN, lambda i, c: [session.DeleteSessionRequest(session_id=i["session"])]
    ),
    f"{SESSION}AppendMessage": Operation("session", Right.OWN, _message),
    f"{SESSION}ListMessages": Operation(
        "session", Right.OWN, lambda i, c: [session.ListMessagesRequest(session_id=i["session"])]
    ),
    f"{SESSION}CreateRun": Operation("session", Right.OWN, _run),
    f"{SESSION}PutAttachment": Operation("session", Right.OWN, _attachment),
    f"{SESSION}ListAttachments": Operation(
        "session", Right.OWN, lambda i, c: [session.ListAttachmentsRequest(session_id=i["session"])]
    ),
    f"{SESSION}ListRuns": Operation(
        "session", Right.OWN, lambda i, c: [session.ListRunsRequest(session_id=i["session"])]
    ),
    f"{SESSION}GetRun": Operation("run", Right.OWN, lambda i, c: [session.GetRunRequest(run_id=i["run"])]),
    f"{SESSION}AppendRunEvents": Operation("run", Right.OWN, _events),
    f"{SESSION}TakeRun": Operation(
        "run", Right.OWN, lambda i, c: [session.TakeRunRequest(run_id=i["run"], owner="another")]
    ),
    f"{SESSION}ListRunEntries": Operation(
        "run", Right.OWN, lambda i, c: [session.ListRunEntriesRequest(run_id=i["run"])]
    ),
    f"{SESSION}WatchRun": Operation(
        "run", Right.OWN, lambda i, c: [session.WatchRunRequest(run_id=i["run"])]
    ),
    f"{SESSION}GetAttachment": Operation(
        "attachment", Right.OWN, lambda i, c: [session.GetAttachmentRequest(attachment_id=i["attachment"])]
    ),
    f"{SESSION}ReadAttachment": Operation(
        "attachment", Right.OWN, lambda i, c: [session.ReadAttachmentRequest(attachment_id=i["attachment"])]
    ),
    f"{SESSION}DeleteAttachment": Operation(
        "attachment", Right.OWN, lambda i, c: [session.DeleteAttachmentRequest(attachment_id=i["attachment"])]
    ),
    f"{SESSION}ListItems": Operation(
        "item", Right.OWN, lambda i, c: [session.ListItemsRequest(kind="note", name=i["item"])]
    ),
    f"{SESSION}DeleteItem": Operation(
        "item", Right.OWN, lambda i, c: [session.DeleteItemRequest(kind="note", name=i["item"])]
    ),
    f"{WEBHOOK}GetWebhook": Operation(
        "webhook", Right.OWN, lambda i, c: [hooks.GetWebhookRequest(webhook_id=i["webhook"])]
    ),
    f"{WEBHOOK}UpdateWebhook": Operation(
        "webhook",
        Right.OWN,
        lambda i, c: [hooks.UpdateWebhookRequest(webhook_id=i["webhook"], enabled=False)],
    ),
    f"{WEBHOOK}RotateWebhookSecret": Operation(
        "webhook", Right.OWN, lambda i, c: [hooks.RotateWebhookSecretRequest(webhook_id=i["webhook"])]
    ),
    f"{WEBHOOK}ListWebhookDeliveries": Operation(
        "webhook", Right.OWN, lambda i, c: [hooks.ListWebhookDeliveriesRequest(webhook_id=i["webhook"])]
    ),
    f"{WEBHOOK}DeleteWebhook": Operation(
        "webhook", Right.OWN, lambda i, c: [hooks.DeleteWebhookRequest(webhook_id=i["webhook"])]
    ),
}
LISTED = ("collection", "document", "session", "item", "run", "attachment")
# What takes a thing away comes less often than the others.
WHAT = [
    *(path for path in OPERATIONS for _ in range(1 if "/Delete" in path else 3)),
    *(what for what in ("make", "list", "search", "cite", "share", "steal") for _ in range(9)),
]
# How one comes to have a thing that is in another.
_MADE_BY = {
    "document": f"{VECTOR}IngestDocument",
    "evaluation": f"{VECTOR}RunEvaluation",
    "run": f"{SESSION}CreateRun",
    "attachment": f"{SESSION}PutAttachment",
    "deletion": f"{VECTOR}DeleteDocument",
}
# What a document that is ready answers to these.
_DONE = (f"{VECTOR}RetryIngest", f"{VECTOR}CancelIngest", f"{VECTOR}CancelReprocess")
# How many things of a kind somebody makes at most: some have a limit, and lists have pages.
_MOST = {"collection": 4, "session": 6, "item": 6, "webhook": 4}

AIMS = ("own", "own", "own", "foreign", "foreign", "gone", "absent")


class Wandering(RuleBasedStateMachine):
    """One walk. `house`, `run` (which waits for a coroutine) and `done` are set by the test."""

    house: House
    run_in_house: Callable[[Coroutine[Any, Any, Any]], Any]
    done: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.world = Estates(self.house)
        self.number = 0

    @rule(seed=st.integers(0, 2**32 - 1))
    def step(self, seed: int) -> None:
        """One rule with one number: hypothesis leaves whole rules out of a walk, and likes small numbers."""
        self.number += 1
        draw = random.Random(f"{seed} {self.number}")
        who, other = draw.choice(self.world.actors), draw.choice(self.world.actors)
        what, aim, pick = draw.choice(WHAT), draw.choice(AIMS), draw.randrange(1_000)
        note(f"step {self.number}: {who.tenant} {who.subject} {what} {aim} {pick}")
        if what in OPERATIONS:
            work = self._name(who, what, aim, pick)
        elif what == "make":
            work = self._make(who, sorted(_MOST)[pick % len(_MOST)], pick)
        elif what == "list":
            work = self._list(who, LISTED[pick % len(LISTED)])
        elif what == "search":
            work = self._search(who, aim, pick)
        elif what == "cite":
            work = self._cite(who, aim, pick)
        elif what == "share":
            work = self._share(who, aim, pick)
        else:
            work = self._steal(who, other, LISTED[pick % len(LISTED)])
        self.run_in_house(work)

    # -- what they do --------------------------------------------------------------------------------------

    async def _make(self, actor: Actor, kind: str, pick: int) -> None:
        canary = new_canary()
        if sum(one.owner is actor for one in self.world.of(actor, kind)) >= _MOST[kind]:
            return
        if kind == "collection":
            # A name that others use, of the own tenant or another, or one with a canary.
            key = (*SHARED, f"c-{canary}", f"c-{canary}")[pick % 5]
            answer = await self._ask(
                actor,
                f"{VECTOR}CreateCollection",
                vector.CreateCollectionRequest(collection_id=key, description=canary, request_id=f"r{pick}"),
            )
            if any(
                one.kind == kind and one.alive and one.owner.tenant == actor.tenant and one.key == key
                for one in self.world.things
            ):
                assert (answer.code, answer.reason) in (
                    ("ALREADY_EXISTS", "COLLECTION_EXISTS"),
                    ("FAILED_PRECONDITION", "REQUEST_ID_REUSED"),
                )
                return
            if answer.reason == "REQUEST_ID_REUSED":
                return
            assert answer.code == "OK", answer
        elif kind == "session":
            answer = await self._ask(
                actor,
                f"{SESSION}CreateSession",
                session.CreateSessionRequest(title=canary, request_id=canary),
            )
            key = answer.responses[0].session.session_id
        elif kind == "item":
            # Names of items are everybody's own.
            key = f"item-{pick % 8}"
            if any(one.key == key for one in self.world.of(actor, kind)):
                return
            item = session.Item(kind="note", name=key)
            item.payload.type_url, item.payload.value = _TYPE, canary.encode()
            answer = await self._ask(actor, f"{SESSION}PutItem", session.PutItemRequest(item=item))
        else:
            made = hooks.CreateWebhookRequest(url=f"http://127.0.0.1:9/{canary}", label=canary)
            answer = await self._ask(actor, f"{WEBHOOK}CreateWebhook", made)
            key = answer.responses[0].webhook.webhook_id
        assert answer.code == "OK", answer
        self.world.add(Thing(kind, key, canary, actor))

    async def _name(self, actor: Actor, path: str, aim: str, pick: int) -> None:
        operation, canary = OPERATIONS[path], new_canary()
        found = self._aimed(actor, operation.kind, aim, pick)
        if found is None:
            # First there must be one.
            if aim == "own" and operation.kind in _MADE_BY:
                await self._name(actor, _MADE_BY[operation.kind], aim, pick)
            elif aim == "own":
                await self._make(actor, operation.kind, pick)
            return
        ids, thing = found
        if thing is not None and path == f"{SESSION}WatchRun" and not thing.ended:
            # It would wait for the end.
            return
        messages = operation.make(ids.real, canary)
        after = {one.canary for one in self.world.things if not one.alive} if "Deletion" in path else set()
        answer = await self._ask(actor, path, *messages, gone=after)
        if thing is None:
            other = await self._ask(actor, path, *operation.make(ids.never, canary), count=False)
            assert masked(answer, ids.real) == masked(other, ids.never), (path, ids, answer, other)
        elif thing.right(actor) < operation.needs and not (
            path.endswith("DeleteEvaluation") and thing.owner is actor
        ):
            assert (answer.code, answer.reason) == ("PERMISSION_DENIED", operation.refused), (path, answer)
        elif path in _DONE:
            assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "INGEST_STATE"), (path, answer)
        else:
            settle(path.rpartition("/")[2], Told(self.world, actor, thing, canary, messages, answer))

    async def _list(self, actor: Actor, kind: str) -> None:
        """All pages of two, against the model."""
        above = None
        if kind == "document":
            above = next(iter(self.world.of(actor, "collection")), None)
            if above is None:
                return
        found: list[Message] = []
        token = ""
        for _ in range(200):
            path, request = _listing(kind, above.key if above else "", token)
            answer = await self._ask(actor, path, request)
            assert answer.code == "OK", answer
            found += answer.responses
            token = answer.responses[0].next_page_token  # type: ignore[attr-defined]
            if not token:
                break
        else:
            raise AssertionError("no end of pages")
        keys = listed(kind, Answer("OK", responses=tuple(found)))
        assert keys == {one.key for one in self.world.of(actor, kind, above)}

    async def _steal(self, actor: Actor, other: Actor, kind: str) -> None:
        """The token of another's second page means no more than letters."""
        above = next(iter(self.world.of(other, "collection")), None) if kind == "document" else None
        mine = next(iter(self.world.of(actor, "collection")), None) if kind == "document" else None
        if actor is other or (kind == "document" and (above is None or mine is None)):
            return
        path, request = _listing(kind, above.key if above else "", "")
        first = await self._ask(other, path, request)
        token = first.responses[0].next_page_token if first.code == "OK" else ""  # type: ignore[attr-defined]
        if not token:
            return
        key = mine.key if mine else ""
        stolen = await self._ask(actor, path, _listing(kind, key, token)[1])
        never = absent(token, "page")
        made_up = await self._ask(actor, path, _listing(kind, key, never)[1], count=False)
        assert masked(stolen, {"token": token}) == masked(made_up, {"token": never})

    async def _search(self, actor: Actor, aim: str, pick: int) -> None:
        """Own collections, with one among them that is not there for the actor when aimed so; asked for words
        that all have, or for the canary of some document, whosever.
        """
        request = vector.SearchRequest(
            mode=MODES[pick % 3],
            top_k=(1, 3, 50)[pick // 3 % 3],
            explain=pick // 9 % 2 == 0,
            similarity_threshold=-1.0,
        )
        own = self.world.of(actor, "collection")
        documents = [one for one in self.world.things if one.kind == "document"]
        wanted = documents[pick % len(documents)] if documents and pick // 18 % 2 else None
        request.query = wanted.canary if wanted else "gold harbour"
        request.collection_ids.extend(dict.fromkeys(one.key for one in own))
        path = f"{VECTOR}Search"
        if aim != "own":
            found = self._aimed(actor, "collection", aim, pick)
            if found is None or found[1] is not None:
                return
            real, never = found[0].real["collection"], found[0].never["collection"]
            request.collection_ids.insert(pick % (len(own) + 1), real)
            answer = await self._ask(actor, path, request)
            other = vector.SearchRequest()
            other.CopyFrom(request)
            other.collection_ids[list(other.collection_ids).index(real)] = never
            told = await self._ask(actor, path, other, count=False)
            assert masked(answer, {"c": real}) == masked(told, {"c": never}), (answer, told)
            return
        if not own:
            return
        answer = await self._ask(actor, path, request)
        assert answer.code == "OK", answer
        said: Any = answer.responses[0]
        mine = {one.key: one for one in self.world.of(actor, "document")}
        assert {one.document_id for one in (*said.hits, *said.dropped)} <= mine.keys()
        for hit in said.hits:
            assert (hit.text, hit.title) == (mine[hit.document_id].text, mine[hit.document_id].canary)
        if wanted and request.mode == vector.SEARCH_MODE_LEXICAL:
            assert [hit.document_id for hit in said.hits] == [wanted.key] * (wanted.key in mine)
        elif not wanted:
            assert len(said.hits) == min(len(mine), request.top_k)
            if request.explain:
                assert len(said.hits) + len(said.dropped) == len(mine)

    async def _cite(self, actor: Actor, aim: str, pick: int) -> None:
        found = self._aimed(actor, "document", aim, pick)
        documents = [one for one in self.world.things if one.kind == "document"]
        if found is None or not documents:
            return
        ids, thing = found
        # The words are true, and known to whoever asks: only the right to read is not there.
        source = thing or next((one for one in documents if one.key == ids.real["document"]), documents[0])

        def request(document_id: str) -> vector.VerifyCitationsRequest:
            citation = vector.Citation(
                document_id=document_id,
                extraction_sha256=source.extraction,
                span=vector.Span(byte_start=0, byte_end=3),
                quote="The",
            )
            return vector.VerifyCitationsRequest(citations=[citation])

        path = f"{VECTOR}VerifyCitations"
        answer = await self._ask(actor, path, request(ids.real["document"]))
        assert answer.code == "OK", answer
        (verdict,) = answer.responses[0].verdicts  # type: ignore[attr-defined]
        assert verdict.verified == (thing is not None)
        if thing is None:
            other = await self._ask(actor, path, request(ids.never["document"]), count=False)
            assert masked(answer, ids.real) == masked(other, ids.never)

    async def _share(self, actor: Actor, aim: str, pick: int) -> None:
        """Gives a collection to a group or a person of the own tenant, or takes back what was given."""
        path, role = f"{VECTOR}SetCollectionAccess", (Right.NONE, Right.READ, Right.WRITE)[pick // 3 % 3]
        grantee = (("subject", "bob"), ("group", "cooks"), ("group", "everyone"))[pick % 3]
        grants = [] if role is Right.NONE else [vector.Grant(**dict([grantee]), role=int(role))]  # type: ignore[arg-type]

        def make(ids: Mapping[str, str]) -> list[Message]:
            return [vector.SetCollectionAccessRequest(collection_id=ids["collection"], grants=grants)]

        found = self._aimed(actor, "collection", aim, pick)
        if found is None:
            return
        ids, thing = found
        answer = await self._ask(actor, path, *make(ids.real))
        if thing is None:
            other = await self._ask(actor, path, *make(ids.never), count=False)
            assert masked(answer, ids.real) == masked(other, ids.never), (path, ids, answer, other)
        elif thing.right(actor) < Right.OWN:
            assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "COLLECTION_ACCESS_DENIED"), answer
        else:
            assert answer.code == "OK", answer
            thing.grants = {grantee: role} if grants else {}

    # -- how it is asked -----------------------------------------------------------------------------------

    def _aimed(self, actor: Actor, kind: str, aim: str, pick: int) -> tuple[Ids, Thing | None] | None:
        """Ids for a call, and the thing where they name one that the actor may see; None without such."""
        world = self.world
        if aim == "own":
            things = world.of(actor, kind)
            if not things:
                return None
            thing = things[pick % len(things)]
            ids = {kind: thing.key}
            if thing.above is not None:
                ids[thing.above.kind] = thing.above.key
            if kind == "collection":
                ids["document"] = "0" * 32
            return Ids(ids, ids), thing
        things = {"foreign": world.closed, "gone": world.lost}.get(aim, lambda *_: [])(actor, kind)
        thing = things[pick % len(things)] if things else None
        if thing is None and aim != "absent":
            return None
        real = thing.key if thing else _made_up(kind)
        never = _made_up(kind) if thing is None else absent(real, kind)
        ids, others = {kind: real}, {kind: never}
        if kind in ("document", "evaluation"):
            own = world.of(actor, "collection")
            above = thing.above if thing else None
            if above is not None and above in world.closed(actor, "collection") and (pick % 2 or not own):
                # The collection that it is in, which is not the actor's either.
                ids["collection"], others["collection"] = above.key, absent(above.key, "collection")
            elif own:
                ids["collection"] = others["collection"] = own[pick % len(own)].key
            else:
                return None
        return Ids(ids, others), None

    async def _ask(
        self,
        actor: Actor,
        path: str,
        *messages: Message,
        gone: set[str] | frozenset[str] = frozenset(),
        count: bool = True,
    ) -> Answer:
        """The answer, heard through. gone: canaries of things of the past that it may name. count: False for
        what is asked beside an operation to compare with.
        """
        answer = await actor.person.call(path, *messages)
        self.done["calls"] += 1
        if count:
            self.done[path.rpartition("/")[2]] += 1
        asked = b"".join(one.SerializeToString() for one in messages)
        said = [one.SerializeToString() for one in answer.responses]
        spoken = [answer.message, *itertools.chain(*answer.metadata.items())]
        heard = b"\0".join([*said, *(one.encode() for one in spoken)])
        assert answer.code not in ("INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "UNAVAILABLE"), (path, answer)
        for canary in set(CANARY.findall(heard)) - set(CANARY.findall(asked)):
            thing = self.world.by_canary.get(canary)
            if thing is None:
                # Of a call that made nothing; whoever it was, nobody may hear of it.
                raise AssertionError(f"{path} tells {canary!r}, which names nothing")
            if not thing.right(actor):
                raise AssertionError(f"leak: {path} tells {actor.tenant} {actor.subject} of {thing}")
            if not thing.alive and thing.canary not in gone:
                raise AssertionError(f"{path} tells of what is gone: {thing}")
        return answer


@dataclass(frozen=True)
class Ids:
    """By kind what a call names, and what names nothing in its place."""

    real: Mapping[str, str]
    never: Mapping[str, str]


def masked(answer: Answer, values: Mapping[str, str]) -> tuple[str, ...]:
    """All that was heard, without the ids that were named and moments."""
    lines = [answer.code, answer.reason, answer.message]
    lines += [f"{key}={value}" for key, value in sorted(answer.metadata.items())]
    lines += [text_format.MessageToString(one, as_utf8=True) for one in answer.responses]
    text = _MOMENTS.sub("", "\n".join(lines))
    for kind, value in sorted(values.items(), key=lambda one: -len(one[1])):
        text = text.replace(value, f"<{kind}>")
    return tuple(text.split("\n"))


def _listing(kind: str, collection_id: str, token: str) -> tuple[str, Message]:
    page: dict[str, Any] = {"page_size": 2, "page_token": token}
    requests: dict[str, tuple[str, Message]] = {
        "collection": (f"{VECTOR}ListCollections", vector.ListCollectionsRequest(**page)),
        "document": (
            f"{VECTOR}ListDocuments",
            vector.ListDocumentsRequest(collection_id=collection_id, **page),
        ),
        "session": (f"{SESSION}ListSessions", session.ListSessionsRequest(**page)),
        "item": (f"{SESSION}ListItems", session.ListItemsRequest(kind="note", **page)),
        "run": (f"{SESSION}ListRuns", session.ListRunsRequest(**page)),
        "attachment": (f"{SESSION}ListAttachments", session.ListAttachmentsRequest(**page)),
    }
    return requests[kind]


def _made_up(kind: str) -> str:
    """An id of the form of its kind that names nothing."""
    canary = new_canary()[2:14]
    forms = {
        "collection": f"c-{canary}",
        "item": f"item-{canary}",
        "run": new_run_id(),
        "session": f"ses_{canary}",
        "attachment": f"att_{canary}",
    }
    return forms.get(kind) or absent("0123456789abcdef" * 2, kind)


def waiter(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Waits in this thread for what is done in the thread of the loop."""

    def wait(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(SECONDS)

    return wait
