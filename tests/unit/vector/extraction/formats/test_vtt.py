import pytest

from services.vector.extraction.errors import DocumentEmptyError, DocumentUnreadableError
from tests.unit.vector.extraction.samples import read

TALK = """WEBVTT - Of the lamp
Kind: captions

STYLE
::cue { color: white }

NOTE made by hand
over two lines

intro
00:12.300 --> 00:16.100 align:start position:0%
<v Anna Berg>The lighthouse of <i>Brava</i>

00:16.100 --> 00:19.000
<v Anna Berg>was built in <00:17.000>1884 &amp; burns oil.

00:19.500 --> 00:21.000
<v.loud Bob>Whale oil?</v>

00:30.000 --> 00:31.000
<v Bob>It does.

01:02:03.000 --> 01:02:05.500
No name here.
"""
FILM = (
    "\ufeff1\r\n00:00:01,000 --> 00:00:04,074\r\n{\\an8}<i>Where were you?</i>\r\n\r\n"
    "2\r\n00:00:04,500 --> 00:00:06,000\r\n- At sea,\r\n\r\nfor 40 days.\r\n\r\n"
    "3\r\n00:01:10,000 --> 00:01:12,000\r\n40\r\n4\r\n00:01:12,500 --> 00:01:13,000\r\nThe end.\r\n"
)


def test_what_is_said_stands_at_its_time_with_its_speaker() -> None:
    extraction = read("vtt", TALK.encode())
    assert extraction.title == "Of the lamp"
    assert extraction.text == (
        "Anna Berg: The lighthouse of Brava\nwas built in 1884 & burns oil.\n\nBob: Whale oil?\n\n"
        "Bob: It does.\n\nNo name here."
    )
    data = extraction.text.encode()
    starts = [place.byte_start for place in extraction.places]
    spoken = [data[a:b].decode().strip() for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    assert list(zip([place.label for place in extraction.places], spoken, strict=True)) == [
        ("00:12–00:17", "Anna Berg: The lighthouse of Brava"),
        ("00:16–00:19", "was built in 1884 & burns oil."),
        ("00:19–00:21", "Bob: Whale oil?"),
        ("00:30–00:31", "Bob: It does."),
        ("1:02:03–1:02:06", "No name here."),
    ]


def test_subrip_is_read_with_blank_lines_in_a_cue_and_none_between_two() -> None:
    extraction = read("vtt", FILM.encode())
    assert extraction.text == "Where were you?\n- At sea, for 40 days.\n\n40\nThe end."
    assert [place.label for place in extraction.places] == [
        *("00:01–00:05", "00:04–00:06", "01:10–01:12", "01:12–01:13"),
    ]


def test_lines_that_roll_up_are_said_once() -> None:
    rolling = (
        "WEBVTT\n\n00:00.000 --> 00:02.000\none lamp\n\n00:02.000 --> 00:04.000\none lamp\ntwo lamps\n\n"
        "00:04.000 --> 00:06.000\ntwo lamps\nthree lamps\n\n00:06.000 --> 00:07.000\nyes\n\n"
        "00:07.000 --> 00:08.000\nyes\n"
    )
    assert read("vtt", rolling.encode()).text == "one lamp\ntwo lamps\nthree lamps\nyes\nyes"


def test_two_voices_in_one_cue_are_two_paragraphs() -> None:
    both = "WEBVTT\n\n00:00.000 --> 00:02.000\n<v Anna>Here?\n<v Bob>There. 1 < 2\n"
    extraction = read("vtt", both.encode())
    assert extraction.text == "Anna: Here?\n\nBob: There. 1 < 2"
    assert [place.label for place in extraction.places] == ["00:00–00:02"]


@pytest.mark.parametrize("data", [b"WEBVTT\n\nno times here\n", b"1\n00:01 -> 00:02\nx\n", b"\0\xff\x13"])
def test_what_has_no_times_is_no_subtitles(data: bytes) -> None:
    with pytest.raises(DocumentUnreadableError):
        read("vtt", data)


def test_cues_without_words_are_an_empty_document() -> None:
    with pytest.raises(DocumentEmptyError):
        read("vtt", b"WEBVTT\n\n00:00.000 --> 00:02.000\n<i></i>\n")


def test_hostile_marks_take_no_time() -> None:
    data = b"WEBVTT\n\n00:00.000 --> 00:02.000\n" + b"<v " * 200_000 + b"end\n" + b"1-->" * 100_000
    assert read("vtt", data).text.endswith("end 1-->" + "1-->" * 99_999)
