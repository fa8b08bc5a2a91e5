"""The commands put together, and how each end becomes an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from meldrag_cli import __version__
from meldrag_cli.commands.asking import agents, ask, replay, run
from meldrag_cli.commands.backups import backup, restore, verify_backup
from meldrag_cli.commands.conversations import sessions
from meldrag_cli.commands.doctor import doctor
from meldrag_cli.commands.evaluations import evaluate, evaluations
from meldrag_cli.commands.fsck import fsck
from meldrag_cli.commands.identity import keys, login, logout, setup, whoami
from meldrag_cli.commands.knowledge import collections, documents, fetch, ingest, search
from meldrag_cli.commands.options import Start
from meldrag_cli.commands.reembed import reembed
from meldrag_cli.commands.syncs import sync
from meldrag_cli.commands.webhooks import webhooks
from meldrag_cli.commands.workflows import workflows
from meldrag_cli.failures import INTERRUPTED, REFUSED, Failure, UsageFailure
from meldrag_cli.terminal import Terminal

# What a person sees together in the help.
_QUESTIONS, _KNOWLEDGE, _PERSON, _HOUSE = "Questions", "Knowledge", "You", "The house"
COMMANDS: Mapping[str, tuple[Callable[..., None], ...]] = {
    _QUESTIONS: (ask, run, replay),
    _KNOWLEDGE: (ingest, sync, fetch, search, evaluate, reembed),
    _PERSON: (login, logout, whoami),
    _HOUSE: (doctor, fsck, backup, verify_backup, restore, setup),
}
GROUPS: Mapping[str, Mapping[str, typer.Typer]] = {
    _QUESTIONS: {"agents": agents, "workflow": workflows, "sessions": sessions},
    _KNOWLEDGE: {"collections": collections, "documents": documents, "evaluations": evaluations},
    _PERSON: {"keys": keys, "webhooks": webhooks},
}
# Python has the other name for something else.
_OTHER_NAMES: Mapping[Callable[..., None], str] = {evaluate: "eval"}


def application() -> typer.Typer:
    """The program with all its commands."""
    app = typer.Typer(
        name="meld",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Ask questions of your own documents. Talks to the gateway of Meld & RAG at MELD_URL.",
    )
    app.callback()(_before)
    for panel, commands in COMMANDS.items():
        for command in commands:
            app.command(_OTHER_NAMES.get(command), rich_help_panel=panel)(command)
    for panel, groups in GROUPS.items():
        for name, group in groups.items():
            app.add_typer(group, name=name, rich_help_panel=panel)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"meld {__version__}\n")
        raise typer.Exit


def _before(
    context: typer.Context,
    url: Annotated[
        str,
        typer.Option(
            "--url", metavar="URL", help="The gateway; MELD_URL, else http://127.0.0.1:5000, without it."
        ),
    ] = "",
    _asked: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say which release this is."),
    ] = False,
) -> None:
    context.obj = Start(url=url)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command. Returns 0 when it did what was asked, 1 when it was refused or failed, 2 for a
    command that makes no sense, 3 when the house cannot be reached, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    terminal = Terminal(as_json="--json" in given)
    try:
        code = application()(args=given, prog_name="meld", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except Failure as failure:
        terminal.fail(failure)
        return failure.exit_code
    except TyperException as error:
        return _misused(terminal, error)
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who read has enough; Python would complain about it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED


def _misused(terminal: Terminal, error: TyperException) -> int:
    if terminal.as_json:
        terminal.fail(UsageFailure("USAGE", error.format_message()))
    elif (show := getattr(error, "show", None)) is not None:
        show()
    else:
        terminal.fail(UsageFailure("USAGE", error.format_message()))
    return error.exit_code
