"""Models of the owner's choice: folders that the service finds by itself."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.start import StartError
from services.vector.embedding.scale import BUILT_IN
from services.vector.models import configured
from tests.contract.vector.world import Client, running, settings_for
from tests.support.model_folder import MAX_TOKENS, WIDTH, write_json, write_model

NO_FOLDER = "MELD_EMBEDDING_MODELS_DIR: there is no directory"
TEXTS = {
    "cat": "A kitten purrs on the sofa.",
    "money": "The central bank raised interest rates by half a point.",
    "space": "The probe entered orbit around Jupiter after a five-year journey.",
}


@asynccontextmanager
async def serving(data: Path, **values: Any) -> AsyncIterator[Client]:
    """The service with the models that its settings name."""
    with configured(settings_for(data, **values)) as model:
        async with running(
            data,
            model.embedder,
            model.count_tokens,
            model.others,
            passage_tokens=model.passage_tokens,
            **values,
        ) as client:
            yield client


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Where the service looks by itself."""
    folders = tmp_path / "embedding-models"
    write_model(folders / "mine", prompts={"query": "how deep is the harbour: ", "document": "passage: "})
    return folders


async def found(client: Client, mode: pb.SearchMode = pb.SEARCH_MODE_DENSE) -> dict[str, str]:
    """The best hit for the text of each document."""
    answers = {}
    for name, text in TEXTS.items():
        answers[name] = (await client.search(text, mode=mode)).hits[0].external_id
    return answers


async def test_a_folder_is_a_model_by_its_name(tmp_path: Path, folders: Path) -> None:
    async with serving(tmp_path, meld_embedding_model="mine") as client:
        collection = await client.create()
        assert (collection.embedding_model, collection.dimension) == ("mine", WIDTH)
        assert collection.embedding_revision
        for name, text in TEXTS.items():
            await client.ready(text, external_id=name)
        assert set(await found(client)) == set(TEXTS)
        assert await found(client, pb.SEARCH_MODE_HYBRID) == {name: name for name in TEXTS}
        # A text is embedded as it is: whoever asks for vectors writes the prompts.
        texts = [*TEXTS.values(), f"how deep is the harbour: {TEXTS['cat']}"]
        answer = await client.call("EmbedTexts", pb.EmbedTextsRequest(texts=texts))
        vectors = np.array([one.values for one in answer.embeddings])
        assert answer.embedding_model == "mine"
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
        assert np.abs(vectors[0] - vectors[3]).max() > 0.001
        scale = client.application.embedder.scale()
        assert scale != BUILT_IN
        assert (answer.similarity_factor, answer.similarity_offset) == (scale.worth, scale.offset)
        assert scale.comparable(0.5) == pytest.approx(
            0.5 * answer.similarity_factor + answer.similarity_offset
        )


async def test_no_passage_is_longer_than_the_model_reads(tmp_path: Path, folders: Path) -> None:
    async with serving(tmp_path, meld_embedding_model="mine") as client:
        await client.create()
        words = " ".join("deep harbour ships moor"[: 5 + number % 19].strip() for number in range(120))
        await client.ready(words, external_id="long", title="the")
        passages = (await client.search("deep", mode=pb.SEARCH_MODE_LEXICAL, top_k=100)).hits
        assert len(passages) > 3
    with configured(settings_for(tmp_path, meld_embedding_model="mine")) as model:
        # The title, a line break and the passage, beside two markers and the prompt of two words.
        counts = model.count_tokens([f"the\n{one.text}" for one in passages])
        assert max(counts) <= MAX_TOKENS - 2 - 2
        assert max(counts) > MAX_TOKENS // 2


async def test_a_collection_goes_over_to_a_folder_by_its_name_and_back(tmp_path: Path, folders: Path) -> None:
    async with serving(tmp_path) as client:
        assert (await client.create()).embedding_model == "all-MiniLM-L6-v2"
        for name, text in TEXTS.items():
            await client.ready(text, external_id=name)
        request = pb.ReembedCollectionRequest(collection_id="books", embedding_model="mine")
        last = (await client.stream("ReembedCollection", request))[-1].collection
        assert (last.embedding_model, last.dimension, last.vectors) == ("mine", WIDTH, 3)
        assert await found(client, pb.SEARCH_MODE_HYBRID) == {name: name for name in TEXTS}
        await client.call("RevertReembed", pb.RevertReembedRequest(collection_id="books"))
        assert await found(client) == {name: name for name in TEXTS}


async def test_another_file_under_the_same_name_is_not_taken_for_the_one_before(
    tmp_path: Path, folders: Path
) -> None:
    async with serving(tmp_path, meld_embedding_model="mine") as client:
        await client.create()
        for name, text in TEXTS.items():
            await client.ready(text, external_id=name)
    other = write_model(tmp_path / "other", seed=2)
    shutil.copy(other / "model.safetensors", folders / "mine" / "model.safetensors")
    async with serving(tmp_path, meld_embedding_model="mine") as client:
        shown = await client.call("GetCollection", pb.GetCollectionRequest(collection_id="books"))
        assert "mine" in shown.collection.embedding_notice
        answer = await client.search(TEXTS["cat"])
        assert (answer.degraded_reason, answer.hits[0].external_id) == ("EMBEDDING_MISMATCH", "cat")
        request = pb.ReembedCollectionRequest(collection_id="books")
        last = (await client.stream("ReembedCollection", request))[-1].collection
        assert (last.vectors, last.embedding_notice) == (last.chunks, "")
        assert not (await client.search(TEXTS["cat"])).degraded_reason


async def test_what_cannot_be_served_is_left_out_unless_it_is_the_one_that_is_set(
    tmp_path: Path, folders: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_model(folders / "greatest", pooling="max")
    write_model(folders / "all-MiniLM-L6-v2")
    with caplog.at_level(logging.WARNING), configured(settings_for(tmp_path)) as model:
        assert model.embedder.dimension == 384
        assert [one.model for one in model.others] == ["mine"]
    told = [
        vars(record)["fields"]["error"]
        for record in caplog.records
        if record.name == "services.vector.models"
    ]
    assert any("greatest cannot be served: 1_Pooling/config.json pools by max" in one for one in told)
    assert any("the built-in model is named all-MiniLM-L6-v2: rename that folder" in one for one in told)
    with (
        pytest.raises(StartError, match="greatest cannot be served"),
        configured(settings_for(tmp_path, meld_embedding_model="greatest")),
    ):
        pass


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (
            {"meld_embedding_model": "absent"},
            "absent is neither all-.* nor a folder in .*OPENAI_BASE_URL",
        ),
        ({"meld_embedding_model": "mine", "vector_dimension": 384}, f"VECTOR_DIMENSION: mine has {WIDTH}"),
        (
            {"meld_embedding_models_dir": "/nowhere/at/all"},
            NO_FOLDER,
        ),
        ({"meld_embedding_models_dir": __file__}, NO_FOLDER),
    ],
)
def test_what_cannot_begin_says_why(tmp_path: Path, folders: Path, values: dict[str, Any], why: str) -> None:
    with pytest.raises(StartError, match=why), configured(settings_for(tmp_path, **values)):
        pass


def test_a_folder_goes_before_an_endpoint_of_the_same_name(tmp_path: Path, folders: Path) -> None:
    settings = settings_for(
        tmp_path,
        meld_embedding_model="remote",
        vector_dimension=64,
        openai_base_url="http://127.0.0.1:9/v1",
        meld_other_embedding_models="mine:32,far:48",
    )
    with configured(settings) as model:
        assert (model.embedder.model, model.embedder.dimension) == ("remote", 64)
        assert [(one.model, bool(one.revision)) for one in model.others] == [
            ("all-MiniLM-L6-v2", True),
            ("mine", True),
            ("far", False),
        ]


async def test_a_model_that_was_taken_away_takes_its_graph_with_it(tmp_path: Path, folders: Path) -> None:
    async with serving(tmp_path, meld_embedding_model="mine") as client:
        await client.create()
        await client.ready(TEXTS["cat"], external_id="cat")
    assert [one.name.rpartition("-graph")[0] for one in (tmp_path / "models").iterdir()] == ["folder-mine"]
    (folders / "mine" / "modules.json").rename(folders / "mine" / "modules.txt")
    with configured(settings_for(tmp_path)):
        assert list((tmp_path / "models").iterdir()) == []


async def test_prompts_tell_questions_from_passages(tmp_path: Path, folders: Path) -> None:
    with configured(settings_for(tmp_path, meld_embedding_model="mine")) as model:
        with_prompts = await _nearest(tmp_path / "with", model)
    write_json(folders / "mine" / "config_sentence_transformers.json", {})
    with configured(settings_for(tmp_path, meld_embedding_model="mine")) as model:
        without = await _nearest(tmp_path / "without", model)
    assert without == pytest.approx(1.0, abs=1e-4)
    assert with_prompts < 0.99995


async def _nearest(data: Path, model: Any) -> float:
    """The cosine of a passage and a question of the same words."""
    async with running(data, model.embedder, model.count_tokens) as client:
        await client.create()
        await client.ready(TEXTS["cat"], external_id="cat")
        text = (await client.search(TEXTS["cat"], mode=pb.SEARCH_MODE_DENSE)).hits[0].text
        hit = (await client.search(f"a.txt\n{text}", mode=pb.SEARCH_MODE_DENSE)).hits[0]
        return float(hit.vector_score)


async def test_models_are_listed_the_configured_one_first(tmp_path: Path, folders: Path) -> None:
    async with serving(
        tmp_path,
        meld_embedding_model="mine",
        openai_base_url="http://127.0.0.1:9/v1",
        meld_other_embedding_models="far:48",
    ) as client:
        collection = await client.create()
        listed = (await client.call("ListEmbeddingModels", pb.ListEmbeddingModelsRequest())).embedding_models
    assert [(one.name, one.dimension, one.configured) for one in listed] == [
        ("mine", WIDTH, True),
        ("all-MiniLM-L6-v2", 384, False),
        ("far", 48, False),
    ]
    assert [bool(one.revision) for one in listed] == [True, True, False]
    assert listed[0].revision == collection.embedding_revision
