"""With the model that is shipped: meaning finds what words do not, and EmbedTexts gives its vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from services.vector.models import configured
from tests.contract.vector.world import refused, running, settings_for
from tests.support.model_server import ModelServer

TEXTS = {
    "cat": "A kitten purrs on the sofa.",
    "money": "The central bank raised interest rates by half a point.",
    "space": "The probe entered orbit around Jupiter after a five-year journey.",
}


async def test_meaning_finds_what_words_do_not(tmp_path: Path) -> None:
    with configured(settings_for(tmp_path)) as model:
        async with running(tmp_path, model.embedder, model.count_tokens) as client:
            collection = await client.create()
            assert (collection.embedding_model, collection.dimension) == ("all-MiniLM-L6-v2", 384)
            for name, text in TEXTS.items():
                await client.ready(text, external_id=name)
            for query, name in (("feline pet", "cat"), ("monetary policy", "money"), ("spacecraft", "space")):
                assert not (await client.search(query, mode=pb.SEARCH_MODE_LEXICAL)).hits
                for mode in (pb.SEARCH_MODE_DENSE, pb.SEARCH_MODE_HYBRID):
                    assert (await client.search(query, mode=mode)).hits[0].external_id == name
            answer = await client.call("EmbedTexts", pb.EmbedTextsRequest(texts=list(TEXTS.values())))
            vectors = np.array([one.values for one in answer.embeddings])
            assert answer.embedding_model == "all-MiniLM-L6-v2"
            assert (answer.similarity_factor, answer.similarity_offset) == (1.0, 0.0)
            assert vectors.shape == (3, 384)
            assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
            many = await client.call("EmbedTexts", pb.EmbedTextsRequest(texts=[TEXTS["cat"]] * 20))
            assert np.array(many.embeddings[19].values) == pytest.approx(vectors[0], abs=1e-4)
            for texts in ([], ["x"] * 257, [""], ["x" * 32_001]):
                with pytest.raises(ServiceError) as error:
                    await client.call("EmbedTexts", pb.EmbedTextsRequest(texts=texts))
                assert refused(error.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_a_collection_goes_from_the_shipped_model_to_one_behind_an_endpoint_and_back(
    tmp_path: Path,
) -> None:
    with configured(settings_for(tmp_path)) as model:
        async with running(tmp_path, model.embedder, model.count_tokens) as client:
            revision = (await client.create()).embedding_revision
            assert revision
            for name, text in TEXTS.items():
                await client.ready(text, external_id=name)
    with ModelServer() as server:
        settings = settings_for(
            tmp_path,
            meld_embedding_model="text-embedding-3-small",
            vector_dimension=64,
            openai_api_key="k",
            openai_base_url=server.base_url,
        )
        with configured(settings) as model:
            async with running(tmp_path, model.embedder, model.count_tokens, model.others) as client:
                # The shipped model is there whatever is set.
                found = await client.search("feline pet", mode=pb.SEARCH_MODE_DENSE)
                assert found.hits[0].external_id == "cat"
                request = pb.ReembedCollectionRequest(collection_id="books")
                last = (await client.stream("ReembedCollection", request))[-1].collection
                assert (last.embedding_model, last.dimension, last.embedding_revision, last.vectors) == (
                    "text-embedding-3-small",
                    64,
                    "",
                    3,
                )
                for text in TEXTS.values():
                    question = f"a.txt\n{text}"
                    found = await client.search(question, mode=pb.SEARCH_MODE_DENSE, top_k=1)
                    assert found.hits[0].text == text
                back = await client.call("RevertReembed", pb.RevertReembedRequest(collection_id="books"))
                assert back.collection.embedding_revision == revision
                found = await client.search("feline pet", mode=pb.SEARCH_MODE_DENSE)
                assert found.hits[0].external_id == "cat"
