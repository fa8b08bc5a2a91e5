"""Text recognition by Tesseract, where it is installed: each picture in a confined process of its own.

The languages are those whose data are installed beside it. Whatever goes wrong with a picture means that it
has no text: the page that shows it stays unread, and the document says so.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from services.vector.extraction import children
from services.vector.extraction.decoding import normalise
from services.vector.extraction.model import Limits
from services.vector.extraction.needs import Picture

_CONFINED: Final = (sys.executable, "-P", "-B", "-X", "utf8", "-m", "services.vector.extraction.confined")
_OUTPUT_MAX: Final = 1024 * 1024
_LANGUAGES_MAX: Final = 4
_LIST_SECONDS: Final = 10.0
# Neither is a language: how a page is turned, and formulas.
_NO_LANGUAGES: Final = frozenset({"osd", "equ"})


class Recogniser:
    """Reads pictures with the program at `program`."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._languages: str | None = None
        self._mode = "3"

    @classmethod
    def installed(cls) -> "Recogniser | None":
        """The one on this machine; None where there is none."""
        program = shutil.which("tesseract")
        return cls(program) if program else None

    async def read(
        self, pictures: Sequence[Picture], limits: Limits, environment: Mapping[str, str]
    ) -> dict[int, str]:
        """Page -> its text, for pages where any was found, within `limits.recognition_seconds` for all."""
        end = time.monotonic() + limits.recognition_seconds
        environment = {**environment, "OMP_THREAD_LIMIT": "1"}
        if self._languages is None:
            listed = await self._run(["--list-langs"], b"", limits, environment, _LIST_SECONDS)
            names = [name for name in listed.split("\n")[1:] if name and name not in _NO_LANGUAGES]
            self._languages = "+".join(names[:_LANGUAGES_MAX])
            # With the data for it, pages that lie on their side are turned first.
            self._mode = "1" if "osd" in listed.split("\n") else "3"
        texts: dict[int, str] = {}
        for picture in pictures:
            left = min(limits.seconds, end - time.monotonic())
            if left <= 0 or not self._languages:
                break
            arguments = ["stdin", "stdout", "-l", self._languages, "--psm", self._mode]
            text = (await self._run(arguments, picture.data, limits, environment, left)).strip()
            if text:
                texts[picture.page] = f"{texts[picture.page]}\n\n{text}" if picture.page in texts else text
        return texts

    async def _run(
        self,
        arguments: Sequence[str],
        data: bytes,
        limits: Limits,
        environment: Mapping[str, str],
        seconds: float,
    ) -> str:
        """What it prints, or nothing when it fails or prints without end."""
        child = await asyncio.create_subprocess_exec(
            *_CONFINED,
            str(limits.seconds),
            str(limits.memory_bytes),
            self._program,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env=dict(environment),
        )
        try:
            async with asyncio.timeout(seconds):
                printed = await _converse(child, data)
                status = await child.wait() if printed else None
        except TimeoutError:
            return ""
        finally:
            await children.end(child)
        return normalise(printed.decode("utf-8", "replace")) if status == 0 else ""


async def _converse(child: asyncio.subprocess.Process, data: bytes) -> bytes:
    if child.stdin is None or child.stdout is None:
        raise RuntimeError("the child has no pipes")

    async def send(into: asyncio.StreamWriter) -> None:
        # It may end before it has read everything.
        with suppress(ConnectionError):
            into.write(data)
            await into.drain()
        into.close()

    sending = asyncio.create_task(send(child.stdin))
    try:
        printed = bytearray()
        while piece := await child.stdout.read(64 * 1024):
            printed += piece
            if len(printed) > _OUTPUT_MAX:
                return b""
        return bytes(printed)
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
