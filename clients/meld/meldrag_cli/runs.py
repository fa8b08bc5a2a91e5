"""A run as it is followed: what is shown while it works, what is left in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from meldrag_cli import rendering
from meldrag_cli.events import Event
from meldrag_cli.failures import Failure, RefusedFailure
from meldrag_cli.gateway import Gateway, path
from meldrag_cli.terminal import Terminal, line

Decide = Callable[[str, Mapping[str, Any]], None]

_CANCEL_SECONDS = 5.0


def nobody(_run_id: str, _step: Mapping[str, Any]) -> None:
    """Leaves a step that waits to somebody else."""


def follow(
    gateway: Gateway,
    terminal: Terminal,
    where: str,
    body: Mapping[str, Any],
    *,
    seconds: float | None = None,
    decide: Decide = nobody,
) -> None:
    """Starts a run and shows it: text as it comes and then its sources, or its events as JSON lines.

    An interrupt cancels it on the server. decide: told of each step that waits for a decision. Raises
    RefusedFailure when it ends without an answer.
    """
    shown = Shown(terminal)
    with gateway.events(where, {**body, "stream": True}, seconds=seconds) as events:
        try:
            for event in events:
                terminal.give(event.data)
                shown.event(event)
                if event.name == "step" and event.data["step"]["state"] == "WAITING":
                    decide(event.data["run_id"], event.data["step"])
        except KeyboardInterrupt:
            shown.end_line()
            cancel(gateway, terminal, shown.run_id)
            raise
    shown.finish()


def cancel(gateway: Gateway, terminal: Terminal, run_id: str) -> None:
    """Stops a run that is not wanted any more; tells when that did not work."""
    if not run_id:
        return
    try:
        gateway.post(path("runs", run_id, "cancel"), {}, _CANCEL_SECONDS)
        terminal.note(f"{run_id} is cancelled")
    except Failure as failure:
        terminal.note(f"{run_id} could not be cancelled: {failure.detail}")


class Shown:
    """What a person sees of a run.

    A terminal gets text as it comes; when it does not stand, that is said and it begins again. Whatever
    else reads gets the text that stands, once it is known.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._in_line = False
        self._texts = 0
        self._ended: Mapping[str, Any] | None = None
        self.run_id = ""

    def event(self, event: Event) -> None:
        """Shows what happened."""
        data = event.data
        # The events of a workflow's steps tell of their own runs.
        if data.get("step_id"):
            return
        self.run_id = data.get("run_id") or self.run_id
        kind = data.get("type")
        if kind == "text":
            self._text(data["text"])
        elif kind == "ended":
            self._ended = data["ended"]
        elif kind == "degradation":
            self._aside(f"without {data['degradation']['component']}")
        elif kind == "step":
            self._aside(step(data["step"]))
        elif kind == "routing":
            self._aside(f"{data['routing']['agent']} takes it")
        elif kind == "tool_finished":
            self._aside(f"{data['tool_finished']['tool']}: {line(data['tool_finished']['summary'], 100)}")

    def _text(self, delta: Mapping[str, Any]) -> None:
        if not self._terminal.live:
            return
        if delta["reset"] and self._texts:
            self._aside("that did not stand; again:")
        self._terminal.write(delta["text"])
        self._in_line = not delta["text"].endswith("\n") if delta["text"] else self._in_line
        self._texts += 1

    def _aside(self, text: str) -> None:
        if self._terminal.live:
            self.end_line()
            self._terminal.say(text, "dim")

    def end_line(self) -> None:
        """Ends a line of text that was begun."""
        if self._in_line:
            self._terminal.write("\n")
            self._in_line = False

    def finish(self) -> None:
        """Shows the end. Raises RefusedFailure when it is none, or not an answer."""
        self.end_line()
        if self._ended is None:
            raise RefusedFailure("NO_ANSWER", "the run's events ended before the run", run_id=self.run_id)
        if self._ended["outcome"] != "SUCCEEDED":
            raise ended_badly(self._ended, self.run_id)
        for text in answer(self._ended["result"], with_text=not (self._terminal.live and self._texts)):
            self._terminal.say(text)
        for lack in rendering.degradations(self._ended["result"]):
            self._terminal.note(lack)
        self._terminal.note(rendering.answer_notes(self._ended["result"]))


def answer(result: Mapping[str, Any], *, with_text: bool = True) -> Iterator[str]:
    """An answer for people: its text, then its sources."""
    if with_text:
        yield str(result["text"])
    if result["citations"]:
        yield "\nSources"
        yield from rendering.sources(result["citations"])


def ended_badly(ended: Mapping[str, Any], run_id: str) -> RefusedFailure:
    """Why a run has no answer."""
    if ended["outcome"] == "CANCELLED":
        return RefusedFailure("RUN_CANCELLED", "the run was cancelled", run_id=run_id)
    error = ended.get("error") or {}
    detail = error.get("message") or "the run failed"
    return RefusedFailure(error.get("reason") or "RUN_FAILED", detail, run_id=run_id)


def step(value: Mapping[str, Any]) -> str:
    """How a step stands, in a line."""
    told = f"step {value['step_id']}: {value['state']}"
    if (value.get("attempt") or 0) > 1:
        told += f" (try {value['attempt']})"
    return f"{told}: {line(value['reason'], 200)}" if value.get("reason") else told
