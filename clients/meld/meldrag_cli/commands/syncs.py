"""A folder and a collection that stay the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from meldrag_cli import rendering
from meldrag_cli.bars import progress
from meldrag_cli.commands import options
from meldrag_cli.commands.knowledge import need_collection, tell
from meldrag_cli.failures import Failure, RefusedFailure, UsageFailure
from meldrag_cli.files import Choice, File
from meldrag_cli.folders import Contents, Folder
from meldrag_cli.gateway import Gateway, path
from meldrag_cli.plans import Marks, Plan, Why, named, shown
from meldrag_cli.sending import Outcome, Seen
from meldrag_cli.settings import DEFAULT_COLLECTION
from meldrag_cli.syncing import Deleted, Sum, Sync, Wish
from meldrag_cli.terminal import Terminal, line


def sync(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder.", show_default=False)],
    *,
    collection: options.OneCollection = "",
    create: options.Create = False,
    name: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="NAME",
            help="What the house calls the folder, so that it may move; its path without it.",
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent and deleted, and do nothing.")
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete/--no-delete", help="Also delete what has gone from the folder.")
    ] = True,
    delete_many: Annotated[
        bool,
        typer.Option(
            "--delete-many",
            help="Delete although the folder is empty, another one, or has lost most of what was in it. "
            "With --watch only at its beginning.",
        ),
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="Files that came before by `meld ingest` or the page become the folder's, instead of being "
            "there twice.",
        ),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also send what could not be taken before.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and follow what happens in the folder, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float,
        typer.Option("--every", metavar="SECONDS", min=0.5, help="How often --watch looks into the folder."),
    ] = 5.0,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--no-wait",
            help="Until documents are found by meaning, not only by words. --watch never waits.",
        ),
    ] = True,
    include: options.Include = None,
    exclude: options.Exclude = None,
    hidden: options.Hidden = False,
    jobs: options.Jobs = 4,
    timeout: options.FileSeconds = 3600.0,
    as_json: options.AsJson = False,
) -> None:
    """Make a collection hold what a folder holds: what is new or changed is sent, what has gone is deleted.

    Nothing is deleted but what `meld sync` brought from this folder, so that several folders may share a
    collection.
    """
    if dry_run and watch:
        raise UsageFailure("USAGE", "either --dry-run or --watch")
    terminal = Terminal(as_json=as_json)
    # The same folder by whatever way it was named.
    root = folder.resolve()
    marks = Marks(named(str(root), name))
    started = options.start(context)
    into = collection or started.settings().collection
    # The default is there from the first file on; another name may be a slip.
    create = create or into == DEFAULT_COLLECTION
    choice = Choice(include or (), exclude or (), hidden)
    wish = Wish(wait=wait, delete=delete, again=retry_failed, adopt=adopt, jobs=jobs, seconds=timeout)
    with started.gateway() as gateway:
        report = _Report(terminal, into, marks.name)
        work = Sync(gateway, into, folder=Folder(root, choice), marks=marks, wish=wish, report=report)
        if dry_run:
            report.planned(*work.preview(exists=_there(gateway, into, create=create)), meant=delete_many)
            return

        def ready() -> None:
            need_collection(gateway, terminal, into, create=create)

        if watch:
            terminal.note(f"watching {line(str(root))}; Ctrl-C ends it")
            work.follow(every, delete_many=delete_many, ready=ready)
        ready()
        report.end(work.once(delete_many=delete_many))


def _there(gateway: Gateway, collection: str, *, create: bool) -> bool:
    """Whether there is such a collection, where it may be created. Raises RefusedFailure."""
    try:
        gateway.get(path("collections", collection))
    except RefusedFailure as refused:
        if refused.reason != "COLLECTION_NOT_FOUND" or not create:
            raise
        return False
    return True


class _Report:
    """Says what happens: to a person, or to a program."""

    def __init__(self, terminal: Terminal, collection: str, folder: str) -> None:
        self._terminal = terminal
        self._names = {"collection": collection, "folder": folder}
        self._collection = collection
        self._waits = ""
        self._twice = 0

    @contextmanager
    def reading(self) -> Iterator[Callable[[int, int], None]]:
        """A bar while files are read, once there is something to read."""
        console = self._terminal.bars
        if console is None:
            yield lambda *_: None
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
        )
        with ExitStack() as held:
            drawn = Progress(*columns, console=console, transient=True)
            task = drawn.add_task("reading", total=None)

            def seen(done: int, whole: int) -> None:
                if not drawn.live.is_started:
                    held.enter_context(drawn)
                drawn.update(task, completed=done, total=max(1, whole))

            yield seen

    @contextmanager
    def sending(self, files: Sequence[File]) -> Iterator[tuple[Seen, Callable[[File], None]]]:
        """Bars while files are sent."""
        with progress(self._terminal, files) as bars:
            yield bars.seen, bars.done

    def sent(self, outcome: Outcome) -> None:
        """What became of a file."""
        self._terminal.give(outcome.told())
        tell(self._terminal, outcome)

    def deleted(self, deleted: Deleted) -> None:
        """What became of a document."""
        name, why = shown(deleted.delete.path), deleted.delete.why
        told = {"path": name, "why": why.value, "document_id": deleted.delete.document_id}
        if deleted.failure is not None:
            self._terminal.give({**told, "error": deleted.failure.problem})
            detail = f"{deleted.failure.detail} ({deleted.failure.reason})"
            self._terminal.say(f"failed   {name}: not deleted, {detail}", "red")
            return
        self._terminal.give({**told, "deleted": deleted.receipt})
        more = "" if why is Why.GONE else f": {why}"
        still = ", hidden already, and being removed" if deleted.pending else ""
        self._terminal.say(f"deleted  {name}{more}{still}")

    def waiting(self, failure: Failure) -> None:
        """That nothing goes on; once for each reason."""
        if self._waits == failure.reason:
            return
        self._waits = failure.reason
        self._terminal.give({**self._names, "waiting": failure.problem})
        self._terminal.say(f"waiting: {failure.detail} ({failure.reason})", "yellow")

    def going_on(self) -> None:
        """That it goes on."""
        self._waits = ""
        self._terminal.give({**self._names, "waiting": None})
        self._terminal.say("going on")

    def summed(self, summed: Sum) -> None:
        """The sum of a round."""
        counts = {
            "taken": summed.taken,
            "deleted": summed.deleted,
            "unchanged": summed.unchanged,
            "restless": summed.restless,
            "failed": summed.failed,
        }
        self._terminal.give({**self._names, **counts})
        told = f"{rendering.counted(summed.taken, 'file')} taken into {self._collection}"
        told += f", {summed.deleted} deleted, {summed.unchanged} unchanged, {summed.failed} failed"
        self._terminal.say(f"{told}, {summed.restless} being written to" if summed.restless else told)
        self._tell_twice(summed.twice)

    def end(self, summed: Sum) -> None:
        """The sum of a sync that was done once. Raises RefusedFailure where not all is the same now."""
        self.summed(summed)
        if summed.failed:
            detail = f"{summed.failed} of the files and documents could not be synced"
            raise RefusedFailure("FILES_FAILED", detail, failed=summed.failed)
        if summed.restless:
            detail = f"{rendering.counted(summed.restless, 'file')} still being written to, and not sent"
            raise RefusedFailure("FILES_RESTLESS", detail, restless=summed.restless)

    def planned(self, made: Plan, contents: Contents, refused: RefusedFailure | None, *, meant: bool) -> None:
        """What would be done. Raises `refused`, unless that is meant."""
        for send in made.send:
            name, size = shown(send.path), contents.sizes[send.path]
            self._terminal.give({"path": name, "planned": "send", "why": send.why.value, "bytes": size})
            self._terminal.say(f"send     {name}: {send.why}, {rendering.size(size)}")
        for delete in made.delete:
            name = shown(delete.path)
            told = {"path": name, "planned": "delete", "why": delete.why.value}
            self._terminal.give({**told, "document_id": delete.document_id})
            self._terminal.say(f"delete   {name}: {delete.why}")
        for restless in contents.restless:
            self._terminal.give({"path": shown(restless), "planned": "wait"})
            self._terminal.say(f"wait     {shown(restless)}: being written to")
        failed = {name: (each.reason, each.message) for name, each in made.failed.items()}
        failed |= {name: ("NOT_READABLE", why) for name, why in {**contents.lost, **contents.unread}.items()}
        for path_, (reason, message) in failed.items():
            name = shown(path_)
            self._terminal.give({"path": name, "error": {"reason": reason, "detail": message}})
            self._terminal.say(f"failed   {name}: {message} ({reason})", "red")
        counts = {"send": len(made.send), "delete": len(made.delete), "unchanged": made.unchanged}
        counts |= {"restless": len(contents.restless), "failed": len(failed)}
        self._terminal.give({**self._names, "dry_run": True, **counts})
        told_ = f"would send {rendering.counted(len(made.send), 'file')} to {self._collection}"
        told_ += f" and delete {rendering.counted(len(made.delete), 'document')}, {made.unchanged} unchanged"
        told_ += f", {len(failed)} failed"
        if contents.restless:
            told_ += f", {len(contents.restless)} being written to"
        self._terminal.say(told_)
        self._tell_twice(made.twice)
        if refused is not None and not meant:
            raise refused

    def _tell_twice(self, twice: int) -> None:
        if twice and twice != self._twice:
            documents = rendering.counted(twice, "document")
            self._terminal.note(f"{documents} with bytes of the folder came by another way; see --adopt")
        self._twice = twice
