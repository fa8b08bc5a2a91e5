"""Measures pictures, each decoded in a sandbox of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from meldrag.agents.v1 import results_pb2
from services.agents.code import programs
from services.agents.ports import Sandboxed
from services.agents.seeing import inside
from services.sandbox.model import Limits

# One picture's file.
MAX_BYTES = 24 << 20
_LIMITS = Limits(
    seconds=30.0,
    cpu_seconds=25.0,
    memory_bytes=1 << 30,
    processes=8,
    file_bytes=64 << 20,
    disk_bytes=192 << 20,
)
_PICTURE = "picture"
_CLEAN = {"clean.jpg": "image/jpeg", "clean.png": "image/png"}
_SHOWN = {"shown.jpg": "image/jpeg", "shown.png": "image/png"}
# By the factor by which the page is larger than the picture.
_PAGES = {"page1.png": 1, "page2.png": 2, "page3.png": 3}
_MAX_TEXT = 300
# Of 64 bits: as many differ between a picture and the same one made smaller or saved again.
_ALIKE_BITS = 5
_ALIKE_SHAPE = 0.02


@dataclass(frozen=True)
class Wanted:
    """What is asked of a look besides measures: the position, a copy without metadata, one for a model, and
    one for the reader of text.
    """

    show_position: bool = False
    clean: bool = False
    shown: bool = False
    page: bool = False


@dataclass(frozen=True)
class Copy:
    """A picture that was made of another one. factor: how much larger it is."""

    media_type: str
    data: bytes
    factor: int = 1


@dataclass(frozen=True)
class Look:
    """What came of a look. picture: with its reason where nothing was measured; then there are no copies."""

    picture: results_pb2.Picture = field(default_factory=results_pb2.Picture)
    clean: Copy | None = None
    shown: Copy | None = None
    page: Copy | None = None


async def look(sandbox: Sandboxed, data: bytes, wanted: Wanted) -> Look:
    """Decodes and measures a picture. What is wrong with the picture is told in Picture.reason.

    Raises FailedPreconditionError (TOOL_UNAVAILABLE) where there is no sandbox.
    """
    if not data:
        return _nothing("The file is empty.")
    job = programs.job(
        inside,
        "look",
        {_PICTURE: data},
        vars(wanted),
        _LIMITS,
        collect=(*_CLEAN, *_SHOWN, *_PAGES),
    )
    outcome = await sandbox.run(job)
    told = programs.result(outcome)
    if told is None:
        return _nothing(f"It cannot be decoded within the limits: {programs.why_no_result(outcome)}.")
    try:
        picture = _checked(told)
    except (ValueError, json_format.ParseError) as error:
        return _nothing(f"What was measured of it cannot be read: {str(error)[:_MAX_TEXT]}.")
    if picture.reason:
        return _nothing(picture.reason)
    picture.bytes = len(data)
    files = outcome.files
    return Look(
        picture,
        clean=_copy(files, _CLEAN),
        shown=_copy(files, _SHOWN),
        page=next((Copy("image/png", files[name], f) for name, f in _PAGES.items() if name in files), None),
    )


def mark_duplicates(pictures: Sequence[results_pb2.Picture], digests: Mapping[str, str]) -> None:
    """Fills duplicate_ids of pictures that were measured. digests: SHA-256 of the files by attachment id."""
    seen = [picture for picture in pictures if not picture.reason]
    for picture in seen:
        for other in seen:
            if other.attachment_id != picture.attachment_id and (
                digests[other.attachment_id] == digests[picture.attachment_id] or _alike(picture, other)
            ):
                picture.duplicate_ids.append(other.attachment_id)


def _alike(first: results_pb2.Picture, second: results_pb2.Picture) -> bool:
    # Of a picture that shows nothing the hash is that of its noise.
    if first.blank or second.blank:
        return False
    shapes = [math.log(p.width / p.height) * (1 if p.orientation < 5 else -1) for p in (first, second)]
    differing = (int(first.difference_hash, 16) ^ int(second.difference_hash, 16)).bit_count()
    return abs(shapes[0] - shapes[1]) <= _ALIKE_SHAPE and differing <= _ALIKE_BITS


def _copy(files: Mapping[str, bytes], kinds: Mapping[str, str]) -> Copy | None:
    return next((Copy(kind, files[name]) for name, kind in kinds.items() if name in files), None)


def _nothing(reason: str) -> Look:
    return Look(results_pb2.Picture(reason=reason))


def _checked(told: dict[str, Any]) -> results_pb2.Picture:
    """What the program told. A decoder that was taken over could have told anything.

    Raises ValueError, ParseError.
    """
    picture = results_pb2.Picture()
    json_format.ParseDict(told, picture)
    for message in _messages(picture):
        for descriptor, value in message.ListFields():
            values = list(value) if descriptor.is_repeated else [value]
            if len(values) > 100:
                raise ValueError(f"{descriptor.name} is longer than it can be")
            for one in values:
                if isinstance(one, float) and not math.isfinite(one):
                    raise ValueError(f"{descriptor.name} is no number")
                if isinstance(one, str) and len(one) > _MAX_TEXT:
                    raise ValueError(f"{descriptor.name} is longer than it can be")
    if not picture.reason and not (picture.width > 0 and picture.height > 0):
        raise ValueError("it has no size")
    if not picture.reason:
        int(picture.difference_hash, 16)
    for name in ("attachment_id", "filename", "lines", "text_reason", "duplicate_ids"):
        picture.ClearField(name)
    return picture


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for one in value if descriptor.is_repeated else [value]:
                yield from _messages(one)
