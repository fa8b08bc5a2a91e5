"""Reading requests strictly: what is not exactly understood is refused, never guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any

from flask import Request
from google.protobuf import struct_pb2, timestamp_pb2

from services.gateway.problem import ProblemError, invalid

Json = Any

_PIECE = 64 * 1024
_MAX_DEPTH = 32
_MAX_MEMBERS = 10_000
_INT32 = 2**31 - 1
_INT64 = 2**63 - 1
# Beyond this a double, which is what a Struct holds, cannot keep a whole number.
_EXACT_INTEGER = 2**53
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")


class SlowClientError(TimeoutError):
    """The client sends its body too slowly, or not at all."""


class BodyReader:
    """The request's body, counted: never cut off in silence, never more than the limit.

    read raises ProblemError: 413 beyond `limit` bytes, 400 when fewer bytes come
    than were declared or the framing is broken, 408 when the client is too slow.
    """

    def __init__(self, request: Request, limit: int) -> None:
        self._stream: IO[bytes] = request.environ["wsgi.input"]
        self._declared = request.content_length
        self._limit = limit
        self._abandoned = False
        self.received = 0
        if self._declared is not None and self._declared > limit:
            raise _too_large(limit)
        if self._declared is None and "chunked" not in request.headers.get("Transfer-Encoding", "").lower():
            self._declared = 0

    def read(self, size: int = _PIECE) -> bytes:
        """The next at most `size` bytes; empty at the end."""
        if self._declared is not None:
            size = min(size, self._declared - self.received)
        if size == 0 or self._abandoned:
            return b""
        try:
            piece = self._stream.read(size)
        except SlowClientError as error:
            raise ProblemError(408, "CLIENT_TOO_SLOW", str(error)) from None
        except OSError as error:
            raise _broken(f"the body could not be read: {type(error).__name__}") from error
        self.received += len(piece)
        if self.received > self._limit:
            raise _too_large(self._limit)
        if not piece and self._declared is not None:
            raise _broken(f"{self._declared} bytes were declared and {self.received} came")
        return piece

    def abandon(self) -> None:
        """Reads no more, and wakes a thread that waits in `read`; the connection then closes."""
        self._abandoned = True
        if hasattr(self._stream, "abandon"):
            self._stream.abandon()

    def pieces(self) -> Iterator[bytes]:
        """The rest of the body."""
        while piece := self.read():
            yield piece


def _too_large(limit: int) -> ProblemError:
    return ProblemError(
        413, "BODY_TOO_LARGE", f"the body is larger than {limit} bytes", metadata={"limit": str(limit)}
    )


def _broken(detail: str) -> ProblemError:
    return ProblemError(400, "BODY_INCOMPLETE", detail)


def json_object(request: Request, limit: int) -> Fields:
    """The request's JSON object. Raises ProblemError: 415, 413, or 400 for what is not one."""
    return Fields(parse_object(json_bytes(request, limit)))


def json_bytes(request: Request, limit: int) -> bytes:
    """The request's body, which says that it is JSON. Raises ProblemError: 415, 413, or 400 as BodyReader."""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in ("utf-8", "utf8"):
        raise ProblemError(415, "UNSUPPORTED_MEDIA_TYPE", "the body must be application/json in UTF-8")
    return b"".join(BodyReader(request, limit).pieces())


def no_body(request: Request) -> None:
    """Refuses a body where none belongs, but for an empty JSON object."""
    if body := b"".join(BodyReader(request, 1024).pieces()):
        Fields(parse_object(body)).finish()


def parse_object(data: bytes) -> dict[str, Json]:
    """A JSON object out of UTF-8 bytes, as RFC 8259 with every doubt refused.

    Raises ProblemError 400: duplicate names, NaN and infinities, numbers that no
    double holds, lone surrogates, more than 32 levels or 10,000 members.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise _not_json(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise _not_json(f"more than {_MAX_DEPTH} levels") from None
    except ValueError as error:
        raise _not_json(str(error)) from None
    if not isinstance(value, dict):
        raise _not_json("the body must be an object")
    _check_shape(value)
    return value


def _not_json(detail: str) -> ProblemError:
    return ProblemError(400, "INVALID_JSON", detail)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {_shown(twice)} stands twice in one object")
    return result


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _check_shape(root: Json) -> None:
    waiting: list[tuple[Json, int]] = [(root, 1)]
    members = 0
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            _check_text(value)
            continue
        if not isinstance(value, (dict, list)):
            continue
        members += len(value)
        if depth > _MAX_DEPTH:
            raise _not_json(f"more than {_MAX_DEPTH} levels")
        if members > _MAX_MEMBERS:
            raise _not_json(f"more than {_MAX_MEMBERS} members")
        children = value if isinstance(value, list) else value.values()
        if isinstance(value, dict):
            for name in value:
                _check_text(name)
        waiting.extend((child, depth + 1) for child in children)


def _check_text(value: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _not_json("a string holds half of a surrogate pair") from None


def _shown(name: str) -> str:
    return json.dumps(name[:60])


class Fields:
    """Typed access to the members of a JSON object. Each getter raises ProblemError 400 that names the field.

    Members are taken out as they are read; `finish` refuses what nobody asked for.
    """

    def __init__(self, members: Mapping[str, Json], path: str = "") -> None:
        self._members = dict(members)
        self._path = path

    def _take(self, name: str) -> Json:
        return self._members.pop(name, None)

    def _at(self, name: str) -> str:
        return f"{self._path}{name}"

    def has(self, name: str) -> bool:
        """Whether the member is there and not null."""
        return self._members.get(name) is not None

    def finish(self) -> None:
        """Raises when a member is left that no getter took."""
        if self._members:
            name = next(iter(self._members))
            raise ProblemError(
                400,
                "UNKNOWN_FIELD",
                f"{self._at('')}{_shown(name)} is not a field of this request",
                metadata={"field": name[:60]},
            )

    def wrong(self, name: str, detail: str) -> ProblemError:
        """What to raise for a member whose fault no getter sees."""
        return invalid(self._at(name), detail)

    def drop(self, name: str) -> None:
        """Passes over a member that may be there and says nothing here."""
        self._take(name)

    def rest(self) -> dict[str, Json]:
        """All members that no getter took."""
        left, self._members = self._members, {}
        return left

    def text(self, name: str, *, required: bool = False, content: bool = False) -> str:
        """A string; empty when it is absent and not required. Only the content of a document may hold NUL."""
        value = self._take(name)
        if value is None and not required:
            return ""
        if not isinstance(value, str):
            raise invalid(self._at(name), "a string is needed")
        if "\0" in value and not content:
            raise invalid(self._at(name), "holds a NUL character")
        return value

    def boolean(self, name: str) -> bool:
        """True or false; false when absent."""
        value = self._take(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise invalid(self._at(name), "true or false is needed")
        return value

    def integer(self, name: str, *, minimum: int = 0, maximum: int = _INT32) -> int | None:
        """A whole number; None when absent."""
        value = self._take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(self._at(name), "a whole number is needed")
        if not minimum <= value <= maximum:
            raise invalid(self._at(name), f"must be between {minimum} and {maximum}")
        return value

    def time(self, name: str) -> timestamp_pb2.Timestamp | None:
        """A moment as in RFC 3339; None when absent."""
        text = self.text(name)
        if not text:
            return None
        moment = timestamp_pb2.Timestamp()
        try:
            moment.FromJsonString(text)
        except ValueError:
            raise invalid(self._at(name), "a time as in 2030-01-31T12:00:00Z is needed") from None
        return moment

    def position(self, name: str) -> int:
        """A byte offset; it must be there."""
        value = self.integer(name, maximum=_INT64)
        if value is None:
            raise invalid(self._at(name), "a whole number is needed")
        return value

    def number(self, name: str, *, minimum: float = -1e300, maximum: float = 1e300) -> float | None:
        """A finite number; None when absent."""
        value = self._take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise invalid(self._at(name), "a number is needed")
        if not minimum <= value <= maximum:
            raise invalid(self._at(name), f"must be between {minimum:g} and {maximum:g}")
        return float(value)

    def choice(self, name: str, values: Mapping[str, str]) -> str | None:
        """What a word stands for, whatever its case; None when absent."""
        value = self._take(name)
        if value is None:
            return None
        meaning = values.get(value.lower()) if isinstance(value, str) else None
        if meaning is None:
            raise invalid(self._at(name), f"must be one of {', '.join(sorted(values))}")
        return meaning

    def integers(self, name: str) -> list[int]:
        """A list of whole numbers from 0 on; empty when absent."""
        value = self._take(name)
        if value is None:
            return []
        whole = isinstance(value, list) and all(
            isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= _INT32 for item in value
        )
        if not whole:
            raise invalid(self._at(name), "a list of whole numbers is needed")
        return list(value)

    def texts(self, name: str) -> list[str]:
        """A list of strings; empty when absent."""
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid(self._at(name), "a list of strings is needed")
        if any("\0" in item for item in value):
            raise invalid(self._at(name), "holds a NUL character")
        return value

    def object(self, name: str) -> Fields | None:
        """An object whose members are fields; None when absent."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid(self._at(name), "an object is needed")
        return Fields(value, f"{self._at(name)}.")

    def objects(self, name: str) -> list[Fields]:
        """A list of objects; it must be there."""
        value = self._take(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise invalid(self._at(name), "a list of objects is needed")
        return [Fields(item, f"{self._at(name)}[{index}].") for index, item in enumerate(value)]

    def struct(self, name: str) -> struct_pb2.Struct | None:
        """Any JSON object; None when absent."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid(self._at(name), "an object is needed")
        return to_struct(value, self._at(name))

    def json(self, name: str) -> Json:
        """Whatever stands there; None when absent."""
        return self._take(name)

    def flat_struct(self, name: str) -> struct_pb2.Struct | None:
        """An object of strings, numbers and booleans; None when absent."""
        value = self._members.get(name)
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(item, (str, int, float)):
                    raise invalid(self._at(name), f"{_shown(key)} must be a string, a number, true or false")
        return self.struct(name)


def to_struct(value: Mapping[str, Json], path: str) -> struct_pb2.Struct:
    """A JSON object as a Struct. Raises ProblemError 400 for whole numbers that a double cannot hold."""
    waiting: list[Json] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, int) and abs(item) > _EXACT_INTEGER:
            raise invalid(path, "a whole number beyond 2^53 would be changed; send it as a string")
    result = struct_pb2.Struct()
    result.update(value)
    return result


class Query:
    """The parameters of the request's URL, read as strictly as a body."""

    def __init__(self, request: Request) -> None:
        self._values = request.args.to_dict(flat=False)

    def _take(self, name: str) -> str | None:
        values = self._values.pop(name, None)
        if values is None:
            return None
        if len(values) > 1:
            raise invalid(name, "stands twice")
        return values[0]

    def finish(self) -> None:
        """Raises when a parameter is left that nobody asked for."""
        if self._values:
            name = next(iter(self._values))
            raise ProblemError(
                400,
                "UNKNOWN_FIELD",
                f"{_shown(name)} is not a parameter of this request",
                metadata={"field": name[:60]},
            )

    def text(self, name: str) -> str:
        """The value; empty when absent."""
        return self._take(name) or ""

    def words(self, name: str) -> list[str]:
        """Values separated by commas; empty when absent."""
        return [word for word in (self._take(name) or "").split(",") if word]

    def integer(self, name: str, *, minimum: int = 0, maximum: int = _INT64) -> int | None:
        """A whole number; None when absent."""
        text = self._take(name)
        if text is None:
            return None
        # No more digits than 2^63 has; int() would also take "١", "1_0" and " 1".
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or not minimum <= int(text) <= maximum:
            raise invalid(name, f"must be a whole number between {minimum} and {maximum}")
        return int(text)

    def boolean(self, name: str) -> bool:
        """True or false; false when absent."""
        text = self._take(name)
        if text not in (None, "true", "false", "1", "0"):
            raise invalid(name, "must be true or false")
        return text in ("true", "1")

    def page(self) -> tuple[int, str]:
        """Page size, 0 when absent, and page token."""
        return self.integer("page_size", minimum=1, maximum=1000) or 0, self.text("page_token")


def idempotency_key(request: Request) -> str:
    """The Idempotency-Key header; empty when absent. Raises ProblemError 400."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return ""
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise ProblemError(
            400, "INVALID_IDEMPOTENCY_KEY", "Idempotency-Key must be 1 to 128 printable ASCII characters"
        )
    return key
