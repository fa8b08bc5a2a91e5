"""Documents on their way in: taking them back, and trying again what failed. Reading again what is there."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
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
# Why one file cannot be read again.
_OF_ONE_FILE = frozenset(
    {
        *(
            "DOCUMENT_EMPTY",
            "DOCUMENT_UNREADABLE",
            "FORMAT_UNSUPPORTED",
            "DOCUMENT_TOO_LARGE",
            "PARSER_LIMIT",
        ),
        *("ORIGINAL_NOT_KEPT", "RECORD_DAMAGED", "INGEST_CANCELLED", "INTERNAL", "DEADLINE"),
    }
)
# What --all passes over: it went on or away meanwhile, or nothing is kept that could be tried.
_LEFT = frozenset(
    {"DOCUMENT_NOT_FOUND", "INGEST_STATE", "INGEST_CANCELLED", "ORIGINAL_GONE", "ORIGINAL_NOT_KEPT"}
)
_WAITING = "RECEIVED,PARSING,EMBEDDING"
# Of which there may be a file to read again: FAILED is one that was set aside, too.
_READABLE = "EMBEDDING,READY,FAILED"
# From these stages on the new text is safe, and found by keyword.
_WRITTEN = frozenset({"COMMITTED", "EMBEDDING", "READY"})
# As long as the contract allows: people with much to read take turns.
_READING_SECONDS = 3600.0

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


def reprocess(
    context: typer.Context,
    documents: Ids = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that are kept with their files.")] = False,
    with_warnings: Annotated[
        bool, typer.Option("--with-warnings", help="With --all, those of which some text is missing.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="End what is being read again; documents stay what they are.")
    ] = False,
    collection: options.OneCollection = "",
    limit: Most = 1000,
    as_json: options.AsJson = False,
) -> None:
    """Read documents again from the files that are kept with them, as parsers and settings are now.

    One after the other, each until its new text is found by keyword. What cannot be read stays as it was.
    Ending the program does not end the reading of the one that it is at.
    """
    if with_warnings and not every:
        raise UsageFailure("USAGE", "--with-warnings goes with --all")

    def wanted(document: dict[str, Any]) -> bool:
        if cancel:
            return bool(document.get("reprocessing"))
        return bool(document["has_original"] and (document["warnings"] or not with_warnings))

    with _begun(context, documents, collection, every=every, as_json=as_json) as (work, terminal):
        ids = work.ids(documents, _READABLE, limit, wanted)
        if cancel:
            for document in work.done(ids, "reprocess", "document", ends=True):
                terminal.say(f"{document['id']} stays {document['state']}")
            work.end("cancelled")
            return
        for told in work.read_again(ids):
            document = told["document"]
            missing = rendering.counted(len(document["warnings"]), "warning")
            what = "as before" if told["existing"] else rendering.counted(document["chunks"], "passage")
            terminal.say(f"{document['id']} {document['title']}: {what}, {missing}")
        work.end("reprocessed", "read again")


@contextmanager
def _begun(
    context: typer.Context, documents: list[str] | None, collection: str, *, every: bool, as_json: bool
) -> Iterator[tuple[_Work, Terminal]]:
    """What these commands begin with. Raises UsageFailure."""
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

    def ids(
        self,
        given: list[str] | None,
        state: str,
        limit: int,
        wanted: Callable[[dict[str, Any]], bool] | None = None,
    ) -> list[str]:
        """Those that are named, each once, or else the newest in some states that are wanted."""
        if given:
            return list(dict.fromkeys(given))
        where = path("collections", self.collection, "documents")
        there = self._gateway.items(where, "documents", limit if wanted is None else 0, state=state)
        # All of them before the first is changed: a list that changes is not paged through.
        return [each["id"] for each in islice(filter(wanted, there), limit)]

    def done(
        self, ids: Iterable[str], verb: str, answer: str, *, ends: bool = False
    ) -> Iterable[dict[str, Any]]:
        """The answers. answer: what programs know one by. ends: asks that what the verb began be ended."""

        def ask(where: str, key: str) -> dict[str, Any]:
            if ends:
                return self._gateway.delete(f"{where}/{verb}", key=key)
            return self._gateway.post(f"{where}/{verb}", None, key=key)

        return self._each(ids, ask, lambda told: {answer: told}, _OF_ONE)

    def read_again(self, ids: Iterable[str]) -> Iterable[dict[str, Any]]:
        """The document of each, once its new text is safe, and whether it is the one that was there."""
        return self._each(ids, self._read_again, lambda told: told, _OF_ONE | _OF_ONE_FILE)

    def _each(
        self,
        ids: Iterable[str],
        ask: Callable[[str, str], dict[str, Any]],
        shown: Callable[[dict[str, Any]], dict[str, Any]],
        of_one: frozenset[str],
    ) -> Iterable[dict[str, Any]]:
        """What is answered of each. ask: with its path and a key. of_one: refusals that end no other."""
        for document in ids:
            where, key = path("collections", self.collection, "documents", document), uuid.uuid4().hex
            try:
                # One key for all tries: what happened although nobody said so happens once.
                told = patiently(partial(ask, where, key))
            except RefusedFailure as refused:
                if refused.reason not in of_one:
                    raise
                self._refused(document, refused)
                continue
            self._done += 1
            self._terminal.give({"document_id": document, **shown(told)})
            yield told

    def _read_again(self, where: str, key: str) -> dict[str, Any]:
        with self._gateway.events(f"{where}/reprocess", seconds=_READING_SECONDS, key=key) as events:
            for event in events:
                if event.data["stage"] in _WRITTEN:
                    return {"document": event.data["document"], "existing": event.data["existing"]}
        raise RefusedFailure("NO_ANSWER", "the stream ended before the document was read")

    def _refused(self, document: str, refused: RefusedFailure) -> None:
        left = refused.reason in self._passed_over
        self._left += left
        self._failed += not left
        self._terminal.give({"document_id": document, "error": refused.problem})
        told = f"{document}: {refused.detail} ({refused.reason})"
        self._terminal.say(f"{'left' if left else 'failed'} {told}", "" if left else "red")

    def end(self, word: str, said: str = "") -> None:
        """Says the sum, to people in other words if given. Raises RefusedFailure when one has failed."""
        counts = {word: self._done, "left": self._left, "failed": self._failed}
        self._terminal.give({"collection": self.collection, **counts})
        told = f"{rendering.counted(self._done, 'document')} of {self.collection} {said or word}"
        self._terminal.say(f"{told}, {self._left} left as they are, {self._failed} failed")
        if self._failed:
            whole = rendering.counted(self._done + self._left + self._failed, "document")
            raise RefusedFailure(
                "DOCUMENTS_FAILED",
                f"{self._failed} of {whole} could not be {said or word}",
                failed=self._failed,
            )
