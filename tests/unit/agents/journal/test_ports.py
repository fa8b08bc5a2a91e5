"""Ports behind a journal: what a model was shown is known by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator

import pytest

from services.agents.journal.entry import Entry, canonical, digest
from services.agents.journal.journal import Journal
from services.agents.journal.ports import JournaledModel
from services.agents.ports import Attachment, ChatMessage, Meter, ModelDone, Piece, Prompt, TextPiece


class Free:
    def charge_model_call(self) -> None:
        return None


class Seeing:
    """Answers with what it was shown."""

    async def ping(self) -> None:
        return None

    async def stream(self, prompt: Prompt, seconds: float, meter: Meter) -> AsyncGenerator[Piece]:
        for attachment in prompt.messages[0].attachments:
            yield TextPiece((await attachment.load()).decode())
        yield ModelDone("m", 1, 1)


def showing(attachment: Attachment) -> Prompt:
    return Prompt((ChatMessage("user", "What is it?", attachments=(attachment,)),))


def gone(media_type: str, data: bytes) -> Attachment:
    async def load() -> bytes:
        raise AssertionError("the bytes were asked for")

    return Attachment(media_type, hashlib.sha256(data).hexdigest(), load)


async def heard(model: JournaledModel, prompt: Prompt) -> str:
    return "".join([p.text async for p in model.stream(prompt, 5, Free()) if isinstance(p, TextPiece)])


async def test_a_repeated_run_needs_no_bytes() -> None:
    written: list[Entry] = []
    first = JournaledModel(Seeing(), Journal(write=written.append))
    assert await heard(first, showing(Attachment.of("image/png", b"a harbour"))) == "a harbour"

    again = JournaledModel(Seeing(), Journal(recorded=written, live=False))
    assert await heard(again, showing(gone("image/png", b"a harbour"))) == "a harbour"


async def test_another_picture_is_another_question() -> None:
    written: list[Entry] = []
    first = JournaledModel(Seeing(), Journal(write=written.append))
    await heard(first, showing(Attachment.of("image/png", b"a harbour")))

    again = JournaledModel(Seeing(), Journal(recorded=written, live=False))
    with pytest.raises(Exception, match="model"):
        await heard(again, showing(gone("image/png", b"a lighthouse")))


async def test_what_is_asked_is_named_as_it_was_when_attachments_carried_their_bytes() -> None:
    written: list[Entry] = []
    model = JournaledModel(Seeing(), Journal(write=written.append))
    await heard(model, showing(Attachment.of("image/png", b"a harbour")))
    asked = {
        "messages": [
            {
                "role": "user",
                "text": "What is it?",
                "answers": "",
                "requests": [],
                "attachments": [{"media_type": "image/png", "data": digest(b"a harbour").hex()}],
            }
        ],
        "temperature": None,
        "max_output_tokens": None,
        "budget_tokens": None,
        "schema": None,
        "tools": [],
    }
    assert digest(canonical(asked)) in [entry.digest for entry in written]
