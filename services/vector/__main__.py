"""`python -m services.vector`: the vector service."""

from __future__ import annotations

import importlib

from services.chassis.lock import lock_directory
from services.chassis.settings import load
from services.chassis.start import run_service
from services.vector.settings import VectorSettings


async def main() -> None:
    """Takes the data directory, then serves.

    The libraries take seconds to load: a second service on the same directory hears its no before that.
    """
    settings = load(VectorSettings)
    with lock_directory(settings.folder):
        await importlib.import_module("services.vector.hosting").serve(settings)


if __name__ == "__main__":
    run_service(main, "vector")
