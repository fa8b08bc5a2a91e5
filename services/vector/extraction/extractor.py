"""The door to extraction: every file is read in a confined child process of its own.

A crash, a hang, too much memory or a wrong answer of the child is a typed error here and nothing more.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from services.vector.extraction import children, framing
from services.vector.extraction.decoding import is_blank, normalise
from services.vector.extraction.errors import (
    DocumentEmptyError,
    DocumentTooLargeError,
    DocumentUnreadableError,
    ExtractionError,
    ParserLimitError,
)
from services.vector.extraction.filename import clean_filename
from services.vector.extraction.model import Extraction, Limits
from services.vector.extraction.needs import Picture
from services.vector.extraction.recognition import Recogniser
from services.vector.extraction.writer import TITLE_MAX, one_line

_READ: Final = 256 * 1024
_ROOT: Final = Path(__file__).resolve().parents[3]
# No working directory on the import path, no bytecode written, UTF-8 whatever the locale.
_COMMAND: Final = (sys.executable, "-P", "-B", "-X", "utf8", "-m", "services.vector.extraction")


def extract_plain(text: str, title: str | None) -> Extraction:
    """An extraction of text that is given as it is; no child.

    Raises DocumentEmptyError for blank text and DocumentUnreadableError for a lone surrogate.
    """
    normal = normalise(text)
    if is_blank(normal):
        raise DocumentEmptyError.because("the document has no text")
    return Extraction(normal, one_line(normalise(title or ""))[:TITLE_MAX] or None, "text/plain")


class Extractor:
    """Runs the children, at most `children` at a time; further calls wait. `command` is for tests of bad
    children.
    """

    def __init__(
        self,
        *,
        children: int = 2,
        command: Sequence[str] = _COMMAND,
        recogniser: Recogniser | None = None,
    ) -> None:
        """recogniser: reads pictures of pages; without one they stay unread, and the document says so."""
        self._slots = asyncio.Semaphore(children)
        self._command = tuple(command)
        self._recogniser = recogniser

    async def extract(
        self,
        path: Path,
        filename: str,
        claimed_media_type: str,
        limits: Limits,
        *,
        deadline: float | None,
    ) -> Extraction:
        """The text of the file at `path`.

        `deadline` is a time of `time.monotonic()`, waiting for a slot included. Raises ExtractionError with
        `filename` and `media_type` in its metadata, TimeoutError at the deadline, and OSError when the file
        cannot be opened. The child is dead whenever this returns or raises, cancellation included.
        """
        try:
            name = clean_filename(filename)
            size, absolute = await asyncio.to_thread(_locate, path)
            if size > limits.file_bytes:
                raise DocumentTooLargeError.over(limits.file_bytes, "bytes")
            if size == 0:
                raise DocumentEmptyError.because("the file has no bytes")
            request = framing.Request(
                absolute, name, claimed_media_type[:200], limits, self._recogniser is not None
            )
            async with asyncio.timeout_at(deadline), self._slots:
                return await self._read(request)
        except ExtractionError as error:
            error.metadata.setdefault("filename", filename[-300:])
            if error.reason == DocumentUnreadableError.reason:
                error.metadata.setdefault("media_type", claimed_media_type[:300])
            raise

    async def _read(self, request: framing.Request) -> Extraction:
        answer = await self._run(request)
        if isinstance(answer, Extraction):
            return answer
        recogniser = self._recogniser
        texts = await recogniser.read(answer, request.limits, _environment()) if recogniser else {}
        again = replace(request, recognises=False, recognised=tuple(sorted(texts.items())))
        answer = await self._run(again)
        if isinstance(answer, Extraction):
            return answer
        raise DocumentUnreadableError.because("the parser gave no valid answer: it asks for pictures again")

    async def _run(self, request: framing.Request) -> Extraction | list[Picture]:
        limits = request.limits
        child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env=_environment(),
        )
        try:
            async with asyncio.timeout(limits.seconds):
                answer = await _converse(child, request)
                status = await child.wait()
        except TimeoutError as error:
            raise ParserLimitError.over(limits.seconds, "seconds") from error
        finally:
            await children.end(child)
        if status:
            raise _died(status, limits)
        try:
            return await asyncio.to_thread(framing.decode_answer, answer)
        except ValueError as error:
            raise DocumentUnreadableError.because(f"the parser gave no valid answer: {error}") from error


def _locate(path: Path) -> tuple[int, str]:
    """Size in bytes and absolute path."""
    return path.stat().st_size, str(path.absolute())


async def _converse(child: asyncio.subprocess.Process, request: framing.Request) -> bytearray:
    """Sends the request and reads the whole answer, which cannot be longer than the limits allow."""
    if child.stdin is None or child.stdout is None:
        raise RuntimeError("the child has no pipes")
    child.stdin.write(framing.encode_request(request))
    child.stdin.close()
    answer = bytearray()
    answer_max = framing.answer_max(request.limits)
    while piece := await child.stdout.read(_READ):
        answer += piece
        if len(answer) > answer_max:
            raise DocumentUnreadableError.because("the parser gave no valid answer: it is too long")
    return answer


def _died(status: int, limits: Limits) -> ExtractionError:
    """What a child that ended with `status` (negative for a signal) says about the file."""
    if status == -signal.SIGXCPU:
        return ParserLimitError.over(limits.seconds, "seconds")
    # The kernel's out-of-memory killer; the parent's own kill is not seen here.
    if status == -signal.SIGKILL:
        return ParserLimitError.over(limits.memory_bytes, "bytes of memory")
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return DocumentUnreadableError.because(f"the parser crashed: {how}")


def _environment() -> dict[str, str]:
    """Only what Python needs; no secret of the service reaches a parser."""
    inherited = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": os.pathsep.join([str(_ROOT), inherited] if inherited else [str(_ROOT)]),
        # The same bytes give the same text, set order included.
        "PYTHONHASHSEED": "0",
        "LC_ALL": "C.UTF-8",
        "MALLOC_ARENA_MAX": "1",
    }
