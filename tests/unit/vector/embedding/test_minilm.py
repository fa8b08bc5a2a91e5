from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.vector.embedding import minilm_files
from services.vector.embedding.kept_graphs import ModelFilesError
from services.vector.embedding.local import batches
from services.vector.embedding.minilm import MAX_TOKENS, MiniLmEmbedder
from services.vector.embedding.minilm_files import ModelFiles
from services.vector.embedding.ports import (
    Embedder,
    EmbedderDeadlineError,
    EmbedderRejectedError,
    EmbedderUnavailableError,
)
from tests.support.waits import promised

REFERENCE = json.loads((Path(__file__).parent / "fixtures" / "minilm_reference.json").read_bytes())["cases"]
TEXTS = [case["text"] for case in REFERENCE]
PASSAGE = "Every ledger was copied twice, once by a clerk and once by a machine, and then compared. " * 11


def soon() -> float:
    return time.monotonic() + 60


@pytest.mark.parametrize("method", ["embed_queries", "embed_passages"])
def test_vectors_agree_with_the_reference_implementation(minilm: MiniLmEmbedder, method: str) -> None:
    expected = np.array([case["vector"] for case in REFERENCE], np.float32)

    vectors = getattr(minilm, method)(TEXTS, deadline=soon())

    assert vectors.dtype == np.float32
    if method == "embed_passages":
        # The reference leaves out the end of what is too long.
        whole = np.array(minilm.token_counts(TEXTS)) <= minilm.passage_tokens()
        assert 0 < (~whole).sum() < 5
        vectors, expected = vectors[whole], expected[whole]
    cosines = (vectors * expected).sum(axis=1)
    worst = int(cosines.argmin())
    assert cosines[worst] >= 0.99999, TEXTS[worst][:60]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_words_are_told_with_the_vectors_that_passages_have_anyway(minilm: MiniLmEmbedder) -> None:
    texts = ["The harbour's lamp is re-lit at dusk, naïvely.", PASSAGE * 2, "", "灯台"]
    vectors, words = minilm.embed_passage_words(texts, deadline=soon())
    np.testing.assert_allclose(vectors, minilm.embed_passages(texts, deadline=soon()), atol=1e-6)
    named = [[text[start:end] for start, end in some.spans] for text, some in zip(texts, words, strict=True)]
    assert named[0] == [
        "The",
        "harbour",
        "'",
        "s",
        "lamp",
        "is",
        "re",
        "-",
        "lit",
        "at",
        "dusk",
        ",",
        "naïvely",
        ".",
    ]
    # Nothing of a long passage is left out.
    assert named[1] == [*re.findall(r"\w+|[.,]", PASSAGE * 2)]
    assert named[2:] == [[], ["灯", "台"]]
    for some in words:
        assert some.vectors.shape == (len(some.spans), 384)
    # Their places are known without the work.
    assert minilm.passage_spans(texts) == [list(some.spans) for some in words]
    # Alone or beside a longer one, a text's words are the same.
    _, alone = minilm.embed_passage_words(texts[:1], deadline=soon())
    np.testing.assert_allclose(alone[0].vectors, words[0].vectors, atol=1e-5)


def test_the_words_of_a_text_lie_where_the_same_word_does(minilm: MiniLmEmbedder) -> None:
    vector, asked = minilm.embed_question_words("Where do ships moor?", deadline=soon())
    np.testing.assert_array_equal(vector, minilm.embed_question("Where do ships moor?", deadline=soon()))
    _, (told,) = minilm.embed_passage_words(["Bread is sold here. Vessels anchor there."], deadline=soon())
    ships = asked.vectors[2] / np.linalg.norm(asked.vectors[2])
    near = told.vectors @ ships / np.linalg.norm(told.vectors, axis=1)
    start, end = told.spans[int(near.argmax())]
    assert "Bread is sold here. Vessels anchor there."[start:end] == "Vessels"


def test_the_vector_to_search_with_comes_near_the_reference_and_finds_the_same(
    minilm: MiniLmEmbedder,
) -> None:
    expected = np.array([case["vector"] for case in REFERENCE], np.float32)

    vectors = np.stack([minilm.embed_question(text, deadline=soon()) for text in TEXTS])

    assert vectors.dtype == np.float32
    cosines = (vectors * expected).sum(axis=1)
    worst = int(cosines.argmin())
    assert cosines[worst] >= 0.96, TEXTS[worst][:60]
    assert np.median(cosines) >= 0.99
    # It is another model than that of passages, of which each has its own.
    assert np.median(cosines) < 0.9999
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    # Of all texts the nearest is the text itself, or one that the model itself takes for it.
    found = (vectors @ expected.T).argmax(axis=1)
    assert ((expected * expected[found]).sum(axis=1) > 0.99).all()


def test_tokens_are_counted_as_the_reference_does(minilm: MiniLmEmbedder) -> None:
    assert [count + 2 for count in minilm.token_counts(TEXTS)] == [case["tokens"] for case in REFERENCE]


def test_neither_order_nor_company_changes_a_vector(minilm: MiniLmEmbedder) -> None:
    texts = TEXTS[:40]
    together = minilm.embed_passages(texts, deadline=soon())
    order = np.random.default_rng(7).permutation(len(texts))

    shuffled = minilm.embed_passages([texts[i] for i in order], deadline=soon())
    alone = np.concatenate([minilm.embed_passages([text], deadline=soon()) for text in texts])

    np.testing.assert_allclose(shuffled, together[order], atol=1e-5)
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_text_beyond_the_limit_does_not_count(minilm: MiniLmEmbedder) -> None:
    inside = "word " * (MAX_TOKENS - 2)

    one_less, full, beyond = minilm.embed_queries(
        ["word " * (MAX_TOKENS - 3), inside, inside + "something else entirely " * 5_000], deadline=soon()
    )

    np.testing.assert_allclose(beyond, full, atol=1e-6)
    assert np.abs(one_less - full).max() > 1e-6


def test_a_huge_text_takes_no_longer_than_its_part_that_counts(minilm: MiniLmEmbedder) -> None:
    started = time.monotonic()
    minilm.embed_queries(["x" * 5_000_000], deadline=soon())
    assert time.monotonic() - started < promised(2.5)  # the tokenizer alone would take 3 s


def test_no_texts_give_no_rows(minilm: MiniLmEmbedder) -> None:
    assert minilm.embed_queries([], deadline=soon()).shape == (0, 384)
    assert minilm.embed_passages([], deadline=soon()).shape == (0, 384)


def test_a_lone_surrogate_is_rejected(minilm: MiniLmEmbedder) -> None:
    with pytest.raises(EmbedderRejectedError, match="surrogate"):
        minilm.embed_passages(["fine", "not \ud800 fine"], deadline=soon())


def test_many_threads_get_their_own_vectors(minilm: MiniLmEmbedder) -> None:
    expected = minilm.embed_queries(TEXTS[:24], deadline=soon())

    def both(i: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        text = [TEXTS[i]]
        return minilm.embed_queries(text, deadline=soon())[0], minilm.embed_passages(text, deadline=soon())[0]

    with ThreadPoolExecutor(8) as callers:
        for i, (query, passage) in enumerate(callers.map(both, range(24))):
            np.testing.assert_allclose(query, expected[i], atol=1e-5)
            np.testing.assert_allclose(passage, expected[i], atol=1e-5)


@pytest.mark.parametrize(
    "ask",
    [
        lambda minilm, text: minilm.embed_question(text, deadline=soon()),
        lambda minilm, text: minilm.embed_queries([text], deadline=soon()),
    ],
    ids=["question", "queries"],
)
def test_a_query_does_not_wait_for_passages(
    minilm: MiniLmEmbedder, ask: Callable[[MiniLmEmbedder, str], object]
) -> None:
    done = threading.Event()

    def ingest() -> None:
        minilm.embed_passages([PASSAGE] * 24, deadline=soon())
        done.set()

    worker = threading.Thread(target=ingest)
    worker.start()
    times: list[float] = []
    while not done.is_set() and len(times) < 8:
        started = time.monotonic()
        ask(minilm, "how was it compared?")
        times.append(time.monotonic() - started)
    still_at_it = not done.is_set()
    worker.join()

    assert still_at_it, "24 passages ended before 8 questions, which had to wait for them"
    assert float(np.median(times)) < 0.1


def test_passages_stop_at_the_deadline_and_leave_nothing_behind(minilm: MiniLmEmbedder) -> None:
    started = time.monotonic()
    with pytest.raises(EmbedderDeadlineError):
        minilm.embed_passages([PASSAGE] * 400, deadline=time.monotonic() + 0.5)
    assert time.monotonic() - started < promised(1.5)

    started = time.monotonic()
    minilm.embed_passages(["short"], deadline=soon())
    assert time.monotonic() - started < promised(5), "the abandoned passages are still being embedded"


def test_a_deadline_that_has_passed_is_an_error(minilm: MiniLmEmbedder) -> None:
    past = time.monotonic() - 1
    with pytest.raises(EmbedderDeadlineError):
        minilm.embed_queries(["late"], deadline=past)
    with pytest.raises(EmbedderDeadlineError):
        minilm.embed_question("late", deadline=past)
    with pytest.raises(EmbedderDeadlineError):
        minilm.ping(deadline=past)


def test_after_close_it_is_unavailable(models: Path) -> None:
    embedder: Embedder = MiniLmEmbedder(models)
    embedder.ping(deadline=soon())
    assert isinstance(embedder, MiniLmEmbedder)
    embedder.close()
    with pytest.raises(EmbedderUnavailableError, match="closed"):
        embedder.embed_passages(["late"], deadline=soon())


def test_close_ends_passages_in_work(models: Path) -> None:
    embedder = MiniLmEmbedder(models)
    embedder.load()
    threading.Timer(0.3, embedder.close).start()
    started = time.monotonic()
    with pytest.raises(EmbedderUnavailableError, match="closed"):
        embedder.embed_passages([PASSAGE] * 400, deadline=soon())
    assert time.monotonic() - started < promised(3)


def test_a_damaged_tokenizer_is_refused(tmp_path: Path, models: Path) -> None:
    official = minilm_files.installed_files()
    damaged = tmp_path / "tokenizer.json"
    damaged.write_bytes(official.tokenizer.read_bytes().replace(b'"lowercase":true', b'"lowercase":null'))
    embedder = MiniLmEmbedder(models, files=ModelFiles(official.weights, damaged))
    with pytest.raises(ModelFilesError, match=r"tokenizer\.json.*damaged"):
        embedder.embed_queries(["hello"], deadline=soon())


def test_batches_hold_every_text_once_and_little_padding() -> None:
    lengths = [int(n) for n in np.random.default_rng(3).integers(2, 257, 1_000)]

    groups = list(batches(lengths))

    assert sorted(i for group in groups for i in group) == list(range(1_000))
    padded = sum(len(group) * max(lengths[i] for i in group) for group in groups)
    assert padded <= 1.05 * sum(lengths)
    assert all(len(group) * max(lengths[i] for i in group) <= 512 for group in groups)
    assert lengths[groups[0][0]] == max(lengths), "the longest comes first, so that lanes end together"


@pytest.mark.parametrize(
    ("question", "read"),
    [
        ("How deep is the harbour of Elmsund?", True),
        ("Does BRCA1 act with p53 in T cells?", True),
        ("Wie tief ist der Hafen von Elmsund?", True),
        ("err_conn_42", True),
        ("", True),
        ("港口有多深", False),
        ("港の深さはどれくらいですか", False),
        ("항구는 얼마나 깊습니까", False),
        ("Какая глубина у гавани", False),
        ("كم عمق الميناء", False),
        ("बंदरगाह कितना गहरा है", False),
    ],
)
def test_it_knows_what_it_reads(minilm: MiniLmEmbedder, question: str, read: bool) -> None:
    assert minilm.reads(question) is read
