"""The texts of the bench of scale follow from a seed, and their vectors from their words."""

from __future__ import annotations

import numpy as np

from bench.scale_texts import DIMENSION, WORDS, Corpus


def test_texts_and_vectors_are_the_same_each_time() -> None:
    one, other = Corpus(3), Corpus(3)
    texts = list(one.texts(20))
    assert texts == list(other.texts(30))[:20]
    assert texts != list(Corpus(4).texts(20))
    assert one.questions(5) == other.questions(5)
    assert (one.vectors(texts) == other.vectors(texts)).all()


def test_texts_are_as_long_and_as_even_as_they_are_said_to_be() -> None:
    corpus = Corpus(3)
    assert len(set(corpus.words)) == WORDS
    texts = [text.lower().replace(".", "").split() for text in corpus.texts(200)]
    assert 110 <= np.mean([len(words) for words in texts]) <= 130
    words = [word for text in texts for word in text]
    # The most frequent word is as frequent as in English.
    assert 0.03 <= words.count("the") / len(words) <= 0.1
    assert set(words) <= set(corpus.words)


def test_a_text_is_near_to_itself_and_to_its_topic() -> None:
    corpus = Corpus(3)
    texts = list(corpus.texts(1_000))
    vectors = corpus.vectors(texts)
    assert vectors.shape == (1_000, DIMENSION)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    first = np.sort(vectors[1:] @ vectors[0])
    # A few are of the same topic; most are of none in common.
    assert first[-1] > 2 * np.median(first)
    assert np.isfinite(corpus.vectors(["never seen"])).all()
