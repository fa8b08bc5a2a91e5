"""A gateway over real HTTP whose answers a test writes: for what a healthy house does not show on demand.

It serves the real page with its real policy and speaks the shapes of the real
gateway. A test script decides when a run goes on, fails or loses its
connection; nothing is answered that a script or an upload did not put there.
"""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import json
import mimetypes
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from services.gateway.markdown import Renderer

PAGE = Path(__file__).resolve().parents[2] / "services" / "gateway" / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "require-trusted-types-for 'script'; trusted-types rendered"
)


def _agent(agent: str, name: str, purpose: str, example: str = "", *inputs: str) -> dict[str, Any]:
    return {
        "id": agent, "name": name, "purpose": purpose, "examples": [example] if example else [],
        "input_schema": {"type": "object", "properties": {one: {} for one in inputs}},
    }  # fmt: skip


AGENTS = [
    _agent("research", "Research", "Finds out what the documents say.",
           "What do the documents say about the spring tide?"),
    _agent("ceo", "Decisions", "Weighs options against each other.",
           "Which of the two sites should be kept, and why?", "options", "csv"),
    _agent("coaching", "Coaching", "Helps somebody to learn.",
           "How do I learn to read the tide tables in two weeks?", "text", "language"),
    _agent("code_repair", "Code repair", "Mends code and proves it.", "", "files", "tests", "command"),
    _agent("image", "Image", "Looks at pictures and draws.", "", "attachment_ids"),
    _agent("audio", "Audio", "Listens to recordings and speaks.", "", "attachment_ids"),
]  # fmt: skip

Json = dict[str, Any]

_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass
class Run:
    """A run whose events a script adds one by one."""

    run_id: str
    request: Json
    events: list[tuple[str, Json]] = field(default_factory=list)
    # RFC 3339 of each event that has one; by its position.
    times: dict[int, str] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    cancelled: threading.Event = field(default_factory=threading.Event)
    # Somebody who followed has gone away.
    left: threading.Event = field(default_factory=threading.Event)
    # Counts up when a script cuts every open connection.
    cut: int = 0

    def tell(self, name: str, said: Json, time: str = "") -> None:
        """Adds an event and wakes those who follow. time: RFC 3339."""
        with self.changed:
            if time:
                self.times[len(self.events)] = time
            self.events.append((name, said))
            self.changed.notify_all()

    def cut_connections(self) -> None:
        """Drops all who follow, in the middle of the stream."""
        with self.changed:
            self.cut += 1
            self.changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether the last event was told."""
        return bool(self.events) and self.events[-1][0] == "ended"


@dataclass
class Document:
    """A stored document whose vectors come as time passes."""

    id: str
    collection: str
    filename: str
    text: bytes
    size: int
    stored: float
    seconds: float
    error: Json | None = None

    def shape(self) -> Json:
        """As the gateway answers."""
        chunks = 0 if self.error else max(1, len(self.text) // 700)
        done = min(1.0, (time.monotonic() - self.stored) / self.seconds) if self.seconds else 1.0
        vectors = int(chunks * done)
        state = "FAILED" if self.error else "READY" if vectors == chunks else "EMBEDDING"
        return {
            "id": self.id, "collection": self.collection, "external_id": "", "title": self.filename,
            "filename": self.filename, "state": state, "error": self.error, "bytes": self.size,
            "chunks": chunks, "vectors": vectors,
            "media_type": mimetypes.guess_type(self.filename)[0] or "text/plain",
            "content_sha256": hashlib.sha256(self.text).hexdigest(),
            "extraction_sha256": hashlib.sha256(self.text).hexdigest(),
            "text_bytes": len(self.text), "pages": None, "metadata": {}, "created": None,
        }  # fmt: skip


@dataclass
class File:
    """A kept attachment. run_id, session_id: whose it is; empty for nobody's."""

    id: str
    filename: str
    media_type: str
    data: bytes
    run_id: str = ""
    session_id: str = ""

    def shape(self) -> Json:
        """As the gateway answers."""
        return {
            "id": self.id, "session_id": self.session_id or None, "run_id": self.run_id or None,
            "filename": self.filename, "media_type": self.media_type, "bytes": len(self.data),
            "sha256": hashlib.sha256(self.data).hexdigest(), "created": None, "expires": None,
        }  # fmt: skip


class ScriptedGateway:
    """State and script. `script(gateway, run)` is called in a thread of its own for each run."""

    def __init__(self, script: Callable[[ScriptedGateway, Run], None]) -> None:
        self.script = script
        self.documents: dict[str, Document] = {}
        self.files: dict[str, File] = {}
        # None: the list of workflows is not known here.
        self.workflows: list[Json] | None = None
        # What was decided, by (run, step).
        self.decisions: dict[tuple[str, str], bool] = {}
        self.decided = threading.Condition()
        self.collections: list[str] = []
        self.sessions: dict[str, Json] = {}
        self.messages: dict[str, list[Json]] = {}
        self.runs: dict[str, Run] = {}
        self.keys: dict[str, str] = {}
        self.down: list[str] = []
        # Problems to answer the next requests of a "METHOD /path" prefix with.
        self.refusals: list[tuple[str, int, str, str]] = []
        # Which agents a message fits, best first.
        self.routes: list[str] = ["research", "coaching"]
        self.embedding_seconds = 0.0
        self.stage_seconds = 0.0
        # Attachments are acknowledged while this is set.
        self.attaching = threading.Event()
        self.attaching.set()
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self._count = 0

    def name(self, kind: str) -> str:
        """A new id."""
        with self._lock:
            self._count += 1
            return f"{kind}_{self._count:06d}"

    def put(self, filename: str, text: str, collection: str = "documents") -> Document:
        """Stores a document that is ready at once."""
        if collection not in self.collections:
            self.collections.append(collection)
        data = text.encode()
        document = Document(self.name("doc"), collection, filename, data, len(data), time.monotonic(), 0)
        self.documents[document.id] = document
        return document

    def keep(self, run: Run, filename: str, media_type: str, data: bytes) -> Json:
        """Keeps a file that a run has made; as results name it."""
        session = run.request.get("session_id", "")
        file = File(self.name("att"), filename, media_type, data, run.run_id, session)
        self.files[file.id] = file
        return {
            "attachment_id": file.id, "filename": filename, "media_type": media_type, "bytes": len(data)
        }  # fmt: skip

    def wait_decision(self, run: Run, step_id: str) -> bool:
        """What somebody has decided, as soon as he has."""
        key = (run.run_id, step_id)
        with self.decided:
            assert self.decided.wait_for(lambda: key in self.decisions, 20), f"nobody has decided {key}"
            return self.decisions[key]

    def cite(self, number: int, document: Document, quote: str, page: int | None = None) -> Json:
        """A citation of the first place where the quote stands."""
        start = document.text.index(quote.encode())
        return {
            "number": number, "document_id": document.id, "collection": document.collection,
            "title": document.filename, "extraction_sha256": hashlib.sha256(document.text).hexdigest(),
            "byte_start": start, "byte_end": start + len(quote.encode()), "quote": quote, "page": page,
        }  # fmt: skip

    def result(self, run: Run, text: str, citations: list[Json], **more: Any) -> Json:
        """A whole answer."""
        return {
            "run_id": run.run_id, "agent": "research", "answer_mode": "EXTRACTIVE", "text": text,
            "citations": citations, "result": None, "degraded": [],
            "usage": {"input_tokens": 0, "output_tokens": 0, "model": "", "duration_seconds": 0.84},
            "session_id": run.request.get("session_id"), "events_url": f"/api/v1/runs/{run.run_id}/events",
            **more,
        }  # fmt: skip

    def succeed(self, run: Run, result: Json) -> None:
        """Ends a run with an answer and appends the exchange to its session."""
        self.keep_exchange(run, result)
        run.tell("ended", {"outcome": "SUCCEEDED", "result": result, "error": None})

    def keep_exchange(self, run: Run, result: Json) -> None:
        """Appends the exchange to the run's session."""
        session = run.request.get("session_id")
        if session:
            # As the agents service writes them, in the names of its contract.
            attributes = {
                "answer_mode": result["answer_mode"],
                "citations": [
                    {**citation, "collection_id": citation["collection"], "collection": None}
                    for citation in result["citations"]
                ],
                "degradations": result["degraded"],
            }
            last = len(self.messages[session])
            self.messages[session] += [
                {"sequence": last + 1, "role": "USER", "text": run.request["message"], "attributes": {}},
                {"sequence": last + 2, "role": "ASSISTANT", "text": result["text"], "agent": result["agent"],
                 "run_id": run.run_id, "attributes": attributes},
            ]  # fmt: skip


@contextmanager
def serving(gateway: ScriptedGateway) -> Iterator[str]:
    """Serves on a free port; gives the address."""

    class Handler(_Handler):
        state = gateway

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ScriptedGateway

    def log_message(self, format: str, *args: Any) -> None:
        """Tests have their own words."""

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_DELETE(self) -> None:
        self._route()

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.state.requests.append(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        for refusal in self.state.refusals:
            prefix, status, reason, detail = refusal
            if f"{self.command} {path}".startswith(prefix):
                self.state.refusals.remove(refusal)
                self._problem(status, reason, detail)
                return
        for method, pattern, handle in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == self.command:
                handle(self, *match.groups())
                return
        self._problem(404, "NOT_FOUND", f"{path} is not here")

    def _json(self, value: Any, status: int = 200, media_type: str = "application/json") -> None:
        self._bytes(json.dumps(value).encode(), media_type, status)

    def _problem(self, status: int, reason: str, detail: str) -> None:
        said = {"title": reason, "status": status, "detail": detail, "reason": reason}
        self._json({**said, "request_id": "req_1"}, status, "application/problem+json")

    def _bytes(self, data: bytes, media_type: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _event(self, name: str, data: Json, number: int | None = None) -> None:
        head = f"id: {number}\n" if number else ""
        self.wfile.write(f"{head}event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def page(self, name: str = "index.html") -> None:
        file = (PAGE / name).resolve()
        if not file.is_relative_to(PAGE) or not file.is_file():
            self._problem(404, "NOT_FOUND", name)
            return
        data = file.read_bytes()
        kind = _KINDS[file.suffix]
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def ready(self) -> None:
        down = self.state.down
        self._json({"status": "unavailable" if down else "ready", "down": down}, 503 if down else 200)

    def agents(self) -> None:
        self._json({"agents": AGENTS, "next_page_token": None})

    def route(self) -> None:
        first, *others = self.state.routes
        alternatives = [{"agent": agent, "confidence": 0.1} for agent in others]
        self._json({"agent": first, "confidence": 0.8, "reasons": [], "alternatives": alternatives})

    def collections(self) -> None:
        self._json({"collections": [self._collection(name) for name in self.state.collections]})

    def _collection(self, name: str) -> Json:
        known = [item for item in self.state.documents.values() if item.collection == name]
        return {"id": name, "name": name, "documents": len(known), "chunks": 0, "vectors": 0}

    def create_collection(self) -> None:
        name = json.loads(self.body)["name"]
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]", name):
            self._problem(400, "INVALID_FIELD", "collection_id: 3 to 63 characters are needed")
        elif name in self.state.collections:
            self._problem(409, "COLLECTION_EXISTS", f"a collection named {name} is there already")
        else:
            self.state.collections.append(name)
            self._json(self._collection(name), 201)

    def documents(self, collection: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        size = int(query.get("page_size", ["100"])[0])
        start = int(query.get("page_token", ["0"])[0])
        states = query.get("state", ["RECEIVED,PARSING,EMBEDDING,READY,FAILED"])[0].split(",")
        newest = reversed(self.state.documents.values())
        shapes = (item.shape() for item in newest if item.collection == collection)
        known = [shape for shape in shapes if shape["state"] in states]
        rest = str(start + size) if start + size < len(known) else None
        self._json({"documents": known[start : start + size], "next_page_token": rest})

    def _form(self) -> tuple[str, str, bytes]:
        """Name, media type and content of the file in the body."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + self.body)
        part = next(iter(form.iter_parts()))
        filename, data = part.get_filename() or "", part.get_payload(decode=True)
        assert isinstance(data, bytes)
        return filename, part.get_content_type(), data

    def attach(self) -> None:
        self.state.attaching.wait(20)
        filename, media_type, data = self._form()
        file = File(self.state.name("att"), filename, media_type, data)
        self.state.files[file.id] = file
        self._json(file.shape(), 201)

    def attachments(self) -> None:
        session = parse_qs(urlsplit(self.path).query)["session_id"][0]
        known = [file.shape() for file in self.state.files.values() if file.session_id == session]
        self._json({"attachments": known[::-1], "next_page_token": None})

    def delete_attachment(self, name: str) -> None:
        self.state.files.pop(name)
        self.send_response(204)
        self.end_headers()

    def attachment_content(self, name: str) -> None:
        file = self.state.files.get(name)
        if file is None:
            self._problem(404, "ATTACHMENT_NOT_FOUND", f"no attachment {name}")
            return
        self.send_response(200)
        self.send_header("Content-Type", file.media_type)
        self.send_header("Content-Length", str(len(file.data)))
        # As the real gateway: to keep, never a page of ours.
        self.send_header("Content-Disposition", f'attachment; filename="{file.filename}"')
        self.send_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(file.data)

    def upload(self, collection: str) -> None:
        filename, _, data = self._form()
        known = next((item for item in self.state.documents.values() if item.text == data), None)
        self._events()
        if known:
            self._stage("COMMITTED", known.shape(), existing=True)
            return
        now, seconds = time.monotonic(), self.state.embedding_seconds
        document = Document(self.state.name("doc"), collection, filename, data, len(data), now, seconds)
        waiting = {**document.shape(), "state": "PARSING", "vectors": 0}
        self._stage("RECEIVED", {**waiting, "chunks": 0})
        time.sleep(self.state.stage_seconds)
        if not data.strip():
            error = {"reason": "DOCUMENT_EMPTY", "message": "the document has no text"}
            self._event("error", {"status": 422, **error, "detail": error["message"]})
            return
        self._stage("PARSED", waiting)
        time.sleep(self.state.stage_seconds)
        self._stage("CHUNKED", waiting)
        time.sleep(self.state.stage_seconds)
        document.stored = time.monotonic()
        self.state.documents[document.id] = document
        self._stage("COMMITTED", document.shape())

    def _stage(self, stage: str, document: Json, existing: bool = False) -> None:
        self._event(stage.lower(), {"stage": stage, "document": document, "existing": existing})

    def document(self, collection: str, name: str) -> None:
        known = self.state.documents.get(name)
        if known:
            self._json(known.shape())
        else:
            self._problem(404, "DOCUMENT_NOT_FOUND", f"no document {name} in {collection}")

    def text(self, collection: str, name: str) -> None:
        known = self.state.documents.get(name)
        if known:
            self._bytes(known.text, "text/plain; charset=utf-8")
        else:
            self._problem(404, "DOCUMENT_NOT_FOUND", f"no document {name} in {collection}")

    def delete(self, collection: str, name: str) -> None:
        self.state.documents.pop(name)
        self._json({"state": "COMPLETE", "left": {"record_documents": 0, "vector_entries": 0}})

    def verify(self) -> None:
        results = []
        for claim in json.loads(self.body)["citations"]:
            known = self.state.documents.get(claim["document_id"])
            found = known and known.text[claim["byte_start"] : claim["byte_end"]] == claim["quote"].encode()
            fault = "QUOTE_DIFFERS" if known else "DOCUMENT_NOT_FOUND"
            results.append({"verified": bool(found), "fault": None if found else fault})
        self._json({"results": results})

    def start_run(self) -> None:
        asked = json.loads(self.body)
        key = self.headers.get("Idempotency-Key", "")
        run_id = self.state.keys.get(key)
        if run_id is None:
            run_id = self.state.name("run")
            if key:
                self.state.keys[key] = run_id
            run = self.state.runs[run_id] = Run(run_id, asked)
            threading.Thread(target=self.state.script, args=(self.state, run), daemon=True).start()
        if asked.get("stream"):
            self._follow(self.state.runs[run_id], 0)
        else:
            self._json({"run_id": run_id, "events_url": f"/api/v1/runs/{run_id}/events"}, 202)

    def run_events(self, run_id: str) -> None:
        run = self.state.runs.get(run_id)
        if run is None:
            self._problem(404, "RUN_NOT_FOUND", f"no run {run_id}")
        else:
            self._follow(run, int(self.headers.get("Last-Event-ID") or 0))

    def _rendered(self, said: Json) -> Json:
        """An answer or a message with its text as HTML, where that is asked for and a model wrote it."""
        if "render" not in parse_qs(urlsplit(self.path).query):
            return said
        mode = said.get("answer_mode", said.get("attributes", {}).get("answer_mode"))
        return said | {"html": Renderer().html(said["text"]) if mode == "GENERATIVE" else None}

    def _follow(self, run: Run, sent: int) -> None:
        cut = run.cut
        self._events()
        while True:
            with run.changed:
                if len(run.events) == sent and run.cut == cut:
                    run.changed.wait(0.2)
                fresh = run.events[sent:]
            if run.cut != cut:
                return
            try:
                for name, said in fresh:
                    sent += 1
                    if name == "ended" and said["result"]:
                        said = said | {"result": self._rendered(said["result"])}  # noqa: PLW2901
                    below = said.get("step_id") if name != "step" else None
                    event = {"run_id": run.run_id, "sequence": sent, "type": name, name: said}
                    event |= {"step_id": below, "event_time": run.times.get(sent - 1)}
                    self._event(name, event, sent)
                if not fresh:
                    self.wfile.write(b": still here\n\n")
            except OSError:
                run.left.set()
                return
            if run.ended and sent == len(run.events):
                return

    def list_workflows(self) -> None:
        if self.state.workflows is None:
            self._problem(404, "NOT_FOUND", "no workflows here")
        else:
            self._json({"workflows": self.state.workflows, "next_page_token": None})

    def decide(self, run_id: str, step_id: str) -> None:
        approved = json.loads(self.body)["approved"]
        with self.state.decided:
            self.state.decisions[run_id, step_id] = approved
            self.state.decided.notify_all()
        self._json({"run_id": run_id, "step_id": step_id, "approved": approved})

    def cancel_run(self, run_id: str) -> None:
        run = self.state.runs[run_id]
        run.cancelled.set()
        run.tell("ended", {"outcome": "CANCELLED", "result": None, "error": None})
        self._json({"cancelled": True})

    def create_session(self) -> None:
        asked = json.loads(self.body)
        session = self.state.name("ses")
        updated = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.state.sessions[session] = {"id": session, "title": asked["title"], "updated": updated}
        self.state.messages[session] = []
        self._json(self.state.sessions[session], 201)

    def sessions(self) -> None:
        self._json({"sessions": list(self.state.sessions.values())[::-1], "next_page_token": None})

    def delete_session(self, session: str) -> None:
        if self.state.sessions.pop(session, None) is None:
            self._problem(404, "SESSION_NOT_FOUND", f"no session {session}")
        else:
            self._json({"deleted_messages": len(self.state.messages.pop(session))})

    def session_messages(self, session: str) -> None:
        if session in self.state.messages:
            messages = list(map(self._rendered, self.state.messages[session]))
            self._json({"messages": messages, "next_page_token": None})
        else:
            self._problem(404, "SESSION_NOT_FOUND", f"no session {session}")


_API = "/api/v1"
_ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", "/", _Handler.page),
    ("GET", "/assets/(.+)", _Handler.page),
    ("GET", "/readyz", _Handler.ready),
    ("GET", f"{_API}/agents", _Handler.agents),
    ("POST", f"{_API}/agents/route", _Handler.route),
    ("GET", f"{_API}/collections", _Handler.collections),
    ("POST", f"{_API}/collections", _Handler.create_collection),
    ("GET", f"{_API}/collections/([^/]+)/documents", _Handler.documents),
    ("POST", f"{_API}/collections/([^/]+)/documents", _Handler.upload),
    ("GET", f"{_API}/collections/([^/]+)/documents/([^/]+)", _Handler.document),
    ("GET", f"{_API}/collections/([^/]+)/documents/([^/]+)/text", _Handler.text),
    ("DELETE", f"{_API}/collections/([^/]+)/documents/([^/]+)", _Handler.delete),
    ("POST", f"{_API}/citations/verify", _Handler.verify),
    ("POST", f"{_API}/attachments", _Handler.attach),
    ("GET", f"{_API}/attachments", _Handler.attachments),
    ("DELETE", f"{_API}/attachments/([^/]+)", _Handler.delete_attachment),
    ("GET", f"{_API}/attachments/([^/]+)/content", _Handler.attachment_content),
    ("GET", f"{_API}/workflows", _Handler.list_workflows),
    ("POST", f"{_API}/workflows/runs", _Handler.start_run),
    ("POST", f"{_API}/runs/([^/]+)/steps/([^/]+)/decision", _Handler.decide),
    ("POST", f"{_API}/runs", _Handler.start_run),
    ("GET", f"{_API}/runs/([^/]+)/events", _Handler.run_events),
    ("POST", f"{_API}/runs/([^/]+)/cancel", _Handler.cancel_run),
    ("POST", f"{_API}/sessions", _Handler.create_session),
    ("GET", f"{_API}/sessions", _Handler.sessions),
    ("DELETE", f"{_API}/sessions/([^/]+)", _Handler.delete_session),
    ("GET", f"{_API}/sessions/([^/]+)/messages", _Handler.session_messages),
]
