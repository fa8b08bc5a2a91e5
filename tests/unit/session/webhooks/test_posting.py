"""One POST, and what receivers answer it by."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.chassis.reaching import Target
from services.session.webhooks.posting import Poster, PostingError, Reply
from tests.support.authority import Authority
from tests.support.redis_server import free_port


@asynccontextmanager
async def server(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers a request by these bytes; its port and what came."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            came.append(head + await reader.readexactly(size))
            writer.write(answer)
            await writer.drain()
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1], came
    finally:
        listening.close()


def to(port: int, scheme: str = "http") -> Target:
    return Target(scheme, "hooks.example.org", port, "/hook?a=b")


async def test_the_request_goes_to_the_address_and_names_the_host() -> None:
    async with server(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, came):
        reply = await Poster().post(to(port), ["127.0.0.1"], {"webhook-id": "msg_1"}, b"{}")
    assert reply == Reply(204)
    head, _, body = came[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?a=b HTTP/1.1\r\nHost: hooks.example.org:%d\r\n" % port)
    assert b"\r\nwebhook-id: msg_1" in head
    assert body == b"{}"


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (b"HTTP/1.1 200\r\n\r\n", Reply(200)),
        (b"HTTP/1.0 200 OK\n\n", Reply(200)),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n", Reply(202)),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 20\r\n\r\n", Reply(503, "20")),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", Reply(302)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * 100_000, Reply(200)),
    ],
)
async def test_the_head_of_the_answer_counts(answer: bytes, reply: Reply) -> None:
    async with server(answer) as (port, _):
        assert await Poster().post(to(port), ["127.0.0.1"], {}, b"{}") == reply


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10,
    ],
)
async def test_what_is_no_answer(answer: bytes) -> None:
    async with server(answer) as (port, _):
        with pytest.raises(PostingError, match="broke before an answer"):
            await Poster(total_seconds=5).post(to(port), ["127.0.0.1"], {}, b"{}")


async def test_a_receiver_that_says_nothing_is_left() -> None:
    async with server(b"HTTP/1.1 ") as (port, _):
        with pytest.raises(PostingError, match=r"no answer within 0\.3 seconds"):
            await Poster(total_seconds=0.3).post(to(port), ["127.0.0.1"], {}, b"{}")


async def test_the_next_address_is_tried_where_one_takes_no_connection() -> None:
    async with server(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        # Nothing listens at the second address of the loopback network.
        assert await Poster().post(to(port), ["127.0.0.2", "127.0.0.1"], {}, b"{}") == Reply(200)
    with pytest.raises(PostingError, match="cannot be reached"):
        await Poster().post(to(free_port()), ["127.0.0.1"], {}, b"{}")


async def test_a_certificate_must_be_the_hosts_and_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours, theirs = (authority.sign(host, name=f"{host}.example.org") for host in ("hooks", "other"))
    trusting = ssl.create_default_context(cafile=ours.authority)
    for files, tls, good in ((ours, trusting, True), (theirs, trusting, False), (ours, None, False)):
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(files.certificate, files.key)
        async with server(b"HTTP/1.1 200 OK\r\n\r\n", serving) as (port, came):
            poster = Poster(tls=tls)
            if good:
                assert await poster.post(to(port, "https"), ["127.0.0.1"], {}, b"{}") == Reply(200)
            else:
                with pytest.raises(PostingError, match="the certificate is not valid"):
                    await poster.post(to(port, "https"), ["127.0.0.1"], {}, b"{}")
                assert came == []
