"""Writes a run's events and its journal to its record, in order, beside the run and not in its way."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator

from google.protobuf.message import Message

from meldrag.agents.v1 import agents_pb2
from services.agents.journal.entry import Entry
from services.agents.ports import RecordedRun, RunEntry, RunEvent, RunRecords, RunState
from services.chassis import context
from services.chassis.errors import NotFoundError, ServiceError, UnavailableError

_log = logging.getLogger(__name__)

_BATCH_SECONDS = 0.02
_MAX_BATCH = 200
_MAX_BATCH_BYTES = 1_000_000
_PAUSES = (0.1, 0.25, 0.5, 1.0, 2.0)
_CALL_SECONDS = 3.0
# What has effects waits for its record so long.
_SETTLED_SECONDS = 5.0
# How long after the end of a run its record is still tried to be completed.
_PATIENCE_SECONDS = 30.0


class Recorder:
    """Records one run. While the session service does not answer, what is new waits in memory and is tried
    again.

    An entry of the journal is in the record before the events that follow from it, or with them.
    """

    def __init__(
        self,
        records: RunRecords,
        run_id: str,
        session_id: str,
        agent_id: str,
        request: Message,
        *,
        resumed: RecordedRun | None = None,
        parent_run_id: str = "",
    ) -> None:
        """resumed: the record, when it is that of a run that this replica took over."""
        self._records = records
        self._run_id = run_id
        self._session_id = session_id
        self._asked_agent = agent_id
        self._request = request
        self._parent_run_id = parent_run_id
        self._waiting: list[RunEvent | RunEntry] = []
        self._position = resumed.last_position if resumed else 0
        self._wake = asyncio.Event()
        # Set while somebody waits for what is in the record.
        self._hurry = asyncio.Event()
        self._written = asyncio.Event()
        self._on_loss: Callable[[], None] = lambda: None
        self._frozen = False
        self._state: RunState | None = None
        self._agent_id = ""
        self._give_up = float("inf")
        self._opened: RecordedRun | None = resumed
        self._opening: asyncio.Task[RecordedRun] | None = None
        self._task: asyncio.Task[bool] | None = None

    async def opened(self) -> RecordedRun:
        """Opens the record, or finds the one of an earlier request. Raises as RunRecords.create.

        A caller that gives up waiting does not undo the opening.
        """
        if self._opened is not None:
            return self._opened
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name=f"open {self._run_id}")
        opening = self._opening
        try:
            self._opened = await asyncio.shield(opening)
        finally:
            if opening.done() and self._opening is opening:
                self._opening = None
        return self._opened

    async def _open(self) -> RecordedRun:
        with _own_time():
            return await self._records.create(
                self._run_id, self._session_id, self._asked_agent, self._request, self._parent_run_id
            )

    @property
    def open(self) -> bool:
        """Whether the session service has the record, as far as is known."""
        return self._opened is not None

    def start(self, on_loss: Callable[[], None] = lambda: None) -> asyncio.Task[bool]:
        """Begins to write. The task ends after `finish`, with whether the record is complete.

        on_loss: called when another replica has taken the run.
        """
        self._on_loss = on_loss
        self._task = asyncio.create_task(self._write(), name=f"record {self._run_id}")
        return self._task

    def add(self, event: agents_pb2.RunAgentResponse) -> None:
        """Records an event soon."""
        if self._frozen:
            return
        self._waiting.append(RunEvent(event.sequence, event.event_time, event))
        self._wake.set()

    def add_entry(self, entry: Entry) -> None:
        """Records an entry of the journal with the next event, or when somebody waits for it: one that was
        lost with nothing behind it is asked for again.
        """
        if self._frozen:
            return
        self._position += 1
        self._waiting.append(RunEntry(self._position, entry.on_wire()))

    async def settled(self) -> None:
        """Waits until all that was added is in the record. Raises UnavailableError (SESSION_UNAVAILABLE)."""
        try:
            async with asyncio.timeout(_SETTLED_SECONDS):
                while self._waiting:
                    if self._task is None or self._task.done():
                        raise TimeoutError
                    self._written.clear()
                    self._wake.set()
                    self._hurry.set()
                    await self._written.wait()
        except TimeoutError:
            raise UnavailableError(
                "what has effects is not begun without a record, and the session service does not answer",
                reason="SESSION_UNAVAILABLE",
                retry_after=1.0,
            ) from None

    def freeze(self) -> None:
        """Takes nothing more: another process goes on with the run."""
        self._frozen = True

    async def complete(self, seconds: float) -> None:
        """Writes what waits of a frozen record, within `seconds`."""
        with contextlib.suppress(UnavailableError):
            async with asyncio.timeout(seconds):
                await self.settled()
        if self._task is not None:
            self._task.cancel()

    async def finish(self, state: RunState, agent_id: str, seconds: float) -> bool:
        """Closes the record behind the last event; whether that was done within `seconds`. It goes on
        after.
        """
        self._state = state
        self._agent_id = agent_id
        self._give_up = time.monotonic() + _PATIENCE_SECONDS
        self._wake.set()
        # Nothing more comes that could join what waits.
        self._hurry.set()
        if self._task is None:
            return False
        done, _ = await asyncio.wait({self._task}, timeout=max(0.0, seconds))
        return bool(done) and not self._task.cancelled() and self._task.result()

    async def _write(self) -> bool:
        failures = 0
        while True:
            await self._wake.wait()
            if self._state is None:
                await self._gather()
            batch, last = self._next_batch()
            if not batch and not last:
                self._wake.clear()
                continue
            try:
                await self.opened()
                with _own_time():
                    await self._records.append(
                        self._run_id,
                        [item for item in batch if isinstance(item, RunEvent)],
                        [item for item in batch if isinstance(item, RunEntry)],
                        self._state if last else None,
                        self._agent_id if last else "",
                    )
            except UnavailableError as error:
                if time.monotonic() > self._give_up:
                    _log.warning("run %s is not recorded: %s", self._run_id, error.message)
                    return False
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1
                continue
            except NotFoundError as error:
                # The session is not there, or was deleted under the run: the caller is told elsewhere.
                _log.info("run %s is not recorded: %s", self._run_id, error.message)
                return False
            except ServiceError as error:
                _log.warning("run %s cannot be recorded: %s (%s)", self._run_id, error.message, error.reason)
                if error.reason == "RUN_TAKEN":
                    self._on_loss()
                self._written.set()
                return False
            failures = 0
            del self._waiting[: len(batch)]
            self._hurry.clear()
            self._written.set()
            if last:
                return True

    async def _gather(self) -> None:
        """Lets what comes soon join what is there, unless somebody waits for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BATCH_SECONDS):
                await self._hurry.wait()

    def _next_batch(self) -> tuple[list[RunEvent | RunEntry], bool]:
        """What fits into one message, and whether the record ends behind it."""
        batch: list[RunEvent | RunEntry] = []
        size = 0
        for item in self._waiting[:_MAX_BATCH]:
            size += item.payload.ByteSize()
            if batch and size > _MAX_BATCH_BYTES:
                break
            batch.append(item)
        return batch, self._state is not None and len(batch) == len(self._waiting)


@contextlib.contextmanager
def _own_time() -> Iterator[None]:
    """A deadline of its own: the caller's may have passed, and its record is still to be written."""
    call = context.current()
    if call is None:
        yield
        return
    with context.entered(dataclasses.replace(call, deadline=time.monotonic() + _CALL_SECONDS)):
        yield
