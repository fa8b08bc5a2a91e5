"""`python -m tests.contract.vector.word_service`: the real service as a process, with the foretold model."""

from __future__ import annotations

import os

from services.chassis.lock import lock_directory
from services.chassis.settings import load
from services.chassis.start import run_service
from services.vector.hosting import vector_server
from services.vector.models import ConfiguredModel
from services.vector.settings import VectorSettings
from tests.contract.vector.world import WordEmbedder, count_words


async def main() -> None:
    settings = load(VectorSettings)
    # "other:32" is the model that is set, and "words" is there besides.
    name, _, dimension = os.environ.get("TEST_WORD_MODEL", "").partition(":")
    words = WordEmbedder()
    configured = WordEmbedder(name, int(dimension)) if name else words
    model = ConfiguredModel(configured, count_words, (words,) if name else ())
    with lock_directory(settings.folder):
        async with vector_server(settings, model, settings.bind) as (server, _):
            await server.run()


if __name__ == "__main__":
    run_service(main, "vector")
