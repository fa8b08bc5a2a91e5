"""What people and terminals get to see."""

from __future__ import annotations

import io
import json

import pytest

from meldrag_cli import rendering
from meldrag_cli.events import Event, parse
from meldrag_cli.failures import RefusedFailure
from meldrag_cli.gateway import _lines
from meldrag_cli.terminal import Terminal, clean, document, line


def test_text_of_others_cannot_command_a_terminal() -> None:
    assert clean("a\x1b[31mred\x9b2J\tb\r\nc\u202eevil") == "a�[31mred�2J\tb\nc�evil"
    assert "\x9b" not in document({"a": "\x9b2J"})
    assert json.loads(document({"a": "\x9b2J\u202e"})) == {"a": "\x9b2J\u202e"}


def test_a_long_text_becomes_one_short_line() -> None:
    assert line("a\n b\t c") == "a b c"
    assert line("abcdef", 4) == "abc…"
    assert line("abcd", 4) == "abcd"


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (999_950, "1.0 MB"), (5_300_000_000, "5.3 GB")],
)
def test_sizes(number: int, shown: str) -> None:
    assert rendering.size(number) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.418, "0.42 s"), (12.34, "12.3 s"), (125.2, "2 min 5 s")])
def test_durations(value: float, shown: str) -> None:
    assert rendering.seconds(value) == shown


def test_a_source_names_its_place_and_quotes_what_stands_there() -> None:
    citation = {
        "number": 2,
        "title": "Pilot\nbook",
        "page": 3,
        "location": None,
        "byte_start": 10,
        "byte_end": 58,
        "quote": "It is fourteen\nmetres deep.",
    }
    assert list(rendering.sources([citation])) == [
        "[2] Pilot book, page 3 (bytes 10-58): “It is fourteen metres deep.”"
    ]
    cell = {**citation, "location": "Prices!B7"}
    assert "Pilot book, Prices!B7 (bytes" in next(rendering.sources([cell]))


def test_a_receipt_says_what_is_left() -> None:
    receipt = {
        "resource": "collections/notes",
        "state": "PENDING",
        "tombstone_id": "t1",
        "deleted": {"documents": 1, "chunks": 2},
        "left": {"record_documents": 0, "vector_entries": 2},
    }
    assert list(rendering.receipt(receipt)) == [
        "collections/notes: 1 document deleted, 2 passages",
        "left: 2 vector entries",
        "hidden already, being removed (PENDING, t1)",
    ]


def test_events_are_read_as_they_were_sent() -> None:
    lines = [
        ": still here",
        "",
        "id: 7",
        "event: text",
        'data: {"a":',
        "data: 1}",
        "",
        "event: cut",
        "data: {}",
    ]
    assert list(parse(lines)) == [Event("text", {"a": 1}, "7")]
    with pytest.raises(ValueError, match="no JSON object"):
        list(parse(["data: []", ""]))


def test_a_line_separator_within_a_text_ends_no_event() -> None:
    pieces = 'event: text\r\ndata: {"text":"one\u2028two\x85"}\r\n\r\n'.encode()
    cut = [pieces[:30], pieces[30:33], pieces[33:]]
    assert list(parse(_lines(cut))) == [Event("text", {"text": "one\u2028two\x85"})]


def test_a_failure_shows_its_reason_and_its_request() -> None:
    err = io.StringIO()
    failure = RefusedFailure.of({"reason": "NO_ROOM", "detail": "it is full\x1b[2J", "request_id": "abc"})
    Terminal(out=io.StringIO(), err=err).fail(failure)
    assert err.getvalue() == "meld: it is full�[2J\n  reason NO_ROOM, request abc\n"


def test_a_long_line_is_not_folded_for_whoever_is_no_terminal() -> None:
    out = io.StringIO()
    terminal = Terminal(out=out, err=io.StringIO())
    terminal.say("word " * 100)
    terminal.table({"a": "left"}, [["word " * 100]])
    assert len(out.getvalue().splitlines()) == 3
    assert "\x1b" not in out.getvalue()
