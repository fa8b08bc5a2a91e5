"""What was heard and spoken, in words."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents.hearing.transcript import clock

NOTHING = "There is no recording among the inputs, and no text to speak."
_MAX_TEXT = 4000
_MAX_POINTS = 40


def tell(result: results_pb2.AudioResult) -> str:
    """The outcome in plain words; empty when the documents answer and there was nothing to listen to."""
    if result.verdict_reason == NOTHING and result.evidence:
        return ""
    if result.verdict == results_pb2.VERDICT_NOT_RUN:
        return f"Nothing was listened to or spoken. {result.verdict_reason}"
    lines = [line for one in result.recordings for line in _told_recording(one)]
    if result.text:
        lines.append(f"What is said, as a model wrote it down:\n{_shortened(result.text)}")
    if result.minutes:
        lines.append("Minutes:")
        lines += [
            f"- {clock(point.start)} {point.kind}: {point.text}" for point in result.minutes[:_MAX_POINTS]
        ]
    if result.HasField("speech"):
        speech = result.speech
        length = f", {speech.duration:.1f} s" if speech.HasField("duration") else ""
        lines.append(f"{speech.speaker} spoke the text: {speech.file.filename}{length}.")
    lines += [f"{one.title} became a document." for one in result.documents]
    lines += list(result.left_out)
    return "\n".join(lines)


def _told_recording(one: results_pb2.Recording) -> list[str]:
    if one.verdict == results_pb2.VERDICT_NOT_RUN:
        return [one.verdict_reason]
    lufs = one.integrated_lufs if one.HasField("integrated_lufs") else None
    peak = f", true peak {one.true_peak_dbtp:.1f} dBTP" if one.HasField("true_peak_dbtp") else ""
    spread = f", range {one.loudness_range_lu:.1f} LU" if one.HasField("loudness_range_lu") else ""
    lines = [
        f"{one.filename}: {one.container} ({one.codec}), {one.channels} channel{'s' * (one.channels > 1)}, "
        f"{one.sample_rate} Hz, {clock(one.duration)}; {loudness(lufs)}{spread}{peak}."
    ]
    if one.fault:
        lines.append(f"- The file is damaged: {one.fault}.")
    if one.clip_count:
        first = one.clips[0]
        lines.append(
            f"- It clips: {one.clip_count} runs at full scale with {one.clipped_samples} samples, the "
            f"first at {first.start:.3f} s in channel {first.channel}."
        )
    if one.silence_count:
        longest = max(one.silences, key=lambda span: span.end - span.start)
        lines.append(
            f"- {one.silence_count} silence{'s' * (one.silence_count > 1)}, the longest from "
            f"{longest.start:.2f} to {longest.end:.2f} s."
        )
    if one.speech_count:
        total = sum(span.end - span.start for span in one.speech)
        noise = f", {one.snr_db:.0f} dB above the noise" if one.HasField("snr_db") else ""
        lines.append(f"- Somebody seems to speak for {total:.1f} s in {one.speech_count} parts{noise}.")
    else:
        lines.append("- Nobody seems to speak.")
    return lines


def loudness(lufs: float | None) -> str:
    """Integrated loudness."""
    return "too quiet or too short for a loudness" if lufs is None else f"loudness {lufs:.1f} LUFS"


def _shortened(text: str, limit: int = _MAX_TEXT) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… (the whole stands in the result)"
