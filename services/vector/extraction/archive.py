"""ZIP packages, checked before anything is unpacked.

The limits follow what bombs need: many entries, entries of one name, a high ratio, a large sum, and paths
that leave the package. Nested archives are never opened.
"""

import re
import zipfile
import zlib
from typing import BinaryIO, Final

from services.vector.extraction.errors import DocumentTooLargeError, DocumentUnreadableError
from services.vector.extraction.model import Limits

_END: Final = b"PK\x05\x06"
_END_SIZE: Final = 22
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
# Room for name and extra fields of an entry in the central directory.
_ENTRY_SIZE: Final = 1024
# An entry that stays below this may be compressed as well as it likes.
_RATIO_FLOOR: Final = 1024 * 1024
_SAYS_UTF_8: Final = 0x800
# Names of parts of an Office, OpenDocument or EPUB file. Programs find those whatever their case, so of two
# that differ in it alone each may read another.
_PARTS: Final = re.compile(
    r"(?:mimetype|content\.xml|\[content_types\]\.xml)$|(?:_rels|meta-inf|word|xl|ppt)[/\\]", re.I
)
_UNSAFE: Final = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|[\0-\x1f\x7f]")


def open_archive(source: BinaryIO, limits: Limits) -> zipfile.ZipFile:
    """Opens a package whose directory is harmless.

    Raises DocumentTooLargeError for too many entries, too high a ratio or too large a sum,
    DocumentUnreadableError for a broken directory, equal names, encrypted entries, unusual compression and
    paths that leave the package. Names have slashes, also where the directory has backslashes.
    """
    _check_end(source, limits)
    try:
        package = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DocumentUnreadableError.because(f"broken archive: {error}") from error
    _check_entries(package.infolist(), limits)
    package.NameToInfo.update((entry.filename, entry) for entry in package.infolist())
    return package


def labels(entries: list[zipfile.ZipInfo]) -> list[str]:
    """What the entries are called. Some programs write UTF-8 and do not say so; no two become one by it."""
    named = [_label(entry) for entry in entries]
    return named if len(set(named)) == len(named) else [entry.filename for entry in entries]


def _label(entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & _SAYS_UTF_8:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def read_member(package: zipfile.ZipFile, name: str, size_max: int) -> bytes:
    """One entry. Raises DocumentUnreadableError when it is missing or broken, DocumentTooLargeError beyond
    `size_max`.
    """
    try:
        with package.open(name) as member:
            data = member.read(size_max + 1)
    except KeyError as error:
        raise DocumentUnreadableError.because(f"the archive has no {name}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise DocumentUnreadableError.because(f"broken archive entry {name}: {error}") from error
    if len(data) > size_max:
        raise DocumentTooLargeError.over(size_max, "bytes in an archive entry")
    return data


def _check_end(source: BinaryIO, limits: Limits) -> None:
    """The end record says how large the directory is; it is checked before the directory is read."""
    size = source.seek(0, 2)
    source.seek(max(0, size - _END_SIZE - 0xFFFF))
    tail = source.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise DocumentUnreadableError.because("broken archive: no end record")
    if tail[max(0, at - 20) :].startswith(_ZIP64_LOCATOR):
        raise DocumentTooLargeError.over(limits.archive_entries, "archive entries")
    entries = int.from_bytes(tail[at + 10 : at + 12], "little")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    if entries > limits.archive_entries or directory > limits.archive_entries * _ENTRY_SIZE:
        raise DocumentTooLargeError.over(limits.archive_entries, "archive entries")


def _check_entries(entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(entries) > limits.archive_entries:
        raise DocumentTooLargeError.over(limits.archive_entries, "archive entries")
    names: set[str] = set()
    has_parts = any(_PARTS.match(entry.filename) for entry in entries)
    total = 0
    for entry in entries:
        # orig_filename is what the directory holds; zipfile cuts at a zero byte.
        if _UNSAFE.search(entry.orig_filename):
            raise DocumentUnreadableError.because("an archive entry has an unsafe name")
        name = entry.filename = entry.filename.replace("\\", "/")
        key = name.casefold() if has_parts else name
        if key in names:
            raise DocumentUnreadableError.because(f"two archive entries are named {name}")
        names.add(key)
        if entry.flag_bits & 0x1:
            raise DocumentUnreadableError.because("an archive entry is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DocumentUnreadableError.because("an archive entry has an unusual compression")
        if entry.file_size > max(_RATIO_FLOOR, limits.archive_ratio * entry.compress_size):
            raise DocumentTooLargeError.over(
                limits.archive_ratio, "times the packed size in an archive entry"
            )
        total += entry.file_size
        if total > limits.archive_bytes:
            raise DocumentTooLargeError.over(limits.archive_bytes, "bytes in the archive")
