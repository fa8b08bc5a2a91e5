"""Routing by examples. Accuracy with the real embeddings is measured by bench/routing.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from services.agents.ports import Vectors
from services.agents.roster.registry import Registry
from services.agents.routing import triage
from services.chassis.errors import UnavailableError

HELD_OUT = Path(__file__).with_name("held_out.json")


def down() -> UnavailableError:
    """The vector service is not there."""
    return UnavailableError("down", reason="RETRIEVAL_UNAVAILABLE")


class Embedder:
    """Fails for a while, then gives vectors that know nothing."""

    def __init__(self, failures: float = float("inf")) -> None:
        self.failures = failures
        self.dimension = 2

    async def __call__(self, texts: Sequence[str]) -> Vectors:
        self.failures -= 1
        if self.failures >= 0:
            raise down()
        return np.tile(np.eye(1, self.dimension, dtype=np.float32), (len(texts), 1))


@pytest.fixture(scope="module")
def by_words() -> triage.Triage:
    """A triage whose vector service is down."""
    return triage.Triage(triage.load_examples(), triage.load_cues(), Embedder())


def test_every_agent_has_examples_and_none_is_in_the_held_out_set() -> None:
    examples, held_out = triage.load_examples(), json.loads(HELD_OUT.read_text("utf-8"))
    assert list(examples) == list(triage.load_cues()) == list(Registry().ids()) == list(held_out)
    assert all(len(set(found)) >= 30 for found in examples.values())
    assert all(len(set(found)) >= 12 for found in held_out.values())
    known = {text.lower() for found in examples.values() for text in found}
    assert not known & {text.lower() for found in held_out.values() for text in found}


async def test_words_alone_are_right_in_two_of_three_held_out_requests(by_words: triage.Triage) -> None:
    held_out: dict[str, list[str]] = json.loads(HELD_OUT.read_text("utf-8"))
    right = [
        (await by_words.route(text)).agent_id == agent_id
        for agent_id, texts in held_out.items()
        for text in texts
    ]
    assert sum(right) / len(right) >= 2 / 3


async def test_a_route_says_why_and_what_else(by_words: triage.Triage) -> None:
    route = await by_words.route("Please transcribe the recording of the interview")
    assert route.agent_id == "audio"
    assert 0 < route.confidence <= 1
    assert len(route.alternatives) == 3
    assert route.alternatives[0].confidence <= route.confidence
    assert any("embedding model does not answer" in reason for reason in route.reasons)


async def test_a_request_that_resembles_nothing_is_not_routed_with_confidence(
    by_words: triage.Triage,
) -> None:
    sure = await by_words.route("Transcribe the podcast recording")
    unsure = await by_words.route("xyzzy plugh")
    assert unsure.confidence < 0.3 < sure.confidence


async def learnt(learner: triage.Triage) -> asyncio.Task[None]:
    """Waits until embeddings take part; the task goes on learning."""
    learning = asyncio.create_task(learner.keep_learning())
    async with asyncio.timeout(20):
        while any("embedding model" in reason for reason in (await learner.route("Transcribe this")).reasons):
            await asyncio.sleep(0.02)
    return learning


async def test_learning_is_repeated_until_it_succeeds() -> None:
    learner = triage.Triage(triage.load_examples(), triage.load_cues(), embedder := Embedder(failures=1))
    with pytest.raises(UnavailableError):
        await learner.learn()
    learning = await learnt(learner)
    assert (await learner.route("Transcribe the podcast recording")).agent_id == "audio"
    embedder.failures = 1
    assert any("embedding model" in reason for reason in (await learner.route("Transcribe this")).reasons)
    learning.cancel()


async def test_another_embedding_model_is_learnt_anew() -> None:
    learner = triage.Triage(triage.load_examples(), triage.load_cues(), embedder := Embedder(failures=0))
    (await learnt(learner)).cancel()
    embedder.dimension = 3
    first = await learner.route("Transcribe the podcast recording")
    assert first.agent_id == "audio"
    assert any("embedding model" in reason for reason in first.reasons)
    (await learnt(learner)).cancel()
