"""What the vector service reads from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import ByteSize, Field, SecretStr, ValidationInfo, field_validator

from services.chassis.reaching import Allowed, allowed
from services.chassis.settings import Port, ServiceSettings

MINILM = "all-MiniLM-L6-v2"
_OPENAI = "text-embedding-3-small"
_MINILM_DIMENSION = 384
_OPENAI_DIMENSION = 1536


class VectorSettings(ServiceSettings):
    """Every variable of the service; shared ones are in ServiceSettings."""

    # A Chroma server takes the place of the embedded index when its host is named.
    chromadb_host: str = ""
    chromadb_port: Port = 8000
    chromadb_path: Path | None = None
    similarity_threshold: Annotated[float, Field(ge=-1, le=1)] = 0.0
    max_results: Annotated[int, Field(ge=1, le=1000)] = 10

    # Empty: the built-in model, or text-embedding-3-small where VECTOR_DIMENSION is another than the built-in
    # one's and a key is there.
    meld_embedding_model: str = ""
    # Models of sentence-transformers, each a folder in this one, named as its folder.
    meld_embedding_models_dir: Path | None = None
    # Models of collections from before a change of the setting, at the same endpoint: "name:dimension", with
    # commas between. Local models are there in any case.
    meld_other_embedding_models: str = ""
    openai_api_key: SecretStr = SecretStr("")
    openai_base_url: str = ""

    # Hosts, addresses and networks from which documents are fetched although they are not on the public
    # internet.
    meld_fetch_allow: str = ""
    meld_max_document_bytes: ByteSize = ByteSize(64 * 1024 * 1024)
    # False: of what comes from then on the text alone is kept, and not the file.
    meld_keep_originals: bool = True
    # Passages aim at the first size; with their title they never pass the second, nor what the local model
    # reads. Tokens.
    meld_chunk_tokens: Annotated[int, Field(ge=32, le=8000)] = 200
    meld_chunk_max_tokens: Annotated[int, Field(ge=32, le=8000)] = 254
    # Up to so many candidates are scored from vectors in memory; above, the vector index proposes them.
    meld_exact_search_limit: Annotated[int, Field(ge=0, le=1_000_000)] = 120_000
    meld_vector_cache_bytes: ByteSize = ByteSize(192 * 1024 * 1024)
    meld_index_sync_threshold: Annotated[int, Field(ge=2)] = 10_000

    # Signs snapshots. Without one they are protected against damage, not against forgery.
    meld_snapshot_key: SecretStr = SecretStr("")

    # None: what the model has by itself. Judged last, when model and key are known.
    vector_dimension: Annotated[int, Field(ge=1, le=8192)] | None = None

    @field_validator("vector_dimension")
    @classmethod
    def _suits_the_model(cls, value: int | None, info: ValidationInfo) -> int | None:
        named, key = info.data.get("meld_embedding_model", ""), info.data.get("openai_api_key")
        local = named == MINILM or (not named and not (key and key.get_secret_value()))
        if local and value not in (None, _MINILM_DIMENSION):
            raise ValueError(
                f"{MINILM} has {_MINILM_DIMENSION}; for another dimension set"
                f" MELD_EMBEDDING_MODEL={_OPENAI} and OPENAI_API_KEY"
            )
        return value

    @field_validator("meld_fetch_allow")
    @classmethod
    def _allowed(cls, value: str) -> str:
        allowed(value)
        return value

    @field_validator("meld_other_embedding_models")
    @classmethod
    def _names_models(cls, value: str) -> str:
        _models(value)
        return value

    @property
    def fetch_allow(self) -> Allowed:
        """What may be fetched from beside the public internet."""
        return allowed(self.meld_fetch_allow)

    @property
    def other_models(self) -> list[tuple[str, int]]:
        """Names and dimensions of models that may be asked beside the configured one."""
        own = {(self.embedding_model, self.dimension), (MINILM, _MINILM_DIMENSION)}
        return [one for one in _models(self.meld_other_embedding_models) if one not in own]

    @property
    def embedding_models_folder(self) -> Path:
        """Where models of the owner's choice are looked for; it need not exist."""
        return self.meld_embedding_models_dir or self.meld_data_dir / "embedding-models"

    @property
    def embedding_model(self) -> str:
        """The model's name."""
        local = self.vector_dimension in (None, _MINILM_DIMENSION)
        return self.meld_embedding_model or (MINILM if local else _OPENAI)

    @property
    def dimension(self) -> int:
        """Components of a vector: the setting, else those of the model."""
        own = _MINILM_DIMENSION if self.embedding_model == MINILM else _OPENAI_DIMENSION
        return self.vector_dimension or own

    @property
    def bind(self) -> str:
        """Where this service listens: the port of its address, on the interface to bind."""
        return f"{self.meld_bind_host}:{self.meld_vector_address.rpartition(':')[2]}"

    @property
    def folder(self) -> Path:
        """Where the service keeps all that it has."""
        return self.meld_data_dir / "vector"

    @property
    def index_folder(self) -> Path:
        """Where the embedded index lies."""
        return self.chromadb_path or self.folder / "chroma"


def _models(value: str) -> list[tuple[str, int]]:
    """Raises ValueError for what is no list of "name:dimension"."""
    found = []
    for part in filter(None, (one.strip() for one in value.split(","))):
        # Names of local runtimes have colons of their own: "nomic-embed-text:v1.5".
        name, _, dimension = part.rpartition(":")
        if not name or not dimension.isascii() or not dimension.isdigit() or not 1 <= int(dimension) <= 8192:
            raise ValueError(f'"{part}" must be name:dimension, such as text-embedding-3-small:1536')
        found.append((name, int(dimension)))
    return list(dict.fromkeys(found))
