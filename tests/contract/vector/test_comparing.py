"""Words of a question beside the words of single sentences of passages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError, UnavailableError
from services.vector.embedding.ports import EmbedderUnavailableError, Vector, WordVectors
from services.vector.models import configured
from tests.contract.vector.test_late import Telling, rows
from tests.contract.vector.world import (
    Client,
    WordEmbedder,
    all_ready,
    eventually,
    refused,
    running,
    settings_for,
)

QUESTION = "Where do vessels berth?"
WORDS = ["Where", "do", "vessels", "berth"]
FIRST, SECOND = "Bread was baked at dawn.", "Ships anchor in the bay."
TEXT = f"Über Brot: {FIRST} {SECOND}"


def asked(hit: Any, *sentences: str) -> pb.PassageSpans:
    """The sentences of a passage that was found."""
    body = hit.text.encode()
    spans = []
    for sentence in sentences:
        start = hit.span.byte_start + body.index(sentence.encode())
        spans.append(pb.Span(byte_start=start, byte_end=start + len(sentence.encode())))
    return pb.PassageSpans(
        document_id=hit.document_id,
        chunk_id=hit.chunk_id,
        extraction_sha256=hit.extraction_sha256,
        spans=spans,
    )


async def compared(client: Client, *passages: pb.PassageSpans, question: str = QUESTION) -> Any:
    request = pb.CompareWordsRequest(question=question, passages=passages)
    return await client.call("CompareWords", request)


async def hits(client: Client, texts: Sequence[str] = (TEXT,)) -> list[Any]:
    await client.create()
    # A title: what the model reads begins with it, and the passage stands behind it.
    await client.import_all(
        [{"external_id": str(at), "title": "Anchor 錨", "text": text} for at, text in enumerate(texts)]
    )
    await eventually(lambda: all_ready(client))
    found = (await client.search("bread ships dawn", similarity_threshold=-1.0)).hits
    assert len(found) == len(texts)
    return list(found)


async def test_the_sentence_whose_words_mean_what_is_asked_is_nearer(tmp_path: Path) -> None:
    async with running(tmp_path, Telling()) as client:
        (hit,) = await hits(client)
        said = await compared(client, asked(hit, FIRST, SECOND))
        assert list(said.words) == WORDS
        assert list(said.weights) == pytest.approx([1.0] * 4)
        assert (said.similarity_factor, said.similarity_offset) == (1.0, 0.0)
        assert [span.known for span in said.spans] == [True, True]
        far, near = (np.array(span.nearness) for span in said.spans)
        assert near.shape == far.shape == (4,)
        assert (near > far + 0.3)[2:].all()
        # "Anchor" stands in the title as well, and is no word of either sentence.
        assert far.max() < 0.5 < near[2:].min()


async def test_a_span_counts_what_stands_in_it_and_nothing_else(tmp_path: Path) -> None:
    async with running(tmp_path, Telling()) as client:
        (hit,) = await hits(client)
        said = await compared(client, asked(hit, "anchor", "anchor in the bay", "in the", "ncho"))
        one, more, nothing, within = (list(span.nearness) for span in said.spans)
        assert one[3] == pytest.approx(more[3])
        assert one[3] > 0.5
        # Function words tell nothing, and a part of a word is none.
        assert nothing == within == [0.0] * 4
        assert all(span.known for span in said.spans)


async def test_of_what_is_not_there_nothing_is_known(tmp_path: Path) -> None:
    async with running(tmp_path, Telling()) as client:
        (hit,) = await hits(client)
        good = asked(hit, SECOND)
        changed = asked(hit, SECOND)
        changed.extraction_sha256 = "0" * 64
        other = asked(hit, SECOND)
        other.chunk_id = f"{hit.document_id}-7"
        foreign = asked(hit, SECOND)
        foreign.document_id = "0" * 32
        foreign.chunk_id = "0" * 32 + "-0"
        odd = asked(hit, SECOND)
        odd.chunk_id = "../0"
        outside = asked(hit, SECOND)
        outside.spans.add(byte_start=0, byte_end=10_000)
        outside.spans.add(byte_start=5, byte_end=5)
        outside.spans.add(byte_start=-5, byte_end=3)
        for one in (changed, other, foreign, odd):
            said = await compared(client, one)
            assert [span.known for span in said.spans] == [False]
            assert not said.spans[0].nearness
        said = await compared(client, outside, other, foreign)
        assert [span.known for span in said.spans] == [True, False, False, False, False, False]
        assert list(said.words) == WORDS
        # Somebody else's is as one that is not there.
        theirs = await compared(client.of("other"), good)
        missing = await compared(client.of("other"), foreign)
        assert theirs == missing
        await client.call(
            "DeleteDocument",
            pb.DeleteDocumentRequest(collection_id="books", document_id=hit.document_id),
        )
        assert [span.known for span in (await compared(client, good)).spans] == [False]


async def test_what_nothing_is_kept_of_or_what_is_damaged_is_not_known(tmp_path: Path) -> None:
    async with running(tmp_path, Telling()) as client:
        first, second = await hits(client, [TEXT, f"Another one. {TEXT}"])
        rows(tmp_path, "UPDATE word_codes SET codes = substr(codes, 1, 2) WHERE seq = 1")
        rows(tmp_path, "DELETE FROM word_codes WHERE seq = 2")
        said = await compared(client, asked(first, SECOND), asked(second, SECOND))
        assert [span.known for span in said.spans] == [False, False]


async def test_a_model_that_does_not_tell_of_words_knows_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, WordEmbedder()) as client:
        (hit,) = await hits(client)
        said = await compared(client, asked(hit, SECOND))
        assert [span.known for span in said.spans] == [False]
        assert not said.words
        assert not said.similarity_factor


class Failing(Telling):
    """Does not answer questions with their words."""

    def embed_question_words(self, text: str, *, deadline: float) -> tuple[Vector, WordVectors]:
        raise EmbedderUnavailableError("out of memory")


async def test_a_model_that_fails_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, Telling()) as client:
        (hit,) = await hits(client)
    async with running(tmp_path, Failing()) as client:
        with pytest.raises(UnavailableError) as error:
            await compared(client, asked(hit, SECOND))
        assert refused(error.value) == ("UNAVAILABLE", "EMBEDDER_UNAVAILABLE")


async def test_bad_requests_are_refused(tmp_path: Path) -> None:
    one = pb.PassageSpans(document_id="d", chunk_id="d-0", spans=[pb.Span(byte_end=1)])
    bare = pb.PassageSpans(document_id="d", chunk_id="d-0")
    many = pb.PassageSpans(document_id="d", chunk_id="d-0", spans=[pb.Span(byte_end=1)] * 1_001)
    others = [pb.PassageSpans(document_id="d", chunk_id=f"d-{at}", spans=one.spans) for at in range(101)]
    full = [
        pb.PassageSpans(document_id="d", chunk_id=f"d-{at}", spans=[pb.Span(byte_end=1)] * 1_000)
        for at in range(11)
    ]
    async with running(tmp_path, Telling()) as client:
        for question, passages in (
            ("", [one]),
            ("x" * 8_001, [one]),
            ("a\0b", [one]),
            (QUESTION, []),
            (QUESTION, [one, one]),
            (QUESTION, [bare]),
            (QUESTION, [many]),
            (QUESTION, others),
            (QUESTION, full),
        ):
            with pytest.raises(ServiceError) as error:
                await compared(client, *passages, question=question)
            assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_the_shipped_model_takes_a_pronoun_for_what_the_passage_is_about(tmp_path: Path) -> None:
    with configured(settings_for(tmp_path)) as model:
        async with running(tmp_path, model.embedder, model.count_tokens) as client:
            (hit,) = await hits(
                client,
                [
                    "# Elmsund\n\nThe bakery opens at six. It sells bread until ships leave at dawn.\n\n"
                    "The harbour is large. It reaches down to fourteen metres. Tickets cost six francs."
                ],
            )
            depth = "It reaches down to fourteen metres."
            others = ("The bakery opens at six.", "Tickets cost six francs.")
            said = await compared(client, asked(hit, depth, *others), question="How deep is the harbour?")
            assert all(span.known for span in said.spans)
            weights = np.array(said.weights)
            near = [float(weights @ np.array(span.nearness)) for span in said.spans]
            assert near[0] > max(near[1:])
