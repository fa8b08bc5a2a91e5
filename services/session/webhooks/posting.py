"""One POST over HTTP/1.1, to an address that was looked at before.

Written out here, since a client that looks hosts up itself, follows redirects or heeds proxies of the
environment would go where `chassis.reaching` has not looked. Of the answer its head counts alone; the
connection is closed behind it.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from services.chassis.reaching import Target

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
# Of the head of an answer, and of interim answers before it.
_HEAD_BYTES = 16_384
_INTERIM = 5
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")


class PostingError(Exception):
    """There was no answer. The words are for people, and hold nothing of where a name leads."""


@dataclass(frozen=True)
class Reply:
    """The head of an answer. retry_after: that header, "" where there is none."""

    status: int
    retry_after: str = ""


class Poster:
    """Sends bodies of JSON.

    total_seconds: for a whole try, which has connect_seconds for each address. tls: what certificates are
    checked against; those that the machine trusts when None.
    """

    def __init__(
        self,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._tls = tls or ssl.create_default_context()

    async def post(
        self, target: Target, addresses: list[str], headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """What the receiver answers. Raises PostingError."""
        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._post(target, addresses, headers, body)
        except TimeoutError:
            raise PostingError(f"no answer within {self._total_seconds:g} seconds") from None
        except ssl.SSLCertVerificationError as error:
            raise PostingError(f"the certificate is not valid: {error.verify_message[:100]}") from None
        except ssl.SSLError:
            raise PostingError("the connection cannot be encrypted") from None
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            raise PostingError("the connection broke before an answer") from None

    async def _post(
        self, target: Target, addresses: list[str], headers: Mapping[str, str], body: bytes
    ) -> Reply:
        reader, writer = await self._connected(target, addresses)
        try:
            lines = {
                "Host": target.authority,
                "User-Agent": "meld-rag",
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                "Accept": "*/*",
                "Connection": "close",
                **headers,
            }
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            writer.write(f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body)
            await writer.drain()
            return await _reply(reader)
        finally:
            # What the receiver still has to say does not count, and it may not keep us by it.
            writer.transport.abort()

    async def _connected(
        self, target: Target, addresses: list[str]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address that takes one; the certificate must be the host's."""
        for address in addresses:
            try:
                async with asyncio.timeout(self._connect_seconds):
                    return await asyncio.open_connection(
                        address,
                        target.port,
                        limit=_HEAD_BYTES,
                        ssl=self._tls if target.scheme == "https" else None,
                        server_hostname=target.host if target.scheme == "https" else None,
                    )
            except ssl.SSLError:
                raise
            except OSError:
                # TimeoutError is one.
                continue
        raise PostingError("the receiver cannot be reached")


async def _reply(reader: asyncio.StreamReader) -> Reply:
    """The head of the answer. Raises ValueError for what is no HTTP, and what the reader raises."""
    for _ in range(_INTERIM):
        found = _STATUS.fullmatch(await reader.readuntil(b"\n"))
        if found is None:
            raise ValueError("no HTTP")
        status, after, size = int(found[1]), "", 0
        while (line := (await reader.readuntil(b"\n")).strip()) != b"":
            size += len(line)
            if size > _HEAD_BYTES:
                raise ValueError("too long a head")
            name, _, value = line.partition(b":")
            if name.lower() == b"retry-after":
                after = value.decode("latin-1").strip()[:100]
        if status >= 200:
            return Reply(status, after)
    raise ValueError("interim answers only")
