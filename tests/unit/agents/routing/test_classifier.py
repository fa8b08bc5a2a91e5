"""The regression over examples."""

from __future__ import annotations

import numpy as np
import pytest

from services.agents.routing.classifier import Classifier, Examples
from services.agents.routing.signs import read

REQUESTS = {
    "sound": ["transcribe the tape", "how loud is the tape", "make the tape louder"],
    "picture": ["draw the cat", "colour the cat", "crop the photo of a cat"],
}


@pytest.fixture
def examples() -> Examples:
    return Examples(REQUESTS, {"hearing": ["loud", "tape"], "seeing": ["draw", "photo"]})


def test_shares_are_probabilities_and_the_nearest_label_has_most(examples: Examples) -> None:
    classifier = Classifier(examples, None)
    shares = classifier.shares(classifier.alike(examples.features(read("transcribe my tape")), None))
    assert shares.sum() == pytest.approx(1)
    assert shares[0] > 0.8


def test_a_request_that_is_like_nothing_has_even_shares(examples: Examples) -> None:
    classifier = Classifier(examples, None)
    shares = classifier.shares(classifier.alike(examples.features(read("xyzzy plugh plover")), None))
    assert shares.max() < 0.7


def test_meaning_decides_where_words_do_not(examples: Examples) -> None:
    vectors = np.repeat(np.eye(2, dtype=np.float32), 3, axis=0)
    classifier = Classifier(examples, vectors)
    assert classifier.uses_meaning
    features = examples.features(read("xyzzy plugh plover"))
    shares = classifier.shares(classifier.alike(features, np.array([0, 1], np.float32)))
    assert classifier.labels[int(shares.argmax())] == "picture"
    assert not classifier.fits(np.zeros(3, np.float32))


def test_telling_features_are_named(examples: Examples) -> None:
    assert Classifier(examples, None).telling(examples.features(read("how loud")), "sound") == ["hearing"]


def test_training_is_deterministic() -> None:
    concepts = {"hearing": ["loud"]}
    one, two = (Classifier(Examples(REQUESTS, concepts), None) for _ in range(2))
    alike = one.alike(one.examples.features(read("draw a loud cat")), None)
    assert np.array_equal(one.shares(alike), two.shares(alike))
