"""Files from the addresses that people give: a GET over HTTP to a host that was looked at before.

Each redirect is looked at as the first address was. The connection goes to an address that was looked at, and
the certificate must be the host's (chassis/reaching.py); proxies of the environment are not used.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

import httpx

from services.chassis import filename, reaching
from services.chassis.reaching import Reach, Target
from services.vector.faults import address_refused, address_unknown, fetch_failed, invalid_field
from services.vector.ingest.spool import PIECE_BYTES

_FIELD = "header.url"
_REDIRECTS = 5
# What has a meaning in paths and queries, and what is in percent encoding already.
_AS_THEY_ARE = "/?%:@!$&'()*+,;=~[]"
# Until a connection stands, and between two pieces.
_CONNECT_SECONDS, _IDLE_SECONDS = 10.0, 30.0
# What is asked for, best first; whatever comes is looked at.
_ACCEPT = "text/html, application/xhtml+xml, application/pdf;q=0.9, text/*;q=0.8, */*;q=0.5"


@dataclass(frozen=True)
class Fetched:
    """The head of an answer, and its bytes to come. filename, media_type: as the host says, or empty."""

    filename: str
    media_type: str
    pieces: AsyncIterator[bytes]


class Fetcher:
    """Fetches files. reach: where it may go. tls: what certificates are checked against; those that the
    machine trusts when None.
    """

    def __init__(self, reach: Reach, tls: ssl.SSLContext | None = None) -> None:
        self._reach = reach
        self._tls = tls or ssl.create_default_context()

    @asynccontextmanager
    async def fetching(self, url: str) -> AsyncGenerator[Fetched]:
        """What is at an address, for the duration of the block; its pieces have at most PIECE_BYTES.

        Raises InvalidArgumentError (INVALID_FIELD, ADDRESS_UNKNOWN), PermissionDeniedError (ADDRESS_REFUSED),
        FailedPreconditionError (FETCH_FAILED), as does reading the pieces. There is no other end to it than
        the caller's deadline and _IDLE_SECONDS without a byte.
        """
        timeout = httpx.Timeout(_IDLE_SECONDS, connect=_CONNECT_SECONDS)
        async with httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout) as client:
            response, asked = await self._answer(client, url)
            try:
                yield Fetched(_named(response, asked), _media_type(response), _pieces(response, asked))
            finally:
                await response.aclose()

    async def _answer(self, client: httpx.AsyncClient, url: str) -> tuple[httpx.Response, Target]:
        """The first answer that is no redirect, its body unread, and where it came from."""
        try:
            asked = reaching.target(_ascii(url))
        except reaching.AddressError as error:
            raise invalid_field(_FIELD, error.given, error.rule) from None
        for _ in range(_REDIRECTS + 1):
            response = await self._sent(client, asked)
            if response.status_code == httpx.codes.OK:
                return response, asked
            await response.aclose()
            to = response.headers.get("location", "")
            if not (response.is_redirect and to):
                raise fetch_failed(asked.host, f"it answered {response.status_code}")
            asked = _led(asked, to)
        raise fetch_failed(asked.host, f"it led on more than {_REDIRECTS} times")

    async def _sent(self, client: httpx.AsyncClient, asked: Target) -> httpx.Response:
        """The answer of the first address of the host that takes a connection."""
        try:
            addresses = await self._reach.addresses(asked)
        except reaching.UnknownHostError:
            raise address_unknown(asked.host) from None
        except reaching.RefusedHostError:
            raise address_refused(asked.host) from None
        for address in addresses:
            host = f"[{address}]" if ":" in address else address
            request = client.build_request(
                "GET",
                f"{asked.scheme}://{host}:{asked.port}{asked.path}",
                headers={
                    "Host": asked.authority,
                    "User-Agent": "meld-rag",
                    "Accept": _ACCEPT,
                    "Accept-Encoding": "identity",
                },
                extensions={"sni_hostname": asked.host},
            )
            try:
                return await client.send(request, stream=True)
            except (httpx.ConnectTimeout, httpx.ConnectError) as error:
                if (fault := _encryption(error)) is not None:
                    raise fetch_failed(asked.host, fault) from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise fetch_failed(asked.host, _said(error)) from None
        raise fetch_failed(asked.host, "it cannot be reached")


async def _pieces(response: httpx.Response, asked: Target) -> AsyncIterator[bytes]:
    try:
        async for piece in response.aiter_bytes(PIECE_BYTES):
            yield piece
    except httpx.HTTPError as error:
        raise fetch_failed(asked.host, _said(error)) from None


def _led(asked: Target, to: str) -> Target:
    """Where a redirect leads. What stands behind # is for whoever reads the page."""
    try:
        url = urljoin(f"{asked.scheme}://{asked.authority}{asked.path}", to).partition("#")[0]
        return reaching.target(_ascii(url))
    except ValueError:
        raise fetch_failed(asked.host, "it led to what is no address of http or https") from None


def _ascii(url: str) -> str:
    """An address as it is sent, where it is given as people read it: https://bücher.example/Käse."""
    try:
        parts = urlsplit(url)
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    except ValueError:
        return url
    path, query = (quote(part, _AS_THEY_ARE) for part in (parts.path, parts.query))
    return urlunsplit((parts.scheme, host, path, query, parts.fragment))


def _encryption(error: BaseException | None) -> str | None:
    """Why a connection could not be encrypted, if that is why there is none."""
    while error is not None:
        match error:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not valid: {error.verify_message[:100]}"
            case ssl.SSLError():
                return "the connection cannot be encrypted"
        error = error.__cause__ or error.__context__
    return None


def _said(error: Exception) -> str:
    """For people, without the address that was connected to."""
    match error:
        case httpx.TimeoutException():
            return f"it said nothing for {_IDLE_SECONDS:g} seconds"
        case httpx.DecodingError():
            return "its answer is compressed and damaged"
        case _:
            return "the connection broke before the end of its answer"


def _named(response: httpx.Response, asked: Target) -> str:
    """The name of the file: the host's own, else the end of the path, else the host's name."""
    last = unquote(urlsplit(asked.path).path.rstrip("/").rpartition("/")[2])
    names = (_said_name(response), last, asked.host)
    return next(filter(None, map(filename.clean, names)), "page")


def _said_name(response: httpx.Response) -> str:
    said = Message()
    said["content-disposition"] = response.headers.get("content-disposition", "")
    try:
        return said.get_filename() or ""
    except TypeError:
        # Python's parser on a name in parts, one of which has no number.
        return ""


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()[:255]
