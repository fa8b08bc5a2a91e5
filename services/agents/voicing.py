"""The audio model of one run: each call is a use of a tool, and what it costs is the run's."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable

from services.agents.ledger import exhausted
from services.agents.model import Degradation
from services.agents.ports import (
    AudioModel,
    JsonObject,
    Meter,
    ModelDone,
    ModelError,
    SoundFile,
    SpokenSound,
    Tools,
    Transcription,
    Utterance,
)
from services.agents.run import Run
from services.chassis.errors import ResourceExhaustedError

_log = logging.getLogger(__name__)


class RunVoice:
    """Implements ports.Voice for one run. model: None where none is configured."""

    def __init__(self, run: Run, tools: Tools, model: AudioModel | None) -> None:
        self._run = run
        self._tools = tools
        self._model = model

    @property
    def transcribes(self) -> bool:
        """See Voice."""
        return self._model is not None and self._model.transcribes

    @property
    def speaks(self) -> bool:
        """See Voice."""
        return self._model is not None and self._model.speaks

    async def transcribe(
        self, tool: str, arguments: JsonObject, sound: Callable[[], Awaitable[SoundFile]], language: str
    ) -> Transcription | None:
        """See Voice."""
        model = self._model
        if model is None or not model.transcribes:
            return None

        async def call(meter: Meter) -> tuple[JsonObject, ModelDone]:
            cut = await sound()
            heard = await model.transcribe(cut, language, self._run.ledger.seconds_left(), meter)
            return dataclasses.asdict(heard), heard.done

        told = await self._use(tool, arguments, call, lambda value: _excerpt(value["text"]))
        if told is None:
            return None
        return Transcription(
            told["text"],
            tuple(Utterance(**utterance) for utterance in told["utterances"]),
            told["language"],
            ModelDone(**told["done"]),
        )

    async def speak(
        self,
        tool: str,
        arguments: JsonObject,
        text: str,
        voice: str,
        keep: Callable[[SpokenSound], Awaitable[JsonObject]],
    ) -> JsonObject | None:
        """See Voice."""
        model = self._model
        if model is None or not model.speaks:
            return None

        async def call(meter: Meter) -> tuple[JsonObject, ModelDone]:
            spoken = await model.speak(text, voice, self._run.ledger.seconds_left(), meter)
            return await keep(spoken), spoken.done

        return await self._use(tool, arguments, call, lambda _: f"{len(text)} characters were spoken")

    async def _use(
        self,
        tool: str,
        arguments: JsonObject,
        call: Callable[[Meter], Awaitable[tuple[JsonObject, ModelDone]]],
        summary: Callable[[JsonObject], str],
    ) -> JsonObject | None:
        """What the call gave. It is charged when it is over, from what the tool's result says: a replay,
        which makes no call, charges the same at the same place.
        """
        ledger = self._run.ledger
        counted = _Counted(ledger.left().model_calls, ledger.allowance.model_calls)

        async def action() -> JsonObject:
            try:
                value, done = await call(counted)
            except ModelError as error:
                failed = f"{error.model or 'the model'}: {error}"
                return {"failed": failed, "gone": error.ill or error.repeatable, "calls": counted.calls}
            except ResourceExhaustedError as error:
                if error.reason != "BUDGET_EXHAUSTED":
                    raise
                return {"failed": error.message, "budget": True, "calls": counted.calls}
            return {"value": value, "done": dataclasses.asdict(done), "calls": counted.calls}

        told = await self._tools.use(
            tool, arguments, action, lambda result: result.get("failed") or summary(result["value"])
        )
        for _ in range(told["calls"]):
            ledger.charge_model_call()
        if "value" in told:
            ledger.charge_tokens(ModelDone(**told["done"]))
        self._run.tell_usage()
        if "value" in told:
            value: JsonObject = told["value"]
            return value
        self._without(told)
        return None

    def _without(self, told: JsonObject) -> None:
        _log.warning("a result is made without the model of sound: %s", told["failed"])
        service = "budget" if told.get("budget") else "model"
        self._run.degrade(
            Degradation(service, f"{told['failed']}. This part of the result was made without it.")
        )
        if told.get("budget") or told.get("gone"):
            self._model = None


class _Counted:
    """Is a Meter that counts for later. left: calls that the run has left of its limit."""

    def __init__(self, left: int, limit: int) -> None:
        self.calls = 0
        self._left = left
        self._limit = limit

    def charge_model_call(self) -> None:
        """See Meter."""
        if self.calls >= self._left:
            raise exhausted("model calls", self._limit)
        self.calls += 1


class UnconfiguredAudio:
    """Stands for the models that a run had when it began. What they said then is in the journal."""

    def __init__(self, *, transcribes: bool, speaks: bool) -> None:
        self.transcribes = transcribes
        self.speaks = speaks

    async def transcribe(self, *_: object) -> Transcription:
        """Raises ModelError."""
        raise ModelError("no model that listens is configured any more", model="")

    async def speak(self, *_: object) -> SpokenSound:
        """Raises ModelError."""
        raise ModelError("no model that speaks is configured any more", model="")


def _excerpt(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
