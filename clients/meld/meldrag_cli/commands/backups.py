"""Backups: all that the house keeps as one file, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from meldrag_cli import archives, rendering, writing
from meldrag_cli.commands import options
from meldrag_cli.commands.prompts import confirm
from meldrag_cli.failures import RefusedFailure
from meldrag_cli.gateway import path
from meldrag_cli.terminal import Terminal

# The house makes its copies before the first byte comes, and says nothing meanwhile.
_COPY_SECONDS = 3600.0

ArchiveFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="An archive of `meld backup`, or a folder of `make backup`."),
]
Step = Callable[[str, int, int], None]


def backup(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Where it goes: a file, or into a folder; never over a file. Into this folder without it.",
            show_default=False,
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Write all that the house keeps into one file."""
    terminal = Terminal(as_json=as_json)
    if file is not None and not file.is_dir():
        # Before the house makes its copies.
        writing.place(file, archives.UNNAMED)
    with _bar(terminal) as step, options.start(context).gateway() as gateway:
        step("copying", 0, 0)
        with gateway.download(path("backup"), archives.MEDIA_TYPE, _COPY_SECONDS) as download:
            target = writing.place(file, download.name or archives.UNNAMED)
            written = writing.write(target, download, lambda done: step("writing", done, download.size))
    terminal.give({"file": str(written.path), "bytes": written.size, "sha256": written.sha256})
    terminal.say(f"{written.path}: {rendering.size(written.size)}, SHA-256 {written.sha256}")


def verify_backup(context: typer.Context, file: ArchiveFile, as_json: options.AsJson = False) -> None:
    """Let the house check a backup, every byte of it; changes nothing."""
    terminal = Terminal(as_json=as_json)
    told = _sent(context, terminal, file, path("backup", "verify"))
    terminal.say(f"{file} is whole: {_described(told)}")


def restore(
    context: typer.Context, file: ArchiveFile, yes: options.Yes = False, as_json: options.AsJson = False
) -> None:
    """Replace all that the house keeps by a backup, once that is found to be whole."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    if not yes:
        confirm(terminal, f"Replace all documents, conversations and users of {started.settings().url}?")
    told = _sent(context, terminal, file, path("restore"))
    terminal.say(f"restored {file}: {_described(told['backup'])}")
    there = ", ".join(f"{count} {kind}" for kind, count in told["there"].items())
    terminal.say(f"there is now: {there}")
    settings = started.settings()
    if not settings.token and settings.logins.read(settings.url) is not None:
        terminal.note("everybody signs in anew: meld login")


def _sent(context: typer.Context, terminal: Terminal, file: Path, where: str) -> dict[str, Any]:
    """Sends an archive and follows what becomes of it; what the last event tells."""
    end: dict[str, Any] | None = None
    with _bar(terminal) as step, options.start(context).gateway() as gateway:
        size = 0
        body = archives.body(file, lambda done: step("sending", done, size))
        size = body.size
        with gateway.events(where, whole=body) as events:
            for event in events:
                terminal.give({"type": event.name, **event.data})
                if event.name == "end":
                    end = event.data
                else:
                    step(event.data["stage"], event.data["done"], event.data["total"])
    if end is None:
        raise RefusedFailure("NO_ANSWER", "the stream ended before it was told what became of the backup")
    return end


def _described(backup: Mapping[str, Any]) -> str:
    counts = {kind: count for part in backup["parts"] for kind, count in part["counts"].items()}
    kinds = ", ".join(
        f"{counts[kind]} {kind}" for kind in ("documents", "sessions", "users") if kind in counts
    )
    return f"made {rendering.moment(backup['created'])}, {kinds}"


@contextmanager
def _bar(terminal: Terminal) -> Iterator[Step]:
    """A bar for a stage at a time, with how much of it is done in bytes."""
    console = terminal.bars
    if console is None:
        yield lambda _stage, _done, _total: None
        return
    columns = (
        TextColumn("{task.description:<10}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def step(stage: str, done: int, total: int) -> None:
            progress.update(task, description=stage, completed=done, total=total or None)

        yield step
