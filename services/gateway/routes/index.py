"""The state of what is kept: comparing indexes, files and record, mending them, and proof of deletion."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, request, stream_with_context

from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import ServiceError
from services.gateway import rendering
from services.gateway.body import Query, idempotency_key, json_object, no_body
from services.gateway.calls import Client, unary, waited
from services.gateway.door import answer, door
from services.gateway.identity import standing
from services.gateway.openapi.operation import EVENTS, JSON, Answer, event_of, json, operation
from services.gateway.openapi.schema import reference
from services.gateway.problem import ProblemError, from_service_error
from services.gateway.streaming import HEARTBEAT, draining, error_event, event_response, sse, wants_events

blueprint = Blueprint("index", __name__)

# Faults that an answer names; beyond, they are counted.
_MOST_FAULTS = 1_000
# A page is seconds of work, so this is days.
_MOST_PAGES = 100_000


_REPORTS = {200: Answer({JSON: reference("IndexReport"), EVENTS: event_of("IndexPage", "IndexReport")})}


@dataclass
class _Sum:
    """What all pages found so far."""

    faults: list[Any] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    total: int = 0
    unmended: int = 0
    unpurged: int = 0

    def take(self, page: Any) -> None:
        for fault in page.faults:
            self.counts[
                rendering.enum_name(vector_pb2.IndexFaultKind.DESCRIPTOR, fault.kind) or "UNKNOWN"
            ] += 1
            self.unmended += not fault.mended
        room = _MOST_FAULTS - len(self.faults)
        self.faults += [rendering.index_fault(fault) for fault in page.faults[:room]]
        self.checked += page.checked_chunks
        self.total = page.total_chunks
        self.unpurged = getattr(page, "unpurged_chunks", 0)

    def result(self) -> dict[str, Any]:
        return {
            "checked_chunks": self.checked,
            "total_chunks": self.total,
            "counts": dict(sorted(self.counts.items())),
            "unmended": self.unmended,
            "faults": self.faults,
            "unpurged_chunks": self.unpurged,
        }


@blueprint.post("/index/check")
@operation(answers=_REPORTS, body="IndexCheck", problems=(404,), repeat="reads")
def check_index() -> Response:
    """Compares indexes, files and record; answers when it is done, or with an event a page."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    message = vector_pb2.CheckIndexRequest(
        collection_id=fields.text("collection"), every_tenant=fields.boolean("every_tenant")
    )
    fields.finish()
    return _walked("CheckIndex", message)


@blueprint.post("/index/repair")
@operation(answers=_REPORTS, body="IndexRepair", problems=(404, 507), repeat="key")
def repair_index() -> Response:
    """Mends what a check finds, or says what it would do; answers as the check does."""
    fields = json_object(request, door().settings.meld_max_json_bytes)
    message = vector_pb2.RepairIndexRequest(
        collection_id=fields.text("collection"),
        every_tenant=fields.boolean("every_tenant"),
        dry_run=fields.boolean("dry_run"),
        request_id=idempotency_key(request),
    )
    fields.finish()
    return _walked("RepairIndex", message)


@blueprint.post("/index/purge")
@operation(answers={200: json("Purge")}, problems=(409, 507), repeat="key", house_wide=True)
def purge_deleted() -> Response:
    """Writes record and indexes anew without what was deleted."""
    Query(request).finish()
    no_body(request)
    done = unary(
        door().clients.vector.PurgeDeleted,
        vector_pb2.PurgeDeletedRequest(request_id=idempotency_key(request)),
    )
    return answer(rendering.purge(done))


@blueprint.get("/deletions/<tombstone_id>")
@operation(answers={200: json("DeletionReceipt")}, conditional=True)
def get_deletion(tombstone_id: str) -> Response:
    """The receipt of an earlier delete, counted now."""
    Query(request).finish()
    found = unary(door().clients.vector.GetDeletion, vector_pb2.GetDeletionRequest(tombstone_id=tombstone_id))
    return answer(rendering.receipt(found.receipt))


def _walked(method: str, message: Any) -> Response:
    Query(request).finish()
    with contextlib.ExitStack() as held:
        # It is waited for as long as a stream.
        held.callback(door().slots.take())
        if not wants_events(request):
            total = _Sum()
            for page in _pages(method, message):
                if page is not None:
                    total.take(page)
            return answer(total.result())
        pages = _pages(method, message)
        # What is wrong with the request is said by the status.
        first = next(page for page in pages if page is not None)
        body = stream_with_context(_events(pages, first))
        return event_response(body, held.pop_all().close)


def _pages(method: str, message: Any) -> Iterator[Any]:
    """All pages of a walk; None each moment in which there is none yet. Raises what a call raises."""
    client, caller = Client.of(request), standing.current()
    for _ in range(_MOST_PAGES):
        token = ""
        for page in waited(getattr(door().clients.vector, method), message, client):
            if page is not None:
                token = page.next_page_token
            yield page
        if not token:
            return
        if door().drain.due():
            raise draining()
        if caller is not None and (problem := caller.problem()):
            raise problem
        message.page_token = token
    raise ProblemError(500, "INTERNAL", "the walk through the index does not end")


def _events(pages: Iterator[Any], first: Any) -> Iterator[bytes]:
    total = _Sum()
    total.take(first)
    yield _page_event(first, total)
    sent = time.monotonic()
    try:
        for page in pages:
            if page is not None:
                total.take(page)
                yield _page_event(page, total)
                sent = time.monotonic()
            elif time.monotonic() - sent >= door().settings.meld_heartbeat_seconds:
                yield HEARTBEAT
                sent = time.monotonic()
    except ServiceError as error:
        yield error_event(from_service_error(error))
    except ProblemError as problem:
        yield error_event(problem)
    else:
        # The faults were told page by page.
        yield sse("end", {name: value for name, value in total.result().items() if name != "faults"})


def _page_event(page: Any, total: _Sum) -> bytes:
    return sse(
        "page",
        {
            "step": page.step,
            "checked_chunks": total.checked,
            "total_chunks": total.total,
            "faults": [rendering.index_fault(fault) for fault in page.faults],
        },
    )
