"""Whether all that the house keeps agrees with itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meldrag_cli import rendering
from meldrag_cli.commands import options
from meldrag_cli.failures import RefusedFailure
from meldrag_cli.gateway import path
from meldrag_cli.terminal import Terminal, line


def fsck(
    context: typer.Context,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is found.")] = False,
    collection: Annotated[
        str,
        typer.Option(
            "--collection",
            "-c",
            metavar="NAME",
            help="This one only; everything without it.",
            autocompletion=options.collection_ids,
        ),
    ] = "",
    as_json: options.AsJson = False,
) -> None:
    """Compare record, indexes and files, and mend them; fails while a fault is left."""
    terminal = Terminal(as_json=as_json)
    where = path("index", "repair" if repair else "check")
    end: Mapping[str, Any] | None = None
    with (
        options.start(context).gateway() as gateway,
        gateway.events(where, {"collection": collection} if collection else {}) as events,
    ):
        for event in events:
            terminal.give({"type": event.name, **event.data})
            for found in event.data.get("faults") or ():
                terminal.say(fault(found))
            if event.name == "end":
                end = event.data
    if end is None:
        raise RefusedFailure("NO_ANSWER", "the check ended before it was done")
    faults = sum(end["counts"].values())
    checked = rendering.counted(end["checked_chunks"], "passage")
    terminal.say(f"{checked} checked, {rendering.counted(faults, 'fault')}, {end['unmended']} left")
    if end["unmended"]:
        raise RefusedFailure("FAULTS_LEFT", f"{end['unmended']} faults are left", unmended=end["unmended"])


def fault(value: Mapping[str, Any]) -> str:
    """A fault in a line."""
    where = "/".join(str(value[name]) for name in ("collection", "document_id") if value.get(name))
    state = "mended" if value["mended"] else "not mended"
    return f"{value['kind']}{f' {where}' if where else ''}: {line(value['message'], 300)} ({state})"
