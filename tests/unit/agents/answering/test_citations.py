"""Marks in streamed text, and the quotes behind them."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from services.agents.answering.citations import (
    CitationBook,
    MarkRewriter,
    PassageCiter,
    best_quote,
    findings,
    without_marks,
)
from services.agents.model import Finding, Passage

LIGHTHOUSE = "The lighthouse was built in 1884. Its lamp burns whale oil. The keeper lives alone."
BAKERY = "The bakery opens at six. Rye bread costs four crowns."


def passages() -> list[Passage]:
    """Two passages, the second behind other text."""
    return [
        Passage("d1", "Lighthouse", "c1", "k", LIGHTHOUSE, 0, len(LIGHTHOUSE), "x1"),
        Passage("d2", "Bakery", "c2", "k", BAKERY, 100, 100 + len(BAKERY), "x2"),
    ]


def rewritten(text: str, pieces: int = 1) -> tuple[str, CitationBook]:
    """The text after the rewriter has had it in that many pieces."""
    book = CitationBook()
    rewriter = MarkRewriter(PassageCiter(book, passages(), lambda _, __: True))
    cuts = sorted(random.Random(pieces).choices(range(len(text) + 1), k=pieces - 1))
    edges = [0, *cuts, len(text)]
    shown = [rewriter.feed(text[a:b]) for a, b in itertools.pairwise(edges)]
    return "".join(shown) + rewriter.finish(), book


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Built in 1884 [1].", "Built in 1884 [1]."),
        ("Rye bread costs four crowns[2].", "Rye bread costs four crowns[1]."),
        ("Oil [1]. Built in 1884 [1]. Whale oil [1].", "Oil [1]. Built in 1884 [2]. Whale oil [1]."),
        ("Oil and bread [1][2].", "Oil and bread [1][2]."),
        ("Oil and bread [1, 2].", "Oil and bread [1][2]."),
        ("Oil and bread [1; 2] and so on", "Oil and bread [1][2] and so on"),
        ("Nothing [3]. More [0] text [99].", "Nothing. More text."),
        ("Half unknown [1, 9].", "Half unknown [1]."),
        ("In the year [2019] it began.", "In the year [2019] it began."),
        ("Call `items[1]` and [1].", "Call `items[1]` and [1]."),
        ("```\nx = items[1]\n```\nOil [1].", "```\nx = items[1]\n```\nOil [1]."),
        ("An open ` tick\nand oil [1].", "An open ` tick\nand oil [1]."),
        ("No marks at all, [just brackets", "No marks at all, [just brackets"),
        ("Ends in [1", "Ends in [1"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2, 5, 17])
def test_marks_however_the_text_is_cut(written: str, shown: str, pieces: int) -> None:
    assert rewritten(written, pieces)[0] == shown


def test_each_mark_has_the_sentence_that_carries_its_statement() -> None:
    _, book = rewritten("It burns whale oil [1]. It was built in 1884 [1]. Rye bread costs four crowns [2].")
    assert [(citation.number, citation.quote.text) for citation in book.citations()] == [
        (1, "Its lamp burns whale oil."),
        (2, "The lighthouse was built in 1884."),
        (3, "Rye bread costs four crowns."),
    ]
    third = book.citations()[2].quote
    assert (third.byte_start, third.byte_end) == (100 + 25, 100 + len(BAKERY))


def test_a_mark_behind_the_full_stop_belongs_to_the_sentence_before() -> None:
    _, book = rewritten("It burns whale oil. [1]")
    assert book.citations()[0].quote.text == "Its lamp burns whale oil."


def test_two_sentences_are_quoted_when_both_carry_the_statement() -> None:
    quote = best_quote(passages()[0], "built in 1884, and its lamp burns whale oil")
    assert quote.text == "The lighthouse was built in 1884. Its lamp burns whale oil."
    assert LIGHTHOUSE.encode()[quote.byte_start : quote.byte_end].decode() == quote.text


def test_a_statement_without_a_shared_word_has_the_first_sentence() -> None:
    assert best_quote(passages()[0], "xyzzy").text == "The lighthouse was built in 1884."


def test_marks_are_taken_out_except_in_code() -> None:
    text = "One [1]. Two [2][3]. `a[2]` stays."
    assert without_marks(text, {2}) == "One [1]. Two[3]. `a[2]` stays."
    assert without_marks(text, set()) == text


def test_a_book_without_some_citations_never_gives_their_numbers_again() -> None:
    _, book = rewritten("It burns whale oil [1]. It was built in 1884 [1].")
    kept = book.with_quotes({1: book.citations()[0].quote})
    assert [citation.number for citation in kept.citations()] == [1]
    assert kept.cite(best_quote(passages()[1], "bakery opens")) == 3


def test_findings_are_the_statements_with_their_marks() -> None:
    text = "It was built in 1884 [1]. It burns oil. [2][1] Nobody knows more. [9]\n\n```\ncode[1]\n```"
    assert findings(text, {1, 2}) == (
        Finding("It was built in 1884.", (1,)),
        Finding("It burns oil.", (2, 1)),
        Finding("Nobody knows more.", ()),
    )


def test_a_row_is_quoted_for_what_it_says_with_its_columns() -> None:
    text = "Stone | Density | Foreman\nPerpetua stone | 2 | Venn\nGneiss | 3 | Strand"
    passage = Passage("d", "t", "c", "k", text, 0, len(text), "x")
    assert best_quote(passage, "Strand is the foreman for gneiss.").text == "Gneiss | 3 | Strand"


def test_a_mark_behind_what_its_quote_does_not_carry_is_left_out() -> None:
    book = CitationBook()
    citer = PassageCiter(book, passages(), lambda statement, _: "wrong" not in statement)
    rewriter = MarkRewriter(citer)
    text = rewriter.feed("This is right [1]. This is wrong [1].") + rewriter.finish()
    assert text == "This is right [1]. This is wrong."
    assert citer.unfounded == {"This is wrong"}
    assert [citation.number for citation in book.citations()] == [1]


def test_a_heading_is_no_quote_where_there_is_a_sentence() -> None:
    text = "# Staff handbook\n\nEach employee has 28 days of leave. Hotels cost 140 euros."
    found = best_quote(replace(passages()[0], text=text), "Here is what the staff handbook says")
    assert found.text == "Each employee has 28 days of leave."
    assert best_quote(replace(passages()[0], text="# Staff handbook"), "anything").text == "# Staff handbook"
