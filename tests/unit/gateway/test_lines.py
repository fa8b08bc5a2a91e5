"""Lines out of a body, and answers that wait on disk."""

from __future__ import annotations

import io
import queue
import threading

import grpc
import pytest
from flask import Flask, request

from meldrag.vector.v1 import vector_pb2
from services.gateway.body import BodyReader
from services.gateway.calls import End
from services.gateway.lines import Spill, split


class _OneByteAtATime(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(1)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"\n\n \r\n", []),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"\na\n\n b \n", [b"a", b"b"]),
        ("ä\nö".encode(), ["ä".encode(), "ö".encode()]),
    ],
)
@pytest.mark.parametrize("stream", [io.BytesIO, _OneByteAtATime])
def test_lines_are_the_same_however_they_arrive(
    body: bytes, lines: list[bytes], stream: type[io.BytesIO]
) -> None:
    with Flask("test").test_request_context(
        "/", method="POST", input_stream=stream(body), content_length=len(body)
    ):
        assert list(split(BodyReader(request, 1000))) == lines


def answer(number: int, size: int = 10) -> vector_pb2.ImportDocumentsResponse:
    return vector_pb2.ImportDocumentsResponse(index=number, document=vector_pb2.Document(title="x" * size))


def test_answers_come_out_in_order_whole_and_end() -> None:
    spill = Spill()
    for number in range(100):
        spill.put(answer(number, 50_000))
    for number in range(50):
        assert spill.get(timeout=1) == answer(number, 50_000)
    for number in range(100, 110):
        spill.put(answer(number))
    error = grpc.RpcError()
    spill.put(End(error))
    for number in range(50, 100):
        assert spill.get(timeout=1) == answer(number, 50_000)
    for number in range(100, 110):
        assert spill.get(timeout=1) == answer(number)
    assert spill.get(timeout=1) == End(error)
    spill.close()


def test_nothing_to_get_is_waited_for_and_told() -> None:
    spill = Spill()
    with pytest.raises(queue.Empty):
        spill.get(timeout=0.01)
    threading.Timer(0.05, lambda: spill.put(answer(1))).start()
    assert spill.get(timeout=2) == answer(1)
    spill.close()
    spill.put(answer(2))
    spill.put(End(None))
    assert spill.get(timeout=1) == End(None)
