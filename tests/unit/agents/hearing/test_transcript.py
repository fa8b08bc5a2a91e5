"""What was heard in pieces, at its times in the recording."""

from __future__ import annotations

from services.agents.hearing.transcript import Segment, clock, lines, placed, text
from services.agents.ports import ModelDone, Transcription, Utterance


def heard(*utterances: Utterance, said: str = "words") -> Transcription:
    return Transcription(said, utterances, "english", ModelDone("m", 0, 0))


def test_times_are_those_of_the_recording() -> None:
    told = heard(Utterance(0, 2, "One."), Utterance(2.5, 4, "Two.", "A"))
    assert placed(told, (60, 70)) == [Segment(60, 62, "One."), Segment(62.5, 64, "Two.", "A")]


def test_times_that_cannot_be_are_held_to_the_piece_and_to_their_order() -> None:
    told = heard(Utterance(3, 30, "One."), Utterance(1, 2, "Two."), Utterance(29, 31, "Three."))
    segments = placed(told, (10, 20))
    assert [segment.text for segment in segments] == ["One.", "Two.", "Three."]
    assert all(10 <= segment.start < segment.end <= 20 for segment in segments)
    assert [segment.start for segment in segments] == sorted(segment.start for segment in segments)


def test_without_times_a_piece_is_one_segment_over_its_speech() -> None:
    speech = [(1, 8), (12, 14), (16, 25)]
    assert placed(heard(said="All."), (10, 20), speech) == [Segment(12, 20, "All.")]
    assert placed(heard(said="All."), (10, 20)) == [Segment(10, 20, "All.")]
    assert placed(heard(said=""), (10, 20)) == []


def test_another_speaker_begins_a_line() -> None:
    segments = [Segment(0, 1, "One."), Segment(1, 2, "Two.", "A"), Segment(2, 3, "Three.", "A")]
    assert text(segments) == "One.\nA: Two. Three."
    assert lines(segments[1:], 7) == "[7] 00:01 A: Two.\n[8] 00:02 A: Three."


def test_moments_as_people_read_them() -> None:
    assert [clock(seconds) for seconds in (5.9, 65, 3605)] == ["00:05", "01:05", "1:00:05"]
