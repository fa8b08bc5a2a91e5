"""Sessions: conversations that were had."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meldrag_cli import rendering
from meldrag_cli.commands import options
from meldrag_cli.failures import UsageFailure
from meldrag_cli.gateway import path
from meldrag_cli.terminal import Terminal, line

sessions = typer.Typer(no_args_is_help=True, help="Sessions: conversations that were had.")

SessionId = Annotated[str, typer.Argument(metavar="SESSION")]


@sessions.command("list")
def list_sessions(
    context: typer.Context, limit: options.Limit = 100, as_json: options.AsJson = False
) -> None:
    """List the sessions, last changed first."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        there = list(gateway.items(path("sessions"), "sessions", limit))
    terminal.give({"sessions": there})
    terminal.table(
        {"session": "left", "messages": "right", "changed": "left", "title": "left"},
        [
            [each["id"], str(each["messages"]), rendering.moment(each["updated"]), each["title"]]
            for each in there
        ],
    )


@sessions.command("search")
def search_sessions(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(metavar="WORDS...", help="Words, or the beginnings of some; '\"a phrase\"'."),
    ],
    limit: options.Limit = 20,
    as_json: options.AsJson = False,
) -> None:
    """Find what was asked and answered: sessions with all words in a message or the title, latest first."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        body = {"query": " ".join(words)}
        found = list(gateway.items(path("sessions", "search"), "matches", limit, body))
    terminal.give({"matches": found})
    for match in found:
        session, message = match["session"], match["message"]
        told = [session["id"], rendering.moment((message or {}).get("created") or session["updated"])]
        if message:
            who = "you" if message["role"] == "USER" else message["agent"] or "assistant"
            told.append(f"message {message['sequence']}, {who}")
        terminal.say(line(session["title"]) or "untitled", "bold")
        terminal.say(" · ".join(told), "dim")
        marked = ((piece["text"], "reverse" if piece["matched"] else "") for piece in match["snippet"])
        terminal.say_pieces((("  ", ""), *marked, ("\n", "")))
    if not found:
        terminal.say("nothing was said with all of it")


@sessions.command("show")
def show_session(
    context: typer.Context,
    session: SessionId,
    limit: options.Limit = 1000,
    as_json: options.AsJson = False,
) -> None:
    """Show a session's messages, with the runs that made them."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        there = gateway.get(path("sessions", session))
        messages = list(gateway.items(path("sessions", session, "messages"), "messages", limit))
    terminal.give({"session": there, "messages": messages})
    for message in messages:
        who = "you" if message["role"] == "USER" else message["agent"] or "assistant"
        made = f" · {message['run_id']}" if message["run_id"] else ""
        terminal.say(f"{who} · {rendering.moment(message['created'])}{made}", "bold")
        terminal.say(f"{message['text']}\n")
    if not messages:
        terminal.say("no messages yet")


@sessions.command("export")
def export_session(
    context: typer.Context,
    session: SessionId,
    form: Annotated[str, typer.Option("--format", "-f", help="markdown or json.")] = "markdown",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there; never over a file.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Write a whole conversation, to keep it."""
    terminal = Terminal(as_json=as_json)
    wanted = "json" if as_json and output is None else form
    with options.start(context).gateway() as gateway:
        text = gateway.text(path("sessions", session, "export"), {"format": wanted})
    if output is None:
        # As the house gave it: a file gets every byte, a terminal no command.
        terminal.out.file.write(text if not terminal.out.is_terminal else "")
        if terminal.out.is_terminal:
            terminal.write(text)
        terminal.write("" if text.endswith("\n") else "\n")
        return
    try:
        with output.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise UsageFailure("NOT_WRITABLE", f"{output}: {error.strerror}") from None
    terminal.give({"session": session, "file": str(output), "format": wanted})
    terminal.say(f"written to {output}")
