"""Embeddings of the examples by the embedding model of the release, so that no start has to make them again.

    python -m services.agents.routing.embedded [--address HOST:PORT]

writes them with the vector service at that address, after the examples or the model have changed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from services.agents.ports import Vectors

_FILE = "embedded.npz"
QUESTIONS = "questions.npz"
# An eighth of the size of doubles; what is lost is far below what tells two models apart.
_SCALE = 127.0
_BATCH = 16
# Of one text by the same model on another machine.
_SAME = 0.99


def load(texts: Sequence[str], file: str = _FILE) -> Vectors | None:
    """The embeddings of these texts, a row of unit length each; None where the file is about others."""
    with np.load(io.BytesIO((resources.files(__package__) / file).read_bytes()), allow_pickle=False) as held:
        if bytes(held["digest"]) != digest(texts):
            return None
        return _unit(held["rows"].astype(np.float32))


def same_model(known: Vectors, made: Vectors) -> bool:
    """Whether embeddings of the same texts, in the same order, are by one model."""
    return known.shape == made.shape and bool((np.sum(known * made, axis=1) > _SAME).all())


def digest(texts: Sequence[str]) -> bytes:
    """Names the texts."""
    return hashlib.sha256("\0".join(texts).encode()).digest()


def _unit(rows: Vectors) -> Vectors:
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _packed(texts: Sequence[str], vectors: Vectors) -> bytes:
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    rows = np.rint(vectors / largest * _SCALE).astype(np.int8)
    held = io.BytesIO()
    np.savez_compressed(held, digest=np.frombuffer(digest(texts), np.uint8), rows=rows)
    return held.getvalue()


async def _write(address: str) -> None:
    # What the service itself does not need.
    from services.agents.adapters import vector_client  # noqa: PLC0415
    from services.agents.routing.signs import read  # noqa: PLC0415
    from services.agents.routing.triage import load_examples, load_questions  # noqa: PLC0415
    from services.chassis.channel import open_aio_channel  # noqa: PLC0415

    examples = [text for requests in load_examples().values() for text in requests]
    async with open_aio_channel(address, vector_client.SERVICE) as channel:
        embed = vector_client.VectorClient(channel).vectors
        for file, requests in ((_FILE, examples), (QUESTIONS, load_questions())):
            texts = [read(text).prose for text in requests]
            rows = [await embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
            path = Path(__file__).with_name(file)
            path.write_bytes(_packed(texts, np.concatenate(rows)))
            print(f"{file}: {len(texts)} texts, {path.stat().st_size} bytes")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--address", default="127.0.0.1:50052")
    asyncio.run(_write(arguments.parse_args().address))
