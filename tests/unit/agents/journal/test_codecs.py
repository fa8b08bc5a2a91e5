"""Outcomes are read exactly as they were written."""

from __future__ import annotations

import io

import numpy as np
import pytest

from services.agents.journal.codecs import (
    CONVERSATION,
    EMBEDDINGS,
    FOUND,
    NEARNESS,
    ROUTE,
    read_error,
    written_error,
)
from services.agents.model import Conversation, Passage, Turn
from services.agents.ports import Embeddings, Likeness, ModelError, Nearness
from services.agents.routing.route import Alternative, Route
from services.chassis.errors import NotFoundError, ResourceExhaustedError, ServiceError


def test_vectors_keep_every_bit() -> None:
    vectors = np.random.default_rng(1).standard_normal((25, 384)).astype(np.float32)
    written = EMBEDDINGS.write(Embeddings(vectors, Likeness(4.7, -3.4)))
    read = EMBEDDINGS.read(written)
    assert read.vectors.dtype == np.float32
    assert read.vectors.tobytes() == vectors.tobytes()
    assert read.likeness == Likeness(4.7, -3.4)
    assert len(EMBEDDINGS.pack(written)) < vectors.nbytes + 200


def test_vectors_of_older_records_are_compared_as_they_were() -> None:
    stream = io.BytesIO()
    np.save(stream, np.ones((2, 3), np.float32), allow_pickle=False)
    read = EMBEDDINGS.read(stream.getvalue())
    assert read.vectors.shape == (2, 3)
    assert read.likeness == Likeness()


@pytest.mark.parametrize("quotes", [0, 3])
def test_nearness_keeps_every_bit(quotes: int) -> None:
    made = np.random.default_rng(1).standard_normal((quotes, 2)).astype(np.float32)
    weights = np.array([0.1, 11.7], np.float32)
    read = NEARNESS.read(NEARNESS.write(Nearness(("Über", "b"), weights, made, Likeness(4.7, -3.4))))
    assert read is not None
    assert (read.words, read.likeness) == (("Über", "b"), Likeness(4.7, -3.4))
    assert read.of.dtype == read.weights.dtype == np.float32
    assert (read.of.tobytes(), read.of.shape) == (made.tobytes(), made.shape)
    assert read.weights.tobytes() == weights.tobytes()
    assert NEARNESS.read(NEARNESS.write(None)) is None


def test_passages_conversations_and_routes_come_back() -> None:
    passage = Passage("d", "T ü", "c", "notes", "text", 3, 7, "sha", 2, 0.1 + 0.2, 1 / 3, 1e-9)
    assert FOUND.read(FOUND.write(((passage,), "why"))) == ((passage,), "why")
    conversation = Conversation("s", ("a", "b"), (Turn(True, "hi"), Turn(False, "yes")))
    assert CONVERSATION.read(CONVERSATION.write(conversation)) == conversation
    route = Route("ceo", 0.9, ("because",), (Alternative("research", 0.1),))
    assert ROUTE.read(ROUTE.write(route)) == route


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("no", reason="COLLECTION_NOT_FOUND", metadata={"collection_id": "x"}),
        ResourceExhaustedError("much", reason="BUDGET_EXHAUSTED", retry_after=1.5),
    ],
)
def test_errors_of_services_come_back(error: ServiceError) -> None:
    read = read_error(written_error(error) or b"")
    assert type(read) is type(error)
    assert vars(read) == vars(error)


def test_errors_of_models_come_back() -> None:
    error = ModelError("down", model="m", repeatable=True, ill=True, retry_after=2.0, truncated=True)
    read = read_error(written_error(error) or b"")
    assert isinstance(read, ModelError)
    assert (str(read), vars(read)) == ("down", vars(error))


def test_a_defect_is_not_written() -> None:
    assert written_error(KeyError("x")) is None
