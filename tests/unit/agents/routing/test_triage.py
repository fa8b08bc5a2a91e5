"""Routing by examples. Accuracy with the real embeddings is measured by bench/routing.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from services.agents.answering import terms
from services.agents.ports import Vectors
from services.agents.roster.registry import Registry
from services.agents.routing import triage
from services.chassis.errors import UnavailableError

FOLDER = Path(__file__).parent
UNSEEN, HELD_OUT = (
    json.loads((FOLDER / name).read_text("utf-8")) for name in ("unseen.json", "held_out.json")
)


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
    return triage.Triage(triage.packaged(), Embedder())


def test_every_agent_has_examples_and_requests_apart_from_them() -> None:
    examples = triage.load_examples()
    assert list(examples) == list(Registry().ids()) == list(HELD_OUT) == list(UNSEEN)
    assert all(len(set(found)) >= 50 for found in examples.values())
    assert all(len(set(found)) >= 12 for found in HELD_OUT.values())
    assert all(len(set(found)) >= 15 for found in UNSEEN.values())


def words_of(text: str) -> set[str]:
    return set(terms.words(text))


@pytest.mark.parametrize("measured", [UNSEEN, HELD_OUT], ids=["unseen", "held out"])
def test_no_measured_request_is_nearly_an_example(measured: dict[str, list[str]]) -> None:
    examples = [words_of(text) for found in triage.load_examples().values() for text in found]
    for request in (text for found in measured.values() for text in found):
        words = words_of(request)
        assert max(len(words & known) / len(words | known) for known in examples) < 0.7, request


@pytest.mark.parametrize("measured", [UNSEEN, HELD_OUT], ids=["unseen", "held out"])
async def test_without_the_embedding_model_seven_of_ten_requests_go_right(
    by_words: triage.Triage, measured: dict[str, list[str]]
) -> None:
    right = [
        (await by_words.route(text)).agent_id == agent_id
        for agent_id, texts in measured.items()
        for text in texts
    ]
    assert sum(right) / len(right) >= 0.7


async def test_a_confidence_is_right_about_as_often_as_it_says(by_words: triage.Triage) -> None:
    routes = [(agent_id, await by_words.route(text)) for agent_id, texts in UNSEEN.items() for text in texts]
    for sure in (True, False):
        some = [(agent_id, route) for agent_id, route in routes if (route.confidence >= 0.8) == sure]
        said = sum(route.confidence for _, route in some) / len(some)
        right = sum(route.agent_id == agent_id for agent_id, route in some) / len(some)
        assert abs(said - right) < 0.15


@pytest.mark.parametrize(
    ("request_text", "agent_id", "sign"),
    [
        (
            'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\n    b[4]\n'
            "IndexError: list index out of range\n",
            "code_debugger",
            "error name",
        ),
        ("take_07.flac: bitte abtippen", "audio", "sound"),
        ("Mach bitte ein Diagramm aus den Zahlen", "image", "draw"),
    ],
)
async def test_signs_that_need_no_english_decide_and_are_named(
    by_words: triage.Triage, request_text: str, agent_id: str, sign: str
) -> None:
    route = await by_words.route(request_text)
    assert route.agent_id == agent_id
    assert any(reason.startswith("Signs of") and sign in reason for reason in route.reasons)


async def test_what_is_long_is_routed_by_its_ends(by_words: triage.Triage) -> None:
    route = await by_words.route("Transcribe this recording.\n" + "x.y(" * 8_000)
    assert route.agent_id == "audio"


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
    learner = triage.Triage(triage.packaged(), embedder := Embedder(failures=1))
    with pytest.raises(UnavailableError):
        await learner.learn()
    learning = await learnt(learner)
    assert (await learner.route("Transcribe the podcast recording")).agent_id == "audio"
    embedder.failures = 1
    assert any("embedding model" in reason for reason in (await learner.route("Transcribe this")).reasons)
    learning.cancel()


async def test_another_embedding_model_is_learnt_anew() -> None:
    learner = triage.Triage(triage.packaged(), embedder := Embedder(failures=0))
    (await learnt(learner)).cancel()
    embedder.dimension = 3
    first = await learner.route("Transcribe the podcast recording")
    assert first.agent_id == "audio"
    assert any("embedding model" in reason for reason in first.reasons)
    (await learnt(learner)).cancel()
