"""The gateway over HTTP."""

from __future__ import annotations

import contextlib
import re
import ssl
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, cast
from urllib.parse import quote

import httpx

from meldrag_cli import __version__
from meldrag_cli.events import Event, parse
from meldrag_cli.failures import RefusedFailure, UnreachableFailure
from meldrag_cli.logins import Login
from meldrag_cli.settings import Settings

Json = dict[str, Any]

_CONNECT_SECONDS = 5.0
# A stream is never silent for longer than 10 s; answers without a stream may take as long as their contract.
_SILENT_SECONDS = 60.0
_ANSWER_SECONDS = 30.0
# A run that is repeated or answered as a whole may take half an hour.
LONG_SECONDS = 1830.0

# More than the files that are sent at once.
_CONNECTIONS = 20
_PAGE_SIZE = 200
_MAX_LINE = 64 << 20
_PIECE_BYTES = 256 << 10
# Of a file that the house names: nothing that leads elsewhere.
_FILENAME = re.compile(r'filename="([A-Za-z0-9][A-Za-z0-9_.-]{0,100})"')


def path(*parts: str) -> str:
    """A path below /api/v1, every part of it escaped."""
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)


class Readable(Protocol):
    """What httpx sends as a file."""

    def read(self, size: int = ..., /) -> bytes:
        """At most `size` bytes, all when negative; none at the end."""
        ...


@dataclass(frozen=True)
class Body:
    """A body as it is: its type, its size in bytes, its bytes, once."""

    media_type: str
    size: int
    pieces: Iterator[bytes]


@dataclass(frozen=True)
class Download:
    """A file on its way. name: as the house calls it, a plain one, or empty. size: in bytes."""

    name: str
    size: int
    pieces: Iterator[bytes]


class Gateway:
    """Calls of the gateway. All raise RefusedFailure for what it refuses, UnreachableFailure without it."""

    def __init__(self, settings: Settings, *, shown: str | None = None) -> None:
        """shown: the token that goes with each request, "" for none; the one of the settings, or else of the
        login that is kept for the house, when None.
        """
        headers = {"User-Agent": f"meld/{__version__}", "Accept": "application/json"}
        self.url = settings.url
        token = settings.token if shown is None else shown
        auth = _Bearer(lambda _: token) if token else None
        if shown is None and not token:
            auth = _Bearer(lambda stale: self._kept(settings, stale))
        self._client = httpx.Client(
            base_url=settings.url,
            headers=headers,
            auth=auth,
            timeout=httpx.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=_CONNECTIONS),
            # A proxy of the environment does not lead to this machine.
            trust_env=not settings.local,
            verify=_trust(settings.url),
        )

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def get(
        self,
        where: str,
        parameters: Mapping[str, str | int] | None = None,
        seconds: float = _ANSWER_SECONDS,
        *,
        body: Mapping[str, Any] | None = None,
    ) -> Json:
        """The JSON object at a path; parameters that are empty are left out. body: what a search has."""
        given = {name: value for name, value in (parameters or {}).items() if value != ""}
        method, sent = ("GET", {}) if body is None else ("POST", {"json": body})
        return self._json(self._send(method, where, seconds, params=given, **sent))

    def text(self, where: str, parameters: Mapping[str, str]) -> str:
        """The text at a path, whatever its type."""
        return self._good(self._send("GET", where, _ANSWER_SECONDS, params=parameters)).text

    def post(
        self, where: str, body: Mapping[str, Any] | None, seconds: float = _ANSWER_SECONDS, *, key: str = ""
    ) -> Json:
        """Sends a JSON object, or nothing, and returns the one that answers.

        key: the same for a request that is sent again; one of its own when empty.
        """
        headers = {"Idempotency-Key": key} if key else _once()
        return self._json(self._send("POST", where, seconds, json=body, headers=headers))

    def patch(self, where: str, body: Mapping[str, Any]) -> Json:
        """Changes what a JSON object names, and returns how it is then."""
        return self._json(self._send("PATCH", where, _ANSWER_SECONDS, json=body))

    def delete(self, where: str, seconds: float = 300.0, *, key: str = "") -> Json:
        """Deletes what is at a path; empty when there is nothing to tell of it. key: as that of `post`."""
        headers = {"Idempotency-Key": key} if key else _once()
        answer = self._send("DELETE", where, seconds, headers=headers)
        return {} if answer.status_code == httpx.codes.NO_CONTENT else self._json(answer)

    def sign_in(self, name: str, password: str) -> Login:
        """Trades a name and a password for tokens."""
        body = {"name": name, "password": password}
        return _login(self._send("POST", path("auth", "login"), _ANSWER_SECONDS, json=body), self._json, name)

    def _kept(self, settings: Settings, stale: str) -> str:
        """What the login that is kept for this house shows; "" for nobody. stale: what did not do."""

        def renew(token: str) -> Login:
            body = {"refresh_token": token}
            # Without who calls: that is what is being found out.
            answer = self._send("POST", path("auth", "refresh"), _ANSWER_SECONDS, json=body, auth=None)
            return _login(answer, self._json, "")

        login = settings.logins.current(settings.url, renew, stale=stale)
        return "" if login is None else login.shown

    def state(self) -> Json:
        """What /health says, whether all is well or not."""
        answer = self._send("GET", "/health", _ANSWER_SECONDS)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and _type(answer) == "application/json":
            return cast(Json, answer.json())
        return self._json(answer)

    def items(
        self,
        where: str,
        name: str,
        most: int = 0,
        body: Mapping[str, Any] | None = None,
        *,
        page_size: int = _PAGE_SIZE,
        **parameters: str,
    ) -> Iterator[Json]:
        """The items of a list, page by page; the first `most` of them, all when 0.

        body: what a list is asked for with, where it is a search.
        """
        token, given = "", 0
        while True:
            size = min(page_size, most - given) if most else page_size
            page = self.get(where, {"page_size": size, "page_token": token, **parameters}, body=body)
            for item in page[name]:
                yield item
                given += 1
            following = page.get("next_page_token") or ""
            if not following or following == token or (most and given >= most):
                return
            token = following

    @contextmanager
    def events(
        self,
        where: str,
        body: Mapping[str, Any] | None = None,
        *,
        form: Mapping[str, str] | None = None,
        file: tuple[str, Readable] | None = None,
        whole: Body | None = None,
        seconds: float | None = None,
        key: str = "",
    ) -> Iterator[Iterator[Event]]:
        """Sends a JSON object, a form with one file, or a body as it is (`whole`), and gives the events that
        answer as they come.

        seconds: how long the work may take; as its contract has it when None. key: as for `post`.
        """
        headers = {"Accept": "text/event-stream", **({"Idempotency-Key": key} if key else _once())}
        if seconds is not None:
            headers["Request-Timeout"] = f"{seconds:g}"
        sent: dict[str, Any] = {"json": body}
        if file is not None:
            sent = {"data": dict(form or {}), "files": {"file": file}}
        if whole is not None:
            headers |= {"Content-Type": whole.media_type, "Content-Length": str(whole.size)}
            sent = {"content": whole.pieces}
        try:
            with self._client.stream("POST", where, headers=headers, **sent) as answer:
                if answer.is_error:
                    answer.read()
                self._good(answer, "text/event-stream")
                yield _told(answer)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    @contextmanager
    def download(
        self, where: str, media_type: str, seconds: float, *, method: str = "POST"
    ) -> Iterator[Download]:
        """Asks for a file and gives it as it comes. media_type: "" for any. seconds: how long its first byte
        may take.
        """
        headers = {"Accept": f"{media_type or '*/*'}, application/problem+json", **_once()}
        limits = httpx.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS, read=seconds)
        try:
            with self._client.stream(method, where, headers=headers, timeout=limits) as answer:
                if answer.is_error:
                    answer.read()
                self._good(answer, media_type)
                length = answer.headers.get("Content-Length", "")
                if not length.isdecimal():
                    raise self._stranger(answer)
                named = _FILENAME.search(answer.headers.get("Content-Disposition", ""))
                yield Download(named[1] if named else "", int(length), answer.iter_raw(_PIECE_BYTES))
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def upload(self, where: str, form: Mapping[str, str], file: tuple[str, Readable], seconds: float) -> Json:
        """Sends a form with one file; the JSON object that answers."""
        sent = {"data": dict(form), "files": {"file": file}}
        return self._json(self._send("POST", where, seconds, headers=_once(), **sent))

    def _send(self, method: str, where: str, seconds: float, **sent: Any) -> httpx.Response:
        limits = httpx.Timeout(seconds, connect=_CONNECT_SECONDS)
        try:
            return self._client.request(method, where, timeout=limits, **sent)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _json(self, answer: httpx.Response) -> Json:
        try:
            value = self._good(answer, "application/json").json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise self._stranger(answer)
        return value

    def _good(self, answer: httpx.Response, media_type: str = "") -> httpx.Response:
        if answer.is_success:
            if media_type and _type(answer) != media_type:
                raise self._stranger(answer)
            return answer
        try:
            problem = answer.json() if _type(answer) == "application/problem+json" else None
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            raise self._stranger(answer)
        raise RefusedFailure.of(problem)

    def _stranger(self, answer: httpx.Response) -> UnreachableFailure:
        """Somebody else answered: another program, or a proxy without the gateway behind it."""
        detail = f"what answers at {self.url} is not Meld & RAG (HTTP {answer.status_code})"
        return UnreachableFailure("NOT_THE_HOUSE", detail, status=answer.status_code, url=self.url)

    def _unreachable(self, error: httpx.TransportError) -> UnreachableFailure:
        if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
            detail = f"{self.url} did not answer in time"
            return UnreachableFailure("NO_ANSWER_IN_TIME", detail, url=self.url)
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            detail = f"nothing answers at {self.url}; start it with `make run`, or set MELD_URL"
            return UnreachableFailure("NOT_REACHABLE", detail, url=self.url)
        detail = f"the connection to {self.url} was lost ({type(error).__name__})"
        return UnreachableFailure("CONNECTION_LOST", detail, url=self.url)


class _Bearer(httpx.Auth):
    """Says with each request who asks, and once more with another token where that was refused.

    tokens: the token to show, "" for none; given the one that did not do, another where there is one.
    """

    def __init__(self, tokens: Callable[[str], str]) -> None:
        self._tokens = tokens

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._tokens("")
        if not token:
            yield request
            return
        request.headers["Authorization"] = f"Bearer {token}"
        answer = yield request
        # A file is not sent twice: its token was looked at before, and is good for some seconds at least.
        if answer.status_code == httpx.codes.UNAUTHORIZED and isinstance(request.stream, httpx.ByteStream):
            other = self._tokens(token)
            if other and other != token:
                request.headers["Authorization"] = f"Bearer {other}"
                yield request


def _login(answer: httpx.Response, read: Callable[[httpx.Response], Json], name: str) -> Login:
    """Tokens out of an answer. They end by the house's clock, so their time is taken from its answer."""
    said = read(answer)
    now = time.time()
    with contextlib.suppress(KeyError, ValueError, TypeError):
        house = parsedate_to_datetime(answer.headers["Date"])
        left = (datetime.fromisoformat(said["expires"]) - house).total_seconds()
        return Login(name, "", said["access_token"], said["refresh_token"], now + left)
    raise UnreachableFailure("NOT_THE_HOUSE", "what was answered are no tokens")


def _trust(url: str) -> ssl.SSLContext | bool:
    """Who vouches for the other end. Without TLS nobody does, and reading all their names takes long."""
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _once() -> dict[str, str]:
    """What makes a repeat of this very request harmless."""
    return {"Idempotency-Key": uuid.uuid4().hex}


def _type(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _told(answer: httpx.Response) -> Iterator[Event]:
    """The events of a response; an `error` among them is raised."""
    try:
        for event in parse(_lines(answer.iter_bytes())):
            if event.name == "error":
                raise RefusedFailure.of(event.data)
            yield event
    except ValueError as error:
        raise UnreachableFailure("NOT_THE_HOUSE", f"the stream holds what is no event: {error}") from None


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Lines as servers end them. Other breaks, as U+2028, belong to the text.

    Raises ValueError for a line that is longer than any answer, and for what is not UTF-8.
    """
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if b"\n" in piece:
            *whole, rest = bytes(waiting).split(b"\n")
            yield from (line.removesuffix(b"\r").decode("utf-8") for line in whole)
            waiting = bytearray(rest)
        if len(waiting) > _MAX_LINE:
            raise ValueError(f"a line is longer than {_MAX_LINE} bytes")
