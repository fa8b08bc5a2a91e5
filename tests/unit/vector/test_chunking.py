import re
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.vector.chunking import CHARACTERS_PER_TOKEN, Chunk, chunk
from services.vector.extraction.extractor import extract_plain
from services.vector.extraction.model import BlockKind, Extraction, Limits, Span
from services.vector.extraction.writer import TextWriter
from tests.unit.vector.extraction import samples

_TOKEN = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|\w{1,6}|[^\w\s]")


def count(texts: Sequence[str]) -> list[int]:
    """Like WordPiece: parts of words, single marks, single ideographs."""
    return [len(_TOKEN.findall(text)) for text in texts]


def cut(extraction: Extraction, target: int = 20, most: int = 30, overlap: int = 0) -> list[Chunk]:
    return chunk(
        extraction, target_tokens=target, max_tokens=most, count_tokens=count, overlap_sentences=overlap
    )


def texts(extraction: Extraction, chunks: list[Chunk]) -> list[str]:
    data = extraction.text.encode()
    return [data[piece.byte_start : piece.byte_end].decode() for piece in chunks]


def plain(text: str, target: int = 20, most: int = 30) -> list[str]:
    extraction = extract_plain(text, None)
    return texts(extraction, cut(extraction, target, most))


def markdown(source: str, target: int = 20, most: int = 30) -> list[tuple[tuple[str, ...], str]]:
    extraction = samples.read("markdown", source.encode())
    chunks = cut(extraction, target, most)
    return list(zip((piece.headings for piece in chunks), texts(extraction, chunks), strict=True))


def sentence(words: int, name: str = "word") -> str:
    return " ".join([name.capitalize(), *[name] * (words - 1)]) + "."


def test_a_short_text_is_one_passage() -> None:
    assert plain("  Größe zählt.  \n") == ["Größe zählt."]


def test_passages_end_with_sentences() -> None:
    parts = [sentence(9, name) for name in ("oak", "beech", "pine", "larch", "maple")]
    assert plain(" ".join(parts)) == [" ".join(parts[:2]), " ".join(parts[2:4]), parts[4]]


def test_a_paragraph_is_kept_together() -> None:
    first, second = sentence(12, "oak"), " ".join([sentence(9, "pine"), sentence(11, "larch")])
    assert plain(f"{first}\n\n{second}") == [first, second]


def test_passages_follow_headings() -> None:
    oak, red, beech = sentence(12, "oak"), sentence(12, "red"), sentence(12, "beech")
    source = f"Before it.\n\n# Trees\n\n## Oak\n\n{oak}\n\n### Red\n\n{red}\n\n## Beech\n\n{beech}\n"
    assert markdown(source) == [
        ((), "Before it."),
        (("Trees", "Oak"), f"# Trees\n\n## Oak\n\n{oak}"),
        (("Trees", "Oak", "Red"), f"### Red\n\n{red}"),
        (("Trees", "Beech"), f"## Beech\n\n{beech}"),
    ]


def test_a_section_of_a_few_words_stays_with_the_one_inside_it() -> None:
    source = f"# Trees\n\nTall.\n\n## Oak\n\n{sentence(12)}\n\n# Stones\n\nHard.\n"
    assert markdown(source) == [
        (("Trees",), f"# Trees\n\nTall.\n\n## Oak\n\n{sentence(12)}"),
        (("Stones",), "# Stones\n\nHard."),
    ]


def test_a_passage_that_goes_on_a_section_keeps_its_headings() -> None:
    chunks = markdown("# Trees\n\n" + " ".join(sentence(9) for _ in range(6)))
    assert len(chunks) > 1
    assert {headings for headings, _ in chunks} == {("Trees",)}


def test_a_short_rest_joins_the_passage_before_it() -> None:
    text = f"{sentence(19)}\n\nThe end."
    assert plain(text) == [text]


def test_table_rows_are_not_cut() -> None:
    writer = TextWriter(Limits())
    writer.table([[f"Tree {number}", "tall. Green", "20"] for number in range(20)])
    extraction = writer.finish("text/html")
    rows = extraction.text.split("\n")
    passages = texts(extraction, cut(extraction))
    assert len(passages) > 3
    assert [row for passage in passages for row in passage.split("\n")] == rows


def test_a_small_table_is_kept_together() -> None:
    writer = TextWriter(Limits())
    writer.paragraph(sentence(18))
    writer.table([["oak tree", "20"], ["beech tree", "30"], ["pine tree", "40"], ["larch", "5"]])
    assert texts(extraction := writer.finish("text/html"), cut(extraction))[1].startswith("oak tree | 20")


def test_a_long_sentence_is_cut_between_clauses_and_words() -> None:
    text = "one two three four five six, " * 12
    passages = plain(text.strip())
    assert all(passage.endswith(("six,", "six")) for passage in passages)
    assert all(count([passage])[0] <= 30 for passage in passages)


def test_only_a_word_longer_than_a_passage_is_cut() -> None:
    word = "x" * 1000
    passages = plain(f"before {word} after")
    assert "".join(passages).replace(" ", "") == f"before{word}after"
    assert max(count(passages)) <= 30


def test_text_without_spaces_is_cut_after_sentences() -> None:
    assert plain("吾輩は猫である。" * 6, 20, 24) == ["吾輩は猫である。" * 3] * 2
    passages = plain("吾輩は猫、" * 40)
    assert "".join(passages) == "吾輩は猫、" * 40
    assert not any(passage.startswith("、") for passage in passages)
    assert max(count(passages)) <= 30


def test_marks_stay_with_their_character() -> None:
    passages = plain("e\u0301" * 500)
    assert len(passages) > 1
    assert all(passage.startswith("e") and passage.endswith("\u0301") for passage in passages)


def test_a_token_cannot_hide_a_passage_of_any_size() -> None:
    """WordPiece gives one token for a word of any length."""
    extraction = extract_plain("x" * 10_000, None)
    chunks = chunk(
        extraction,
        target_tokens=20,
        max_tokens=30,
        count_tokens=lambda texts: [len(t.split()) for t in texts],
    )
    assert max(piece.byte_end - piece.byte_start for piece in chunks) <= 30 * CHARACTERS_PER_TOKEN


def test_a_counter_that_finds_more_where_sentences_meet_cannot_pass_the_limit() -> None:
    extraction = extract_plain(" ".join(sentence(4) for _ in range(40)), None)

    def with_meetings(texts: Sequence[str]) -> list[int]:
        return [tokens + text.count(". ") for tokens, text in zip(count(texts), texts, strict=True)]

    chunks = chunk(extraction, target_tokens=30, max_tokens=30, count_tokens=with_meetings)
    assert max(with_meetings(texts(extraction, chunks))) <= 30


def test_pages_are_numbered_from_one() -> None:
    pages = [sentence(19, "oak"), "", sentence(19, "pine"), sentence(19, "larch")]
    writer = TextWriter(Limits())
    for page in pages:
        writer.page(page)
    assert [piece.page for piece in cut(writer.finish("application/pdf"))] == [1, 3, 4]
    assert [piece.page for piece in cut(extract_plain("No pages.", None))] == [None]


def test_an_empty_first_page_holds_nothing() -> None:
    extraction = Extraction("Text.", None, "application/pdf", (Span(0, 0), Span(0, 5), Span(5, 5)))
    assert [piece.page for piece in cut(extraction)] == [2]


def test_an_overlap_repeats_the_last_sentence_within_a_section() -> None:
    names = ("oak", "beech", "pine", "larch", "maple", "elm", "birch", "alder", "willow", "cedar")
    source = "# One\n\n" + " ".join(sentence(4, name) for name in names) + "\n\n# Two\n\n" + sentence(9)
    extraction = samples.read("markdown", source.encode())
    passages = texts(extraction, cut(extraction, overlap=1))
    assert passages[1].startswith(passages[0].rpartition(". ")[2])
    assert passages[-1] == "# Two\n\n" + sentence(9)
    assert max(count(passages)) <= 30


@pytest.mark.parametrize(("target", "most"), [(0, 10), (11, 10), (-1, -1)])
def test_refuses_impossible_sizes(target: int, most: int) -> None:
    with pytest.raises(ValueError, match="target_tokens"):
        cut(extract_plain("Text.", None), target, most)


WORDS = st.sampled_from(
    [
        "oak",
        "Größe",
        "e.g.",
        "3.5",
        "Dr.",
        "word",
        "x" * 90,
        "漢字かな。",
        "ไทย",
        "👩‍👩‍👧",
        "e\u0301" * 40,
        "end.",
        "yes!",
        "«a»",
    ]
)
SPACES = st.sampled_from([" ", " ", " ", "\n", "\n\n", "\n\n\n", " " * 50, "\t", "\u3000", "\n- ", ", "])
PROSE = st.lists(st.tuples(WORDS, SPACES), max_size=80).map(lambda pairs: "".join(a + b for a, b in pairs))


@st.composite
def extractions(draw: st.DrawFn) -> Extraction:
    writer = TextWriter(Limits())
    writer.paragraph("First.")
    for kind in draw(
        st.lists(st.sampled_from(["prose", "heading", "table", "list", "code", "page"]), max_size=8)
    ):
        text = draw(PROSE | st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
        if kind == "prose":
            writer.paragraph(text)
        elif kind == "heading":
            writer.heading(text, draw(st.integers(1, 6)))
        elif kind == "table":
            writer.table([text.split(" "), ["a", "b"]])
        elif kind == "list":
            writer.list_item(text, draw(st.integers(0, 3)))
        elif kind == "code":
            writer.code(text)
        else:
            writer.page(text)
    return writer.finish("text/html")


@settings(max_examples=200, deadline=None)
@given(extractions(), st.integers(5, 40), st.integers(0, 20))
def test_passages_of_any_text(extraction: Extraction, target: int, more: int) -> None:
    most = target + more
    chunks = cut(extraction, target, most)
    assert chunks == cut(extraction, target, most)
    assert [piece.ordinal for piece in chunks] == list(range(len(chunks)))
    data = extraction.text.encode()
    at = 0
    for piece in chunks:
        assert at <= piece.byte_start < piece.byte_end <= len(data)
        assert not data[at : piece.byte_start].decode().strip()
        passage = data[piece.byte_start : piece.byte_end].decode()
        assert passage == passage.strip()
        assert count([passage])[0] <= most or len(passage) == 1
        at = piece.byte_end
    assert not data[at:].decode().strip()
    _assert_no_word_is_cut(data, chunks, most)
    headings = {block.label for block in extraction.blocks if block.kind is BlockKind.HEADING}
    assert {label for piece in chunks for label in piece.headings} <= headings


def _assert_no_word_is_cut(data: bytes, chunks: list[Chunk], most: int) -> None:
    """A word is cut only when it has more tokens or characters than a passage may have."""
    for before, after in pairwise(chunks):
        if before.byte_end < after.byte_start:
            continue
        left = data[before.byte_start : before.byte_end].decode()
        right = data[after.byte_start : after.byte_end].decode()
        unspaced = re.compile(r"[\u3000-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]")
        if unspaced.match(left[-1]) or unspaced.match(right[0]):
            continue
        at = before.byte_end
        text = data.decode()
        place = len(data[:at].decode())
        start = max((found.end() for found in re.finditer(r"\s", text[:place])), default=0)
        found = re.compile(r"\s").search(text, place)
        word = text[start : found.start() if found else len(text)]
        assert count([word])[0] > most or len(word) > most * CHARACTERS_PER_TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "e" + "\u0301" * 300_000,
        "." * 500_000,
        "a\n" * 200_000,
        "a\n\n" * 100_000,
        "x\n" + ("\n" + " " * 50) * 10_000 + "y",
        "漢字かな" * 50_000,
        "\u200d" * 300_000 + "x",
        "- a\n" * 100_000,
        'a."' * 100_000,
    ],
    ids=[
        "word",
        "marks",
        "dots",
        "lines",
        "paragraphs",
        "blanks",
        "ideographs",
        "joiners",
        "items",
        "quotes",
    ],
)
def test_time_is_linear(text: str) -> None:
    extraction = extract_plain(text, None)
    began = time.process_time()
    chunks = cut(extraction, 200, 254)
    assert time.process_time() - began < 5
    assert max(count(texts(extraction, chunks))) <= 254
