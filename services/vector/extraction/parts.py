"""Documents within a document: the files of an archive, the attachments of a mail.

Each is read by the reader of its own format and stands under its name. What cannot be read is said in a
warning; what passes a limit ends the whole document, and so does an archive inside an archive.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from services.vector.extraction import archive, detection
from services.vector.extraction.errors import (
    DocumentTooLargeError,
    DocumentUnreadableError,
    ExtractionError,
    FormatUnsupportedError,
)
from services.vector.extraction.filename import clean_filename
from services.vector.extraction.writer import TextWriter

# What is itself made of documents is not opened inside another.
_COMPOUND: Final = frozenset({"zip", "eml"})


class Parts:
    """Reads parts into `writer`, with one budget of unpacked bytes for all packages among them."""

    def __init__(self, writer: TextWriter, *, spent: int = 0) -> None:
        """spent: bytes that were unpacked already."""
        self._writer = writer
        self._left = max(0, writer.limits.archive_bytes - spent)

    def read(self, name: str, media_type: str, data: Callable[[], bytes]) -> None:
        """Reads one part, or warns. Raises DocumentTooLargeError, and DocumentUnreadableError for an
        archive.
        """
        try:
            self._read(name, media_type, data())
        except (DocumentTooLargeError, _NestedError):
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

    def _read(self, name: str, media_type: str, data: bytes) -> None:
        writer = self._writer
        limits = writer.limits
        if len(data) > limits.file_bytes:
            raise DocumentTooLargeError.over(limits.file_bytes, "bytes in a part")
        source = io.BytesIO(data)
        writer.limits = replace(limits, archive_bytes=self._left)
        try:
            found = detection.detect(source, clean_filename(name), media_type, writer.limits)
            if found.module in _COMPOUND:
                raise _NestedError.because(f"{name} is an archive inside another file")
            if data.startswith(b"PK"):
                with archive.open_archive(source, writer.limits) as package:
                    self._left -= sum(entry.file_size for entry in package.infolist())
            source.seek(0)
            with writer.part(name):
                found.reader().read(source, writer)
        finally:
            writer.limits = limits


class _NestedError(DocumentUnreadableError):
    """A document of documents inside another."""
