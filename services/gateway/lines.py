"""Imports: documents as lines of JSON, passed on while they arrive."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from meldrag.vector.v1 import vector_pb2
from services.gateway import rendering
from services.gateway.body import BodyReader, Fields, parse_object
from services.gateway.calls import End
from services.gateway.problem import ProblemError

# What a body of lines may call itself.
LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")

# A message must stay below gRPC's limit of 4 MiB.
_MAX_MESSAGE_BYTES = 4 * 1024 * 1024 - 64 * 1024
_MAX_LINE_BYTES = 8 * 1024 * 1024
_SPILL_MEMORY_BYTES = 1 << 20


def split(body: BodyReader) -> Iterator[bytes | None]:
    """The lines of a body, as `numbered` gives them, without their numbers."""
    return (line for _, line in numbered(body))


def numbered(body: BodyReader) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a body without their ends, each behind its number, which begins at 1.

    Blank ones are counted and left out; None stands for a line that is too long. No more than one line is
    held.
    """
    rest = bytearray()
    overlong = False
    number = 1
    for piece in body.pieces():
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            rest += piece[start:end]
            start = end + 1
            if overlong:
                yield number, None
            elif line := bytes(rest).strip():
                yield number, line if len(line) <= _MAX_LINE_BYTES else None
            number += 1
            rest.clear()
            overlong = False
        rest += piece[start:]
        if len(rest) > _MAX_LINE_BYTES:
            rest.clear()
            overlong = True
    if overlong:
        yield number, None
    elif line := bytes(rest).strip():
        yield number, line


class Spill:
    """Answers that wait without bound: beyond 1 MiB on disk.

    A client may read nothing before it has sent everything. Were its answers held
    back, the service would stop to read, and all three would wait for ever.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_SPILL_MEMORY_BYTES)  # noqa: SIM115 - closed by close()
        self._changed = threading.Condition()
        self._read = self._written = 0
        self._end: End | None = None

    def put(
        self, item: vector_pb2.ImportDocumentsResponse | End, block: bool = True, timeout: float | None = None
    ) -> None:
        """Appends an answer or the end. Never waits."""
        del block, timeout
        with self._changed:
            if isinstance(item, End):
                self._end = item
            elif not self._file.closed:
                data = item.SerializeToString()
                self._file.seek(self._written)
                self._file.write(len(data).to_bytes(4, "big") + data)
                self._written = self._file.tell()
            self._changed.notify()

    def get(
        self, block: bool = True, timeout: float | None = None
    ) -> vector_pb2.ImportDocumentsResponse | End:
        """The oldest answer, after all of them the end. Raises queue.Empty when none comes in time."""
        del block
        with self._changed:
            if not self._changed.wait_for(lambda: self._read < self._written or self._end, timeout):
                raise queue.Empty
            if self._read == self._written or self._file.closed:
                return self._end or End(None)
            self._file.seek(self._read)
            size = int.from_bytes(self._file.read(4), "big")
            answer = vector_pb2.ImportDocumentsResponse.FromString(self._file.read(size))
            self._read = self._file.tell()
            if self._read == self._written:
                self._read = self._written = 0
                self._file.truncate(0)
            return answer

    def close(self) -> None:
        """Frees memory and disk."""
        with self._changed:
            self._file.close()


@dataclass(frozen=True)
class _Line:
    """A line on its way: refused here already, or sent and not answered yet."""

    index: int
    external_id: str
    error: ProblemError | None = None


class Import:
    """Turns lines into messages, and answers into one result a line, in the order of the lines.

    `messages` is drawn from by gRPC's thread while `results` runs in the request's;
    only lines that were sent and not answered are remembered.
    """

    def __init__(self, collection_id: str, body: BodyReader) -> None:
        self._collection_id = collection_id
        self._body = body
        self._lock = threading.Lock()
        self._waiting: deque[_Line] = deque()
        self._lines = 0
        self._failure: ProblemError | None = None
        self._counts = {"documents": 0, "existing": 0, "failed": 0}

    def messages(self) -> Iterator[vector_pb2.ImportDocumentsRequest]:
        """The documents that can be sent. Never raises: what breaks the body ends the stream here."""
        try:
            for line in split(self._body):
                message, entry = self._parse(line)
                with self._lock:
                    self._waiting.append(entry)
                if message is not None:
                    yield message
        except ProblemError as error:
            self.fail(error)

    @property
    def empty(self) -> bool:
        """Whether the body, read to its end, had no line."""
        return self._lines == 0 and self._failure is None

    def _parse(self, line: bytes | None) -> tuple[vector_pb2.ImportDocumentsRequest | None, _Line]:
        index, self._lines = self._lines, self._lines + 1
        external_id = ""
        try:
            if line is None:
                raise _too_large()
            fields = Fields(parse_object(line))
            external_id = fields.text("id")
            message = vector_pb2.ImportDocumentsRequest(
                collection_id=self._collection_id,
                external_id=external_id,
                title=fields.text("title"),
                text=fields.text("text", required=True, content=True),
                metadata=fields.flat_struct("metadata"),
            )
            fields.finish()
            if message.ByteSize() > _MAX_MESSAGE_BYTES:
                raise _too_large()
        except ProblemError as error:
            return None, _Line(index, external_id, error)
        return message, _Line(index, external_id)

    def fail(self, problem: ProblemError) -> None:
        """Notes why lines are left without an answer; the first reason stays."""
        self._failure = self._failure or problem

    def results(self, answer: vector_pb2.ImportDocumentsResponse) -> list[dict[str, Any]]:
        """What an answer settles: the lines refused before it, and its own."""
        settled = self._refused()
        with self._lock:
            entry = self._waiting.popleft()
        settled.append(self._settled(entry, answer))
        return settled

    def _settled(self, entry: _Line, answer: vector_pb2.ImportDocumentsResponse) -> dict[str, Any]:
        document = rendering.document(answer.document) if answer.HasField("document") else {}
        error = None
        if answer.HasField("error"):
            error = {"reason": answer.error.reason, "message": answer.error.message}
            self._counts["failed"] += 1
        else:
            self._counts["documents"] += 1
            self._counts["existing"] += answer.existing
        return {
            "index": entry.index,
            "id": entry.external_id,
            "document_id": document.get("id"),
            "state": document.get("state"),
            "chunks": document.get("chunks"),
            "existing": answer.existing,
            "error": error,
        }

    def _refused(self) -> list[dict[str, Any]]:
        """The lines at the head of the queue that were never sent."""
        refused = []
        with self._lock:
            while self._waiting and (error := self._waiting[0].error) is not None:
                refused.append(_refusal(self._waiting.popleft(), error))
        self._counts["failed"] += len(refused)
        return refused

    def rest(self) -> list[dict[str, Any]]:
        """After the last answer: the lines refused since, and the sum of it all with what broke it."""
        refused = self._refused()
        problem = self._failure.document() if self._failure is not None else None
        done = {"done": problem is None, "lines": self._lines, **self._counts, "error": problem}
        return [*refused, done]


def _refusal(entry: _Line, error: ProblemError) -> dict[str, Any]:
    return {
        "index": entry.index,
        "id": entry.external_id,
        "document_id": None,
        "state": None,
        "chunks": None,
        "existing": False,
        "error": {"reason": error.reason, "message": error.detail},
    }


def _too_large() -> ProblemError:
    return ProblemError(
        413,
        "DOCUMENT_TOO_LARGE",
        f"a document of an import may have {_MAX_MESSAGE_BYTES} bytes",
        metadata={"limit": str(_MAX_MESSAGE_BYTES), "unit": "bytes"},
    )
