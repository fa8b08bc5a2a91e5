"""espeak-ng, shut in."""

from __future__ import annotations

import io
import wave

import pytest

from services.agents.hearing import speaking
from services.agents.hearing.recording import measure
from services.agents.hearing.speaking import is_voice, speak
from services.agents.ports import Sandboxed
from tests.support.plain_sandbox import PlainSandbox


async def spoken(sandbox: Sandboxed, text: str, voice: str = "en", words: int = 0) -> speaking.Speech:
    made = await speak(sandbox, text, voice, words)
    if "not installed" in made.unable:
        pytest.skip(made.unable)
    return made


async def test_a_text_is_spoken_shut_in(sandbox: Sandboxed) -> None:
    made = await spoken(sandbox, "The ferry leaves at six. Tickets are sold on board.")
    assert made.unable == ""
    with wave.open(io.BytesIO(made.wav)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
    assert 2 < made.seconds < 10
    heard = await measure(sandbox, made.wav, "speech.wav")
    assert heard.duration == pytest.approx(made.seconds, abs=0.01)
    assert heard.speech_count >= 1


async def test_slow_speech_takes_longer_and_another_voice_sounds_otherwise() -> None:
    box, text = PlainSandbox(), "The ferry leaves at six in the morning."
    slow, fast = await spoken(box, text, words=90), await spoken(box, text, words=300)
    assert slow.seconds > 1.5 * fast.seconds
    assert (await spoken(box, text, "de")).wav != (await spoken(box, text)).wav


@pytest.mark.parametrize(
    ("text", "voice", "said"),
    [("Hello.", "klingon9", "has no voice 'klingon9'"), ("  ", "en", "nothing to be spoken")],
)
async def test_what_cannot_be_spoken_says_why(text: str, voice: str, said: str) -> None:
    made = await spoken(PlainSandbox(), text, voice)
    assert said in made.unable
    assert made.wav == b""


def test_names_of_voices() -> None:
    assert all(map(is_voice, ("en", "en-gb", "de+f3", "gmw/en-US")))
    assert not any(map(is_voice, ("", "../x", "en us", "-v", "a" * 80)))
