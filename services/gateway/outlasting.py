"""Imports that outlast the service they go to: what it had not answered when it died is sent again.

Only what was sent and not answered is held, and no more than a window of it. A document that was
committed just before the end, unanswered, is met again as one that exists, so nothing is taken twice.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import from_rpc_error

Line = vector_pb2.ImportDocumentsRequest
Answer = vector_pb2.ImportDocumentsResponse

# What may be sent and not answered. The service takes groups of 64 and splits one while it commits another.
_WINDOW_LINES = 256
_WINDOW_BYTES = 32 * 1024 * 1024
# A service that is started again needs some seconds for its record and its model.
_PATIENCE_SECONDS = 60.0
_AGAIN_SECONDS = 0.2


class LastingImport:
    """Like a call of ImportDocuments: iterated for its answers, ended by `cancel`.

    begin: makes one call over some lines. lines: drawn from by a thread of this object. Before the first
    answer a service that is not there is an error at once; after it, one that stays away for a minute.
    """

    def __init__(
        self,
        begin: Callable[[Iterator[Line]], Any],
        lines: Iterator[Line],
        *,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._begin = begin
        self._lines = lines
        self._patience = patience
        self._changed = threading.Condition()
        self._unanswered: deque[Line] = deque()
        self._bytes = 0
        # How many of the unanswered the present call has drawn, and which call that is.
        self._drawn = 0
        self._number = 0
        self._read_all = False
        self._closed = False
        self._call = begin(self._draw(self._number))
        threading.Thread(target=self._feed, name="import-lines", daemon=True).start()

    def __iter__(self) -> Iterator[Answer]:
        answered, lost = False, None
        while True:
            try:
                for answer in self._call:
                    answered, lost = True, None
                    self._settle()
                    yield answer
                return
            except grpc.RpcError as error:
                now = time.monotonic()
                lost = now if lost is None else lost
                if not answered or now - lost > self._patience or self._closed or not _gone(error):
                    raise
            time.sleep(_AGAIN_SECONDS)
            self._again()

    def cancel(self) -> None:
        """Ends the call and lets go of the lines."""
        with self._changed:
            self._closed = True
            self._unanswered.clear()
            self._changed.notify_all()
        self._call.cancel()

    def _again(self) -> None:
        with self._changed:
            self._number += 1
            self._drawn = 0
            number = self._number
            self._changed.notify_all()
        self._call = self._begin(self._draw(number))
        if self._closed:
            self._call.cancel()

    def _feed(self) -> None:
        try:
            for line in self._lines:
                if not self._append(line):
                    return
        except BaseException:
            # Lines that cannot be read are no end of the import.
            self.cancel()
            raise
        with self._changed:
            self._read_all = True
            self._changed.notify_all()

    def _append(self, line: Line) -> bool:
        """Waits for room. Returns whether it is still wanted."""
        size = line.ByteSize()
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._room(size))
            if self._closed:
                return False
            self._unanswered.append(line)
            self._bytes += size
            self._changed.notify_all()
            return True

    def _room(self, size: int) -> bool:
        held = len(self._unanswered)
        return not held or (held < _WINDOW_LINES and self._bytes + size <= _WINDOW_BYTES)

    def _draw(self, number: int) -> Iterator[Line]:
        """The unanswered lines, then those that come; ends when another call has taken its place."""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        self._closed
                        or number != self._number
                        or self._read_all
                        or self._drawn < len(self._unanswered)
                    )
                )
                if self._closed or number != self._number or self._drawn == len(self._unanswered):
                    return
                line = self._unanswered[self._drawn]
                self._drawn += 1
            yield line

    def _settle(self) -> None:
        with self._changed:
            if self._unanswered:
                self._bytes -= self._unanswered.popleft().ByteSize()
                self._drawn -= 1
                self._changed.notify_all()


def _gone(error: grpc.RpcError) -> bool:
    """Whether the service, or the way to it, has gone; what it says itself is an answer."""
    return from_rpc_error(error).reason == "UPSTREAM_UNAVAILABLE"
