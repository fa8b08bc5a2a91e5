"""An archive of documents: one document, each file in it a part under its name.

A folder, a hidden file and what a system leaves behind are no parts. A file that cannot be read is named in
a warning, and so is an archive; an archive in which nothing can be read is refused.
"""

from functools import partial
from typing import BinaryIO, Final

from services.vector.extraction.archive import labels, open_archive, read_member
from services.vector.extraction.errors import DocumentEmptyError, DocumentUnreadableError
from services.vector.extraction.parts import Parts
from services.vector.extraction.writer import TextWriter

_LEFT_BEHIND: Final = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


def read(source: BinaryIO, writer: TextWriter) -> None:
    with open_archive(source, writer.limits) as package:
        entries = [entry for entry in package.infolist() if not entry.is_dir()]
        shown = [entry for entry in entries if not _is_hidden(entry.filename)]
        if not shown:
            raise DocumentEmptyError.because("the archive has no files")
        parts = Parts(writer, spent=sum(entry.file_size for entry in entries))
        for entry, label in zip(shown, labels(shown), strict=True):
            parts.read(label, "", partial(read_member, package, entry.filename, writer.limits.archive_bytes))
        if not writer.size and parts.nested is not None:
            raise DocumentUnreadableError.because(f"{parts.nested} is an archive inside another file")


def _is_hidden(name: str) -> bool:
    return any(step.startswith(".") or step in _LEFT_BEHIND for step in name.split("/"))
