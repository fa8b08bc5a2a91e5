"""A run: its events in order, for one caller who follows and for the record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from meldrag.agents.v1 import agents_pb2
from services.agents import wire
from services.agents.ledger import Ledger
from services.agents.model import Degradation
from services.chassis.errors import ServiceError

# Text is sent at once when none was for this long, else together with what comes within it.
COALESCE_SECONDS = 0.02


@dataclass(frozen=True)
class RunKey:
    """Names a run: its id, whose it is, and the caller's own id of the request (empty for none)."""

    run_id: str
    tenant_id: str
    request_id: str


class Run:
    """Collects events. `on_event` hears each one at once; `follow` gives them to the caller.

    A failure before the first event is an error of the call; every later end is a RunEnded event.
    """

    def __init__(
        self, key: RunKey, ledger: Ledger, on_event: Callable[[agents_pb2.RunAgentResponse], None]
    ) -> None:
        self.key = key
        self.ledger = ledger
        self.degradations: list[Degradation] = []
        self.agent_id = ""
        self.text = ""
        self._on_event = on_event
        self._events: list[agents_pb2.RunAgentResponse] = []
        self._refusal: ServiceError | None = None
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._unsent = ""
        self._last_sent = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    @property
    def begun(self) -> bool:
        """Whether an event was emitted."""
        return bool(self._events)

    @property
    def over(self) -> bool:
        """Whether the last event or the refusal is out."""
        return self._over

    def emit(self, **event: Message) -> None:
        """Emits an event under the name of its field in RunAgentResponse."""
        self._send_text()
        self.publish(self.prepare(**event))

    def prepare(self, **event: Message) -> agents_pb2.RunAgentResponse:
        """The next event, not yet sent."""
        self._send_text()
        made = agents_pb2.RunAgentResponse(
            run_id=self.key.run_id,
            sequence=len(self._events) + 1,
            **event,  # type: ignore[arg-type] # one of the fields
        )
        made.event_time.GetCurrentTime()
        return made

    def publish(self, event: agents_pb2.RunAgentResponse) -> None:
        """Sends a prepared event."""
        self._events.append(event)
        self._over = self._over or event.HasField("ended")
        if not event.HasField("ended"):
            self._on_event(event)
        self._changed.set()

    def say(self, text: str) -> None:
        """Adds to the answer's text."""
        if not text:
            return
        self.ledger.mark_text()
        self.text += text
        self._unsent += text
        wait = self._last_sent + COALESCE_SECONDS - self._loop.time()
        if wait <= 0:
            self._send_text()
        elif self._timer is None:
            self._timer = self._loop.call_later(wait, self._send_text)

    def restart(self, text: str) -> None:
        """Replaces all text said before."""
        self._send_text()
        self.text = text
        self.publish(self.prepare(text=agents_pb2.TextDelta(text=text, reset=True)))

    def settle_text(self) -> None:
        """Sends text that waits to be joined with more."""
        self._send_text()

    def degrade(self, degradation: Degradation) -> None:
        """Tells what the run goes on without."""
        self.degradations.append(degradation)
        self.emit(degradation=wire.degradation(degradation))

    def tell_usage(self) -> None:
        """Tells what has been used so far."""
        self.emit(usage=wire.usage(self.ledger))

    def refuse(self, error: ServiceError) -> None:
        """Ends the run before its first event."""
        self._refusal = error
        self._over = True
        self._changed.set()

    async def follow(self) -> AsyncGenerator[agents_pb2.RunAgentResponse]:
        """The events as they come, up to the last. Raises the refusal. For one follower."""
        position = 0
        while True:
            while position < len(self._events):
                event = self._events[position]
                position += 1
                yield event
                if event.HasField("ended"):
                    return
            if self._refusal is not None:
                raise self._refusal
            self._changed.clear()
            await self._changed.wait()

    def _send_text(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._unsent:
            text, self._unsent = self._unsent, ""
            self._last_sent = self._loop.time()
            self.publish(self.prepare(text=agents_pb2.TextDelta(text=text)))
