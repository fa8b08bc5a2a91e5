"""What a message holds: text, and pictures and recordings as data."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Literal

from services.gateway.body import Fields
from services.gateway.problem import ProblemError, invalid

Json = Any
Kind = Literal["image", "audio"]

_DATA_URL = re.compile(
    r"data:([A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80})((?:;[^,;]{0,80}){0,4}),"
)
_AUDIO_FORMAT = re.compile(r"[a-z0-9]{1,10}")
_AUDIO_TYPES = {"mp3": "audio/mpeg"}
_SUFFIXES = {"jpeg": "jpg", "mpeg": "mp3", "x-wav": "wav"}


@dataclass(frozen=True)
class Media:
    """A picture or a recording.

    kind: also the agent that takes such a thing where none is named. media_type: as the client calls it.
    """

    kind: Kind
    media_type: str
    data: bytes

    @property
    def suffix(self) -> str:
        """An ending for a file's name, without its dot."""
        subtype = self.media_type.rpartition("/")[2].lower()
        subtype = _SUFFIXES.get(subtype, subtype)
        return subtype if re.fullmatch(r"[a-z0-9]{1,10}", subtype) else "bin"


@dataclass(frozen=True)
class Content:
    """What one message says. Texts of several parts stand in lines of their own."""

    text: str
    media: tuple[Media, ...] = ()


def read(value: Json, path: str) -> Content:
    """The content of a message: a text, or a list of parts; nothing when it is null.

    Raises ProblemError 400 that names the part.
    """
    if value is None:
        return Content("")
    if isinstance(value, str):
        return Content(_checked(value, path))
    if not isinstance(value, list):
        raise invalid(path, "a string or a list of parts is needed")
    texts: list[str] = []
    media: list[Media] = []
    for index, part in enumerate(value):
        at = f"{path}[{index}]"
        if not isinstance(part, dict):
            raise invalid(at, "an object is needed")
        match part.get("type"):
            case "text":
                texts.append(Fields(part, f"{at}.").text("text", required=True))
            case "refusal":
                texts.append(Fields(part, f"{at}.").text("refusal", required=True))
            case "image_url":
                media.append(_picture(part.get("image_url"), f"{at}.image_url"))
            case "input_audio":
                media.append(_recording(part.get("input_audio"), f"{at}.input_audio"))
            case "file":
                raise invalid(at, "a document is not read from a message; add it to a collection, then ask")
            case _:
                raise invalid(f"{at}.type", "must be one of text, image_url, input_audio")
    return Content("\n".join(texts), tuple(media))


def _checked(text: str, path: str) -> str:
    if "\0" in text:
        raise invalid(path, "holds a NUL character")
    return text


def _picture(value: Json, path: str) -> Media:
    url = value.get("url") if isinstance(value, dict) else None
    if not isinstance(url, str):
        raise invalid(path, "an object with a url is needed")
    if not url.startswith("data:"):
        raise ProblemError(
            400,
            "URL_NOT_FETCHED",
            f"{path}.url: this server fetches nothing from elsewhere; send the picture as a data: URL",
            metadata={"field": f"{path}.url"},
        )
    # The head of a data URL is short, and the rest may be long.
    match = _DATA_URL.match(url[:500])
    if match is None or ";base64" not in match[2].lower():
        raise invalid(f"{path}.url", "a data: URL with a media type and ;base64 is needed")
    return Media("image", match[1].lower(), _decoded(url[match.end() :], f"{path}.url"))


def _recording(value: Json, path: str) -> Media:
    data = value.get("data") if isinstance(value, dict) else None
    form = value.get("format") if isinstance(value, dict) else None
    if not isinstance(data, str):
        raise invalid(path, "an object with data and format is needed")
    if not isinstance(form, str) or not _AUDIO_FORMAT.fullmatch(form):
        raise invalid(f"{path}.format", "a format such as wav or mp3 is needed")
    return Media("audio", _AUDIO_TYPES.get(form, f"audio/{form}"), _decoded(data, f"{path}.data"))


def _decoded(text: str, path: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(path, "is not base64") from None
    if not data:
        raise invalid(path, "is empty")
    return data
