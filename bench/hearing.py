"""What the audio agent measures beside ffmpeg, what it takes for speech, and what that costs.

    python -m bench.hearing FOLDER [--voices N] [--seed S]

FOLDER has recordings and a manifest.jsonl with `file` and `must_contain` of each. Loudness: beside ffmpeg's
ebur128, where it is installed. Speech: voices of espeak-ng, where it is installed, at known times in noise of
known level; the share of 10 ms frames that are told right, that are speech and were missed, and that are
none and were told to be. Nothing was tuned on the recordings or the voices. Cost: processor seconds for a
minute of stereo at 48 kHz, in one process. Words: only with OPENAI_TRANSCRIPTION_MODEL set, as the agents
service reads it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from services.agents.adapters.models import open_audio
from services.agents.chat.providers import audio
from services.agents.hearing.inside import cut, listen, speak
from services.agents.ledger import Ledger
from services.agents.ports import SoundFile
from services.agents.settings import AgentsSettings
from services.chassis.settings import load

Samples = NDArray[np.float64]
LINES = (
    ("en", "The ferry to the island leaves twice a day, and tickets are sold on board."),
    ("en-us", "Nobody had asked who would pay for the new lamp."),
    ("de", "Der Leuchtturm wurde im letzten Jahr verkauft, und niemand weiß, an wen."),
    ("fr", "La boulangerie ouvre à six heures du matin, même en hiver."),
    ("es+f3", "Mañana llegan los primeros visitantes de la temporada."),
)


def loudness(folder: Path, files: list[Path]) -> Iterator[str]:
    """A line for each recording."""
    for path in files:
        told = listen.measured(path, path.name, folder / "picture.png")
        names = ("integrated_lufs", "range_lu", "true_peak_dbtp")
        own = [None if told[name] is None else round(told[name], 2) for name in names]
        beside = ffmpeg_says(path) if shutil.which("ffmpeg") else "not installed"
        yield f"  {path.name}, {told['duration']:.1f} s: LUFS, LU, dBTP {own}; ffmpeg {beside}"


def ffmpeg_says(path: Path) -> list[float]:
    """Loudness, range and true peak."""
    command = ["ffmpeg", "-hide_banner", "-nostats", "-i", str(path), "-af", "ebur128=peak=true"]
    said = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True, check=True).stderr
    summary = said[said.index("Summary:") :]
    patterns = (r"I:\s+(\S+) LUFS", r"LRA:\s+(\S+) LU\b", r"Peak:\s+(\S+) dBFS")
    return [float(found[1]) for pattern in patterns if (found := re.search(pattern, summary))]


def speech(folder: Path, count: int, seed: int) -> Iterator[str]:
    """A line for each ratio of speech to noise."""
    source = np.random.default_rng(seed)
    try:
        voices = [spoken(folder, *line) for line in LINES]
    except speak.UnableError as error:
        yield f"  not measured: {error}"
        return
    for ratio in (30, 20, 10, 5):
        right, missed, imagined = [], [], []
        for _ in range(count):
            samples, truth, rate = scene(voices, ratio, source)
            path = folder / "scene.wav"
            soundfile.write(path, samples, rate, subtype="PCM_24")
            told = listen.measured(path, "scene", folder / "picture.png")
            found = np.zeros(len(truth), bool)
            for start, end in told["speech"]:
                found[round(start * 100) : round(end * 100)] = True
            right.append(np.mean(found == truth))
            missed.append(np.mean(~found[truth]))
            imagined.append(np.mean(found[~truth]))
        yield (
            f"  {ratio} dB: right {np.mean(right):.3f}, speech missed {np.mean(missed):.3f}, "
            f"imagined {np.mean(imagined):.3f}"
        )


def spoken(folder: Path, voice: str, text: str) -> tuple[Samples, int]:
    """A line, without the silence around it."""
    speak.spoken(text, voice, 0, folder / "line.wav")
    samples, rate = soundfile.read(folder / "line.wav")
    loud = np.flatnonzero(np.abs(samples) > 0.003)
    return samples[loud[0] : loud[-1]], rate


def scene(
    voices: list[tuple[Samples, int]], ratio: float, source: np.random.Generator
) -> tuple[Samples, NDArray[np.bool_], int]:
    """Lines with pauses of 1 to 4 s between them, in white noise, and the frames in which somebody speaks.

    Pauses within a line count as speech.
    """
    rate = voices[0][1]
    parts, spans, at = [], [], 0
    for place in source.permutation(len(voices)):
        pause, line = np.zeros(int(source.uniform(1, 4) * rate)), voices[place][0]
        spans.append((at + len(pause), at + len(pause) + len(line)))
        parts += [pause, line]
        at += len(pause) + len(line)
    parts.append(np.zeros(rate))
    samples = np.concatenate(parts)
    truth = np.zeros(len(samples) * 100 // rate + 1, bool)
    for start, end in spans:
        truth[start * 100 // rate : end * 100 // rate] = True
    power = np.mean(np.concatenate([voice for voice, _ in voices]) ** 2)
    noise = np.sqrt(power / 10 ** (ratio / 10)) * source.normal(size=len(samples))
    return np.clip(0.5 * (samples + noise), -1, 1), truth, rate


def cost(folder: Path) -> Iterator[str]:
    """Processor seconds, three times."""
    source = np.random.default_rng(1)
    path = folder / "minute.flac"
    soundfile.write(path, np.clip(0.1 * source.normal(size=(60 * 48_000, 2)), -1, 1), 48_000)
    for _ in range(3):
        began = time.process_time()
        listen.measured(path, "minute", folder / "picture.png")
        yield f"  {time.process_time() - began:.2f} s"


async def words(folder: Path, files: list[Path], wanted: dict[str, str]) -> list[str]:
    """Whether a model hears what is known to be said."""
    async with open_audio(audio(load(AgentsSettings))) as model:
        if model is None or not model.transcribes:
            return ["  no model: OPENAI_TRANSCRIPTION_MODEL is not set"]
        lines = []
        for path in files:
            piece = folder / "piece.flac"
            cut.cut(path, 0.0, 600.0, piece)
            sound = SoundFile(piece.name, "audio/flac", piece.read_bytes())
            heard = await model.transcribe(sound, "en", 120, Ledger())
            said = " ".join(re.findall(r"\w+", heard.text.lower()))
            lines.append(f"  {path.name}: {'heard' if wanted[path.name] in said else said[:200]}")
        return lines


def main() -> None:
    """Prints what was found."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    options.add_argument("folder", type=Path)
    options.add_argument("--voices", type=int, default=10)
    options.add_argument("--seed", type=int, default=1)
    told = options.parse_args()
    manifest = [json.loads(line) for line in (told.folder / "manifest.jsonl").read_text().splitlines()]
    files = [told.folder / "files" / entry["file"] for entry in manifest]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, lines in (
            ("Loudness", loudness(folder, files)),
            (f"Speech, {told.voices} scenes each, seed {told.seed}", speech(folder, told.voices, told.seed)),
            ("Cost of a minute", cost(folder)),
        ):
            print(title)
            for line in lines:
                print(line, flush=True)
        print("Words")
        wanted = {entry["file"]: entry["must_contain"] for entry in manifest}
        print("\n".join(asyncio.run(words(folder, files, wanted))))


if __name__ == "__main__":
    main()
