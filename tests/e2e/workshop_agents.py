"""The agents service with an agent that does something outside: `python -m tests.e2e.workshop_agents FOLDER`.

Research sends a mail, which is a line in FOLDER/mails; then it looks at something, which takes until there
is a file FOLDER/go. FOLDER/mailing and FOLDER/looking say how far it is. While there is a FOLDER/slow-post,
a mail that was sent does not come back.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from pathlib import Path
from typing import Any

from meldrag.agents.v1 import results_pb2
from services.agents.adapters import session_client, vector_client
from services.agents.assembly import assemble
from services.agents.ports import JsonObject
from services.agents.roster.agent import Work
from services.agents.roster.registry import Registry
from services.agents.settings import AgentsSettings
from services.chassis import telemetry
from services.chassis.channel import open_aio_channel
from services.chassis.server import Server
from services.chassis.settings import load
from services.chassis.start import run_service

FOLDER = Path(sys.argv[1])


async def compose(work: Work[Any]) -> results_pb2.ResearchResult:
    """Sends, then looks."""

    async def mail() -> JsonObject:
        with (FOLDER / "mails").open("a") as mails:
            mails.write("sent\n")
        (FOLDER / "mailing").touch()
        while (FOLDER / "slow-post").exists():
            await asyncio.sleep(0.02)
        return {"mails": len((FOLDER / "mails").read_text().splitlines())}

    async def look() -> JsonObject:
        (FOLDER / "looking").touch()
        while not (FOLDER / "go").exists():
            await asyncio.sleep(0.02)
        return {"seen": True}

    sent = await work.tools.use("mail", {}, mail, lambda made: f"{made['mails']} mails")
    await work.tools.use("look", {}, look, lambda _: "seen")
    return results_pb2.ResearchResult(findings=work.cited_findings(), gaps=[f"{sent['mails']} mails"])


def registry() -> Registry:
    """The roster with this agent in the place of research."""
    return Registry(
        dataclasses.replace(
            hosted,
            definition=dataclasses.replace(
                hosted.definition, compose=compose, tools=("mail", "look"), effects=frozenset({"mail"})
            ),
        )
        if hosted.definition.agent_id == "research"
        else hosted
        for hosted in Registry()
    )


async def main() -> None:
    """Serves until told to stop."""
    settings = load(AgentsSettings)
    with telemetry.configure("agents", settings):
        async with (
            open_aio_channel(settings.meld_vector_address, vector_client.SERVICE) as vector,
            open_aio_channel(settings.meld_session_address, session_client.SERVICE) as session,
            assemble(settings, vector, session, None, registry=registry()) as house,
        ):
            await Server(
                name="agents",
                services=house.services,
                dependencies=house.dependencies,
                settings=settings,
                bind=settings.bind,
            ).run()


if __name__ == "__main__":
    run_service(main, "agents")
