"""Documents from addresses: what is fetched, from where it is not, and what a bad host costs."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import FailedPreconditionError, ServiceError
from services.chassis.reaching import Reach, allowed
from services.vector.ingest.fetching import Fetcher
from tests.contract.vector.test_originals import read
from tests.contract.vector.world import Client, ingest_requests, refused, running
from tests.support.authority import Authority

PAGE = b"<html><head><title>Lamps</title></head><body><p>The lamp of Brava has 14 lenses.</p></body></html>"
HTML = "Content-Type: text/html; charset=utf-8"


@dataclass
class Host:
    """A server of HTTP that answers each path by bytes, and what it was asked."""

    port: int = 0
    scheme: str = "http"
    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def says(self, path: str, body: bytes, *headers: str, status: str = "200 OK", size: int = -1) -> str:
        """Answers the path by this from now on; its address."""
        length = len(body) if size < 0 else size
        head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {length}", *headers))
        self.answers[path] = f"{head}\r\n\r\n".encode() + body
        return self.url(path)

    def leads(self, path: str, to: str) -> str:
        return self.says(path, b"", f"Location: {to}", status="302 Found")


@asynccontextmanager
async def hosting(tls: ssl.SSLContext | None = None) -> AsyncIterator[Host]:
    host = Host(scheme="https" if tls else "http")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            host.asked.append(head)
            path = head.split(b" ", 2)[1].decode()
            if path == "/silent":
                await reader.read()
            writer.write(host.answers.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host.port = listening.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        listening.close()


@pytest_asyncio.fixture
async def host() -> AsyncIterator[Host]:
    async with hosting() as found:
        yield found


@pytest_asyncio.fixture
async def fetching(tmp_path: Path) -> AsyncIterator[Client]:
    """A house that may fetch from this machine."""
    async with running(tmp_path, meld_fetch_allow="127.0.0.1", meld_max_document_bytes=100_000) as client:
        await client.create()
        yield client


async def fetched(client: Client, url: str, **fields: Any) -> pb.IngestDocumentResponse:
    """The last step of the document at an address."""
    header = pb.IngestHeader(collection_id="books", url=url, **fields)
    steps = await client.stream("IngestDocument", ingest_requests(header, b""), fields.pop("seconds", 30.0))
    return steps[-1]


async def reason(client: Client, url: str, **fields: Any) -> str:
    with pytest.raises(ServiceError) as error:
        await fetched(client, url, **fields)
    return refused(error.value)[1]


async def test_a_page_becomes_a_document_that_says_where_it_came_from(fetching: Client, host: Host) -> None:
    url = host.says("/notes/lamps?b=1", PAGE, HTML)
    document = (await fetched(fetching, f"{url}#lenses")).document
    assert (document.filename, document.media_type) == ("lamps", "text/html")
    assert document.external_id == document.metadata["url"] == url
    assert await read(fetching, document.document_id) == PAGE
    hits = (await fetching.search("lenses")).hits
    assert [hit.document_id for hit in hits] == [document.document_id]
    head = host.asked[0]
    assert head.startswith(b"GET /notes/lamps?b=1 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{host.port}".encode() in head


async def test_addresses_are_taken_as_people_read_them(fetching: Client, host: Host) -> None:
    host.says("/K%C3%A4se%20a?q=%7B%C3%BC%7D", b"Cheese.", "Content-Type: text/plain")
    url = host.url("/Käse a?q={ü}")
    document = (await fetched(fetching, url)).document
    assert (document.filename, document.external_id) == ("Käse a", url)
    assert (await fetched(fetching, host.url("/K%C3%A4se%20a?q=%7B%C3%BC%7D"))).document.bytes == 7
    assert (await fetched(fetching, host.leads("/to", "/Käse a?q={ü}"))).document.filename == "Käse a"


async def test_what_the_caller_says_goes_before_what_the_host_says(fetching: Client, host: Host) -> None:
    url = host.says("/x", b"Gulls.", "Content-Disposition: attachment; filename*=UTF-8''m%C3%B6wen.txt")
    assert (await fetched(fetching, url)).document.filename == "möwen.txt"
    named = pb.IngestHeader(external_id="gulls", title="Birds", filename="birds.txt")
    named.metadata["url"] = "elsewhere"
    url = host.says("/y", b"Terns.", "Content-Disposition: attachment; filename=../../etc/passwd")
    fields = {name: getattr(named, name) for name in ("external_id", "title", "filename", "metadata")}
    document = (await fetched(fetching, url, **fields)).document
    assert (document.external_id, document.title, document.filename) == ("gulls", "Birds", "birds.txt")
    assert document.metadata["url"] == "elsewhere"
    assert (await fetched(fetching, host.says("/", b"Auks."))).document.filename == "127.0.0.1"
    odd = "Content-Disposition: x;filename*0=a; filename*1*=; filename*=b''c"
    assert (await fetched(fetching, host.says("/z.txt", b"Rails.", odd))).document.filename == "z.txt"


async def test_fetched_again_it_takes_its_own_place(fetching: Client, host: Host) -> None:
    url = host.says("/a", PAGE, HTML)
    first = await fetched(fetching, url)
    again = await fetched(fetching, url)
    assert (again.existing, again.document.document_id) == (True, first.document.document_id)
    host.says("/a", PAGE.replace(b"14", b"15"), HTML)
    changed = await fetched(fetching, url)
    assert not changed.existing
    assert [one.document_id for one in await fetching.list()] == [changed.document.document_id]


async def test_the_same_request_is_answered_as_before_though_the_page_is_another(
    fetching: Client, host: Host
) -> None:
    url = host.says("/a", PAGE, HTML)
    first = await fetched(fetching, url, request_id="r")
    host.says("/a", b"Something else.", "Content-Type: text/plain")
    again = await fetched(fetching, url, request_id="r")
    assert (again.existing, again.document.document_id) == (True, first.document.document_id)
    other = host.says("/b", b"Something else.")
    assert await reason(fetching, other, request_id="r") == "REQUEST_ID_REUSED"


async def test_redirects_are_followed_a_few_times(fetching: Client, host: Host) -> None:
    host.says("/end", b"The end.", "Content-Type: text/plain")
    for number in range(5):
        host.leads(f"/{number}", "end" if number == 4 else f"/{number + 1}")
    assert (await fetched(fetching, host.url("/0"))).document.filename == "end"
    host.leads("/round", host.url("/round"))
    assert await reason(fetching, host.url("/round")) == "FETCH_FAILED"
    assert await reason(fetching, host.leads("/nowhere", "")) == "FETCH_FAILED"


@pytest.mark.parametrize(
    "to",
    [
        *("http://10.0.0.1/", "http://169.254.169.254/latest", "http://[::1]/"),
        *("http://localhost.invalid/", "ftp://a/", "http://u:p@127.0.0.1/", "http://[/"),
    ],
)
async def test_no_redirect_leads_where_an_address_may_not(fetching: Client, host: Host, to: str) -> None:
    said = await reason(fetching, host.leads("/a", to))
    assert said in ("ADDRESS_REFUSED", "ADDRESS_UNKNOWN", "FETCH_FAILED")
    assert len(host.asked) == 1
    assert await fetching.list() == []


async def test_nothing_private_is_asked(tmp_path: Path, host: Host) -> None:
    async with running(tmp_path) as client:
        await client.create()
        for name in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            assert await reason(client, host.url("/", name)) == "ADDRESS_REFUSED"
    assert host.asked == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://", "http://u:p@127.0.0.1/", "x", "http://a b/", "http://[/"]
)
async def test_what_is_no_address_is_refused(fetching: Client, url: str) -> None:
    assert await reason(fetching, url) == "INVALID_FIELD"


async def test_a_bad_host_leaves_no_trace(fetching: Client, host: Host) -> None:
    bad = {
        host.url("/missing"): "FETCH_FAILED",
        host.says("/locked", b"", status="401 Unauthorized"): "FETCH_FAILED",
        host.says("/empty", b"", status="204 No Content"): "FETCH_FAILED",
        host.says("/cut", b"half", size=5_000): "FETCH_FAILED",
        host.says("/large", b"x" * 100_001, "Content-Type: text/plain"): "DOCUMENT_TOO_LARGE",
        host.says("/bomb", gzip.compress(b"x" * 5_000_000), "Content-Encoding: gzip"): "DOCUMENT_TOO_LARGE",
        host.says("/damaged", b"\x1f\x8bno gzip", "Content-Encoding: gzip"): "FETCH_FAILED",
    }
    host.answers["/noise"] = b"\x00\x01 no HTTP\r\n\r\n"
    bad[host.url("/noise")] = "FETCH_FAILED"
    for url, expected in bad.items():
        assert (url, await reason(fetching, url)) == (url, expected)
    assert await fetching.list() == []


async def test_a_host_that_says_nothing_has_until_the_deadline(fetching: Client, host: Host) -> None:
    header = pb.IngestHeader(collection_id="books", url=host.url("/silent"))
    with pytest.raises(ServiceError) as error:
        await fetching.stream("IngestDocument", ingest_requests(header, b""), 2.0)
    assert refused(error.value)[1] == "DEADLINE"
    assert await fetching.list() == []


async def test_bytes_do_not_follow_an_address(fetching: Client, host: Host) -> None:
    header = pb.IngestHeader(collection_id="books", url=host.says("/a", PAGE))
    with pytest.raises(ServiceError) as error:
        await fetching.stream("IngestDocument", ingest_requests(header, b"and more"))
    assert refused(error.value)[1] == "INVALID_FIELD"
    assert host.asked == []


async def test_a_certificate_must_be_the_hosts_and_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours, theirs = (authority.sign(holder, name=f"{holder}.example.org") for holder in ("lamps", "other"))
    trusting = ssl.create_default_context(cafile=ours.authority)
    reach = Reach(allowed("lamps.example.org"), _here)
    for files, tls, good in ((ours, trusting, True), (theirs, trusting, False), (ours, None, False)):
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(files.certificate, files.key)
        async with hosting(serving) as host:
            host.says("/", b"Gulls.")
            url = host.url("/", "lamps.example.org")
            if good:
                async with Fetcher(reach, tls).fetching(url) as found:
                    assert b"".join([piece async for piece in found.pieces]) == b"Gulls."
            else:
                with pytest.raises(FailedPreconditionError, match="certificate is not valid"):
                    async with Fetcher(reach, tls).fetching(url):
                        raise AssertionError
                assert host.asked == []


async def _here(host: str, port: int) -> list[str]:
    del host, port
    return ["127.0.0.1"]
