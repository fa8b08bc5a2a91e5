"""Documents on their way in: taking them back, and trying again what failed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

import typer

from meldrag_cli import rendering
from meldrag_cli.commands import options
from meldrag_cli.commands.prompts import confirm
from meldrag_cli.failures import RefusedFailure, UsageFailure
from meldrag_cli.gateway import Gateway, path
from meldrag_cli.patience import patiently
from meldrag_cli.terminal import Terminal

# Of one document; whatever else is refused holds for all the others as well, and ends the command.
_OF_ONE = frozenset({"INVALID_FIELD", "DOCUMENT_NOT_FOUND", "DOCUMENT_BUSY", "INGEST_STATE", "ORIGINAL_GONE"})
# What --all passes over: it went on or away meanwhile, or nothing is kept that could be tried.
_LEFT = frozenset({"DOCUMENT_NOT_FOUND", "INGEST_STATE", "ORIGINAL_GONE"})
_WAITING = "RECEIVED,PARSING,EMBEDDING"

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID...]", help="As `meld documents list` has them.")
]
Most = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many, with --all.")]


def cancel(
    context: typer.Context,
    documents: Ids = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that are not READY yet.")] = False,
    collection: options.OneCollection = "",
    limit: Most = 1000,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Take documents back that are not READY yet; each receipt counts what is left."""
    with _begun(context, documents, collection, every=every, as_json=as_json) as (work, terminal):
        ids = work.ids(documents, _WAITING, limit)
        if every and ids and not yes:
            confirm(terminal, f"Cancel {rendering.counted(len(ids), 'document')} of {work.collection}?")
        for receipt in work.done(ids, "cancel", "receipt"):
            for text in rendering.receipt(receipt):
                terminal.say(text)
        work.end("cancelled")


def retry(
    context: typer.Context,
    documents: Ids = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All that FAILED and are kept for another try.")
    ] = False,
    collection: options.OneCollection = "",
    limit: Most = 1000,
    as_json: options.AsJson = False,
) -> None:
    """Try documents again that FAILED where another try may end otherwise; does not wait for it."""
    with _begun(context, documents, collection, every=every, as_json=as_json) as (work, terminal):
        for document in work.done(work.ids(documents, "FAILED", limit), "retry", "document"):
            terminal.say(f"{document['id']} is {document['state']}")
        work.end("retried")


@contextmanager
def _begun(
    context: typer.Context, documents: list[str] | None, collection: str, *, every: bool, as_json: bool
) -> Iterator[tuple[_Work, Terminal]]:
    """What both commands begin with. Raises UsageFailure."""
    if bool(documents) == every:
        raise UsageFailure("USAGE", "either the ids of documents, or --all")
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    name = collection or started.settings().collection
    with started.gateway() as gateway:
        yield _Work(gateway, terminal, name, every=every), terminal


class _Work:
    """The same asked for one document after the other, each by itself right or wrong."""

    def __init__(self, gateway: Gateway, terminal: Terminal, collection: str, *, every: bool) -> None:
        self._gateway = gateway
        self._terminal = terminal
        self.collection = collection
        self._passed_over = _LEFT if every else frozenset[str]()
        self._done = self._left = self._failed = 0

    def ids(self, given: list[str] | None, state: str, limit: int) -> list[str]:
        """Those that are named, each once, or else the newest in some states."""
        if given:
            return list(dict.fromkeys(given))
        where = path("collections", self.collection, "documents")
        there = self._gateway.items(where, "documents", limit, state=state)
        # All of them before the first is changed: a list that changes is not paged through.
        return [each["id"] for each in there]

    def done(self, ids: Iterable[str], verb: str, answer: str) -> Iterable[dict[str, Any]]:
        """The answers. answer: what programs know one by."""
        for document in ids:
            where, key = path("collections", self.collection, "documents", document, verb), uuid.uuid4().hex
            try:
                # One key for all tries: what happened although nobody said so happens once.
                told = patiently(partial(self._gateway.post, where, None, key=key))
            except RefusedFailure as refused:
                if refused.reason not in _OF_ONE:
                    raise
                self._refused(document, refused)
                continue
            self._done += 1
            self._terminal.give({"document_id": document, answer: told})
            yield told

    def _refused(self, document: str, refused: RefusedFailure) -> None:
        left = refused.reason in self._passed_over
        self._left += left
        self._failed += not left
        self._terminal.give({"document_id": document, "error": refused.problem})
        told = f"{document}: {refused.detail} ({refused.reason})"
        self._terminal.say(f"{'left' if left else 'failed'} {told}", "" if left else "red")

    def end(self, word: str) -> None:
        """Says the sum. Raises RefusedFailure when there is one that failed."""
        counts = {word: self._done, "left": self._left, "failed": self._failed}
        self._terminal.give({"collection": self.collection, **counts})
        told = f"{rendering.counted(self._done, 'document')} of {self.collection} {word}"
        self._terminal.say(f"{told}, {self._left} left as they are, {self._failed} failed")
        if self._failed:
            whole = rendering.counted(self._done + self._left + self._failed, "document")
            raise RefusedFailure(
                "DOCUMENTS_FAILED",
                f"{self._failed} of {whole} could not be {word}",
                failed=self._failed,
            )
