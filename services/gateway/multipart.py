"""Uploads: a multipart form with one file, taken in pieces onto disk."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any, cast

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser

from services.gateway.body import BodyReader, Fields, parse_object
from services.gateway.problem import ProblemError, invalid

# What gRPC passes on in one message.
PIECE_BYTES = 256 * 1024

_MEMORY_BYTES = 1 << 20
_MAX_FIELD_BYTES = 512 * 1024
_MAX_PARTS = 32
_MAX_BOUNDARY = 70
# Room for the form around the file.
_FORM_BYTES = 1 << 20


class Spool:
    """A received file: in memory while it is small, else on disk; hashed as it comes."""

    def __init__(self, limit: int, reason: str) -> None:
        """reason: of the problem that a larger file is."""
        self._reason = reason
        self._file = tempfile.SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115 - closed by close()
        self._lock = threading.Lock()
        self._limit = limit
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Appends a piece. Raises ProblemError 413 beyond the limit."""
        self.size += len(data)
        if self.size > self._limit:
            raise ProblemError(
                413,
                self._reason,
                f"the file is larger than {self._limit} bytes",
                metadata={"limit": str(self._limit), "unit": "bytes"},
            )
        self._digest.update(data)
        return self._file.write(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As a file's."""
        return self._file.seek(offset, whence)

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal."""
        return self._digest.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """The content from its beginning; ends early when the spool is closed meanwhile."""
        offset = 0
        while True:
            with self._lock:
                if self._file.closed:
                    return
                self._file.seek(offset)
                piece = self._file.read(PIECE_BYTES)
            if not piece:
                return
            offset += len(piece)
            yield piece

    def close(self) -> None:
        """Frees memory and disk."""
        with self._lock:
            self._file.close()


class Upload:
    """A parsed form: the file, and the fields beside it."""

    def __init__(self, file: Spool, filename: str, media_type: str, fields: Fields) -> None:
        self.file = file
        self.filename = filename
        self.media_type = media_type
        self.fields = fields


def read_upload(request: Request, limit: int, reason: str = "DOCUMENT_TOO_LARGE") -> Upload:
    """Reads the form. The caller closes the file.

    Raises ProblemError: 415 for another content type, 413 for a file (with `reason`),
    field or number of parts beyond the limits, 400 for a form that has not exactly one
    file.
    """
    if request.mimetype != "multipart/form-data":
        raise ProblemError(415, "UNSUPPORTED_MEDIA_TYPE", "the body must be multipart/form-data")
    boundary = request.mimetype_params.get("boundary", "")
    if not 1 <= len(boundary) <= _MAX_BOUNDARY or not boundary.isascii():
        raise _malformed("the boundary is missing or not 1 to 70 ASCII characters")
    spools: list[Spool] = []

    def spool(*_: Any, **__: Any) -> IO[bytes]:
        if spools:
            raise _malformed("there is more than one file; send one in a request")
        spools.append(Spool(limit, reason))
        return cast(IO[bytes], spools[0])

    body = BodyReader(request, limit + _FORM_BYTES)
    parser = MultiPartParser(
        stream_factory=spool, max_form_memory_size=_MAX_FIELD_BYTES, max_form_parts=_MAX_PARTS
    )
    try:
        form, files = parser.parse(cast(IO[bytes], body), boundary.encode("ascii"), request.content_length)
        if not spools or list(files) != ["file"] or not (found := files["file"]).filename:
            raise _malformed('one file is needed in the field "file"')
        return Upload(spools[0], found.filename, found.mimetype, _fields(form.to_dict(flat=False)))
    except RequestEntityTooLarge:
        _close(spools)
        raise ProblemError(
            413, "BODY_TOO_LARGE", "a field, a part's header or the number of parts is beyond the limit"
        ) from None
    except (ValueError, KeyError, AttributeError, LookupError) as error:
        # The parser has no error of its own for a broken form.
        _close(spools)
        raise _malformed(str(error) or type(error).__name__) from None
    except BaseException:
        _close(spools)
        raise


def _fields(form: Mapping[Any, list[str]]) -> Fields:
    members: dict[str, Any] = {}
    for name, values in form.items():
        if name is None:
            raise _malformed("a part has no name")
        if len(values) > 1:
            raise invalid(name, "stands twice")
        members[name] = values[0]
    if metadata := members.pop("metadata", ""):
        members["metadata"] = parse_object(metadata.encode("utf-8"))
    return Fields(members)


def _close(spools: list[Spool]) -> None:
    for spool in spools:
        spool.close()


def _malformed(detail: str) -> ProblemError:
    return ProblemError(400, "INVALID_FORM", f"the form cannot be read: {detail}")
