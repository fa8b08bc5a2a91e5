"""Drafts by a model, without any network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from services.agents.answering.generative import Draft, draft
from services.agents.ledger import Ledger
from services.agents.ports import Meter, ModelDone, ModelError, Prompt, TextPiece


class Writer:
    """A model that writes given pieces."""

    def __init__(self, pieces: Sequence[str], done: bool = True) -> None:
        self.pieces = pieces
        self.done = done
        self.closed = False

    async def stream(
        self, prompt: Prompt, seconds: float, meter: Meter
    ) -> AsyncGenerator[TextPiece | ModelDone]:
        try:
            for piece in self.pieces:
                yield TextPiece(piece)
            if self.done:
                yield ModelDone("writer", 1, 2)
        finally:
            self.closed = True

    async def ping(self) -> None:
        """Always there."""


async def written(writer: Writer) -> tuple[Draft, list[str]]:
    """What came of it, and what was said."""
    said: list[str] = []
    made = await draft(
        writer,
        Prompt(()),
        [],
        carries=lambda _, __: True,
        seconds=1,
        meter=Ledger.of(model_calls=1),
        say=said.append,
    )
    return made, said


@pytest.mark.parametrize(
    "pieces", [["NO_ANSWER"], ["NO", "_ANSWER"], ["NO_ANSWER", "."], ["\n", "NO_ANSWER\n"]]
)
async def test_the_declining_word_is_never_said(pieces: list[str]) -> None:
    made, said = await written(Writer(pieces))
    assert made.declined
    assert said == []


@pytest.mark.parametrize("text", ["No.", "NO", "NO_ANSWER is a word that models use.", "N", "NOT so"])
async def test_what_only_begins_like_it_is_said(text: str) -> None:
    made, said = await written(Writer(list(text)))
    assert not made.declined
    assert "".join(said) == made.text == text


async def test_a_stream_without_an_end_is_an_error() -> None:
    writer = Writer(["Hello"], done=False)
    with pytest.raises(ModelError) as caught:
        await written(writer)
    assert caught.value.truncated
    assert writer.closed


async def test_an_endless_model_is_stopped() -> None:
    writer = Writer(["x" * 100_000] * 10)
    with pytest.raises(ModelError):
        await written(writer)
    assert writer.closed
