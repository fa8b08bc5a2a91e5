"""The audio model of a run: told, charged when it is over, given up where it is down."""

from __future__ import annotations

from typing import Any

import pytest

from meldrag.agents.v1 import agents_pb2
from services.agents.chat.prices import Price
from services.agents.ledger import Ledger
from services.agents.ports import (
    JsonObject,
    Meter,
    ModelDone,
    ModelError,
    SoundFile,
    SpokenSound,
    Transcription,
    Utterance,
)
from services.agents.run import Run, RunKey
from services.agents.tools import Toolbox
from services.agents.voicing import RunVoice
from services.chassis.errors import ResourceExhaustedError

HEARD = Transcription("Good morning.", (Utterance(0, 1, "Good morning."),), "english", ModelDone("w", 70, 5))


class Scripted:
    """An audio model. Each step charges a call; an error is raised behind it."""

    transcribes = speaks = True

    def __init__(self, *script: Transcription | SpokenSound | ModelError) -> None:
        self.script = list(script)
        self.sounds: list[SoundFile] = []
        self.seconds: list[float] = []

    async def _next(self, seconds: float, meter: Meter) -> Any:
        meter.charge_model_call()
        self.seconds.append(seconds)
        step = self.script.pop(0)
        if isinstance(step, ModelError):
            raise step
        return step

    async def transcribe(
        self, sound: SoundFile, language: str, seconds: float, meter: Meter
    ) -> Transcription:
        self.sounds.append(sound)
        made: Transcription = await self._next(seconds, meter)
        return made

    async def speak(self, text: str, voice: str, seconds: float, meter: Meter) -> SpokenSound:
        made: SpokenSound = await self._next(seconds, meter)
        return made


class Bench:
    """A run with an audio model."""

    def __init__(self, model: Any, **limits: float) -> None:
        self.events: list[agents_pb2.RunAgentResponse] = []
        self.ledger = Ledger.of(**limits)
        self.ledger.prices = {"w": Price(1.0, 2.0)}
        self.run = Run(RunKey("run_1", "local", ""), self.ledger, self.events.append)
        self.voice = RunVoice(self.run, Toolbox(self.run, "audio", ("transcribe", "speak")), model)

    async def transcribe(self) -> Transcription | None:
        return await self.voice.transcribe("transcribe", {"from": "00:00"}, sound, "en")

    def degraded(self) -> list[str]:
        return [event.degradation.component for event in self.events if event.HasField("degradation")]


async def sound() -> SoundFile:
    return SoundFile("piece.flac", "audio/flac", b"fLaC")


async def test_what_was_heard_is_a_use_of_a_tool_and_costs_what_it_costs() -> None:
    model = Scripted(HEARD)
    bench = Bench(model, seconds=50)
    assert await bench.transcribe() == HEARD
    started, finished = bench.events[0], bench.events[1]
    assert started.tool_started.tool == "transcribe"
    assert finished.tool_finished.summary == "Good morning."
    ledger = bench.ledger
    assert (ledger.model_calls, ledger.input_tokens, ledger.output_tokens) == (1, 70, 5)
    assert ledger.cost_usd == pytest.approx(80 / 1e6)
    assert bench.events[-1].usage.model_calls == 1
    assert 40 < model.seconds[0] <= 50


async def test_a_model_that_is_down_is_given_up() -> None:
    down = ModelError("the model answered with HTTP status 503", model="w", repeatable=True, ill=True)
    model = Scripted(down)
    bench = Bench(model)
    assert await bench.transcribe() is None
    assert bench.degraded() == ["model"]
    assert bench.ledger.model_calls == 1
    assert not bench.voice.transcribes
    assert await bench.transcribe() is None
    assert len(model.sounds) == 1


async def test_a_refusal_concerns_what_was_asked_alone() -> None:
    bench = Bench(Scripted(ModelError("the model answered with HTTP status 400", model="w"), HEARD))
    assert await bench.transcribe() is None
    assert await bench.transcribe() == HEARD
    assert bench.ledger.model_calls == 2


async def test_a_run_without_calls_left_goes_on_without() -> None:
    model = Scripted(HEARD)
    bench = Bench(model, model_calls=0)
    assert await bench.transcribe() is None
    assert bench.degraded() == ["budget"]
    assert model.script == [HEARD]
    assert not bench.voice.transcribes


async def test_a_run_without_tools_left_ends() -> None:
    with pytest.raises(ResourceExhaustedError):
        await Bench(Scripted(HEARD), tool_calls=0).transcribe()


async def test_speech_is_kept_within_its_use() -> None:
    spoken = SpokenSound(SoundFile("speech.mp3", "audio/mpeg", b"mp3"), "alloy", ModelDone("t", 0, 0))
    bench = Bench(Scripted(spoken))
    kept: list[bytes] = []

    async def keep(made: SpokenSound) -> JsonObject:
        kept.append(made.sound.data)
        return {"file": "att_1"}

    told = await bench.voice.speak("speak", {}, "Hello.", "", keep)
    assert told == {"file": "att_1"}
    assert kept == [b"mp3"]
    assert bench.ledger.model_calls == 1


async def test_without_a_model_nothing_is_told() -> None:
    bench = Bench(None)
    assert (bench.voice.transcribes, bench.voice.speaks) == (False, False)
    assert await bench.transcribe() is None
    assert bench.events == []
