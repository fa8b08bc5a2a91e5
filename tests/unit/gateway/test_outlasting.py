"""An import over a service that goes away and comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from meldrag.vector.v1 import vector_pb2
from services.gateway.outlasting import LastingImport

Line = vector_pb2.ImportDocumentsRequest


class Gone(grpc.RpcError):
    """What the channel raises when the connection is lost."""

    def __init__(self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "Socket closed"

    def trailing_metadata(self) -> tuple[()]:
        return ()


class Service:
    """Takes lines, and dies as often as it is told: after so many are taken, with so many answered.

    What was taken stays taken; a line that comes again exists.
    """

    def __init__(self, deaths: list[tuple[int, int]]) -> None:
        self.deaths = deaths
        self.taken: list[str] = []
        self.calls = 0
        self.cancelled = 0
        self.code = grpc.StatusCode.UNAVAILABLE

    def begin(self, lines: Iterator[Line]) -> Any:
        self.calls += 1
        return _Call(self, lines)


class _Call:
    def __init__(self, service: Service, lines: Iterator[Line]) -> None:
        self._service = service
        self._lines = lines

    def __iter__(self) -> Iterator[vector_pb2.ImportDocumentsResponse]:
        service = self._service
        take, answer = service.deaths.pop(0) if service.deaths else (10**9, 10**9)
        taken: list[tuple[str, bool]] = []
        answered = 0
        for line in self._lines:
            existing = line.text in service.taken
            if not existing:
                service.taken.append(line.text)
            taken.append((line.text, existing))
            if answered < answer:
                answered += 1
                yield _answer(line.text, existing)
            if len(taken) == take:
                raise Gone(service.code)

    def cancel(self) -> None:
        self._service.cancelled += 1


def _answer(text: str, existing: bool) -> vector_pb2.ImportDocumentsResponse:
    return vector_pb2.ImportDocumentsResponse(
        document=vector_pb2.Document(document_id=f"of {text}"), existing=existing
    )


def lines(count: int) -> Iterator[Line]:
    return (Line(text=f"t{number}") for number in range(count))


@pytest.mark.parametrize("deaths", [[], [(1, 1)], [(7, 5), (3, 1), (9, 0), (250, 200)], [(300, 299)] * 3])
def test_every_line_is_answered_once_in_order_whatever_dies(deaths: list[tuple[int, int]]) -> None:
    service = Service(list(deaths))
    answers = list(LastingImport(service.begin, lines(1000)))
    assert [one.document.document_id for one in answers] == [f"of t{number}" for number in range(1000)]
    assert service.taken == [f"t{number}" for number in range(1000)]
    assert service.calls == 1 + len(deaths)
    # Told as existing: what was taken and not answered when the service died.
    assert sum(one.existing for one in answers) >= sum(take - answered for take, answered in deaths) / 2


def test_before_the_first_answer_and_after_the_patience_a_lost_service_is_an_error() -> None:
    with pytest.raises(Gone):
        list(LastingImport(Service([(1, 0)]).begin, lines(10)))
    service = Service([(1, 1), (1, 1)])
    with pytest.raises(Gone):
        list(LastingImport(service.begin, lines(10), patience=-1))
    assert service.calls == 1


def test_what_the_service_says_is_not_asked_again() -> None:
    service = Service([(5, 5)])
    service.code = grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(Gone):
        list(LastingImport(service.begin, lines(10)))
    assert service.calls == 1


def test_no_more_than_a_window_is_read_ahead_of_the_answers() -> None:
    read: list[int] = []
    enough = threading.Event()

    def slow() -> Iterator[Line]:
        for number in range(5000):
            read.append(number)
            if len(read) == 257:
                enough.set()
            yield Line(text=f"t{number}")

    class Silent:
        def __iter__(self) -> Iterator[Any]:
            return iter(())

        def cancel(self) -> None:
            return None

    lasting = LastingImport(lambda _: Silent(), slow())
    assert enough.wait(10)
    assert len(read) == 257
    lasting.cancel()


def test_lines_that_cannot_be_read_end_the_call(recwarn: pytest.WarningsRecorder) -> None:
    stopped = threading.Event()

    def broken() -> Iterator[Line]:
        yield Line(text="t")
        raise KeyboardInterrupt

    class Call:
        def __iter__(self) -> Iterator[Any]:
            return iter(())

        def cancel(self) -> None:
            stopped.set()

    previous, threading.excepthook = threading.excepthook, lambda _: None
    try:
        LastingImport(lambda _: Call(), broken())
        assert stopped.wait(10)
    finally:
        threading.excepthook = previous
