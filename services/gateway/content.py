"""Files of people, out as they came in: whole or a range, under their name, and never as a page of ours."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from flask import Response, request
from google.protobuf.message import Message

from services.gateway.calls import Client, Upstream
from services.gateway.conditional import CACHE_CONTROL, unchanged
from services.gateway.door import door
from services.gateway.openapi.operation import Answer, text_of
from services.gateway.problem import ProblemError
from services.gateway.security import CONTENT_POLICY
from services.gateway.streaming import Stream, break_off, streamed

Res = TypeVar("Res", bound=Message)

_KEPT = ("Accept-Ranges", "Content-Disposition", "ETag")
# How a route that serves a file declares it.
ANSWERS = {
    200: Answer({"*/*": {}}, "The file.", _KEPT),
    206: Answer({"*/*": {}}, "The range.", (*_KEPT, "Content-Range")),
}
HEADERS = (
    text_of("Range", "One range of bytes."),
    text_of("If-Range", "The ETag that the range is of; the whole file is answered when it has another."),
)
PROBLEMS = (416,)

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80}")
_NO_PLAIN_CHARACTER = re.compile(r"[^A-Za-z0-9._ ()-]")
_PLAIN = "text/plain"
# What browsers show without running anything of it as this origin.
_SHOWN = frozenset(
    (
        "application/pdf",
        _PLAIN,
        *(f"image/{kind}" for kind in ("png", "jpeg", "gif", "webp", "bmp", "avif")),
    )
)


@dataclass(frozen=True)
class Content:
    """What is known of a file. sha256: hexadecimal; its ETag."""

    filename: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True)
class _Wanted:
    """The bytes from `start` to before `end`. part: the client asked for a range."""

    start: int
    end: int
    part: bool


def served(
    content: Content,
    read: Callable[[int, int], Upstream[Res]],
    data: Callable[[Res], bytes],
    *,
    shown: bool = False,
) -> Response:
    """The answer to a GET of a file. read: begins to read from a byte to before another; data: of a message.

    shown: a browser may show it, where its kind is one that cannot act; everything else is to be kept. Raises
    ProblemError 416 and what `read` raises.
    """
    inline = shown and content.media_type in _SHOWN
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": CACHE_CONTROL,
        "Content-Disposition": _disposition("inline" if inline else "attachment", content.filename),
        "ETag": f'"{content.sha256}"',
    }
    if not inline:
        headers["Content-Security-Policy"] = CONTENT_POLICY
    if unchanged(request, content.sha256):
        return Response(status=304, headers=headers)
    wanted = _wanted(content)
    if wanted.part:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.end - 1}/{content.size}"
    headers["Content-Length"] = str(wanted.end - wanted.start)
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        upstream = read(wanted.start, wanted.end)
        held.callback(upstream.close)
        first = upstream.first(client)
        media_type = (
            content.media_type if _MEDIA_TYPE.fullmatch(content.media_type) else "application/octet-stream"
        )
        if inline and media_type == _PLAIN and not wanted.part and _is_utf8(data(first)):
            media_type = f"{_PLAIN}; charset=utf-8"
        body = Stream(upstream, client, door().drain, 0, data, fail=break_off, silent=True)
        return streamed(
            body.chunks(first), media_type, held.pop_all().close, headers, status=206 if wanted.part else 200
        )


def _wanted(content: Content) -> _Wanted:
    """What the client wants. Several ranges, or words that are none, are answered with the whole file.

    Raises ProblemError 416 for a range beyond the end.
    """
    whole = _Wanted(0, content.size, part=False)
    asked = request.range
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return whole
    if "If-Range" in request.headers and request.if_range.etag != content.sha256:
        return whole
    found = asked.range_for_length(content.size)
    if found is None:
        raise ProblemError(
            416,
            "RANGE_NOT_SATISFIABLE",
            f"the file has {content.size} bytes",
            headers={"Content-Range": f"bytes */{content.size}"},
        )
    return _Wanted(*found, part=True)


def _disposition(kind: str, filename: str) -> str:
    """Under its name (RFC 6266); programs that know only ASCII get that with "_" for the rest."""
    plain = _NO_PLAIN_CHARACTER.sub("_", filename)
    if plain == filename:
        return f'{kind}; filename="{plain}"'
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _is_utf8(beginning: bytes) -> bool:
    """Whether a text begins as UTF-8 does. Browsers do not guess it, and show other letters."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return True
