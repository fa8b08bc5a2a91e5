"""The audio agent, without and with models of sound."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from meldrag.agents.v1 import results_pb2
from services.agents.ports import (
    JsonObject,
    ModelDone,
    SoundFile,
    SpokenSound,
    StoredFile,
    Transcription,
    Utterance,
)
from services.agents.results import check
from services.agents.roster.audio import tell
from services.chassis.errors import (
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from tests.support.kept_files import KeptFiles
from tests.unit.agents.hearing.sounds import noise, sine, stereo, vowels, written
from tests.unit.agents.roster.coding import Bench

RATE = 16_000


def recording() -> bytes:
    """Two seconds of a voice, a silence of 1.5 s, two seconds of a voice that is too loud."""
    voice = vowels(2, RATE)
    loud = np.clip(10 * voice, -1, 1)
    made = np.concatenate([voice, np.zeros(round(1.5 * RATE)), loud])
    return written(made + noise(len(made) / RATE, -66, RATE), RATE)


def files(**given: bytes) -> KeptFiles:
    return KeptFiles({name: (f"{name}.wav", "audio/wav", data) for name, data in given.items()})


def inputs(*attachments: str, **fields: Any) -> results_pb2.AudioInputs:
    return results_pb2.AudioInputs(attachment_ids=attachments, **fields)


class Voice:
    """A voice that says what it is told to, once for each piece."""

    transcribes = speaks = True

    def __init__(self, *script: Transcription | SpokenSound | None) -> None:
        self.script = list(script)
        self.heard: list[tuple[JsonObject, SoundFile, str]] = []

    async def transcribe(
        self, tool: str, arguments: JsonObject, sound: Callable[[], Awaitable[SoundFile]], language: str
    ) -> Any:
        self.heard.append((arguments, await sound(), language))
        return self.script.pop(0)

    async def speak(self, tool: str, arguments: JsonObject, text: str, voice: str, keep: Any) -> Any:
        step = self.script.pop(0)
        return None if step is None else await keep(step)


def said(*utterances: tuple[float, float, str]) -> Transcription:
    made = tuple(Utterance(*one) for one in utterances)
    return Transcription(" ".join(one.text for one in made), made, "english", ModelDone("whisper-1", 0, 0))


MEETING = said((0.1, 1.9, "We sell the lighthouse."), (3.5, 5.5, "Ann asks for offers by Friday."))


async def test_a_recording_is_measured_without_a_model() -> None:
    bench = Bench("audio", files=files(talk=recording()))
    result = await bench.work(inputs("talk"))
    check(result, (), agent_id="audio")
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    (talk,) = result.recordings
    assert (talk.filename, talk.container, talk.sample_rate, talk.channels) == ("talk.wav", "wav", RATE, 1)
    assert talk.duration == pytest.approx(5.5)
    assert talk.HasField("integrated_lufs")
    assert talk.HasField("true_peak_dbtp")
    assert talk.clip_count > 10
    assert talk.clips[0].start > 3.5
    (silence,) = talk.silences
    assert (silence.start, silence.end) == pytest.approx((2, 3.5), abs=0.15)
    assert talk.speech_count == 2
    assert "Boersma" in talk.speech_method
    name, media_type, picture = bench.files.files[talk.spectrogram.attachment_id]
    assert (name, media_type, picture[:4]) == ("talk.spectrogram.png", "image/png", b"\x89PNG")
    assert result.files == [talk.spectrogram]
    metrics = {metric.name: metric.unit for metric in result.measurements}
    assert metrics["talk.wav loudness"] == "LUFS"
    assert result.left_out == [
        "Nothing that is said was written down: No model that writes down speech is configured "
        "(OPENAI_TRANSCRIPTION_MODEL)."
    ]
    words = tell(result)
    assert "talk.wav: wav (PCM_16), 1 channel, 16000 Hz, 00:05; loudness" in words
    assert "It clips" in words
    assert "1 silence, the longest from" in words


async def test_what_is_said_is_written_down_at_its_time() -> None:
    voice = Voice(MEETING)
    bench = Bench("audio", files=files(talk=recording()), voice=voice)
    result = await bench.work(inputs("talk", language="en", subtitles=True, ingest_collection_id="meetings"))
    check(result, (), agent_id="audio")
    assert [(one.start, one.end, one.text) for one in result.recordings[0].segments] == [
        (0.1, 1.9, "We sell the lighthouse."),
        (3.5, 5.5, "Ann asks for offers by Friday."),
    ]
    assert result.text == "We sell the lighthouse. Ann asks for offers by Friday."
    assert result.recordings[0].transcription_model == "whisper-1"
    ((told, sound, language),) = voice.heard
    assert (told["recording"], sound.data[:4], language) == ("talk.wav", b"fLaC", "en")
    subtitles = bench.files.files[result.recordings[0].subtitles.attachment_id]
    assert subtitles[:2] == ("talk.vtt", "text/vtt")
    assert b"00:00:03.500 --> 00:00:05.500\nAnn asks for offers by Friday." in subtitles[2]
    ((external_id, document),) = bench.knowledge.documents.items()
    assert external_id == "talk-transcript"
    assert (document.collection_id, document.media_type) == ("meetings", "text/vtt")
    assert document.data == subtitles[2]
    (ingested,) = result.documents
    assert (ingested.collection_id, ingested.title) == ("meetings", "talk.wav (transcript)")
    assert [name for name, _ in bench.tools.used] == ["measure", "subtitle", "ingest"]


async def test_minutes_are_tied_to_their_times() -> None:
    draft = results_pb2.MinutesDraft(
        points=[
            results_pb2.DraftedPoint(kind="decision", text="The lighthouse is sold.", first_line=0),
            results_pb2.DraftedPoint(kind="task", text="Ann: offers.", first_line=1, last_line=1),
        ]
    )
    bench = Bench("audio", model=draft, files=files(talk=recording()), voice=Voice(MEETING))
    result = await bench.work(inputs("talk", minutes=True))
    assert [(p.kind, p.start, p.end, p.recording) for p in result.minutes] == [
        ("decision", 0.1, 1.9, 0),
        ("task", 3.5, 5.5, 0),
    ]
    assert bench.model.data["transcript"].splitlines() == [
        "[0] 00:00 We sell the lighthouse.",
        "[1] 00:03 Ann asks for offers by Friday.",
    ]
    assert "- 00:03 task: Ann: offers." in tell(result)


async def test_minutes_need_a_model_that_writes() -> None:
    bench = Bench("audio", files=files(talk=recording()), voice=Voice(MEETING))
    result = await bench.work(inputs("talk", minutes=True))
    assert result.left_out == ["talk.wav: Minutes: no model wrote them."]


async def test_a_long_recording_is_heard_in_pieces_with_right_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.agents.hearing.pieces.MAX_SECONDS", 4.0)
    voice = Voice(said((0.5, 1, "One.")), said((0.5, 1, "Two.")))
    bench = Bench("audio", files=files(talk=recording()), voice=voice)
    result = await bench.work(inputs("talk"))
    first, second = result.recordings[0].segments
    assert first.start == 0.5
    # Cut in the middle of the silence from 2 to 3.5 s.
    assert second.start == pytest.approx(2.75 + 0.5, abs=0.15)
    assert result.text == "One. Two."


async def test_what_a_model_did_not_hear_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.agents.hearing.pieces.MAX_SECONDS", 4.0)
    bench = Bench("audio", files=files(talk=recording()), voice=Voice(said((0.5, 1, "One.")), None))
    result = await bench.work(inputs("talk"))
    assert result.text == "One."
    assert result.left_out == ["talk.wav from 00:02 on: the model that writes down speech gave nothing."]
    check(result, (), agent_id="audio")


async def test_silence_is_not_sent_to_a_model() -> None:
    bench = Bench("audio", files=files(hush=written(np.zeros(3 * RATE), RATE)), voice=Voice())
    result = await bench.work(inputs("hush"))
    assert (result.text, result.left_out) == ("", [])
    assert "Nobody seems to speak." in tell(result)


async def test_measuring_alone_asks_no_model() -> None:
    bench = Bench("audio", files=files(talk=recording()), voice=Voice())
    result = await bench.work(inputs("talk", measure_only=True))
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    assert result.left_out == []


async def test_what_cannot_be_decoded_is_told_beside_what_can() -> None:
    given = files(talk=recording(), letter=b"Dear Sir or Madam", cut=recording()[:60_000])
    result = await Bench("audio", files=given).work(inputs("letter", "talk", "cut"))
    check(result, (), agent_id="audio")
    letter, talk, cut = result.recordings
    assert letter.verdict == results_pb2.VERDICT_NOT_RUN
    assert letter.verdict_reason.startswith("letter.wav was not listened to: it is no recording")
    assert talk.verdict == cut.verdict == result.verdict == results_pb2.VERDICT_VERIFIED
    assert cut.fault == "its header promises 5.50 s, there are 1.87 s"
    assert "The file is damaged" in tell(result)


@pytest.mark.parametrize(
    ("given", "sandbox", "wanted", "said"),
    [
        pytest.param({}, True, inputs(), "There is no recording among the inputs", id="nothing"),
        pytest.param({"talk": recording()}, False, inputs("talk"), "There is no sandbox", id="no sandbox"),
        pytest.param({"x": b"text"}, True, inputs("x"), "x.wav was not listened to", id="no recording"),
    ],
)
async def test_nothing_is_listened_to_with_the_reason(
    given: dict[str, bytes], sandbox: bool, wanted: results_pb2.AudioInputs, said: str
) -> None:
    bench = (
        Bench("audio", files=files(**given))
        if sandbox
        else Bench("audio", files=files(**given), sandbox=None)
    )
    result = await bench.work(wanted)
    check(result, (), agent_id="audio")
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert said in result.verdict_reason
    assert said in tell(result)


async def test_a_recording_that_is_too_large_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.agents.hearing.recording.MAX_BYTES", 1000)
    result = await Bench("audio", files=files(talk=recording())).work(inputs("talk"))
    assert "bytes; recordings of at most 1000 are listened to" in result.verdict_reason


class Full(KeptFiles):
    """There is no room for more files."""

    async def keep(self, filename: str, media_type: str, data: bytes, key: str) -> StoredFile:
        raise ResourceExhaustedError("there is no room left", reason="STORAGE_FULL")


async def test_without_room_for_files_the_rest_stands() -> None:
    given = Full({"talk": ("talk.wav", "audio/wav", recording())})
    bench = Bench("audio", files=given, voice=Voice(MEETING, SPOKEN))
    result = await bench.work(inputs("talk", subtitles=True, say=SAY))
    check(result, (), agent_id="audio")
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    assert result.text
    assert not result.files
    assert result.left_out == [
        "The spectrogram of talk.wav: there is no room left",
        "Subtitles of talk.wav: there is no room left",
        "What was spoken could not be kept: there is no room left",
    ]


class Stopped(Voice):
    """The run meets its limit behind the first piece."""

    async def transcribe(self, *args: Any) -> Any:
        if not self.script:
            raise ResourceExhaustedError("the run has reached its limit", reason="BUDGET_EXHAUSTED")
        return await super().transcribe(*args)


async def test_at_a_limit_of_the_run_there_is_what_was_heard_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.agents.hearing.pieces.MAX_SECONDS", 4.0)
    bench = Bench("audio", files=files(talk=recording()), voice=Stopped(said((0.5, 1, "One."))))
    with pytest.raises(ResourceExhaustedError):
        await bench.work(inputs("talk"))
    left = bench.kept[-1]
    assert isinstance(left, results_pb2.AudioResult)
    check(left, (), agent_id="audio")
    assert (left.text, left.recordings[0].segments[0].text) == ("One.", "One.")
    assert left.verdict == results_pb2.VERDICT_VERIFIED


async def test_at_a_limit_before_anything_was_measured_that_is_said() -> None:
    bench = Bench("audio", files=files(talk=recording()))

    async def stopped(*args: Any) -> JsonObject:
        raise ResourceExhaustedError("the run has reached its limit", reason="BUDGET_EXHAUSTED")

    bench.tools.use = stopped  # type: ignore[method-assign]
    with pytest.raises(ResourceExhaustedError):
        await bench.work(inputs("talk"))
    left = bench.kept[-1]
    check(left, (), agent_id="audio")
    assert isinstance(left, results_pb2.AudioResult)
    assert left.verdict_reason == "The run came to a limit before this recording was measured."


async def test_an_attachment_that_is_not_there_ends_the_run() -> None:
    with pytest.raises(NotFoundError) as caught:
        await Bench("audio").work(inputs("nowhere"))
    assert caught.value.reason == "ATTACHMENT_NOT_FOUND"


class Unreachable:
    """Knowledge behind a service that does not answer."""

    async def ingest(self, *args: Any, **more: Any) -> str:
        raise UnavailableError("the vector service does not answer", reason="RETRIEVAL_UNAVAILABLE")


async def test_a_transcript_that_cannot_be_kept_is_told_and_stands_in_the_result() -> None:
    bench = Bench("audio", files=files(talk=recording()), voice=Voice(MEETING))
    bench.knowledge = Unreachable()  # type: ignore[assignment]
    result = await bench.work(inputs("talk", ingest_collection_id="meetings"))
    assert result.text
    assert not result.documents
    assert result.left_out == [
        "talk.wav (transcript) did not become a document: the vector service does not answer"
    ]


# -- speech --------------------------------------------------------------------------------------------------

SAY = results_pb2.SpeechInputs(text="The ferry leaves at six.")
SPOKEN = SpokenSound(SoundFile("speech.mp3", "audio/mpeg", b"an mp3"), "nova", ModelDone("tts-1", 0, 0))


async def test_a_text_is_spoken_without_a_model() -> None:
    bench = Bench("audio")
    result = await bench.work(inputs(say=SAY))
    check(result, (), agent_id="audio")
    if "not installed" in result.verdict_reason:
        pytest.skip(result.verdict_reason)
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    assert (result.speech.speaker, result.speech.voice) == ("espeak-ng", "en")
    name, media_type, wav = bench.files.files[result.speech.file.attachment_id]
    assert (name, media_type, wav[:4]) == ("speech.wav", "audio/wav", b"RIFF")
    assert result.speech.duration > 1
    assert "espeak-ng spoke the text: speech.wav" in tell(result)


async def test_a_text_is_spoken_by_a_model_where_there_is_one() -> None:
    bench = Bench("audio", voice=Voice(SPOKEN), sandbox=None)
    result = await bench.work(inputs(say=SAY))
    assert (result.speech.speaker, result.speech.voice) == ("tts-1", "nova")
    assert bench.files.files[result.speech.file.attachment_id] == ("speech.mp3", "audio/mpeg", b"an mp3")
    assert not result.speech.HasField("duration")


async def test_espeak_speaks_what_the_model_does_not() -> None:
    result = await Bench("audio", voice=Voice(None)).work(inputs(say=SAY))
    if "not installed" in result.verdict_reason:
        pytest.skip(result.verdict_reason)
    assert result.speech.speaker == "espeak-ng"
    assert result.left_out == ["The model did not speak. espeak-ng spoke instead."]


async def test_without_anything_that_speaks_the_reason_is_told() -> None:
    result = await Bench("audio", sandbox=None).work(inputs(say=SAY))
    check(result, (), agent_id="audio")
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert "Nothing was spoken: There is no sandbox" in result.verdict_reason


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (inputs(*"abcde"), "$.attachment_ids"),
        (inputs("a", "a"), "$.attachment_ids"),
        (inputs(""), "$.attachment_ids"),
        (inputs(subtitles=True), "$.subtitles"),
        (inputs("a", minutes=True, measure_only=True), "$.minutes"),
        (inputs(ingest_collection_id="c"), "$.ingest_collection_id"),
        (inputs("a", language="e"), "$.language"),
        (inputs("a", language="en; rm"), "$.language"),
        (inputs(say=results_pb2.SpeechInputs(voice="en")), "$.say.text"),
        (inputs(say=results_pb2.SpeechInputs(text="x" * 20_001)), "$.say.text"),
        (inputs(say=results_pb2.SpeechInputs(text="x", voice="../x")), "$.say.voice"),
        (inputs(say=results_pb2.SpeechInputs(text="x", words_per_minute=9)), "$.say.words_per_minute"),
    ],
)
async def test_inputs_that_make_no_sense_are_refused(wanted: results_pb2.AudioInputs, path: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await Bench("audio").work(wanted)
    assert (caught.value.reason, caught.value.metadata["path"]) == ("INPUTS_INVALID", path)


async def test_a_stereo_tone_is_as_loud_as_it_is() -> None:
    result = await Bench("audio", files=files(tone=written(stereo(sine(5, -23))))).work(inputs("tone"))
    assert result.recordings[0].integrated_lufs == pytest.approx(-23, abs=0.1)
    assert "loudness -23.0 LUFS, range 0.0 LU, true peak -23.0 dBTP" in tell(result)
