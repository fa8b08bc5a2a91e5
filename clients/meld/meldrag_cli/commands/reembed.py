"""Another embedding model for a collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meldrag_cli import rendering
from meldrag_cli.building import Watch
from meldrag_cli.commands import options
from meldrag_cli.commands.knowledge import Name
from meldrag_cli.failures import UsageFailure
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
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", help="Until the vectors answer, not only until they are asked for."),
    ] = True,
    as_json: options.AsJson = False,
) -> None:
    """Build the vectors of another embedding model beside those that answer, then let them answer.

    Ending the program does not end the work; the same command watches it again. A service that is away for a
    while is waited for.
    """
    if cancel + revert + finish > 1:
        raise UsageFailure("USAGE", "only one of --cancel, --revert and --finish")
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        if cancel:
            _cancel(gateway, terminal, name)
        elif revert:
            _revert(gateway, terminal, name, wait=wait)
        elif finish:
            _finish(gateway, terminal, name)
        else:
            body: dict[str, Any] = {"embedding_model": model} if model else {}
            if keep_days is not None:
                body["keep_previous_seconds"] = round(keep_days * 86_400)
            _build(gateway, terminal, name, body, wait=wait)


def _build(gateway: Gateway, terminal: Terminal, name: str, body: Mapping[str, Any], *, wait: bool) -> None:
    if not wait:
        there = gateway.post(path("collections", name, "reembed"), body)
        terminal.give(there)
        terminal.say(_state(there))
        named = f" --model {body['embedding_model']}" if "embedding_model" in body else ""
        _tell_background(terminal, there, f"meld reembed {name}{named}")
        return

    def tell(stage: str, event: Mapping[str, Any]) -> None:
        terminal.give({"type": stage, **event})
        _note(terminal, stage, event["reembedding"])

    terminal.say(_state(Watch(gateway, terminal, name, tell).begin(body)))


def _revert(gateway: Gateway, terminal: Terminal, name: str, *, wait: bool) -> None:
    there = gateway.post(path("collections", name, "reembed", "revert"), None)
    building = there["reembedding"]
    if building is not None and wait:

        def tell(stage: str, event: Mapping[str, Any]) -> None:
            _note(terminal, stage, event["reembedding"])

        _note(terminal, str(building["stage"]).lower(), building)
        there = Watch(gateway, terminal, name, tell).follow(building)
    terminal.give(there)
    terminal.say(_state(there))
    if not wait:
        _tell_background(terminal, there, f"meld reembed {name} --revert")


def _cancel(gateway: Gateway, terminal: Terminal, name: str) -> None:
    # The answer to a cancel is the same whether there was something to give up or not.
    building = gateway.get(path("collections", name))["reembedding"]
    there = gateway.delete(path("collections", name, "reembed"))
    terminal.give(there)
    if building is None:
        terminal.say(f"nothing is being built, so nothing was given up; {_state(there)}")
    else:
        terminal.say(f"{building['embedding_model']} was given up; {_state(there)}")


def _finish(gateway: Gateway, terminal: Terminal, name: str) -> None:
    kept = gateway.get(path("collections", name))["previous_embedding"]
    there = gateway.post(path("collections", name, "reembed", "finish"), None)
    terminal.give(there)
    if kept is None:
        terminal.say(f"no vectors before were kept, so none were forgotten; {_state(there)}")
    else:
        terminal.say(f"the vectors of {kept['embedding_model']} were forgotten; {_state(there)}")


def _tell_background(terminal: Terminal, there: Mapping[str, Any], command: str) -> None:
    if there["reembedding"] is not None:
        terminal.note(f"it goes on in the background; `{command}` watches it")


def _note(terminal: Terminal, stage: str, building: Mapping[str, Any]) -> None:
    done = f"{building['vectors']} of {rendering.counted(building['chunks'], 'passage')}"
    refused = f", {building['refused_chunks']} refused" if building["refused_chunks"] else ""
    terminal.note(f"{building['embedding_model']}: {stage}, {done}{refused}")


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
