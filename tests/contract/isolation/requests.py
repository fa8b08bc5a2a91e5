"""Requests from the contracts: which of their fields name somebody's things, and what else they need."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from meldrag.agents.v1 import agents_pb2, replicas_pb2, workflow_pb2
from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import identity_pb2, session_pb2, webhook_pb2
from meldrag.vector.v1 import vector_pb2
from tests.contract.isolation.belongings import (
    AGENTS,
    IDENTITY,
    REPLICAS,
    SESSION,
    STEP,
    VECTOR,
    WEBHOOK,
    Belongings,
    new_run_id,
)
from tests.contract.isolation.house import METHODS

REQUEST, PAGE = "request", "page"

# What a field names, by its own name or by "Message.name".
_KINDS = {
    "api_key_id": "key",
    "caller_api_key_id": "key",
    "attachment_id": "attachment",
    "collection_id": "collection",
    "collection_ids": "collection",
    "CollectionIds.values": "collection",
    "document_id": "document",
    "document_ids": "document",
    "evaluation_id": "evaluation",
    "external_id": "external",
    "external_ids": "external",
    "Item.name": "item",
    "ListItemsRequest.name": "item",
    "DeleteItemRequest.name": "item",
    "page_token": PAGE,
    "parent_run_id": "run",
    "request_id": REQUEST,
    "run_id": "run",
    "session_id": "session",
    "tombstone_id": "deletion",
    "user_id": "user",
    "webhook_id": "webhook",
    "workflow_id": "workflow",
    **{f"{name}Request.run_id": "live run" for name in ("CancelRun", "DecideStep", "ReachRun", "ReachStep")},
    "ReplayRunRequest.run_id": "ended run",
}
# Fields with the name of an id that are none of somebody's things, and why.
_NOT_IDS = {
    "agent_id": "agents come with the release",
    "Message.message_id": "given by the service; what a caller writes there is passed over",
    "step_id": "a name inside of a run or of the request, which says whose it is",
    "PasswordCredential.tenant_id": "part of a credential",
    **dict.fromkeys(
        ("CheckIndexRequest.page_token", "RepairIndexRequest.page_token"),
        "signed for its tenant; a page is seconds of work, so there is one here",
    ),
    "query_id": "a name within the request",
    "PassageSpans.chunk_id": "of the document that is named beside it; of another one it names nothing",
    "access_token": "a credential",
    "refresh_token": "a credential",
}


class UnknownFieldError(Exception):
    """Nothing says what a field with the name of an id is."""


@dataclass(frozen=True)
class IdField:
    """A field that names a thing. path: through messages; of a list of them the first counts."""

    path: tuple[str, ...]
    kind: str

    @property
    def name(self) -> str:
        """With dots."""
        return ".".join(self.path)


def id_fields(request: Message) -> list[IdField]:
    """The fields of a request that name somebody's things. Raises UnknownFieldError."""
    return list(_fields(request, ()))


def _fields(message: Message, above: tuple[str, ...]) -> Iterator[IdField]:
    for field in message.DESCRIPTOR.fields:
        path = (*above, field.name)
        if field.message_type is not None:
            if field.message_type.file.package.startswith("meldrag"):
                value = getattr(message, field.name)
                if not field.is_repeated:
                    yield from _fields(value, path)
                elif not _is_map(field) and len(value):
                    yield from _fields(value[0], path)
        elif field.type == FieldDescriptor.TYPE_STRING:
            full = f"{message.DESCRIPTOR.name}.{field.name}"
            kind = _KINDS.get(full, _KINDS.get(field.name))
            if full in _NOT_IDS or field.name in _NOT_IDS:
                continue
            if kind is not None and (full in _KINDS or _is_id(field.name)):
                yield IdField(path, kind)
            elif _is_id(field.name):
                raise UnknownFieldError(f"{full} has the name of an id: say what it names, or why not")


def _is_id(name: str) -> bool:
    return name.endswith(("_id", "_ids", "_token"))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def put(request: Message, path: tuple[str, ...], value: str) -> None:
    """Writes the value into the field."""
    target: Any = request
    for name in path[:-1]:
        target = getattr(target, name)
        if not isinstance(target, Message):
            target = target[0]
    field = target.DESCRIPTOR.fields_by_name[path[-1]]
    if field.is_repeated:
        del getattr(target, path[-1])[:]
        getattr(target, path[-1]).append(value)
    else:
        setattr(target, path[-1], value)


def needed(path: str) -> dict[str, Callable[[Belongings], str] | str]:
    """The ids without which a method does nothing: a kind of the caller's own things, or how to make a fresh
    one.
    """
    tenant_field = METHODS[path].GetOptions().Extensions[options_pb2.access].tenant_field  # type: ignore[index]
    found: dict[str, Callable[[Belongings], str] | str] = dict(_NEEDED.get(path, {}))
    if tenant_field:
        (kind,) = (one.kind for one in id_fields(base(path, None)[0]) if one.name == tenant_field)
        found.setdefault(tenant_field, kind)
    return found


def _fresh(kind: str) -> Callable[[Belongings], str]:
    return lambda own: f"{kind}-{own.mark}-fresh"


_NEEDED: Mapping[str, Mapping[str, Callable[[Belongings], str] | str]] = {
    f"{VECTOR}CreateCollection": {"collection_id": _fresh("books")},
    f"{VECTOR}GetDocument": {"document_id": "document"},
    f"{VECTOR}ReadDocumentText": {"document_id": "document"},
    f"{VECTOR}ReadDocumentOriginal": {"document_id": "document"},
    f"{VECTOR}DeleteDocument": {"document_id": "document"},
    f"{VECTOR}CancelIngest": {"document_id": "document"},
    f"{VECTOR}RetryIngest": {"document_id": "document"},
    f"{VECTOR}ReprocessDocument": {"document_id": "document"},
    f"{VECTOR}CancelReprocess": {"document_id": "document"},
    **{
        f"{VECTOR}{name}": {"evaluation_id": "evaluation"}
        for name in ("GetEvaluation", "ListEvaluationQueries", "DeleteEvaluation")
    },
    f"{VECTOR}ListEvaluations": {"collection_id": "collection"},
    f"{SESSION}AppendMessage": {"request_id": _fresh("append")},
    f"{SESSION}CreateRun": {"run.run_id": lambda own: new_run_id()},
    f"{SESSION}PutItem": {"item.name": _fresh("item")},
    f"{SESSION}DeleteItem": {"name": "item"},
    f"{AGENTS}RunAgent": {"collection_ids": "collection"},
    f"{AGENTS}RunWorkflow": {"collection_ids": "collection"},
    f"{AGENTS}CreateWorkflow": {"workflow.workflow_id": _fresh("flow")},
    f"{AGENTS}DrawWorkflow": {"workflow_id": "workflow"},
}


def base(path: str, victim: Belongings | None, attacked: frozenset[str] = frozenset()) -> list[Message]:
    """The messages of a call without its ids. victim: whose words a citation repeats. attacked: names of the
    fields that will be filled with another's.
    """
    make = _BASES.get(path)
    if make is not None:
        return make(victim, attacked)
    request = GetMessageClass(METHODS[path].input_type)()
    if "page_size" in request.DESCRIPTOR.fields_by_name:
        request.page_size = 1
    return [request]


def _append(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    message = session_pb2.Message(role=session_pb2.ROLE_USER, text="Hello.")
    return [session_pb2.AppendMessageRequest(messages=[message])]


def _put_attachment(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    header = session_pb2.Attachment(filename="a.txt")
    return [session_pb2.PutAttachmentRequest(header=header), session_pb2.PutAttachmentRequest(data=b"bytes")]


def _put_item(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    item = session_pb2.Item(kind="note")
    item.payload.type_url = "type.googleapis.com/test"
    return [session_pb2.PutItemRequest(item=item)]


def _ingest(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    header = vector_pb2.IngestHeader(filename="a.txt", wait_ready=True)
    return [
        vector_pb2.IngestDocumentRequest(header=header),
        vector_pb2.IngestDocumentRequest(data=b"A text of one's own."),
    ]


def _verify(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    document = victim.document if victim else None
    citation = vector_pb2.Citation(
        extraction_sha256=document.extraction_sha256 if document else "",
        span=vector_pb2.Span(byte_start=0, byte_end=3),
        quote="The",
    )
    return [vector_pb2.VerifyCitationsRequest(citations=[citation])]


def _compare(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    document = victim.document if victim else None
    passage = vector_pb2.PassageSpans(
        chunk_id=f"{document.document_id}-0" if document else "",
        extraction_sha256=document.extraction_sha256 if document else "",
        spans=[vector_pb2.Span(byte_start=0, byte_end=3)],
    )
    return [vector_pb2.CompareWordsRequest(question="gold 1884", passages=[passage])]


def _search(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    return [vector_pb2.SearchRequest(query="gold 1884", similarity_threshold=-1.0, explain=True)]


def _evaluation(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    header = vector_pb2.EvaluationHeader(settings=[vector_pb2.EvaluationSetting(name="own")])
    judgement = vector_pb2.Judgement(quote="built in 1884")
    query = vector_pb2.GoldenQuery(query_id="q", query="gold 1884", judgements=[judgement])
    return [vector_pb2.RunEvaluationRequest(header=header), vector_pb2.RunEvaluationRequest(query=query)]


def _user(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    name = f"somebody-{secrets.token_hex(8)}"
    return [identity_pb2.CreateUserRequest(name=name, password="correct horse battery", role="member")]


def _agent(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    return [agents_pb2.RunAgentRequest(agent_id="research", message="What was built in 1884?")]


def _flow_step() -> workflow_pb2.WorkflowStep:
    return workflow_pb2.WorkflowStep(step_id=STEP, agent_id="research", message="What was built in 1884?")


def _workflow_run(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    steps = [] if "workflow_id" in attacked else [_flow_step()]
    return [agents_pb2.RunWorkflowRequest(message="What was built?", steps=steps)]


def _new_workflow(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    return [agents_pb2.CreateWorkflowRequest(workflow=workflow_pb2.Workflow(title="T", steps=[_flow_step()]))]


def _changed_workflow(victim: Belongings | None, attacked: frozenset[str]) -> list[Message]:
    workflow = workflow_pb2.Workflow(title="T", steps=[_flow_step()], revision=2)
    return [agents_pb2.UpdateWorkflowRequest(workflow=workflow)]


_BASES: Mapping[str, Callable[[Belongings | None, frozenset[str]], list[Message]]] = {
    f"{VECTOR}IngestDocument": _ingest,
    f"{VECTOR}ImportDocuments": lambda victim, attacked: [
        vector_pb2.ImportDocumentsRequest(text="A text of one's own.")
    ],
    f"{VECTOR}Search": _search,
    f"{VECTOR}VerifyCitations": _verify,
    f"{VECTOR}CompareWords": _compare,
    f"{VECTOR}RunEvaluation": _evaluation,
    f"{SESSION}AppendMessage": _append,
    # What the titles of all of them begin with.
    f"{SESSION}SearchSessions": lambda victim, attacked: [
        session_pb2.SearchSessionsRequest(query="canary", page_size=1)
    ],
    f"{SESSION}UpdateSession": lambda victim, attacked: [session_pb2.UpdateSessionRequest(title="Mine")],
    f"{SESSION}CreateRun": lambda victim, attacked: [
        session_pb2.CreateRunRequest(run=session_pb2.Run(agent_id="research"))
    ],
    f"{SESSION}AppendRunEvents": lambda victim, attacked: [
        session_pb2.AppendRunEventsRequest(state=session_pb2.RUN_STATE_FAILED)
    ],
    f"{SESSION}TakeRun": lambda victim, attacked: [session_pb2.TakeRunRequest(owner="somebody")],
    f"{SESSION}PutAttachment": _put_attachment,
    f"{SESSION}PutItem": _put_item,
    f"{SESSION}ListItems": lambda victim, attacked: [session_pb2.ListItemsRequest(kind="note", page_size=1)],
    f"{SESSION}DeleteItem": lambda victim, attacked: [session_pb2.DeleteItemRequest(kind="note")],
    f"{IDENTITY}CreateUser": _user,
    f"{IDENTITY}UpdateUser": lambda victim, attacked: [identity_pb2.UpdateUserRequest(role="viewer")],
    f"{IDENTITY}CreateApiKey": lambda victim, attacked: [identity_pb2.CreateApiKeyRequest(label="key")],
    f"{WEBHOOK}CreateWebhook": lambda victim, attacked: [
        webhook_pb2.CreateWebhookRequest(url="http://127.0.0.1:9/")
    ],
    f"{WEBHOOK}UpdateWebhook": lambda victim, attacked: [webhook_pb2.UpdateWebhookRequest(label="Mine")],
    f"{AGENTS}RunAgent": _agent,
    f"{AGENTS}RunWorkflow": _workflow_run,
    f"{AGENTS}CreateWorkflow": _new_workflow,
    f"{AGENTS}UpdateWorkflow": _changed_workflow,
    # Past the workflows that come with the release.
    f"{AGENTS}ListWorkflows": lambda victim, attacked: [agents_pb2.ListWorkflowsRequest(page_size=5)],
    f"{AGENTS}DecideStep": lambda victim, attacked: [
        agents_pb2.DecideStepRequest(step_id=STEP, approved=True)
    ],
    f"{REPLICAS}ReachStep": lambda victim, attacked: [
        replicas_pb2.ReachStepRequest(step_id=STEP, approved=True)
    ],
    f"{REPLICAS}ReachRun": lambda victim, attacked: [replicas_pb2.ReachRunRequest(stop=True)],
}
