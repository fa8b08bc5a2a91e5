"""The embeddings that come with the release."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.agents.ports import Vectors
from services.agents.routing import embedded
from services.agents.routing.signs import read
from services.agents.routing.triage import (
    Triage,
    load_examples,
    load_questions,
    packaged,
    packaged_with_questions,
)

TEXTS = [read(text).prose for requests in load_examples().values() for text in requests]


def known() -> Vectors:
    found = embedded.load(TEXTS)
    assert found is not None, "the examples have changed: python -m services.agents.routing.embedded"
    return found


def test_they_are_those_of_the_examples() -> None:
    rows = known()
    assert rows.shape == (len(TEXTS), 384)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)


def test_the_questions_to_documents_have_theirs() -> None:
    texts = [read(text).prose for text in load_questions()]
    assert not set(texts) & set(TEXTS)
    rows = embedded.load(texts, embedded.QUESTIONS)
    assert rows is not None, "the questions have changed: python -m services.agents.routing.embedded"
    assert rows.shape == (len(texts), 384)


async def test_whether_documents_are_asked_is_told_by_meaning_too() -> None:
    texts = [read(text).prose for text in load_questions()]
    questions = embedded.load(texts, embedded.QUESTIONS)
    assert questions is not None
    rows = dict(zip([*TEXTS, *texts], np.concatenate([known(), questions]), strict=True))
    asked: list[str] = []

    async def embed(wanted: Sequence[str]) -> Vectors:
        asked.extend(wanted)
        return np.stack([rows[text] for text in wanted])

    triage = Triage(packaged(), embed, packaged_with_questions())
    await triage.learn()
    assert len(asked) == 16
    assert (await triage.route("How fast does the glue dry?")).asks > 0.9
    assert (await triage.route("Transcribe this interview.")).asks < 0.1


def test_those_of_other_texts_are_none() -> None:
    assert embedded.load([*TEXTS[:-1], "something else"]) is None


def test_another_model_is_told_apart() -> None:
    rows = known()[:16]
    assert embedded.same_model(rows, rows + np.float32(0.001))
    assert not embedded.same_model(rows, rows[::-1])
    assert not embedded.same_model(rows, rows[:, :100])
    other = rows.copy()
    other[7] = -other[7]
    assert not embedded.same_model(rows, other)


async def asked_for(model: Sequence[Vectors]) -> tuple[int, Triage]:
    rows = dict(zip(TEXTS, np.concatenate(model), strict=True))
    asked = 0

    async def embed(texts: Sequence[str]) -> Vectors:
        nonlocal asked
        asked += len(texts)
        return np.stack([rows[text] for text in texts])

    triage = Triage(packaged(), embed)
    await triage.learn()
    await triage.learn()
    return asked, triage


async def test_only_the_first_are_embedded_by_the_model_of_the_release() -> None:
    asked, _ = await asked_for([known()])
    assert asked == 16


async def test_all_are_embedded_by_another_model() -> None:
    asked, _ = await asked_for([known()[::-1]])
    assert asked == len(TEXTS)
