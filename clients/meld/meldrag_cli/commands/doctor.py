"""Whether the house is well."""

from __future__ import annotations

import typer

from meldrag_cli.commands import options
from meldrag_cli.failures import RefusedFailure
from meldrag_cli.terminal import Terminal


def doctor(context: typer.Context, as_json: options.AsJson = False) -> None:
    """Say whether the services and what they need are there; fails when one is down."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        state = gateway.state()
        url = gateway.url
    terminal.give({**state, "url": url})
    terminal.say(f"{url}: {state['status']}", "bold")
    terminal.table(
        {"service": "left", "is": "left", "needs": "left"},
        [
            [
                name,
                service["status"],
                ", ".join(f"{need} {how}" for need, how in service["dependencies"].items()),
            ]
            for name, service in state["services"].items()
        ],
    )
    if state["degraded"]:
        terminal.note(f"works without: {', '.join(state['degraded'])}")
    if state["down"]:
        down = ", ".join(state["down"])
        raise RefusedFailure("SERVICES_DOWN", f"down: {down}", down=state["down"])
