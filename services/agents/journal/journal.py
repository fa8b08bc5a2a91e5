"""The journal of one run: hands out what is recorded, and writes down what is not.

Everything that a run cannot work out by itself goes through here: searches, models, tools, clocks, chance. An
outcome is written down before anybody acts on it, and in the record before whatever follows from it. So the
same work over the same journal goes the same way: a run whose process ended goes on behind its last entry
(`resumed`), and one that has ended can be run again with nothing but its record (`repeated`).

An entry is found by what was asked and how often that was asked before, not by its place, so work that goes
on side by side finds its own. It is handed out in the order of the record, so that what follows from it
comes in the recorded order as well.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

from services.agents.journal.codecs import JSON, Codec, read_error, written_error
from services.agents.journal.difference import Difference, between
from services.agents.journal.entry import (
    Entry,
    Outcome,
    canonical,
    digest,
    packed,
    read_json,
    unpacked,
)
from services.chassis import context
from services.chassis.errors import ServiceError

T = TypeVar("T")

MAX_ENTRY_BYTES = 950_000
MAX_BYTES = 8_000_000
# A request that is larger is told by its digest alone.
_MAX_REQUEST_BYTES = 200_000

# How long an entry waits for those before it, and something new for those that are recorded: what asks for
# them has all that it needs, so this is the time that it computes.
_TURN_SECONDS = 2.0
_DRAIN_SECONDS = 10.0
# Who got an outcome goes on, through a task or two, before the next one is handed out.
_STEPS = 10

# Set while something is called that is written down.
_within_call: ContextVar[bool] = ContextVar("meldrag_journaled_call", default=False)

BEGIN, CLOCK, RESUMED = "begin", "clock", "resumed"


class Journal:
    """A run's journal.

    write: takes new entries; None keeps none. settled: waits until all that was written is in the record, and
    raises ServiceError when it is not in time. recorded: what is there already. live: what is not recorded
    is asked; else it is a Difference.
    """

    def __init__(
        self,
        *,
        write: Callable[[Entry], None] | None = None,
        settled: Callable[[], Awaitable[None]] | None = None,
        recorded: Sequence[Entry] = (),
        live: bool = True,
        terms: Mapping[str, Any] | None = None,
    ) -> None:
        """terms: under which the run is done here, plain JSON; those that it began under are `self.terms`."""
        self.broken = ""
        self.on_broken: Callable[[str], None] = lambda _: None
        self.on_live: Callable[[], int] = lambda: 0
        self.on_resumed: Callable[[int], None] = lambda _: None
        self._write_entry = write
        self._settled = settled
        self._recorded = list(recorded)
        self._live = live
        self._size = sum(entry.size for entry in recorded)
        self._notes: dict[str, deque[int]] = defaultdict(deque)
        self._outcomes: dict[tuple[str, bytes], deque[int]] = defaultdict(deque)
        self._begun: dict[tuple[str, bytes], deque[int]] = defaultdict(deque)
        self._resumptions: deque[int] = deque()
        self._waiting: list[int] = []
        for index, entry in enumerate(self._recorded):
            self._file(index, entry)
        self._moved = asyncio.Event()
        self._ordered = True
        self._went_live = not self._recorded
        self._first: Difference | None = None
        self._shift = 0.0
        began = self.note(BEGIN, lambda: {"time": time.time(), "terms": dict(terms or {})})
        self.terms: Mapping[str, Any] = began["terms"]
        self._continue_clock(began["time"])

    def _file(self, index: int, entry: Entry) -> None:
        if entry.outcome is Outcome.BROKEN:
            self.broken = read_json(unpacked(entry.value))
        elif entry.kind == RESUMED:
            self._resumptions.append(index)
        elif entry.noted:
            self._notes[entry.kind].append(index)
        elif entry.outcome is Outcome.BEGUN:
            self._begun[entry.kind, entry.digest].append(index)
        else:
            self._outcomes[entry.kind, entry.digest].append(index)
            self._waiting.append(index)

    def _continue_clock(self, began: float) -> None:
        """The clock of a run that is resumed goes on, the time without a process included."""
        readings = [read_json(unpacked(self._recorded[index].value)) for index in self._notes.get(CLOCK, ())]
        if readings:
            now = max(readings[0] + time.time() - began, *readings)
            self._shift = now - time.monotonic()

    @property
    def difference(self) -> Difference | None:
        """The first that was met."""
        return self._first

    def left(self) -> Difference | None:
        """What is recorded and was never asked for: a difference at the end."""
        if not self._waiting:
            return None
        index = self._waiting[0]
        return between(self._recorded[index].kind, index + 1, self._asked(index), None)

    def differ(self, difference: Difference) -> Difference:
        """Notes a difference; the first one counts."""
        self._first = self._first or difference
        return self._first

    # -- what is read at once ----------------------------------------------------------------------------

    def note(self, kind: str, read: Callable[[], Any]) -> Any:
        """A plain JSON value that is had without waiting, such as chance. Raises Difference.

        Within a call that is written down itself nothing is noted: it is not made again.
        """
        if _within_call.get():
            return read()
        if places := self._notes[kind]:
            return read_json(unpacked(self._recorded[places.popleft()].value))
        if not self._live:
            raise self.differ(Difference(kind, len(self._recorded) + 1, "", "another reading"))
        value = read()
        self._write(Entry(kind, Outcome.VALUE, value=packed(canonical(value))))
        return value

    def clock(self) -> float:
        """Seconds that only grow."""
        reading: float = self.note(CLOCK, lambda: time.monotonic() + self._shift)
        return reading

    def remaining(self) -> float:
        """Seconds until the caller's deadline."""
        reading: float = self.note("remaining", context.remaining)
        return reading

    # -- what is asked and waited for --------------------------------------------------------------------

    async def ask(
        self, kind: str, request: Any, call: Callable[[], Awaitable[T]], codec: Codec[T] = JSON
    ) -> T:
        """What `call` gives, or raises as ServiceError; request: plain JSON. Raises Difference.

        For what may be asked again where nobody knows how it ended.
        """
        value, _ = await self.timed(kind, request, call, codec)
        return value

    async def timed(
        self, kind: str, request: Any, call: Callable[[], Awaitable[T]], codec: Codec[T] = JSON
    ) -> tuple[T, float]:
        """As `ask`, with the seconds that it took."""
        said, name = self._named(request)
        if (entry := await self.found(kind, name, said)) is not None:
            return self._outcome(entry, codec), entry.seconds
        return await self._called(kind, said, call, codec)

    async def once(
        self,
        kind: str,
        request: Any,
        call: Callable[[], Awaitable[T]],
        unknown: Callable[[], ServiceError],
        codec: Codec[T] = JSON,
    ) -> tuple[T, float]:
        """As `timed`, for what has effects outside: that it begins is in the record before it does. Where it
        began and nobody knows how it ended it is not done again, and fails with what `unknown` gives.

        Raises UnavailableError when the record cannot be written.
        """
        said, name = self._named(request)
        entry = await self.found(kind, name, said)
        places = self._begun[kind, name]
        begun = bool(places) and places.popleft() >= 0
        if entry is not None:
            return self._outcome(entry, codec), entry.seconds
        if begun:
            error = unknown()
            self.add(kind, said, Outcome.ERROR, packed(written_error(error) or b""))
            raise error
        self._write(Entry(kind, Outcome.BEGUN, name, self._kept(said)))
        await self._in_record()
        outcome = await self._called(kind, said, call, codec)
        await self._in_record()
        return outcome

    async def found(self, kind: str, name: bytes, said: bytes) -> Entry | None:
        """The recorded outcome of a request, when its turn has come; None when it has to be asked.

        Raises Difference, and for one that is not recorded in a closed journal.
        """
        if self._first is not None:
            raise self._first
        places = self._outcomes[kind, name]
        if places:
            index = places.popleft()
            await self._turn(index)
            return self._recorded[index]
        if not self._live:
            raise self.differ(self._other(kind, said))
        if not self._went_live:
            await self._go_live(kind, said)
        return None

    async def _turn(self, index: int) -> None:
        """Waits until all entries before this one were handed out, and those who got them went on."""
        end = time.monotonic() + _TURN_SECONDS
        waited = False
        while self._ordered and self._waiting and self._waiting[0] < index:
            waited = True
            if not await self._move(end):
                # Whoever asked for them does not any more; then order means nothing.
                self._ordered = False
        if waited:
            await _steps()
        self._waiting.remove(index)
        self._moved.set()
        self._moved = asyncio.Event()
        resumption = None
        while self._resumptions and self._resumptions[0] < index:
            # A process that went on at the same place as the one before it took back the same text, and more.
            resumption = self._recorded[self._resumptions.popleft()]
        if resumption is not None:
            self.on_resumed(read_json(unpacked(resumption.value)))

    async def _go_live(self, kind: str, said: bytes) -> None:
        """What comes now was not reached before. All that is recorded is asked for first by those who can."""
        end = time.monotonic() + _DRAIN_SECONDS
        while self._waiting:
            if not await self._move(end):
                raise self.differ(self._other(kind, said))
        await _steps()
        if not self._went_live:
            self._went_live = True
            self._write(Entry(RESUMED, Outcome.VALUE, value=packed(canonical(self.on_live()))))

    async def _move(self, end: float) -> bool:
        """Waits until something is handed out; False at the end of the time."""
        try:
            async with asyncio.timeout(max(0.0, end - time.monotonic())):
                await self._moved.wait()
        except TimeoutError:
            return False
        return True

    def _other(self, kind: str, said: bytes) -> Difference:
        """The difference between a request that is not recorded and the one that is in its place."""
        same = [index for index in self._waiting if self._recorded[index].kind == kind]
        repeated = read_json(said)
        for index in same or self._waiting[:1]:
            recorded = self._recorded[index]
            if recorded.kind != kind:
                return Difference(kind, index + 1, recorded.kind, kind)
            return between(kind, index + 1, self._asked(index), repeated)
        return between(kind, len(self._recorded) + 1, None, repeated)

    def _asked(self, index: int) -> Any:
        request = self._recorded[index].request
        return read_json(unpacked(request)) if request else "a request that is known by its digest alone"

    def _outcome(self, entry: Entry, codec: Codec[T]) -> T:
        if entry.outcome is Outcome.ERROR:
            raise read_error(unpacked(entry.value))
        return codec.read(unpacked(entry.value))

    async def _called(
        self, kind: str, said: bytes, call: Callable[[], Awaitable[T]], codec: Codec[T]
    ) -> tuple[T, float]:
        began = time.monotonic()
        try:
            token = _within_call.set(True)
            try:
                value = await call()
            finally:
                _within_call.reset(token)
        except Exception as error:
            written = written_error(error)
            if written is not None:
                self.add(kind, said, Outcome.ERROR, packed(written), seconds=time.monotonic() - began)
            raise
        seconds = time.monotonic() - began
        self.add(kind, said, Outcome.VALUE, codec.pack(codec.write(value)), seconds=seconds)
        return value, seconds

    # -- writing -----------------------------------------------------------------------------------------

    def add(self, kind: str, said: bytes, outcome: Outcome, value: bytes, *, seconds: float = 0.0) -> None:
        """Writes down how a request ended. said: the request. value: packed."""
        self._write(Entry(kind, outcome, digest(said), self._kept(said), value, seconds))

    @staticmethod
    def _named(request: Any) -> tuple[bytes, bytes]:
        said = canonical(request)
        return said, digest(said)

    @staticmethod
    def _kept(said: bytes) -> bytes:
        return packed(said) if len(said) <= _MAX_REQUEST_BYTES else b""

    def _write(self, entry: Entry) -> None:
        if self._write_entry is None or self.broken:
            return
        cause = ""
        if entry.size > MAX_ENTRY_BYTES:
            cause = f"an outcome of {entry.kind} has {entry.size} bytes; {MAX_ENTRY_BYTES} are kept"
        elif self._size + entry.size > MAX_BYTES:
            cause = f"the run learnt more than {MAX_BYTES} bytes from outside, which is all that is kept"
        if cause:
            self.broken = cause
            self._write_entry(Entry("broken", Outcome.BROKEN, value=packed(canonical(cause))))
            self.on_broken(cause)
            return
        self._size += entry.size
        self._write_entry(entry)

    async def _in_record(self) -> None:
        """Waits until all that was written is kept. A journal that keeps nothing is never resumed."""
        if self._settled is not None:
            await self._settled()


def outside_of_calls() -> Context:
    """The caller's context, for work that is no part of what is called: it has a journal of its own."""
    made = copy_context()
    made.run(_within_call.set, False)
    return made


async def _steps() -> None:
    for _ in range(_STEPS):
        await asyncio.sleep(0)
