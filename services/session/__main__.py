"""Runs the session service: `python -m services.session`."""

from __future__ import annotations

from services.chassis import telemetry
from services.chassis.settings import load
from services.chassis.start import run_service
from services.session.hosting import session_server
from services.session.settings import SessionSettings


async def main() -> None:
    """Serves until a signal ends it."""
    settings = load(SessionSettings)
    with telemetry.configure("session", settings):
        async with session_server(settings, settings.bind) as server:
            await server.run()


run_service(main, "session")
