"""Writes a run's events to its record, in order, beside the run and not in its way."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator

from google.protobuf.message import Message

from meldrag.agents.v1 import agents_pb2
from services.agents.ports import RecordedRun, RunEvent, RunRecords, RunState
from services.chassis import context
from services.chassis.errors import NotFoundError, ServiceError, UnavailableError

_log = logging.getLogger(__name__)

_BATCH_SECONDS = 0.02
_MAX_BATCH = 200
_MAX_BATCH_BYTES = 1_000_000
_PAUSES = (0.1, 0.25, 0.5, 1.0, 2.0)
_CALL_SECONDS = 3.0
# How long after the end of a run its record is still tried to be completed.
_PATIENCE_SECONDS = 30.0


class Recorder:
    """Records one run. While the session service does not answer, events wait in memory and are tried
    again.
    """

    def __init__(
        self, records: RunRecords, run_id: str, session_id: str, agent_id: str, request: Message
    ) -> None:
        self._records = records
        self._run_id = run_id
        self._session_id = session_id
        self._asked_agent = agent_id
        self._request = request
        self._waiting: list[RunEvent] = []
        self._wake = asyncio.Event()
        self._state: RunState | None = None
        self._agent_id = ""
        self._give_up = float("inf")
        self._opened: RecordedRun | None = None
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
        try:
            self._opened = await asyncio.shield(self._opening)
        finally:
            if self._opening.done():
                self._opening = None
        return self._opened

    async def _open(self) -> RecordedRun:
        with _own_time():
            return await self._records.create(
                self._run_id, self._session_id, self._asked_agent, self._request
            )

    def start(self) -> asyncio.Task[bool]:
        """Begins to write. The task ends after `finish`, with whether the record is complete."""
        self._task = asyncio.create_task(self._write(), name=f"record {self._run_id}")
        return self._task

    def add(self, event: agents_pb2.RunAgentResponse) -> None:
        """Records an event soon."""
        self._waiting.append(RunEvent(event.sequence, event.event_time, event))
        self._wake.set()

    async def finish(self, state: RunState, agent_id: str, seconds: float) -> bool:
        """Closes the record behind the last event; whether that was done within `seconds`. It goes on
        after.
        """
        self._state = state
        self._agent_id = agent_id
        self._give_up = time.monotonic() + _PATIENCE_SECONDS
        self._wake.set()
        if self._task is None:
            return False
        done, _ = await asyncio.wait({self._task}, timeout=max(0.0, seconds))
        return bool(done) and not self._task.cancelled() and self._task.result()

    async def _write(self) -> bool:
        failures = 0
        while True:
            await self._wake.wait()
            if self._state is None:
                await asyncio.sleep(_BATCH_SECONDS)
            batch, last = self._next_batch()
            if not batch and not last:
                self._wake.clear()
                continue
            try:
                await self.opened()
                with _own_time():
                    await self._records.append(
                        self._run_id, batch, self._state if last else None, self._agent_id if last else ""
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
                return False
            failures = 0
            del self._waiting[: len(batch)]
            if last:
                return True

    def _next_batch(self) -> tuple[list[RunEvent], bool]:
        """Events that fit into one message, and whether the record ends behind them."""
        batch: list[RunEvent] = []
        size = 0
        for event in self._waiting[:_MAX_BATCH]:
            size += event.payload.ByteSize()
            if batch and size > _MAX_BATCH_BYTES:
                break
            batch.append(event)
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
