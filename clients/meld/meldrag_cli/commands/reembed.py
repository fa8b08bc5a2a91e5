"""Another embedding model for a collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meldrag_cli import rendering
from meldrag_cli.commands import options
from meldrag_cli.commands.knowledge import Name
from meldrag_cli.failures import RefusedFailure, UsageFailure
from meldrag_cli.gateway import Gateway, path
from meldrag_cli.terminal import Terminal


def reembed(
    context: typer.Context,
    name: Name,
    *,
    model: Annotated[
        str, typer.Option("--model", metavar="MODEL", help="Which; the configured one without it.")
    ] = "",
    keep_days: Annotated[
        float | None,
        typer.Option(
            "--keep-days", min=0, max=365, help="How long the vectors before are kept; a week without it."
        ),
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Give up what is being built.")] = False,
    revert: Annotated[bool, typer.Option("--revert", help="Go back to the vectors before.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Forget the vectors before.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Build the vectors of another embedding model beside those that answer, then let them answer.

    Ending the program does not end the work; the same command watches it again.
    """
    if cancel + revert + finish > 1:
        raise UsageFailure("USAGE", "only one of --cancel, --revert and --finish")
    terminal = Terminal(as_json=as_json)
    where = path("collections", name, "reembed")
    with options.start(context).gateway() as gateway:
        if cancel:
            there = gateway.delete(where)
        elif revert or finish:
            there = gateway.post(f"{where}/{'revert' if revert else 'finish'}", None)
        else:
            body: dict[str, Any] = {"embedding_model": model} if model else {}
            if keep_days is not None:
                body["keep_previous_seconds"] = round(keep_days * 86_400)
            _watch(gateway, terminal, where, body)
            return
    terminal.give(there)
    terminal.say(_state(there))


def _watch(gateway: Gateway, terminal: Terminal, where: str, body: Mapping[str, Any]) -> None:
    stage = ""
    with gateway.events(where, body) as events:
        for event in events:
            terminal.give({"type": event.name, **event.data})
            stage, building = event.name, event.data["reembedding"]
            done = f"{building['vectors']} of {rendering.counted(building['chunks'], 'passage')}"
            refused = f", {building['refused_chunks']} refused" if building["refused_chunks"] else ""
            terminal.note(f"{building['embedding_model']}: {stage}, {done}{refused}")
            if stage == "stalled":
                detail = f"the model refuses {rendering.counted(building['refused_chunks'], 'passage')}"
                raise RefusedFailure("REEMBED_STALLED", detail)
            if stage == "done":
                terminal.say(_state(event.data["collection"]))
    if stage != "done":
        raise RefusedFailure("NO_ANSWER", "the watching ended before the work did; the work goes on")


def _state(there: Mapping[str, Any]) -> str:
    """What answers, and what else there is, in a line."""
    parts = [f"{there['id']} answers with {there['embedding_model']} ({there['dimension']} dimensions)"]
    if building := there["reembedding"]:
        parts.append(
            f"{building['embedding_model']} is being built, {building['vectors']} of {building['chunks']}"
        )
    if kept := there["previous_embedding"]:
        parts.append(f"{kept['embedding_model']} is kept until {kept['expires']}")
    return "; ".join(parts)
