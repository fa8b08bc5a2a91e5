"""Listens to recordings, and speaks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import PurePath

from meldrag.agents.v1 import results_pb2
from services.agents.hearing import pieces, recording, speaking, subtitles, transcript
from services.agents.hearing.inside.activity import METHOD
from services.agents.hearing.minutes import minutes
from services.agents.hearing.recording import Measured, Span
from services.agents.hearing.telling import NOTHING, loudness, tell
from services.agents.hearing.transcript import Segment
from services.agents.ports import JsonObject, Sandboxed, SoundFile, SpokenSound
from services.agents.roster.agent import AgentDefinition, Work
from services.chassis.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    ResourceExhaustedError,
    ServiceError,
)

_MEASURE, _TRANSCRIBE, _SUBTITLE, _INGEST, _SPEAK = "measure", "transcribe", "subtitle", "ingest", "speak"
MAX_RECORDINGS = 4
# What the endpoints of models speak at once.
_MODEL_CHARACTERS = 4096
_NO_SANDBOX = "There is no sandbox on this machine, and recordings are not decoded outside of one."
_NOT_REACHED = "The run came to a limit before this recording was measured."
_NO_LISTENER = "No model that writes down speech is configured (OPENAI_TRANSCRIPTION_MODEL)."
_ENGLISH = "en"
# Of the ones that are counted, so many are listed.
_MAX_SPANS = 2000

Inputs = results_pb2.AudioInputs
Result = results_pb2.AudioResult
Recording = results_pb2.Recording


async def compose(work: Work[Inputs]) -> Result:
    """What is measured of the recordings, and with a model what is said in them; a text, spoken.

    Raises InvalidArgumentError (INPUTS_INVALID) that names the path, NotFoundError (ATTACHMENT_NOT_FOUND).
    """
    inputs = work.inputs
    _check(inputs)
    result = Result(
        evidence=work.cited_findings(), verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=NOTHING
    )
    for attachment_id in inputs.attachment_ids:
        result.recordings.add(
            attachment_id=attachment_id, verdict=results_pb2.VERDICT_NOT_RUN, verdict_reason=_NOT_REACHED
        )
    if inputs.attachment_ids:
        # Filled in from here on: at a limit the run ends with what there is.
        _judge(result)
        work.keep(result)
    heard: dict[int, Measured] = {}
    for place, made in enumerate(result.recordings):
        measured = await _measured(work, result, made)
        if measured is not None:
            heard[place] = measured
        _judge(result)
    if heard and not inputs.measure_only:
        await _listen(work, result, heard)
    if inputs.say.text:
        await _say(work, result)
        _judge(result)
    return result


def _check(inputs: Inputs) -> None:
    if len(inputs.attachment_ids) > MAX_RECORDINGS:
        raise _invalid("$.attachment_ids", f"at most {MAX_RECORDINGS} recordings")
    if len(set(inputs.attachment_ids)) != len(inputs.attachment_ids) or "" in inputs.attachment_ids:
        raise _invalid("$.attachment_ids", "each recording once, and none without an id")
    wanted = [name for name in ("subtitles", "minutes", "ingest_collection_id") if getattr(inputs, name)]
    if wanted and (inputs.measure_only or not inputs.attachment_ids):
        raise _invalid(f"$.{wanted[0]}", "needs a recording that is written down")
    for path, language in (("$.language", inputs.language), ("$.say.language", inputs.say.language)):
        if language and not (2 <= len(language) <= 20 and speaking.is_voice(language)):
            raise _invalid(path, f"{language[:40]!r} is no language")
    say = inputs.say
    if len(say.text) > speaking.MAX_CHARACTERS:
        raise _invalid("$.say.text", f"at most {speaking.MAX_CHARACTERS} characters")
    if inputs.HasField("say") and not say.text.strip():
        raise _invalid("$.say.text", "there is nothing to speak")
    if say.voice and not speaking.is_voice(say.voice):
        raise _invalid("$.say.voice", f"{say.voice[:40]!r} is no voice")
    least, most = speaking.WORDS
    if say.words_per_minute and not least <= say.words_per_minute <= most:
        raise _invalid("$.say.words_per_minute", f"{least} to {most}")


# -- measured ------------------------------------------------------------------------------------------------


async def _measured(work: Work[Inputs], result: Result, made: Recording) -> Measured | None:
    """The measurements, which stand in the recording then; None where it was not measured."""
    sandbox, attachment_id = work.sandbox, made.attachment_id

    async def action() -> JsonObject:
        file = await work.files.describe(attachment_id)
        told: JsonObject = {"filename": file.filename}
        if refused := recording.too_large(file.filename, file.bytes):
            return {**told, "refused": refused}
        if sandbox is None:
            return {**told, "refused": _NO_SANDBOX}
        data = await work.files.read(attachment_id, recording.MAX_BYTES)
        try:
            measured = await recording.measure(sandbox, data, file.filename)
        except FailedPreconditionError as error:
            return {**told, "refused": error.message}
        if measured.picture:
            name = f"{_stem(file.filename)}.spectrogram.png"
            told |= await _kept(work, name, "image/png", measured.picture, f"spectrogram-{attachment_id}")
        return {**told, "measured": measured.to_json()}

    told = await work.tools.use(_MEASURE, {"attachment_id": attachment_id}, action, _measured_in_words)
    made.filename = told["filename"]
    if "measured" not in told:
        made.verdict_reason = told["refused"]
        return None
    measured = Measured.from_json(told["measured"])
    if measured.unreadable:
        made.verdict_reason = f"{made.filename} was not listened to: {measured.unreadable}."
        return None
    _fill(made, measured)
    _add_metrics(result, made)
    if "file" in told:
        made.spectrogram.CopyFrom(_on_wire(told["file"]))
        result.files.append(made.spectrogram)
    elif "refused" in told:
        result.left_out.append(f"The spectrogram of {made.filename}: {told['refused']}")
    return measured


def _measured_in_words(told: JsonObject) -> str:
    if "measured" not in told:
        return str(told["refused"])
    measured = Measured.from_json(told["measured"])
    if measured.unreadable:
        return f"{told['filename']}: {measured.unreadable}"
    return f"{told['filename']}: {transcript.clock(measured.duration)}, {loudness(measured.integrated_lufs)}"


def _fill(made: Recording, measured: Measured) -> None:
    made.verdict, made.verdict_reason = results_pb2.VERDICT_VERIFIED, ""
    made.fault, made.container, made.codec = measured.fault, measured.container, measured.codec
    made.channels, made.sample_rate, made.duration = measured.channels, measured.rate, measured.duration
    for name, value in (
        ("integrated_lufs", measured.integrated_lufs),
        ("loudness_range_lu", measured.range_lu),
        ("most_momentary_lufs", measured.most_momentary_lufs),
        ("most_short_term_lufs", measured.most_short_term_lufs),
        ("true_peak_dbtp", measured.true_peak_dbtp),
        ("sample_peak_dbfs", measured.sample_peak_dbfs),
        ("rms_dbfs", measured.rms_dbfs),
        ("noise_dbfs", measured.noise_dbfs),
        ("snr_db", measured.snr_db),
    ):
        if value is not None:
            setattr(made, name, value)
    made.dc_offset = measured.dc_offset
    made.clips.extend(results_pb2.ClippedRun(**dataclasses.asdict(clip)) for clip in measured.clips)
    made.clip_count, made.clipped_samples = measured.clip_count, measured.clipped_samples
    made.silences.extend(_spans(measured.silences))
    made.speech.extend(_spans(measured.speech))
    made.silence_count, made.speech_count = measured.silence_count, measured.speech_count
    made.speech_method = METHOD


def _spans(spans: Sequence[Span]) -> list[results_pb2.RecordingSpan]:
    return [results_pb2.RecordingSpan(start=start, end=end) for start, end in spans[:_MAX_SPANS]]


def _add_metrics(result: Result, made: Recording) -> None:
    name = made.filename
    result.measurements.add(name=f"{name} duration", value=made.duration, unit="s")
    for field, words, unit in (
        ("integrated_lufs", "loudness", "LUFS"),
        ("loudness_range_lu", "loudness range", "LU"),
        ("true_peak_dbtp", "true peak", "dBTP"),
        ("snr_db", "signal to noise", "dB"),
    ):
        if made.HasField(field):
            result.measurements.add(name=f"{name} {words}", value=getattr(made, field), unit=unit)
    result.measurements.add(name=f"{name} clipped runs", value=made.clip_count)


# -- written down --------------------------------------------------------------------------------------------


async def _listen(work: Work[Inputs], result: Result, heard: dict[int, Measured]) -> None:
    """Writes down what is said, and makes of it what is asked. heard: by place among the recordings."""
    if work.voice is None or not work.voice.transcribes:
        result.left_out.append(f"Nothing that is said was written down: {_NO_LISTENER}")
        return
    for place, measured in heard.items():
        made = result.recordings[place]
        segments = await _transcribed(work, result, made, measured)
        if not segments:
            continue
        if work.inputs.subtitles:
            await _subtitled(work, result, made, segments)
        if work.inputs.ingest_collection_id:
            await _ingested(work, result, made, segments)
        if work.inputs.minutes:
            points, missing = await minutes(work.ask, segments, work.question)
            result.minutes.extend(
                results_pb2.MinutesPoint(recording=place, **dataclasses.asdict(point)) for point in points
            )
            if missing:
                result.left_out.append(f"{made.filename}: {missing}")


async def _transcribed(
    work: Work[Inputs], result: Result, made: Recording, measured: Measured
) -> list[Segment]:
    """What is said; each piece stands in the result as soon as it was heard."""
    before = result.text
    voice, sandbox = work.voice, work.sandbox
    segments: list[Segment] = []
    if voice is None or sandbox is None:
        return segments
    for piece in pieces.plan(measured.duration, measured.speech, pieces.longest(measured.rate)):
        if _silent(piece, measured.silences):
            continue

        async def sound(piece: Span = piece) -> SoundFile:
            data = await work.files.read(made.attachment_id, recording.MAX_BYTES)
            return await pieces.cut(sandbox, data, piece)

        told = {
            "recording": made.filename,
            "from": transcript.clock(piece[0]),
            "to": transcript.clock(piece[1]),
        }
        try:
            part = await voice.transcribe(_TRANSCRIBE, told, sound, work.inputs.language)
        except FailedPreconditionError as error:
            result.left_out.append(f"{made.filename} from {told['from']} on: {error.message}")
            break
        if part is None:
            result.left_out.append(
                f"{made.filename} from {told['from']} on: the model that writes down speech gave nothing."
            )
            break
        made.transcription_model = part.done.model
        made.language = made.language or part.language
        heard = transcript.placed(part, piece, measured.speech)
        segments += heard[: transcript.MAX_SEGMENTS - len(segments)]
        del made.segments[:]
        made.segments.extend(results_pb2.SpokenSegment(**dataclasses.asdict(one)) for one in segments)
        result.text = f"{before}\n\n{transcript.text(segments)}".strip()
        if len(segments) == transcript.MAX_SEGMENTS:
            result.left_out.append(f"{made.filename}: what is said after {transcript.MAX_SEGMENTS} segments.")
            break
    return segments


def _silent(piece: Span, silences: Sequence[Span]) -> bool:
    """Whether there is nothing in it that could be heard; models make up words then."""
    return any(start <= piece[0] and piece[1] <= end for start, end in silences)


async def _subtitled(
    work: Work[Inputs], result: Result, made: Recording, segments: Sequence[Segment]
) -> None:
    async def action() -> JsonObject:
        name = f"{_stem(made.filename)}.vtt"
        key = f"subtitles-{made.attachment_id}"
        return await _kept(work, name, subtitles.MEDIA_TYPE, subtitles.webvtt(segments), key)

    told = await work.tools.use(
        _SUBTITLE, {"recording": made.filename, "segments": len(segments)}, action, _kept_in_words
    )
    if "file" in told:
        made.subtitles.CopyFrom(_on_wire(told["file"]))
        result.files.append(made.subtitles)
    else:
        result.left_out.append(f"Subtitles of {made.filename}: {told['refused']}")


async def _ingested(work: Work[Inputs], result: Result, made: Recording, segments: Sequence[Segment]) -> None:
    collection = work.inputs.ingest_collection_id
    title = f"{made.filename} (transcript)"

    async def action() -> JsonObject:
        document_id = await work.knowledge.ingest(
            collection,
            f"{_stem(made.filename)}.vtt",
            subtitles.MEDIA_TYPE,
            subtitles.webvtt(segments),
            title=title,
            external_id=f"{made.attachment_id}-transcript",
        )
        return {"document_id": document_id}

    try:
        told = await work.tools.use(
            _INGEST,
            {"recording": made.filename, "collection_id": collection},
            action,
            lambda value: f"{title} became the document {value['document_id']}",
        )
    except ServiceError as error:
        if error.reason == "BUDGET_EXHAUSTED":
            raise
        result.left_out.append(f"{title} did not become a document: {error.message}")
        return
    result.documents.add(collection_id=collection, document_id=told["document_id"], title=title)


# -- spoken --------------------------------------------------------------------------------------------------


async def _say(work: Work[Inputs], result: Result) -> None:
    """Speaks the text: a model where one is configured, espeak-ng otherwise."""
    say, reasons = work.inputs.say, []
    if work.voice is not None and work.voice.speaks:
        if len(say.text) > _MODEL_CHARACTERS:
            reasons.append(f"The model speaks at most {_MODEL_CHARACTERS} characters.")
        elif await _spoken_by_model(work, result):
            return
        else:
            reasons.append("The model did not speak.")
    sandbox = work.sandbox
    if sandbox is None:
        result.left_out.append(" ".join(["Nothing was spoken:", *reasons, _NO_SANDBOX]))
        return
    refused = await _spoken_by_espeak(work, result, sandbox)
    if refused:
        result.left_out.append(" ".join(["Nothing was spoken:", *reasons, f"{refused}."]))
    elif reasons:
        result.left_out.append(" ".join([*reasons, "espeak-ng spoke instead."]))


async def _spoken_by_model(work: Work[Inputs], result: Result) -> bool:
    voice, say = work.voice, work.inputs.say
    if voice is None:
        return False

    async def keep(spoken: SpokenSound) -> JsonObject:
        sound = spoken.sound
        kept = await _kept(work, sound.filename, sound.media_type, sound.data, "speech")
        return {**kept, "model": spoken.done.model, "voice": spoken.voice}

    told = await voice.speak(_SPEAK, {"characters": len(say.text)}, say.text, say.voice, keep)
    if told is None:
        return False
    if "file" in told:
        result.speech.file.CopyFrom(_on_wire(told["file"]))
        result.speech.speaker, result.speech.voice = told["model"], told["voice"]
        result.files.append(result.speech.file)
    else:
        result.left_out.append(f"What was spoken could not be kept: {told['refused']}")
    return True


async def _spoken_by_espeak(work: Work[Inputs], result: Result, sandbox: Sandboxed) -> str:
    """Why nothing was spoken; empty when it was."""
    say = work.inputs.say
    voice = say.voice or say.language or _ENGLISH

    async def action() -> JsonObject:
        made = await speaking.speak(sandbox, say.text, voice, say.words_per_minute)
        if made.unable:
            return {"refused": made.unable}
        kept = await _kept(work, "speech.wav", "audio/wav", made.wav, "speech")
        return {**kept, "seconds": made.seconds}

    try:
        told = await work.tools.use(
            _SPEAK, {"characters": len(say.text), "voice": voice}, action, _kept_in_words
        )
    except FailedPreconditionError as error:
        return error.message
    if "file" not in told:
        return str(told["refused"])
    result.speech.file.CopyFrom(_on_wire(told["file"]))
    result.speech.speaker, result.speech.voice = speaking.SPEAKER, voice
    result.speech.duration = told["seconds"]
    result.files.append(result.speech.file)
    return ""


# -- kept and told -------------------------------------------------------------------------------------------


async def _kept(work: Work[Inputs], filename: str, media_type: str, data: bytes, key: str) -> JsonObject:
    """`file`, or `refused` with the reason why there is no room for it. Inside of an action."""
    try:
        stored = await work.files.keep(filename, media_type, data, key)
    except ResourceExhaustedError as error:
        return {"refused": error.message}
    return {"file": dataclasses.asdict(stored)}


def _kept_in_words(told: JsonObject) -> str:
    return f"{told['file']['filename']} was kept" if "file" in told else str(told["refused"])


def _on_wire(file: JsonObject) -> results_pb2.StoredFile:
    return results_pb2.StoredFile(
        **{name: file[name] for name in ("attachment_id", "filename", "media_type", "bytes")}
    )


def _stem(filename: str) -> str:
    return PurePath(filename).stem[:100] or "recording"


def _judge(result: Result) -> None:
    """Whether anything was listened to or spoken, and why not."""
    listened = any(one.verdict == results_pb2.VERDICT_VERIFIED for one in result.recordings)
    if listened or result.HasField("speech"):
        result.verdict, result.verdict_reason = results_pb2.VERDICT_VERIFIED, ""
        return
    reasons = [one.verdict_reason for one in result.recordings]
    result.verdict_reason = " ".join(dict.fromkeys([*reasons, *result.left_out])) or NOTHING


def _invalid(path: str, cause: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the inputs do not fit the agent audio: {path}: {cause}",
        reason="INPUTS_INVALID",
        metadata={"agent_id": "audio", "path": path, "cause": cause},
    )


AGENT = AgentDefinition(
    agent_id="audio",
    display_name="Audio",
    purpose="Works with recordings: what is said in them, loudness and noise, subtitles, speech from text.",
    inputs=results_pb2.AudioInputs,
    result=results_pb2.AudioResult,
    examples=(
        "Transcribe this interview.",
        "How loud is the podcast, and does it clip?",
        "Write the minutes of the recorded meeting.",
        "Make subtitles for this lecture.",
        "Read this paragraph aloud as an MP3.",
    ),
    compose=compose,
    tools=(_MEASURE, _TRANSCRIBE, _SUBTITLE, _INGEST, _SPEAK),
    tell=tell,
    material=frozenset({"sound file", "subtitle file", "quotation"}),
)
