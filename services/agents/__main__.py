"""Starts the agents service: `python -m services.agents`."""

from __future__ import annotations

import importlib

from services.agents.settings import AgentsSettings
from services.chassis.settings import load
from services.chassis.start import run_service


async def main() -> None:
    """Serves until told to stop. The libraries take seconds to load: bad settings are told before that."""
    settings = load(AgentsSettings)
    await importlib.import_module("services.agents.hosting").serve(settings)


if __name__ == "__main__":
    run_service(main, "agents")
