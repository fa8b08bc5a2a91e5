"""The vector service's variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.chassis.settings import SettingsError, load
from services.vector.settings import VectorSettings

VARIABLES = (
    "VECTOR_DIMENSION",
    "OPENAI_API_KEY",
    "MELD_EMBEDDING_MODEL",
    "CHROMADB_PATH",
    "MELD_DATA_DIR",
    "MAX_RESULTS",
    "SIMILARITY_THRESHOLD",
    "CHROMADB_PORT",
    "MELD_VECTOR_ADDRESS",
    "MELD_BIND_HOST",
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "model", "dimension"),
    [
        ({}, "all-MiniLM-L6-v2", 384),
        ({"OPENAI_API_KEY": "k"}, "all-MiniLM-L6-v2", 384),
        ({"VECTOR_DIMENSION": "384"}, "all-MiniLM-L6-v2", 384),
        # The deployment guide's own example.
        ({"OPENAI_API_KEY": "k", "VECTOR_DIMENSION": "1536"}, "text-embedding-3-small", 1536),
        (
            {"MELD_EMBEDDING_MODEL": "text-embedding-3-small", "OPENAI_API_KEY": "k"},
            "text-embedding-3-small",
            1536,
        ),
        (
            {
                "MELD_EMBEDDING_MODEL": "text-embedding-3-small",
                "VECTOR_DIMENSION": "512",
                "OPENAI_API_KEY": "k",
            },
            "text-embedding-3-small",
            512,
        ),
        ({"MELD_EMBEDDING_MODEL": "nomic", "VECTOR_DIMENSION": "768"}, "nomic", 768),
    ],
)
def test_model_and_dimension_follow_from_the_variables(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], model: str, dimension: int
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load(VectorSettings)
    assert (settings.embedding_model, settings.dimension) == (model, dimension)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VECTOR_DIMENSION", "1536"),  # no key, so the local model, which has 384
        ("VECTOR_DIMENSION", "0"),
        ("VECTOR_DIMENSION", "many"),
        ("MAX_RESULTS", "0"),
        ("SIMILARITY_THRESHOLD", "1.5"),
        ("CHROMADB_PORT", "99999"),
    ],
)
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load(VectorSettings)


def test_folders_and_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELD_DATA_DIR", "/somewhere")
    monkeypatch.setenv("MELD_BIND_HOST", "0.0.0.0")
    monkeypatch.setenv("MELD_VECTOR_ADDRESS", "vector:50052")
    settings = load(VectorSettings)
    assert settings.index_folder == Path("/somewhere/vector/chroma")
    assert settings.bind == "0.0.0.0:50052"
    monkeypatch.setenv("CHROMADB_PATH", "/app/data/chromadb")
    assert load(VectorSettings).index_folder == Path("/app/data/chromadb")


def test_other_models_are_named_with_their_dimension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "MELD_OTHER_EMBEDDING_MODELS", "nomic-embed-text:v1.5:768, a:4,a:4,all-MiniLM-L6-v2:384"
    )
    assert load(VectorSettings).other_models == [("nomic-embed-text:v1.5", 768), ("a", 4)]
    for wrong in ("nomic", "nomic:", ":4", "nomic:0", "nomic:many", "nomic:9000"):
        monkeypatch.setenv("MELD_OTHER_EMBEDDING_MODELS", wrong)
        with pytest.raises(SettingsError, match="name:dimension"):
            load(VectorSettings)
