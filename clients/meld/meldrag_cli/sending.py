"""Many files on their way into a collection: some at once, each by itself right or wrong."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import IO, Any

from meldrag_cli.events import Event
from meldrag_cli.failures import Failure, RefusedFailure, UnreachableFailure
from meldrag_cli.files import File
from meldrag_cli.gateway import Gateway, Readable, path
from meldrag_cli.patience import MUCH_SECONDS, patiently
from meldrag_cli.several import several

_LOOK_SECONDS = 0.5
_TAKEN = frozenset({"EMBEDDING", "READY"})

Seen = Callable[[File, str, int, int], None]
Fields = Callable[[File], Mapping[str, str]]


def by_name(file: File) -> dict[str, str]:
    """With these a file takes the place of the document that came under its name."""
    return {"external_id": file.name}


def anonymous(_: File) -> dict[str, str]:
    """With these a file is a document of its own for each content that it has."""
    return {}


@dataclass(frozen=True)
class Outcome:
    """What became of a file: the document, or why there is none.

    existing: the collection held these bytes already; nothing was written.
    """

    file: File
    document: dict[str, Any] | None = None
    failure: Failure | None = None
    existing: bool = False

    def told(self) -> dict[str, Any]:
        """For programs."""
        if self.failure is not None:
            return {"path": self.file.name, "error": self.failure.problem}
        return {"path": self.file.name, "existing": self.existing, "document": self.document}


class Sending:
    """Sends files, `jobs` at once.

    wait: until a document has all its vectors, not only until it is safe and found by
    keyword. fields: what is said of a file besides its bytes, as a form has it: external_id,
    metadata as JSON, sha256 where that was read already. originals: what is there without its
    file is sent too.
    listed: what is there is known already, and not asked for before a file's first try.
    seen: told, in any thread, of a file's stage ("sending", "reading", "embedding"),
    how much of it is done and how much there is; in bytes, or in passages.
    """

    def __init__(
        self,
        gateway: Gateway,
        collection: str,
        *,
        jobs: int,
        wait: bool,
        fields: Fields,
        seconds: float,
        seen: Seen,
        originals: bool = False,
        listed: bool = False,
    ) -> None:
        self._gateway = gateway
        self._collection = collection
        self._jobs = jobs
        self._wait = wait
        self._fields = fields
        self._originals = originals
        self._listed = listed
        self._seconds = seconds
        self._seen = seen
        self._stop = threading.Event()

    def outcomes(self, files: Sequence[File]) -> Iterator[Outcome]:
        """What became of the files, in the order in which that is known.

        Raises UnreachableFailure when the house has gone: the rest is not tried then.
        """
        try:
            for outcome in several(files, self._outcome, self._jobs, self._stop):
                if isinstance(outcome.failure, UnreachableFailure):
                    raise outcome.failure
                yield outcome
        finally:
            self._stop.set()

    def _outcome(self, file: File) -> Outcome:
        try:
            tries = count()
            return patiently(
                lambda: self._send(file, ask=next(tries) > 0 or not self._listed),
                lambda: self._seen(file, "waiting", 0, file.bytes),
                longest=MUCH_SECONDS,
            )
        except UnreachableFailure as failure:
            # At once: before whoever waits has heard of it, the next file would be on its way.
            self._stop.set()
            return Outcome(file, failure=failure)
        except Failure as failure:
            return Outcome(file, failure=failure)
        except OSError as error:
            detail = error.strerror or str(error)
            return Outcome(file, failure=RefusedFailure("NOT_READABLE", f"{file.name}: {detail}"))
        except Exception as error:
            return Outcome(file, failure=RefusedFailure("INTERNAL", f"{type(error).__name__}: {error}"))

    def _send(self, file: File, *, ask: bool) -> Outcome:
        fields = self._fields(file)
        where = path("collections", self._collection, "documents")
        with file.path.open("rb") as opened:
            sha256 = fields.get("sha256") or hashlib.file_digest(opened, "sha256").hexdigest()
            there = self._held(where, sha256, fields) if ask else None
            if there is not None:
                return Outcome(file, self._awaited(file, where, there), existing=True)
            opened.seek(0)
            # The house compares: what was written to meanwhile is not taken.
            form = {**fields, "sha256": sha256}
            counted = _Counted(opened, lambda sent: self._seen(file, "sending", sent, file.bytes))
            part = (file.path.name, counted)
            try:
                if not self._wait:
                    document = self._gateway.upload(where, form, part, self._seconds)
                    return Outcome(file, document)
                return self._follow(file, where, form, part)
            except UnreachableFailure as failure:
                if counted.size != file.bytes:
                    raise _changed(file) from failure
                raise
            except RefusedFailure as failure:
                if failure.reason == "CONTENT_MISMATCH":
                    raise _changed(file) from failure
                raise

    def _held(self, where: str, sha256: str, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """The document that these bytes are already: they need not be sent."""
        asked = {"sha256": sha256, "state": ",".join(sorted(_TAKEN)), "page_size": "1"}
        if "external_id" in fields:
            asked["external_id"] = fields["external_id"]
        try:
            found: list[dict[str, Any]] = self._gateway.get(where, asked)["documents"]
        except RefusedFailure:
            # Whatever is wrong, the sending will tell.
            return None
        if not found or (self._originals and not found[0].get("has_original")):
            return None
        if "metadata" in fields and found[0].get("metadata") != json.loads(fields["metadata"]):
            return None
        return found[0]

    def _awaited(self, file: File, where: str, document: dict[str, Any]) -> dict[str, Any]:
        """The document when it has its vectors, where that is waited for."""
        end = time.monotonic() + self._seconds
        while self._wait and document["state"] == "EMBEDDING" and not self._stop.is_set():
            if time.monotonic() > end:
                raise RefusedFailure("DEADLINE", f"{file.name} has not got all its vectors in time")
            self._seen(file, "embedding", document["vectors"], document["chunks"])
            time.sleep(_LOOK_SECONDS)
            document = self._gateway.get(f"{where}/{document['id']}")
        return document

    def _follow(self, file: File, where: str, form: dict[str, str], part: tuple[str, Readable]) -> Outcome:
        def seen(document: dict[str, Any]) -> None:
            if document["chunks"]:
                self._seen(file, "embedding", document["vectors"], document["chunks"])
            else:
                self._seen(file, "reading", file.bytes, file.bytes)

        with self._gateway.events(where, form=form, file=part, seconds=self._seconds) as events:
            document, existing = followed(events, seen)
        return Outcome(file, document, existing=existing)


def followed(
    events: Iterator[Event], seen: Callable[[dict[str, Any]], object] = bool
) -> tuple[dict[str, Any], bool]:
    """The document that a stream of stages ends with, and whether it was there already.

    seen: told of the document at each stage; the default passes that over. Raises RefusedFailure for one
    that failed.
    """
    document: dict[str, Any] = {}
    existing = False
    for event in events:
        document = event.data["document"]
        # Told with the commit, not again with what follows it.
        existing = existing or event.data["existing"]
        if document["state"] == "FAILED":
            error = document["error"] or {}
            reason = error.get("reason") or "DOCUMENT_FAILED"
            raise RefusedFailure(reason, error.get("message") or "the document could not be taken")
        seen(document)
    if not document:
        raise RefusedFailure("NO_ANSWER", "the stream ended before anything was known of the document")
    return document, existing


def _changed(file: File) -> RefusedFailure:
    return RefusedFailure("FILE_CHANGED", f"{file.name} changed while it was sent")


class _Counted:
    """A file whose reading is told. It has what httpx needs to send it with its length."""

    def __init__(self, file: IO[bytes], read: Callable[[int], None]) -> None:
        self._file = file
        self._read = read
        self._sent = 0

    @property
    def size(self) -> int:
        """As it is now."""
        return self._file.seek(0, 2)

    def fileno(self) -> int:
        """As a file's."""
        return self._file.fileno()

    def seek(self, offset: int, whence: int = 0) -> int:
        """As a file's; counting begins anew."""
        self._sent = 0
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        piece = self._file.read(size)
        self._sent += len(piece)
        self._read(self._sent)
        return piece
