"""Documents within a document: the files of an archive, the attachments of a mail.

Each is read by the reader of its own format and stands under its name. What cannot be read is said in a
warning, and so is an archive, which is not opened inside another document; what passes a limit ends the
whole document.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from services.vector.extraction import archive, detection
from services.vector.extraction.decoding import decode
from services.vector.extraction.errors import (
    DocumentTooLargeError,
    DocumentUnreadableError,
    ExtractionError,
    FormatUnsupportedError,
)
from services.vector.extraction.filename import clean_filename
from services.vector.extraction.writer import TextWriter

# Texts that do not say themselves how they are encoded.
_UNDECLARED: Final = frozenset({"plain", "markdown", "csv", "json", "vtt", "source"})


class Parts:
    """Reads parts into `writer`, with one budget of unpacked bytes for all packages among them."""

    def __init__(self, writer: TextWriter, *, spent: int = 0) -> None:
        """spent: bytes that were unpacked already."""
        self._writer = writer
        self._left = max(0, writer.limits.archive_bytes - spent)
        # An archive that was not opened, the last one.
        self.nested: str | None = None

    def read(
        self, name: str, media_type: str, data: Callable[[], bytes], *, charset: str | None = None
    ) -> None:
        """Reads one part, or warns. charset: what is said of its text. Raises DocumentTooLargeError."""
        try:
            self._read(name, media_type, data(), charset)
        except DocumentTooLargeError:
            raise
        except FormatUnsupportedError as error:
            # Without the list of what is read.
            self._writer.warn(f"{name} was not read: {error.message.partition(';')[0]}")
        except DocumentUnreadableError as error:
            self._writer.warn(f"{name} was not read: {error.cause}")
        except ExtractionError as error:
            self._writer.warn(f"{name}: {error.message}")
        # A parser given hostile bytes may raise anything; the other parts are still good.
        except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RecursionError) as error:
            self._writer.warn(f"{name} was not read: the parser failed: {type(error).__name__}")

    def _read(self, name: str, media_type: str, data: bytes, charset: str | None) -> None:
        writer = self._writer
        limits = writer.limits
        if len(data) > limits.file_bytes:
            raise DocumentTooLargeError.over(limits.file_bytes, "bytes in a part")
        source = io.BytesIO(data)
        writer.limits = replace(limits, archive_bytes=self._left)
        try:
            found = detection.detect(source, clean_filename(name), media_type, writer.limits)
            if found.module == "zip":
                self.nested = name
                raise DocumentUnreadableError.because("an archive inside another document is not opened")
            if data.startswith(b"PK"):
                with archive.open_archive(source, writer.limits) as package:
                    self._left -= sum(entry.file_size for entry in package.infolist())
            if charset and found.module in _UNDECLARED:
                source = io.BytesIO(decode(data, charset).encode("utf-8"))
            source.seek(0)
            with writer.part(name):
                found.reader().read(source, writer)
        finally:
            writer.limits = limits
