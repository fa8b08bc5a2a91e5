"""A gateway that keeps documents in memory, over real HTTP: as much of it as a sync needs."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.unit.meldrag_cli.scripted import Answer, events, listening, problem

_WHERE = re.compile(r"/api/v1/collections/notes(?:/documents(?:/(?P<id>\w+)(?P<verb>/cancel)?)?)?")
NONE_LEFT = {"record_documents": 0, "vector_entries": 0}


@dataclass
class Keeping:
    """documents: newest first, as the house lists them. requests: method and path of what came.

    instead: by "METHOD" what is answered before it does anything, once each. meanwhile: is called with method
    and path before a request is answered. bad: bytes that it does not take. left: what receipts say is left.
    """

    url: str = ""
    exists: bool = True
    documents: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    instead: dict[str, deque[Answer]] = field(default_factory=dict)
    meanwhile: Callable[[str, str], None] = lambda method, where: None
    bad: set[bytes] = field(default_factory=set)
    page: int = 2
    state: str = "READY"
    deletion: str = "COMPLETE"
    left: dict[str, int] = field(default_factory=lambda: dict(NONE_LEFT))
    made: int = 0

    def names(self, state: str = "READY") -> dict[str, str]:
        """What is kept in a state: texts by external id."""
        return {each["external_id"]: each["text"] for each in self.documents if each["state"] == state}

    def came(self, method: str) -> list[str]:
        """The paths that were asked by a method, without the collection."""
        return [
            where.removeprefix("/api/v1/collections/notes") for what, where in self.requests if what == method
        ]

    def add(self, external_id: str, text: bytes, metadata: dict[str, Any] | None = None, **more: Any) -> str:
        """Keeps a document as if it had been sent; its id."""
        self.made += 1
        kept = {
            "id": f"d{self.made}",
            "external_id": external_id,
            "metadata": metadata or {},
            "content_sha256": hashlib.sha256(text).hexdigest(),
            "text": text.decode(),
            "filename": external_id.rpartition("/")[2],
            "state": self.state,
            "bytes": len(text),
            "chunks": 1,
            "vectors": 1,
            "warnings": [],
            "error": None,
            **more,
        }
        self.documents.insert(0, kept)
        return str(kept["id"])

    def answer(self, method: str, target: str, body: bytes, *, streamed: bool) -> Answer:
        """What is answered. streamed: whether events are wanted."""
        parts = urlsplit(target)
        found = _WHERE.fullmatch(parts.path)
        if found is None:
            assert (method, parts.path) == ("POST", "/api/v1/collections")
            self.exists = True
            return Answer({"id": "notes"}, 201)
        if not self.exists:
            return problem(404, "COLLECTION_NOT_FOUND", "there is no collection notes")
        if found["id"]:
            return self._one(found["id"], method, found["verb"])
        if not parts.path.endswith("/documents"):
            return Answer({"id": "notes"})
        return (
            self._list(dict(parse_qsl(parts.query)))
            if method == "GET"
            else self._upload(body, streamed=streamed)
        )

    def _list(self, asked: dict[str, str]) -> Answer:
        states = asked["state"].split(",") if "state" in asked else None
        chosen = [
            each
            for each in self.documents
            if (states is None or each["state"] in states)
            and asked.get("external_id", each["external_id"]) == each["external_id"]
            and asked.get("sha256", each["content_sha256"]) == each["content_sha256"]
        ]
        start = int(asked.get("page_token", "0"))
        end = start + min(self.page, int(asked["page_size"]))
        following = str(end) if end < len(chosen) else None
        return Answer({"documents": chosen[start:end], "next_page_token": following})

    def _upload(self, body: bytes, *, streamed: bool) -> Answer:
        fields = {}
        for part in body.split(body[: body.index(b"\r\n")])[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            name = re.search(rb'name="(\w+)"', head)
            assert name is not None
            fields[name[1].decode()] = content.removesuffix(b"\r\n")
        text = fields["file"]
        if fields["sha256"].decode() != hashlib.sha256(text).hexdigest():
            return problem(400, "CONTENT_MISMATCH", "what arrived is not what was declared")
        external_id = fields["external_id"].decode()
        metadata = json.loads(fields["metadata"])
        if text in self.bad:
            error = {"reason": "FORMAT_UNSUPPORTED", "message": "not read here"}
            self.add(external_id, text, metadata, state="FAILED", error=error)
            if not streamed:
                return problem(415, error["reason"], error["message"])
            return events(("received", {"document": self.documents[0], "existing": False}))
        self.documents = [
            each
            for each in self.documents
            if each["external_id"] != external_id or each["state"] not in ("READY", "EMBEDDING")
        ]
        self.add(external_id, text, metadata)
        if not streamed:
            return Answer(self.documents[0], 202)
        return events(("ready", {"document": self.documents[0], "existing": False}))

    def _one(self, document_id: str, method: str, verb: str | None) -> Answer:
        kept = next((each for each in self.documents if each["id"] == document_id), None)
        if kept is None:
            return problem(404, "DOCUMENT_NOT_FOUND", "there is no such document")
        if method == "GET":
            return Answer(kept)
        coming = kept["state"] in ("RECEIVED", "PARSING")
        if coming and not verb:
            return problem(409, "DOCUMENT_BUSY", "it is being written")
        if verb and not coming:
            return problem(409, "INGEST_STATE", "it is there")
        self.documents.remove(kept)
        deleted = {"documents": 1, "chunks": 1}
        return Answer(
            {
                "resource": f"collections/notes/documents/{document_id}",
                "state": self.deletion,
                "deleted": deleted,
                "left": self.left,
            }
        )


@contextmanager
def keeping() -> Iterator[Keeping]:
    """A server for the duration of the block."""
    house = Keeping()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            house.meanwhile(self.command, self.path)
            with lock:
                house.requests.append((self.command, self.path))
                waiting = house.instead.get(self.command)
                streamed = "event-stream" in self.headers.get("Accept", "")
                answer = (
                    waiting.popleft()
                    if waiting
                    else house.answer(self.command, self.path, body, streamed=streamed)
                )
            content = answer.bytes()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as house.url:
        yield house
