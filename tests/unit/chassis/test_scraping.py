"""The door for scrapes, whatever a scraper does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import httpx
import pytest

from services.chassis.addresses import is_own_address
from services.chassis.profiler import Profiler
from services.chassis.scraping import ScrapeDoor, profile_seconds
from services.chassis.server import Server
from services.chassis.settings import ServiceSettings
from services.chassis.start import StartError
from tests.support.redis_server import free_port


@contextmanager
def opened(
    exposition: Callable[[], bytes] = lambda: b"up 1\n", profiler: Profiler | None = None
) -> Iterator[str]:
    door = ScrapeDoor("127.0.0.1", 0, exposition, profiler)
    port = door.open()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        door.close()


def test_metrics_and_nothing_else() -> None:
    with opened() as url:
        answer = httpx.get(f"{url}/metrics?name=up")
        assert (answer.status_code, answer.text) == (200, "up 1\n")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert httpx.get(f"{url}/").status_code == 404
        assert httpx.post(f"{url}/metrics").status_code == 404
        assert httpx.post(f"{url}/profile").status_code == 404
        assert httpx.put(f"{url}/metrics").status_code == 501


def test_an_exposition_that_fails_is_an_answer_and_the_next_one_works() -> None:
    answers: list[bytes | Exception] = [RuntimeError("a bad gauge"), b"up 1\n"]

    def exposition() -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with opened(exposition) as url:
        broken = httpx.get(f"{url}/metrics")
        assert broken.status_code == 500
        assert "a bad gauge" not in broken.text
        assert httpx.get(f"{url}/metrics").text == "up 1\n"


def test_scrapers_that_hang_take_no_more_than_their_room() -> None:
    with opened() as url:
        port = httpx.URL(url).port
        hanging = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        try:
            with pytest.raises(httpx.TransportError):
                # All room is taken, and this one is not kept waiting.
                httpx.get(f"{url}/metrics", timeout=10)
            hanging.pop().close()
            for _ in range(100):
                try:
                    assert httpx.get(f"{url}/metrics", timeout=10).status_code == 200
                    break
                except httpx.TransportError:
                    threading.Event().wait(0.05)
            else:
                pytest.fail("the room was never given back")
        finally:
            for one in hanging:
                one.close()


def test_what_is_no_http_does_no_harm() -> None:
    with opened() as url:
        with closing(socket.create_connection(("127.0.0.1", httpx.URL(url).port))) as one:
            one.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
            assert b"400" in one.recv(4096)
        assert httpx.get(f"{url}/metrics").status_code == 200


def test_a_port_that_is_taken_is_named() -> None:
    with opened() as url, pytest.raises(StartError, match=rf"127.0.0.1:{httpx.URL(url).port}, for metrics"):
        ScrapeDoor("127.0.0.1", httpx.URL(url).port or 0, bytes).open()


def test_a_profile_is_made_of_this_process() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="the waiting one")
    thread.start()
    try:
        with opened(profiler=Profiler()) as url:
            answer = httpx.post(f"{url}/profile?seconds=0.1")
            assert answer.status_code == 200
            (line, *_) = [one for one in answer.text.splitlines() if one.startswith("the_waiting_one;")]
            assert "threading:Event.wait" in line
            assert int(line.rpartition(" ")[2]) >= 1
            assert httpx.get(f"{url}/profile").status_code == 404
            assert httpx.post(f"{url}/profile?seconds=31").status_code == 400
            foreign = httpx.post(f"{url}/profile?seconds=0.1", headers={"Origin": "http://evil.example"})
            assert foreign.status_code == 403
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.3", False),
        ("::ffff:10.0.0.3", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_who_is_on_this_machine(host: str, local: bool) -> None:
    assert is_own_address(host) is local


@pytest.mark.parametrize("asked", ["0", "-1", "30.1", "nan", "inf", "", "x", "1" * 30])
def test_no_profile_of_a_strange_length(asked: str) -> None:
    assert profile_seconds(asked) is None
    assert profile_seconds("30") == 30


async def test_a_server_has_the_door_where_it_is_told_to() -> None:
    async def scraped(**settings: object) -> int | None:
        port = free_port()
        server = Server(
            name="vector",
            services=[],
            dependencies=[],
            settings=ServiceSettings(meld_metrics_port=port, meld_drain_seconds=0, **settings),  # type: ignore[arg-type]
        )
        await server.start()
        try:
            async with httpx.AsyncClient() as http:
                answer = await http.get(f"http://127.0.0.1:{port}/metrics")
                assert "process_start_time_seconds" in answer.text
                profile = await http.post(f"http://127.0.0.1:{port}/profile?seconds=0.05")
                return profile.status_code
        except httpx.ConnectError:
            return None
        finally:
            await server.stop(0)

    assert await scraped() == 404
    assert await scraped(profiling_enabled=True) == 200
    assert await scraped(metrics_enabled=False) is None
