"""Sentences are exact pieces of the passage, whatever it looks like."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agents.answering.sentences import sentences, spans
from services.agents.model import Passage


def cut(text: str) -> list[str]:
    """The sentences' texts."""
    return [text[start:end] for start, end in spans(text)]


def passage(text: str, offset: int = 0) -> Passage:
    """A passage that stands at an offset."""
    return Passage("d", "t", "c", "k", text, offset, offset + len(text.encode()), "x")


def test_abbreviations_and_numbers_do_not_end_a_sentence() -> None:
    assert cut("Dr. Smith of the U.S. Navy paid 3.5 dollars, cf. Fig. 2. He left.") == [
        "Dr. Smith of the U.S. Navy paid 3.5 dollars, cf. Fig. 2.",
        "He left.",
    ]


def test_headings_items_and_paragraphs_stand_alone() -> None:
    text = "# Rules\nNo running. No shouting\n\n- first item\n- second item\n1. Do this\n2. Do that!"
    assert cut(text) == [
        *("# Rules", "No running.", "No shouting"),
        *("- first item", "- second item", "1. Do this", "2. Do that!"),
    ]


def test_a_wrapped_line_is_one_sentence() -> None:
    assert cut("The lamp of the tower\nburns whale oil all night.") == [
        "The lamp of the tower\nburns whale oil all night."
    ]


def test_quotes_stay_with_their_sentence() -> None:
    assert cut('"Why now?" he asked. “Because.” She left.') == [
        '"Why now?" he asked.',
        "“Because.”",
        "She left.",
    ]


def test_languages_without_blanks() -> None:
    assert cut("これは文です。次の文です！終わり") == ["これは文です。", "次の文です！", "終わり"]


def test_a_long_piece_is_cut_between_words() -> None:
    pieces = cut("word " * 500)
    assert all(len(piece) <= 600 for piece in pieces)
    assert all(word == "word" for piece in pieces for word in piece.split())


def test_pieces_without_letters_or_digits_are_left_out() -> None:
    assert cut("***\n\n---\n\n. . .") == []


@given(st.text(max_size=400), st.integers(0, 10_000))
def test_every_sentence_is_at_its_place(text: str, offset: int) -> None:
    data = b"x" * offset + text.encode("utf-8", "surrogatepass")
    if data != b"x" * offset + text.encode("utf-8", "ignore"):
        return
    last = 0
    for quote in sentences(passage(text, offset)):
        assert data[quote.byte_start : quote.byte_end].decode() == quote.text
        assert quote.byte_start >= last
        assert quote.text == quote.text.strip()
        last = quote.byte_end


@pytest.mark.parametrize("text", ["Mr. A " * 5_000, "." * 100_000])
def test_abbreviations_and_stops_without_end_take_no_time_without_end(text: str) -> None:
    began = time.monotonic()
    spans(text)
    # A third of a second on a busy machine; it was minutes.
    assert time.monotonic() - began < 10
