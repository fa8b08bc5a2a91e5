from __future__ import annotations

import numpy as np
import pytest

from services.vector import late
from services.vector.embedding.ports import WordVectors

DIMENSION = 384


def words_of(text: str, seed: int) -> WordVectors:
    """A vector for each word between blanks, of any length."""
    ends = np.cumsum([len(word) + 1 for word in text.split(" ")]) - 1
    spans = [(int(end) - len(word), int(end)) for word, end in zip(text.split(" "), ends, strict=True)]
    vectors = np.random.default_rng(seed).standard_normal((len(spans), DIMENSION)).astype(np.float32)
    return WordVectors(spans, vectors)


def question(text: str, seed: int = 1) -> late.QuestionWords:
    return late.question_words(text, words_of(text, seed))


def test_of_function_words_and_punctuation_nothing_is_kept() -> None:
    text = "The harbour of Bergen - is old"
    words = words_of(text, 3)
    kept = late.codes(text, words)
    assert len(kept) == 3 * DIMENSION // 8
    assert kept == late.codes(
        "harbour Bergen old", WordVectors([(0, 7), (8, 14), (15, 18)], words.vectors[[1, 3, 6]])
    )
    assert list(question(text).texts) == ["harbour", "Bergen", "old"]
    # A question of nothing else has them all the same.
    assert list(question("to be or not to be").texts) == ["to", "be", "or", "not", "to", "be"]


def test_the_places_of_what_is_kept_are_those_of_its_bits() -> None:
    text = "The harbour of Bergen - is old"
    words = words_of(text, 3)
    assert late.kept_spans(text, words.spans) == [(4, 11), (15, 21), (27, 30)]
    kept = late.codes(text, words)
    assert late.whole(kept, DIMENSION, 3)
    assert not late.whole(kept, DIMENSION, 2)
    asked = question("harbour old", 5)
    cosines = late.cosines(asked, kept)
    assert cosines.shape == (2, 3)
    mean = asked.weights @ cosines.max(axis=1) / asked.weights.sum()
    assert late.nearness(asked, [kept])[0] == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("word", ["harbour", " harbour,", "灯", "1871"])
def test_words_that_tell_something(word: str) -> None:
    assert late.tells(word)


@pytest.mark.parametrize("word", [" The", "the,", "--", "_", ""])
def test_words_that_tell_nothing(word: str) -> None:
    assert not late.tells(word)


def test_nearness_is_the_weighted_mean_of_the_nearest_words() -> None:
    asked = question("grey gulls cry")
    texts = ["grey stones", "nothing here but sand and water", "is it", "gulls"]
    passages = [words_of(text, seed) for seed, text in enumerate(texts, 10)]
    kept = [late.codes(text, words) for text, words in zip(texts, passages, strict=True)]

    expected = []
    for text, words in zip(texts, passages, strict=True):
        telling = [at for at, (start, end) in enumerate(words.spans) if late.tells(text[start:end])]
        signs = np.where(words.vectors[telling] > 0, 1.0, -1.0)
        products = asked.vectors @ signs.T * np.sqrt(np.pi / 2 / DIMENSION)
        expected.append((asked.weights @ products.max(axis=1) / asked.weights.sum()) if telling else 0.0)

    np.testing.assert_allclose(late.nearness(asked, kept), expected, rtol=1e-4, atol=1e-6)
    assert kept[2] == b""


def test_a_bit_of_each_component_comes_near_the_cosine() -> None:
    rng = np.random.default_rng(5)
    word = rng.standard_normal(DIMENSION).astype(np.float32)
    other = (word + rng.standard_normal(DIMENSION)).astype(np.float32)
    cosine = float(word @ other / np.linalg.norm(word) / np.linalg.norm(other))
    asked = late.question_words("harbour", WordVectors([(0, 7)], word[None]))
    (near,) = late.nearness(asked, [late.codes("port", WordVectors([(0, 4)], other[None]))])
    assert 0.5 < cosine < 0.9
    assert near == pytest.approx(cosine, abs=0.08)


def test_rare_words_count_more_and_none_is_lost_where_all_are_common() -> None:
    asked = question("grey gulls")
    near = late.codes("gulls", WordVectors([(0, 5)], asked.vectors[1:]))
    far = late.codes("gulls", WordVectors([(0, 5)], -asked.vectors[1:]))
    plain = late.nearness(asked, [near, far])
    rare = late.nearness(asked.weighed(lambda word: 5.0 if word == "gulls" else 1.0), [near, far])
    assert rare[0] - rare[1] > plain[0] - plain[1] > 0
    assert np.array_equal(asked.weighed(lambda _: 0.0).weights, asked.weights)


def test_nothing_to_compare_is_no_error() -> None:
    empty = late.question_words("", WordVectors([], np.empty((0, DIMENSION), np.float32)))
    assert late.nearness(empty, [b"", bytes(DIMENSION // 8)]).tolist() == [0, 0]
    assert late.nearness(question("gulls"), []).tolist() == []


def test_components_that_fill_no_whole_byte() -> None:
    vectors = np.random.default_rng(2).standard_normal((2, 13)).astype(np.float32)
    asked = late.question_words("sea gulls", WordVectors([(0, 3), (4, 9)], vectors))
    kept = late.codes("sea gulls", WordVectors([(0, 3), (4, 9)], vectors))
    assert len(kept) == 2 * 2
    same, opposite = late.nearness(asked, [kept, late.codes("sea", WordVectors([(0, 3)], -vectors[:1]))])
    assert same > 0.5 > opposite
