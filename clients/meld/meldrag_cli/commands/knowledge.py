"""Collections, the documents in them, and search."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from meldrag_cli import rendering, writing
from meldrag_cli.bars import progress
from meldrag_cli.commands import ingests, options
from meldrag_cli.commands.prompts import confirm
from meldrag_cli.failures import RefusedFailure
from meldrag_cli.files import found
from meldrag_cli.gateway import Gateway, path
from meldrag_cli.sending import Outcome, Sending, anonymous, by_name, followed
from meldrag_cli.settings import DEFAULT_COLLECTION
from meldrag_cli.terminal import Terminal, line

_ORIGINAL_SECONDS = 60.0

Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=options.collection_ids)]


def ingest(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, and directories of them.")],
    *,
    collection: options.OneCollection = "",
    create: options.Create = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="A file takes the place of the document that came before under the same path."
        ),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", help="Until documents are found by meaning, not only by words."),
    ] = True,
    include: options.Include = None,
    exclude: options.Exclude = None,
    originals: Annotated[
        bool, typer.Option("--originals", help="Also send what is there without its file, which it gets.")
    ] = False,
    hidden: options.Hidden = False,
    jobs: options.Jobs = 4,
    timeout: options.FileSeconds = 3600.0,
    as_json: options.AsJson = False,
) -> None:
    """Send files into a collection. What it holds already is not sent; each failure is named.

    A command that was broken off is given again: it goes on where it was.
    """
    terminal = Terminal(as_json=as_json)
    files = found(paths, include or (), exclude or (), hidden=hidden)
    started = options.start(context)
    name = collection or started.settings().collection
    with started.gateway() as gateway:
        # The default is there from the first file on; another name may be a slip.
        need_collection(gateway, terminal, name, create=create or name == DEFAULT_COLLECTION)
        with progress(terminal, files) as bars:
            sending = Sending(
                gateway,
                name,
                jobs=jobs,
                wait=wait,
                fields=by_name if replace else anonymous,
                originals=originals,
                seconds=timeout,
                seen=bars.seen,
            )
            outcomes = []
            for outcome in sending.outcomes(files):
                bars.done(outcome.file)
                terminal.give(outcome.told())
                tell(terminal, outcome)
                outcomes.append(outcome)
    failed = [outcome for outcome in outcomes if outcome.failure is not None]
    existing = sum(outcome.existing for outcome in outcomes)
    taken = len(outcomes) - len(failed) - existing
    terminal.give({"collection": name, "taken": taken, "existing": existing, "failed": len(failed)})
    told = f"{rendering.counted(taken, 'file')} taken into {name}"
    terminal.say(f"{told}, {existing} there already, {len(failed)} failed")
    if failed:
        detail = f"{len(failed)} of {rendering.counted(len(outcomes), 'file')} could not be taken"
        raise RefusedFailure("FILES_FAILED", detail, failed=len(failed))


def fetch(
    context: typer.Context,
    addresses: Annotated[list[str], typer.Argument(metavar="URL...", help="Of pages and files.")],
    *,
    collection: options.OneCollection = "",
    create: options.Create = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long one may take.")
    ] = 300.0,
    as_json: options.AsJson = False,
) -> None:
    """Have the house fetch what is at addresses. What is fetched again takes its own place."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    name = collection or started.settings().collection
    failed = 0
    with started.gateway() as gateway:
        need_collection(gateway, terminal, name, create=create or name == DEFAULT_COLLECTION)
        for address in dict.fromkeys(addresses):
            try:
                where = path("collections", name, "documents")
                with gateway.events(where, {"url": address}, seconds=timeout) as events:
                    document, existing = followed(events)
            except RefusedFailure as failure:
                failed += 1
                terminal.give({"url": address, "error": failure.problem})
                terminal.say(f"failed   {line(address)}: {failure.detail} ({failure.reason})", "red")
                continue
            terminal.give({"url": address, "existing": existing, "document": document})
            told = "existing" if existing else "taken"
            passages = rendering.counted(document["chunks"], "passage")
            terminal.say(f"{told:8} {line(address)}: {rendering.size(document['bytes'])}, {passages}")
            for warning in document["warnings"]:
                terminal.say(f"         {line(warning)}", "yellow")
    if failed:
        detail = f"{failed} of {rendering.counted(len(addresses), 'document')} could not be taken"
        raise RefusedFailure("FILES_FAILED", detail, failed=failed)


def need_collection(gateway: Gateway, terminal: Terminal, name: str, *, create: bool) -> None:
    """Raises RefusedFailure for a collection that is not there, unless it may be created."""
    try:
        gateway.get(path("collections", name))
    except RefusedFailure as refused:
        if refused.reason != "COLLECTION_NOT_FOUND":
            raise
        if not create:
            hint = f"{refused.detail}; --create creates it"
            raise RefusedFailure.of({**refused.problem, "detail": hint}) from None
        _create(gateway, name, "")
        terminal.note(f"collection {name} is created")


def _create(gateway: Gateway, name: str, description: str) -> dict[str, Any]:
    return gateway.post(path("collections"), {"name": name, "description": description})


def tell(terminal: Terminal, outcome: Outcome) -> None:
    """What became of a file, for people."""
    name = outcome.file.name
    if outcome.failure is not None:
        request = outcome.failure.problem.get("request_id")
        known = f"{outcome.failure.reason}{f', request {request}' if request else ''}"
        terminal.say(f"failed   {name}: {outcome.failure.detail} ({known})", "red")
        return
    document = outcome.document or {}
    told = "existing" if outcome.existing else "taken"
    passages = rendering.counted(document.get("chunks") or 0, "passage")
    state = "" if document.get("state") == "READY" else f", {str(document.get('state')).lower()}"
    first = document.get("filename") or ""
    named = f", as {line(first)}" if outcome.existing and _letters(first) != _letters(name) else ""
    terminal.say(f"{told:8} {name}: {rendering.size(outcome.file.bytes)}, {passages}{state}{named}")
    for warning in document.get("warnings") or ():
        terminal.say(f"         {line(warning)}", "yellow")


def _letters(filename: str) -> str:
    """A file's name without its folders and without what the house may have cleaned away."""
    return re.sub(r"[\W_]+", "", Path(filename).name)


def search(
    context: typer.Context,
    query: Annotated[list[str], typer.Argument(metavar="QUERY", help="What to look for.")],
    *,
    collection: Annotated[
        list[str] | None,
        typer.Option(
            "--collection",
            "-c",
            metavar="NAME",
            help="Where; may stand several times.",
            autocompletion=options.collection_ids,
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", "-k", min=1, max=1000, help="Most passages.")
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", help="hybrid, dense (meaning) or lexical (words).")
    ] = "hybrid",
    as_json: options.AsJson = False,
) -> None:
    """Find passages, best first."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    body: dict[str, Any] = {
        "query": " ".join(query),
        "collections": collection or [started.settings().collection],
        "mode": mode,
    }
    if top_k is not None:
        body["top_k"] = top_k
    with started.gateway() as gateway:
        result = gateway.post(path("search"), body)
    terminal.give(result)
    for number, hit in enumerate(result["hits"], 1):
        terminal.say(f"{number}. {rendering.place(hit)}  {hit['score']:.3f}", "bold")
        terminal.say(f"   {line(hit['text'], 400)}")
    if not result["hits"]:
        terminal.say("nothing found")
    if result["degraded_reason"]:
        terminal.note(f"searched by {result['mode'].lower()} only: {result['degraded_reason']}")


collections = typer.Typer(no_args_is_help=True, help="Collections: documents that are searched together.")


@collections.command("list")
def list_collections(
    context: typer.Context, limit: options.Limit = 1000, as_json: options.AsJson = False
) -> None:
    """List the collections."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        there = list(gateway.items(path("collections"), "collections", limit))
    terminal.give({"collections": there})
    terminal.table(
        {"name": "left", "documents": "right", "passages": "right", "description": "left"},
        [[each["id"], str(each["documents"]), str(each["chunks"]), each["description"]] for each in there],
    )


@collections.command("create")
def create_collection(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="3 to 63 letters, digits, dots, - and _; a letter or digit first and last."
        ),
    ],
    description: Annotated[str, typer.Option("--description", "-d", help="For people.")] = "",
    as_json: options.AsJson = False,
) -> None:
    """Create an empty collection."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        created = _create(gateway, name, description)
    terminal.give(created)
    terminal.say(f"{created['id']} is created")


@collections.command("delete")
def delete_collection(
    context: typer.Context, name: Name, yes: options.Yes = False, as_json: options.AsJson = False
) -> None:
    """Delete a collection with all that is in it; tells what is left of it."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        if not yes:
            there = gateway.get(path("collections", name))
            documents = rendering.counted(there["documents"], "document")
            confirm(terminal, f"Delete {name} with {documents}?")
        receipt = gateway.delete(path("collections", name))
    _give_receipt(terminal, receipt)


documents = typer.Typer(no_args_is_help=True, help="Documents of a collection.")
documents.command("cancel")(ingests.cancel)
documents.command("retry")(ingests.retry)
documents.command("reprocess")(ingests.reprocess)


@documents.command("list")
def list_documents(
    context: typer.Context,
    collection: options.OneCollection = "",
    state: Annotated[
        str, typer.Option("--state", help="Only RECEIVED, PARSING, EMBEDDING, READY, FAILED.")
    ] = "",
    limit: options.Limit = 1000,
    as_json: options.AsJson = False,
) -> None:
    """List the documents, newest first."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    name = collection or started.settings().collection
    with started.gateway() as gateway:
        there = list(gateway.items(path("collections", name, "documents"), "documents", limit, state=state))
    terminal.give({"documents": there})
    columns = {"id": "left", "state": "left", "title": "left", "size": "right", "passages": "right"}
    terminal.table(
        columns,
        [
            [each["id"], each["state"], _named(each), rendering.size(each["bytes"]), str(each["chunks"])]
            for each in there
        ],
    )
    for each in there:
        if each["error"]:
            known = " ".join(name for name in (each["id"], line(each["filename"] or each["title"])) if name)
            terminal.note(f"{known}: {each['error']['message']} ({each['error']['reason']})")


def _named(document: dict[str, Any]) -> str:
    """What a document is called; one whose text was never read has no title, but came as a file."""
    return str(document["title"] or document["filename"])


@documents.command("delete")
def delete_document(
    context: typer.Context,
    document: Annotated[str, typer.Argument(metavar="ID", help="As `meld documents list` has it.")],
    collection: options.OneCollection = "",
    as_json: options.AsJson = False,
) -> None:
    """Delete a document; the receipt counts what is left of it."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    name = collection or started.settings().collection
    with started.gateway() as gateway:
        receipt = gateway.delete(path("collections", name, "documents", document))
    _give_receipt(terminal, receipt)


@documents.command("original")
def save_original(
    context: typer.Context,
    document: Annotated[str, typer.Argument(metavar="ID", help="As `meld documents list` has it.")],
    *,
    collection: options.OneCollection = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where it goes: a file, or into a folder; never over a file. Under its name without it.",
            show_default=False,
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Write the file that a document was made of, byte for byte as it came."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    where = path("collections", collection or started.settings().collection, "documents", document)
    with started.gateway() as gateway:
        known = gateway.get(where)
        target = writing.place(output, _plain(known["filename"]) or document)
        with gateway.download(f"{where}/original", "", _ORIGINAL_SECONDS, method="GET") as download:
            written = writing.write(target, download, lambda _: None)
    terminal.give({"file": str(written.path), "bytes": written.size, "sha256": written.sha256})
    terminal.say(f"{line(str(written.path))}: {rendering.size(written.size)}")


def _plain(filename: str) -> str:
    """A name that somebody gave a file, as one in a folder of ours: no path, not hidden, no command."""
    return line(Path(filename).name).lstrip(".")


def _give_receipt(terminal: Terminal, receipt: dict[str, Any]) -> None:
    terminal.give(receipt)
    for text in rendering.receipt(receipt):
        terminal.say(text)
