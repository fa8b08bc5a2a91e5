"""Outcomes are read exactly as they were written."""

from __future__ import annotations

import numpy as np
import pytest

from services.agents.journal.codecs import (
    CONVERSATION,
    FOUND,
    ROUTE,
    VECTORS,
    read_error,
    written_error,
)
from services.agents.model import Conversation, Passage, Turn
from services.agents.ports import ModelError
from services.agents.routing.route import Alternative, Route
from services.chassis.errors import NotFoundError, ResourceExhaustedError, ServiceError


def test_vectors_keep_every_bit() -> None:
    vectors = np.random.default_rng(1).standard_normal((25, 384)).astype(np.float32)
    read = VECTORS.read(VECTORS.write(vectors))
    assert read.dtype == np.float32
    assert read.tobytes() == vectors.tobytes()
    assert len(VECTORS.pack(VECTORS.write(vectors))) < vectors.nbytes + 200


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
