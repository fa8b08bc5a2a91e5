"""Requests for embeddings and their answers."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.body import Fields
from services.gateway.openai.models import EMBEDDING, not_found
from services.gateway.problem import invalid

Json = Any

# What OpenAI takes at once, and what the contract does.
_MAX_TEXTS = 2048
_MAX_TEXTS_OF_A_CALL = 256
_FORMATS = {"float": "float", "base64": "base64"}


@dataclass(frozen=True)
class Wanted:
    """Texts to embed. dimensions: None takes what the model has. encoded: as base64."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None
    encoded: bool

    def calls(self) -> Iterator[Sequence[str]]:
        """The texts, in parts that one call takes."""
        for start in range(0, len(self.texts), _MAX_TEXTS_OF_A_CALL):
            yield self.texts[start : start + _MAX_TEXTS_OF_A_CALL]

    def check(self, embedding_model: str, dimension: int) -> None:
        """Raises ProblemError when the model at work is not the one that was asked for."""
        if self.model not in (EMBEDDING, embedding_model):
            raise not_found(self.model)
        if self.dimensions not in (None, dimension):
            raise invalid("dimensions", f"{embedding_model} has {dimension}, and they are not cut")


def read(fields: Fields) -> Wanted:
    """The request. Raises ProblemError 400 that names what is wrong."""
    wanted = Wanted(
        fields.text("model", required=True),
        tuple(_texts(fields.json("input"))),
        fields.integer("dimensions", minimum=1),
        fields.choice("encoding_format", _FORMATS) == "base64",
    )
    fields.drop("user")
    fields.finish()
    return wanted


def _texts(value: Json) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise invalid("input", "a string or a list of strings is needed")
    if all(isinstance(item, (int, list)) for item in texts):
        raise invalid(
            "input",
            "tokens are those of another model; send the text (LangChain: check_embedding_ctx_length=False)",
        )
    if len(texts) > _MAX_TEXTS:
        raise invalid("input", f"at most {_MAX_TEXTS} texts")
    for index, item in enumerate(texts):
        if not isinstance(item, str) or not item:
            raise invalid(f"input[{index}]", "a string that is not empty is needed")
    return texts


def told(wanted: Wanted, embedding_model: str, vectors: Sequence[Sequence[float]]) -> dict[str, Json]:
    """The answer. Tokens are not counted here, so none are claimed."""
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _encoded(row) if wanted.encoded else list(row),
            }
            for index, row in enumerate(vectors)
        ],
        "model": embedding_model,
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }


def _encoded(row: Sequence[float]) -> str:
    """Floats of 4 bytes, the lowest byte first."""
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode("ascii")
