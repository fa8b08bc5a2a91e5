"""A run: its events in order, for one caller who follows and for the record."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.message import Message

from meldrag.agents.v1 import agents_pb2
from services.agents import wire
from services.agents.journal.difference import Difference, between
from services.agents.journal.journal import Journal
from services.agents.ledger import Ledger
from services.agents.model import Degradation
from services.agents.workflow.approvals import Approvals
from services.agents.workflow.ports import Children
from services.chassis.errors import ServiceError

# Text is sent at once when none was for this long, else together with what comes within it.
COALESCE_SECONDS = 0.02


@dataclass(frozen=True)
class RunKey:
    """Names a run: its id, whose it is (see Principal.space), the caller's own id of the request and the run
    that it is below (both empty for none).
    """

    run_id: str
    space: str
    request_id: str
    parent_run_id: str = ""


class Run:
    """Collects events. `on_event` hears each one at once; `follow` gives them to the caller.

    A failure before the first event is an error of the call; every later end is a RunEnded event.

    past: events that are recorded already, of a run that is resumed or repeated. Each is expected to come
    about again, is followed as it is recorded, with its time and its piece of the text, and is not told to
    `on_event`. One that comes about otherwise is a Difference.
    """

    def __init__(
        self,
        key: RunKey,
        ledger: Ledger,
        on_event: Callable[[agents_pb2.RunAgentResponse], None],
        journal: Journal | None = None,
        past: Sequence[agents_pb2.RunAgentResponse] = (),
    ) -> None:
        self.key = key
        self.ledger = ledger
        self.degradations: list[Degradation] = []
        self.agent_id = ""
        self.text = ""
        self.journal = journal or Journal()
        self.journal.on_broken = self._cannot_be_repeated
        self.journal.on_live = self._catch_up
        self.journal.on_resumed = self._catch_up_as_recorded
        self.approvals = Approvals(key.run_id)
        # None in a run that is repeated: it begins nothing.
        self.children: Children | None = None
        # Whether somebody follows what the runs below do as well.
        self.watched = False
        self._past = deque(past)
        # What a reader of the events has before him.
        self._shown = ""
        self._on_event = on_event
        self._events: list[agents_pb2.RunAgentResponse] = []
        # What a follower gets: these events, and those of runs below, each with its step.
        self._feed: list[tuple[str, agents_pb2.RunAgentResponse]] = []
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
        """Emits an event under the name of its field in RunAgentResponse. Raises Difference."""
        self.publish(self.prepare(**event))

    def prepare(self, **event: Message) -> agents_pb2.RunAgentResponse:
        """The next event, not yet sent. Raises Difference."""
        self._send_text(whole=True)
        made = agents_pb2.RunAgentResponse(
            run_id=self.key.run_id,
            sequence=len(self._events) + 1,
            **event,  # type: ignore[arg-type] # one of the fields
        )
        made.event_time.GetCurrentTime()
        return made

    def publish(self, event: agents_pb2.RunAgentResponse) -> None:
        """Sends a prepared event; nothing behind a refusal. Raises Difference when another one is recorded in
        its place.
        """
        if self._refusal is not None:
            return
        if self._past:
            recorded = self._past[0]
            if not _alike(recorded, event):
                raise self.journal.differ(between("event", event.sequence, _plain(recorded), _plain(event)))
            self._send(self._past.popleft())
            return
        self._send(event)
        if not event.HasField("ended"):
            self._on_event(event)

    def _send(self, event: agents_pb2.RunAgentResponse) -> None:
        self._events.append(event)
        self._feed.append(("", event))
        self._over = self._over or event.HasField("ended")
        if event.HasField("text"):
            self._shown = event.text.text if event.text.reset else self._shown + event.text.text
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
            self._timer = self._loop.call_later(wait, self._send_later)

    def restart(self, text: str) -> None:
        """Replaces all text said before."""
        self._send_text(whole=True)
        self.text = text
        self.publish(self.prepare(text=agents_pb2.TextDelta(text=text, reset=True)))

    def settle_text(self) -> None:
        """Sends text that waits to be joined with more."""
        self._send_text(whole=True)

    def degrade(self, degradation: Degradation) -> None:
        """Tells what the run goes on without."""
        self.degradations.append(degradation)
        self.emit(degradation=wire.degradation(degradation))

    def tell_usage(self) -> None:
        """Tells what has been used so far."""
        self.emit(usage=wire.usage(self.ledger))

    def refuse(self, error: ServiceError) -> None:
        """Ends the run without a last event, which is one before its first event."""
        self._refusal = error
        self._over = True
        self._changed.set()

    def relay(self, step: str, event: agents_pb2.RunAgentResponse) -> None:
        """Passes on an event of a run below, where somebody follows those. It is no event of this run."""
        if self.watched and not self._over:
            self._feed.append((step, event))
            self._changed.set()

    async def follow(self) -> AsyncGenerator[agents_pb2.RunAgentResponse]:
        """The events as they come, up to the last. Raises the refusal. For one follower."""
        async with contextlib.aclosing(self.follow_with_steps()) as events:
            async for step, event in events:
                if not step:
                    yield event

    async def follow_with_steps(self) -> AsyncGenerator[tuple[str, agents_pb2.RunAgentResponse]]:
        """As `follow`, with what is relayed: each event with the step that it belongs to, "" for this run's
        own.
        """
        position = 0
        while True:
            while position < len(self._feed):
                step, event = self._feed[position]
                position += 1
                yield step, event
                if not step and event.HasField("ended"):
                    return
            if self._refusal is not None:
                raise self._refusal
            self._changed.clear()
            await self._changed.wait()

    def _send_text(self, *, whole: bool = False) -> None:
        """whole: no more text comes now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._unsent:
            text, recorded = self._unsent, self._recorded_text()
            if recorded and text.startswith(recorded):
                text = recorded
            elif recorded.startswith(text) and not whole:
                # The recorded piece is longer; it is sent when all of it was said.
                return
            self._unsent = self._unsent[len(text) :]
            self._last_sent = self._loop.time()
            made = agents_pb2.RunAgentResponse(
                run_id=self.key.run_id,
                sequence=len(self._events) + 1,
                text=agents_pb2.TextDelta(text=text),
            )
            made.event_time.GetCurrentTime()
            self.publish(made)

    def _send_later(self) -> None:
        # The journal has the difference; whoever asks it next hears of it.
        with contextlib.suppress(Difference):
            self._send_text()

    def _recorded_text(self) -> str:
        """The next recorded event's piece of text; "" when it is something else."""
        head = self._past[0].text if self._past else None
        return head.text if head is not None and not head.reset else ""

    def events(self) -> Sequence[agents_pb2.RunAgentResponse]:
        """Those that are out."""
        return tuple(self._events)

    def left(self) -> Difference | None:
        """A recorded event that did not come about again: a difference at the end."""
        if not self._past:
            return None
        return between("event", len(self._events) + 1, _plain(self._past[0]), None)

    def settle_past(self) -> None:
        """Sends what is recorded and did not come about again: the run ends here, behind it."""
        while self._past:
            self._send(self._past.popleft())

    # -- resumed and repeated ----------------------------------------------------------------------------

    def _cannot_be_repeated(self, cause: str) -> None:
        self.degrade(Degradation("journal", f"The run cannot be resumed or repeated: {cause}."))

    def _catch_up(self) -> int:
        """From here on the run does what is not recorded. Text that a model had written when the process
        ended was streamed and does not stand. How many recorded pieces of it there were.
        """
        pieces = 0
        while self._past and self._past[0].HasField("text"):
            self._send(self._past.popleft())
            pieces += 1
        self._take_back()
        return pieces

    def _catch_up_as_recorded(self, pieces: int) -> None:
        """As it was when the run was resumed."""
        for _ in range(pieces):
            if self._past and self._past[0].HasField("text"):
                self._send(self._past.popleft())
        self._take_back()

    def _take_back(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._shown + self._unsent != self.text:
            self._unsent = ""
            self.restart(self.text)
        else:
            self._send_text()


def _alike(one: agents_pb2.RunAgentResponse, other: agents_pb2.RunAgentResponse) -> bool:
    """Whether two events are the same but for their time."""
    return _timeless(one) == _timeless(other)


def _timeless(event: agents_pb2.RunAgentResponse) -> bytes:
    copy = agents_pb2.RunAgentResponse()
    copy.CopyFrom(event)
    copy.ClearField("event_time")
    return copy.SerializeToString(deterministic=True)


def _plain(event: agents_pb2.RunAgentResponse) -> dict[str, object]:
    told: dict[str, object] = json_format.MessageToDict(event, preserving_proto_field_name=True)
    told.pop("event_time", None)
    return told
