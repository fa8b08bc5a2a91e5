"""The owner's workflows, as items of the session service."""

from __future__ import annotations

import grpc
import grpc.aio

from meldrag.agents.v1 import workflow_pb2
from meldrag.session.v1 import session_pb2, session_pb2_grpc
from services.agents.adapters.session_client import translated
from services.agents.workflow.catalog import not_found
from services.chassis.errors import (
    AbortedError,
    AlreadyExistsError,
    InternalError,
    ResourceExhaustedError,
    ServiceError,
)

_SECONDS = 2.0
_KIND = "workflow"
MAX_WORKFLOWS = 500


class WorkflowShelf:
    """Is a Shelf, over a channel to the session service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = session_pb2_grpc.SessionServiceStub(channel)

    async def get(self, workflow_id: str) -> workflow_pb2.Workflow:
        """See Shelf."""
        request = session_pb2.ListItemsRequest(kind=_KIND, name=workflow_id)
        try:
            page = await self._stub.ListItems(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
        for item in page.items:
            return _workflow(item)
        raise not_found(workflow_id)

    async def page(self, page_size: int, page_token: str) -> tuple[list[workflow_pb2.Workflow], str]:
        """See Shelf."""
        request = session_pb2.ListItemsRequest(kind=_KIND, page_size=page_size, page_token=page_token)
        try:
            page = await self._stub.ListItems(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
        return [_workflow(item) for item in page.items], page.next_page_token

    async def put(
        self, workflow: workflow_pb2.Workflow, previous_revision: int, request_id: str
    ) -> workflow_pb2.Workflow:
        """See Shelf."""
        item = session_pb2.Item(kind=_KIND, name=workflow.workflow_id)
        item.payload.Pack(workflow, deterministic=True)
        request = session_pb2.PutItemRequest(
            item=item, previous_revision=previous_revision, request_id=request_id, kind_limit=MAX_WORKFLOWS
        )
        try:
            kept = await self._stub.PutItem(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise _in_our_words(translated(error), workflow.workflow_id) from error
        return _workflow(kept.item)

    async def delete(self, workflow_id: str) -> None:
        """See Shelf."""
        request = session_pb2.DeleteItemRequest(kind=_KIND, name=workflow_id)
        try:
            await self._stub.DeleteItem(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise _in_our_words(translated(error), workflow_id) from error


def _workflow(item: session_pb2.Item) -> workflow_pb2.Workflow:
    workflow = workflow_pb2.Workflow()
    if not item.payload.Unpack(workflow):
        raise InternalError(
            f"what is stored as the workflow {item.name} is none", reason="INTERNAL", metadata={}
        )
    workflow.revision = item.revision
    workflow.create_time.CopyFrom(item.create_time)
    workflow.update_time.CopyFrom(item.update_time)
    return workflow


def _in_our_words(error: ServiceError, workflow_id: str) -> ServiceError:
    named = {"workflow_id": workflow_id}
    match error.reason:
        case "ITEM_NOT_FOUND":
            return not_found(workflow_id)
        case "ITEM_EXISTS":
            return AlreadyExistsError(
                f"there is a workflow {workflow_id}", reason="WORKFLOW_EXISTS", metadata=named
            )
        case "ITEM_CHANGED":
            return AbortedError(
                f"somebody else changed the workflow {workflow_id}",
                reason="WORKFLOW_CHANGED",
                metadata=named | {"revision": error.metadata.get("revision", "")},
            )
        case "TOO_MANY_ITEMS":
            limit = error.metadata.get("limit", "")
            return ResourceExhaustedError(
                f"there are {limit} workflows, and no more may be stored; delete one first",
                reason="TOO_MANY_WORKFLOWS",
                metadata={"limit": limit},
            )
    return error
