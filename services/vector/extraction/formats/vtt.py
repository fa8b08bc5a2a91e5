"""Subtitles, WebVTT (W3C) and SubRip: what is said, at its time ("00:12–00:17"), by whom where that is known.

Cues that follow each other are lines of one paragraph, so that a sentence that runs over several is one; a
pause or another speaker begins a new one. Notes, styles, regions and marks of form are left out, and so is a
line that only rolls up (the last one of a cue, repeated as the first of the next).
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from services.vector.extraction.decoding import decode, normalise
from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.writer import TextWriter, one_line

# A speaker who is silent for longer begins a new paragraph.
PAUSE_SECONDS: Final = 2.0
_SPEAKER_MAX: Final = 100
_TIME: Final = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES: Final = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_HEADER: Final = re.compile(r"WEBVTT(?:[ \t]+(.*))?")
# Voices are read; other tags, times inside a cue and positions of SubRip are form.
_VOICE: Final = re.compile(r"<v(?:\.[^\s>]{0,100})?[ \t]+([^<>\n]{1,300})>")
_TAG: Final = re.compile(r"</?[A-Za-z0-9][^<>]{0,300}>|\{\\an?\d{1,2}\}")


@dataclass(frozen=True, slots=True)
class _Cue:
    """Times are in seconds."""

    begin: float
    end: float
    lines: list[str]


def read(source: BinaryIO, writer: TextWriter) -> None:
    text = normalise(decode(source.read()))
    lines = text.split("\n")
    header = _HEADER.fullmatch(lines[0].strip())
    if header and header[1]:
        writer.title = header[1].strip().removeprefix("-").strip()
    ended, speaker, rolled, found = 0.0, "", "", 0
    for cue in _cues(lines, header is not None):
        found += 1
        said = [line for line in map(_plain_line, cue.lines) if line]
        if len(said) > 1 and said[0] == rolled:
            said = said[1:]
        rolled = said[-1] if said else ""
        writer.place(f"{clock(cue.begin)}–{clock(-(-cue.end // 1))}")
        for voice, marked in _voices("\n".join(said)):
            words = one_line(html.unescape(marked))
            if not words:
                continue
            goes_on = voice == speaker and cue.begin - ended <= PAUSE_SECONDS and writer.size > 0
            named = f"{voice}: {words}" if voice and not goes_on else words
            writer.paragraph(named, goes_on=goes_on)
            ended, speaker = cue.end, voice
    if not found:
        raise DocumentUnreadableError.because("not subtitles: nothing in it has a time")


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any: "00:12", "1:02:03"."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    shown = f"{minutes:02}:{whole % 60:02}"
    return f"{hours}:{shown}" if hours else shown


def _cues(lines: list[str], ends_at_blank: bool) -> Iterator[_Cue]:
    """Each cue ends where the next one has its times; in WebVTT at a blank line already."""
    current: _Cue | None = None
    for line in lines:
        times = _TIMES.fullmatch(line) if "-->" in line else None
        if times:
            if current is not None:
                yield _without_number(current)
            current = _Cue(_seconds(*times.groups()[:4]), _seconds(*times.groups()[4:]), [])
        elif current is not None and line.strip():
            current.lines.append(line)
        elif current is not None and ends_at_blank:
            yield current
            current = None
    if current is not None:
        yield current


def _without_number(cue: _Cue) -> _Cue:
    """A cue that went up to the times of the next one, without the number that stands before these."""
    if cue.lines and cue.lines[-1].strip().isdecimal():
        cue.lines.pop()
    return cue


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def _plain_line(line: str) -> str:
    """Without tags, but for those that name a speaker."""
    return _TAG.sub(lambda tag: tag[0] if _VOICE.fullmatch(tag[0]) else "", line).strip()


def _voices(text: str) -> Iterator[tuple[str, str]]:
    """Who speaks ("" where that is not said), and what."""
    at, voice = 0, ""
    for mark in _VOICE.finditer(text):
        yield voice, text[at : mark.start()]
        at, voice = mark.end(), one_line(html.unescape(mark[1]))[:_SPEAKER_MAX]
    yield voice, text[at:]
