"""Which pieces of a tokenizer are one word."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers

from services.vector.embedding.local import _Words

_PIECES = [
    "<unk>",
    "▁",
    "▁harbour",
    "s",
    "▁lamp",
    "港",
    "の",
    "灯台",
    "▁a",
    ",",
    "q",
    "u",
    "e",
    "r",
    "y",
    ":",
]


def words() -> _Words:
    """As XLM-RoBERTa has them: blanks alone end a word."""
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in _PIECES], unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return _Words(tokenizer, 8)


def named(prompt: str, text: str) -> list[list[str]]:
    """The words of each part."""
    ((*parts,),) = words().parts(prompt, [text])
    return [[text[start:end].strip() for start, end in part.spans] for part in parts]


def test_pieces_between_blanks_are_a_word_and_of_unspaced_scripts_each_is_one() -> None:
    assert named("", "harbours lamp") == [["harbours", "lamp"]]
    assert named("", "港の灯台 lamp") == [["港", "の", "灯台", "lamp"]]


def test_a_prompt_is_no_word_of_the_text_and_stands_before_each_part() -> None:
    assert named("q: ", "") == [[]]
    text = "lamp harbours lamp harbours lamp"
    # Parts are of about the same length.
    assert named("q: ", text) == [["lamp", "harbours", "lamp"], ["harbours", "lamp"]]
    first, second = words().parts("q: ", [text])[0]
    assert first.ids[:2] == second.ids[:2]
    assert [first.ids[row] for row in first.rows] == list(map(_PIECES.index, ["▁lamp", "▁harbour", "▁lamp"]))
    assert [second.ids[row] for row in second.rows] == list(map(_PIECES.index, ["▁harbour", "▁lamp"]))
    assert (first.end, second.end) == (len(first.ids), len(second.ids))


def test_a_question_ends_where_the_model_ends_to_read() -> None:
    part = words().beginning("", "harbours " * 9)
    assert len(part.ids) == 8
    assert len(part.spans) == 4
