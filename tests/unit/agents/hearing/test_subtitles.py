"""WebVTT."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from services.agents.hearing.subtitles import webvtt
from services.agents.hearing.transcript import Segment


def test_a_file() -> None:
    made = webvtt([Segment(0, 1.5, "Good morning."), Segment(3661.25, 3662, "Bye.", "Ann & Bob")])
    assert made.decode() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nGood morning.\n\n"
        "01:01:01.250 --> 01:01:02.000\n<v Ann &amp; Bob>Bye.\n"
    )


def test_a_long_segment_becomes_cues_of_two_lines_one_after_the_other() -> None:
    words = "the lighthouse was sold to a man who had never seen the sea before " * 3
    cues = webvtt([Segment(10, 22, words.strip())]).decode().split("\n\n")[1:]
    assert len(cues) == 3
    times = [re.findall(r"00:00:(\d\d\.\d{3})", cue) for cue in cues]
    assert times[0][0] == "10.000"
    assert times[-1][1] == "22.000"
    assert [before[1] for before in times[:-1]] == [after[0] for after in times[1:]]
    assert all(len(line) <= 60 for cue in cues for line in cue.split("\n")[1:])
    said = " ".join(line for cue in cues for line in cue.strip().split("\n")[1:])
    assert said == words.strip()


@given(st.text(max_size=400), st.text(max_size=20))
def test_nothing_that_is_said_breaks_the_file(said: str, speaker: str) -> None:
    """Each cue has a line of times, and behind it neither a blank line nor another such line."""
    made = webvtt([Segment(1, 5, said, speaker), Segment(5, 6, "The end.")])
    blocks = made.decode("utf-8", "surrogatepass").split("\n\n")
    assert blocks[0] == "WEBVTT"
    for block in blocks[1:]:
        times, *text = block.strip("\n").split("\n")
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}", times)
        assert 1 <= len(text) <= 2
        assert "-->" not in "".join(text)
    assert blocks[-1].endswith("The end.\n")
