"""What a call for one's own things must answer, and what is different after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from meldrag.session.v1 import session_pb2 as session
from meldrag.vector.v1 import vector_pb2 as vector
from tests.contract.isolation.estates import Actor, Estates, Thing, new_canary
from tests.contract.isolation.house import Answer


@dataclass(frozen=True)
class Told:
    """A call, the thing that it named, and what was answered."""

    world: Estates
    actor: Actor
    thing: Thing
    canary: str
    messages: Sequence[Message]
    answer: Answer

    @property
    def said(self) -> Any:
        """The last message."""
        return self.answer.responses[-1]

    def keys(self, kind: str) -> set[str]:
        """What there is of a kind in the thing."""
        return {one.key for one in self.world.of(self.actor, kind, self.thing)}

    def made(self, kind: str, key: str, **fields: Any) -> None:
        """There is a new thing in the thing, with the canary of the call."""
        self.world.add(Thing(kind, key, self.canary, self.actor, self.thing, **fields))


def words(canary: str) -> str:
    """A text with a canary and words that all texts have."""
    return f"The {canary} sings of gold in the harbour. It was built in 1884."


def settle(method: str, told: Told) -> None:
    """Compares the answer with the model, and brings the model up to date."""
    answer = told.answer
    if method == "AppendRunEvents" and told.thing.ended:
        assert answer.code != "OK", answer
    elif method == "TakeRun":
        assert answer.reason in ("RUN_TAKEN", "RUN_ENDED"), answer
    elif method in ("ReadDocumentOriginal", "ReprocessDocument") and not told.thing.original:
        assert answer.reason == "ORIGINAL_NOT_KEPT", answer
    else:
        assert answer.code == "OK", (method, answer)
        if method.startswith("Delete"):
            _deleted(told)
        elif method in _CHECKS:
            _CHECKS[method](told)


def listed(kind: str, answer: Answer) -> set[str]:
    """The ids in all pages of a list, each once."""
    field, key = {"item": ("items", "name")}.get(kind, (f"{kind}s", f"{kind}_id"))
    keys = [getattr(one, key) for page in answer.responses for one in getattr(page, field)]
    assert len(keys) == len(set(keys)), keys
    return set(keys)


def _deleted(told: Told) -> None:
    told.thing.gone = True
    if told.thing.kind in ("collection", "document"):
        tombstone = told.said.receipt.tombstone_id
        told.world.add(Thing("deletion", tombstone, new_canary(), told.actor))


def _collection(told: Told) -> None:
    assert told.said.collection.documents == len(told.keys("document"))
    assert told.said.collection.description == told.thing.canary


def _list_of(kind: str) -> Callable[[Told], None]:
    def check(told: Told) -> None:
        assert listed(kind, told.answer) == told.keys(kind)

    return check


def _taken_in(told: Told) -> None:
    document = told.said.document
    told.made(
        "document",
        document.document_id,
        text=words(told.canary),
        extraction=document.extraction_sha256,
        original=document.has_original,
    )
    assert document.has_original is isinstance(told.messages[0], vector.IngestDocumentRequest)


def _original(told: Told) -> None:
    data = b"".join(one.data for one in told.answer.responses)  # type: ignore[attr-defined]
    assert data == told.thing.text.encode()


def _read_again(told: Told) -> None:
    # The same parser of the same file.
    assert told.said.existing
    assert told.said.document.extraction_sha256 == told.thing.extraction


def _text(told: Told) -> None:
    assert "".join(one.text for one in told.answer.responses) == told.thing.text  # type: ignore[attr-defined]


def _found(told: Told) -> None:
    assert {hit.document_id for hit in told.said.hits} == {told.thing.key}


def _receipt(told: Told) -> None:
    assert told.said.receipt.state in (vector.DELETION_STATE_COMPLETE, vector.DELETION_STATE_PENDING)


def _messages(told: Told) -> None:
    wanted = {one.canary for one in told.world.of(told.actor, "message", told.thing)}
    assert {one.text for one in told.said.messages} == wanted


def _run(told: Told) -> None:
    (request,) = told.messages
    assert isinstance(request, session.CreateRunRequest)
    told.made("run", request.run.run_id)


def _ended(told: Told) -> None:
    told.thing.ended, told.thing.text = True, told.canary
    told.made("event", told.thing.key)


def _watched(told: Told) -> None:
    assert told.said.state == session.RUN_STATE_SUCCEEDED
    events = [event for one in told.answer.responses for event in one.events]  # type: ignore[attr-defined]
    assert [event.payload.value for event in events] == [told.thing.text.encode()]


def _bytes(told: Told) -> None:
    data = b"".join(one.data for one in told.answer.responses)  # type: ignore[attr-defined]
    assert data == told.thing.canary.encode()


_CHECKS: Mapping[str, Callable[[Told], None]] = {
    "GetCollection": _collection,
    "ListDocuments": _list_of("document"),
    "ListEvaluations": _list_of("evaluation"),
    "ListAttachments": _list_of("attachment"),
    "ListRuns": _list_of("run"),
    "IngestDocument": _taken_in,
    "ImportDocuments": _taken_in,
    "RunEvaluation": lambda told: told.made("evaluation", told.said.evaluation.evaluation_id),
    "ReadDocumentText": _text,
    "ReadDocumentOriginal": _original,
    "ReprocessDocument": _read_again,
    "Search": _found,
    "GetDeletion": _receipt,
    "AppendMessage": lambda told: told.made("message", told.said.messages[0].message_id),
    "ListMessages": _messages,
    "CreateRun": _run,
    "AppendRunEvents": _ended,
    "WatchRun": _watched,
    "PutAttachment": lambda told: told.made("attachment", told.said.attachment.attachment_id),
    "ReadAttachment": _bytes,
}
