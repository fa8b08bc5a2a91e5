"""Bars for files on their way, where a person sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from meldrag_cli.files import File
from meldrag_cli.terminal import Terminal, line

_NAME_WIDTH = 40


class Bars:
    """A bar for each file that is on its way, and one for all."""

    def __init__(self, progress: Progress | None, files: Sequence[File]) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._all = None if progress is None else progress.add_task("all files", total=len(files), stage="")

    def seen(self, file: File, stage: str, done: int, whole: int) -> None:
        """Draws how far a file is."""
        if self._progress is None:
            return
        task = self._tasks.get(file.name)
        if task is None:
            task = self._tasks[file.name] = self._progress.add_task(
                _short(file.name), total=whole, stage=stage
            )
        self._progress.update(task, completed=done, total=max(1, whole), stage=stage)

    def done(self, file: File) -> None:
        """Takes the file's bar away and moves that of all."""
        if self._progress is None or self._all is None:
            return
        if (task := self._tasks.pop(file.name, None)) is not None:
            self._progress.remove_task(task)
        self._progress.advance(self._all)


@contextmanager
def progress(terminal: Terminal, files: Sequence[File]) -> Iterator[Bars]:
    """Bars for these files, gone at the end of the block."""
    console = terminal.bars
    if console is None:
        yield Bars(None, files)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TextColumn("{task.fields[stage]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as drawn:
        yield Bars(drawn, files)


def _short(name: str) -> str:
    name = line(name)
    return name if len(name) <= _NAME_WIDTH else f"…{name[-_NAME_WIDTH + 1 :]}"
