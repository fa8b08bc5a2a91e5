"""How well a collection answers a golden set, and whether that became worse."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from meldrag_cli import gates, golden, rendering
from meldrag_cli.commands import options
from meldrag_cli.events import Event
from meldrag_cli.failures import RefusedFailure, UsageFailure
from meldrag_cli.gateway import Body, Gateway, path
from meldrag_cli.terminal import Terminal, line

_ID = re.compile(r"[0-9a-f]{32}")
_MAX_DROP = 0.01

Id = Annotated[str, typer.Argument(metavar="ID", help="As `meld evaluations list` has it.")]


def evaluate(
    context: typer.Context,
    golden_set: Annotated[
        Path,
        typer.Argument(
            metavar="GOLDEN",
            help="Queries and what should answer them: JSON, lines of JSON, or a folder as in BEIR.",
        ),
    ],
    *,
    collection: options.OneCollection = "",
    qrels: Annotated[
        Path | None,
        typer.Option("--qrels", metavar="FILE", help="Judgements, where GOLDEN has queries alone."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Which qrels of a folder.")] = "test",
    by: Annotated[
        str, typer.Option("--by", help="How qrels name documents: external_id, document_id or title.")
    ] = "external_id",
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--setting",
            "-s",
            metavar="KEY=VALUE,...",
            help="How to search, as in mode=lexical,top_k=20 or as JSON; twice for two side by side.",
        ),
    ] = None,
    cutoff: Annotated[
        list[int] | None,
        typer.Option("--cutoff", "-k", min=1, max=1000, help="Rank at which ndcg and recall are cut: 10."),
    ] = None,
    label: Annotated[str, typer.Option("--label", "-l", help="For people.")] = "",
    baseline: Annotated[
        str,
        typer.Option("--baseline", metavar="FILE|ID", help="An evaluation to hold this one against."),
    ] = "",
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop",
            min=0,
            max=1,
            help="What a mean may lose against the baseline (0.01), or the second setting against the first.",
        ),
    ] = None,
    fail_below: Annotated[
        list[str] | None,
        typer.Option("--fail-below", metavar="METRIC=VALUE", help="What the last setting must reach."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the report as JSON; a later baseline."),
    ] = None,
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure how well a collection answers; fails when that is worse than it may be."""
    terminal = Terminal(as_json=as_json)
    if max_drop is not None and not baseline and len(setting or ()) != 2:
        raise UsageFailure("USAGE", "--max-drop needs a --baseline, or two settings")
    floors = [gates.floor(each) for each in fail_below or ()]
    asked: dict[str, Any] = {"settings": [_setting(each) for each in setting or ()]}
    asked |= {"cutoffs": cutoff, "label": label}
    queries = golden.read(golden_set, qrels, split, by)
    if queries.skipped:
        terminal.note(f"{rendering.counted(queries.skipped, 'query')} without anything relevant left out")
    started = options.start(context)
    name = collection or started.settings().collection
    body = queries.lines({key: value for key, value in asked.items() if value})
    with started.gateway() as gateway:
        before = _baseline(gateway, name, baseline) if baseline else None
        where = path("collections", name, "evaluations")
        report = _run(
            gateway.events(
                where, whole=Body("application/x-ndjson", len(body), iter((body,))), seconds=timeout
            ),
            terminal,
            queries.source,
        )
        if output is not None:
            _write(output, report)
    told = list(gates.below(report["settings"][-1], floors, quoted=queries.quoted))
    if before is not None:
        gates.require_comparable(before, report)
        for change in gates.changes(before, report):
            terminal.note(f"not as in the baseline: {change}")
        allowed = _MAX_DROP if max_drop is None else max_drop
        told += gates.dropped(before["settings"][-1], report["settings"][-1], allowed)
    elif max_drop is not None:
        first, second = report["settings"]
        told += gates.dropped(first, second, max_drop)
    terminal.give({**report, "regressions": told})
    _show(terminal, report, before)
    if told:
        raise RefusedFailure("REGRESSION", "; ".join(told), evaluation_id=report["id"])


evaluations = typer.Typer(no_args_is_help=True, help="Evaluations of a collection that were kept.")


@evaluations.command("list")
def list_evaluations(
    context: typer.Context,
    collection: options.OneCollection = "",
    limit: options.Limit = 1000,
    as_json: options.AsJson = False,
) -> None:
    """List the evaluations, newest first."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    name = collection or started.settings().collection
    with started.gateway() as gateway:
        there = list(gateway.items(path("collections", name, "evaluations"), "evaluations", limit))
    terminal.give({"evaluations": there})
    columns = {"id": "left", "when": "left", "label": "left", "queries": "right", "settings": "left"}
    terminal.table(
        columns,
        [
            [
                each["id"],
                rendering.moment(each["created"]),
                each["label"],
                str(each["queries"]),
                "; ".join(_in_short(setting) for setting in each["settings"]),
            ]
            for each in there
        ],
    )


@evaluations.command("show")
def show_evaluation(
    context: typer.Context,
    evaluation: Id,
    collection: options.OneCollection = "",
    queries: Annotated[bool, typer.Option("--queries", "-q", help="Query by query as well.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show what an evaluation measured."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    name = collection or started.settings().collection
    where = path("collections", name, "evaluations", evaluation)
    with started.gateway() as gateway:
        report = gateway.get(where)
        each = list(gateway.items(f"{where}/queries", "queries")) if queries else []
    terminal.give({**report, "each": each} if queries else report)
    _show(terminal, report, None)
    if not queries:
        return
    first = next(iter(report["settings"][0]["metrics"]))
    columns = {"query": "left", **{f"{first} {one['name']}": "right" for one in report["settings"]}}
    terminal.say()
    terminal.table(
        columns,
        [
            [line(one["query"], 70), *(_value(outcome["metrics"].get(first)) for outcome in one["outcomes"])]
            for one in each
        ],
    )


@evaluations.command("csv")
def evaluation_as_csv(
    context: typer.Context,
    evaluation: Id,
    collection: options.OneCollection = "",
    as_json: options.AsJson = False,
) -> None:
    """Write an evaluation query by query, as CSV; its lines as objects with --json."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    name = collection or started.settings().collection
    with started.gateway() as gateway:
        table = gateway.text(path("collections", name, "evaluations", evaluation, "queries.csv"), {})
    terminal.give({"lines": list(csv.DictReader(io.StringIO(table)))})
    if not as_json:
        terminal.write(table.replace("\r\n", "\n"))


@evaluations.command("delete")
def delete_evaluation(
    context: typer.Context,
    evaluation: Id,
    collection: options.OneCollection = "",
    as_json: options.AsJson = False,
) -> None:
    """Delete an evaluation with its queries."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    name = collection or started.settings().collection
    with started.gateway() as gateway:
        gateway.delete(path("collections", name, "evaluations", evaluation))
    terminal.give({"deleted": evaluation})
    terminal.say(f"{evaluation} is deleted")


def _setting(text: str) -> dict[str, Any]:
    """From "mode=lexical,top_k=20", or from JSON. Raises UsageFailure."""
    if text.lstrip().startswith("{"):
        try:
            given = json.loads(text)
        except ValueError as error:
            raise UsageFailure("USAGE", f"--setting {text}: is not JSON: {error}") from None
        return dict(given)
    made: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if not value:
            raise UsageFailure("USAGE", f"--setting {text}: {key!r} needs a value")
        try:
            if key in ("mode", "name"):
                made[key] = value
            elif key == "top_k":
                made[key] = int(value)
            elif key == "similarity_threshold":
                made[key] = float(value)
            else:
                known = "name, mode, top_k, similarity_threshold; a filter only as JSON"
                raise UsageFailure("USAGE", f"--setting {text}: {key!r} is none of {known}")
        except ValueError:
            raise UsageFailure("USAGE", f"--setting {text}: {value!r} is no number") from None
    return made


def _baseline(gateway: Gateway, collection: str, named: str) -> dict[str, Any]:
    """The report in a file, else the one that the house keeps under this id."""
    file = Path(named)
    if _ID.fullmatch(named) and not file.exists():
        return gateway.get(path("collections", collection, "evaluations", named))
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        if not all(setting["metrics"] for setting in report["settings"]) or not report["golden_sha256"]:
            raise KeyError
    except OSError as error:
        raise UsageFailure("USAGE", f"the baseline {named} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UsageFailure("USAGE", f"the baseline {named} is no report of `meld eval --output`") from None
    return dict(report)


def _run(answer: AbstractContextManager[Iterator[Event]], terminal: Terminal, source: str) -> dict[str, Any]:
    console = terminal.bars
    columns = (TextColumn("queries"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=console, transient=True, disable=console is None)
    try:
        with bar, answer as events:
            task = bar.add_task("queries", total=None)
            for event in events:
                if event.name == "end":
                    return event.data
                if event.name == "progress":
                    bar.update(task, completed=event.data["done"], total=event.data["total"])
    except RefusedFailure as refused:
        if refused.reason == "GOLDEN_SET_INVALID" and (refused.problem.get("metadata") or {}).get("line"):
            detail = f"{refused.detail} (lines of {source})"
            raise RefusedFailure.of({**refused.problem, "detail": detail}) from None
        raise
    raise RefusedFailure("NO_ANSWER", "the evaluation ended before it was done")


def _write(file: Path, report: Mapping[str, Any]) -> None:
    try:
        file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageFailure("USAGE", f"{file} cannot be written: {error.strerror}") from None


def _show(terminal: Terminal, report: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
    counts = f"{rendering.counted(report['queries'], 'query')}, {report['judgements']} judgements"
    terminal.say(f"{report['collection']}: {counts}, {rendering.seconds(report['elapsed_seconds'])}", "bold")
    compared = {one["metric"]: one for one in report["comparisons"]}
    columns = {"metric": "left", **{one["name"]: "right" for one in report["settings"]}}
    columns |= {"difference": "right", "better/worse/alike": "right", "p": "right"} if compared else {}
    columns |= {"baseline": "right"} if before else {}
    rows = []
    names = dict.fromkeys(name for one in report["settings"] for name in one["metrics"])
    for name in names:
        row = [name, *(_interval(one["metrics"].get(name)) for one in report["settings"])]
        if compared:
            row += _compared(compared.get(name))
        if before:
            row.append(_interval(before["settings"][-1]["metrics"].get(name)))
        rows.append(row)
    for name in ("p50", "p95", "max"):
        took = [f"{1000 * one['latency_seconds'][name]:.1f} ms" for one in report["settings"]]
        rest = [""] * (len(columns) - 1 - len(took))
        if before:
            rest[-1] = f"{1000 * before['settings'][-1]['latency_seconds'][name]:.1f} ms"
        rows.append([f"latency {name}", *took, *rest])
    terminal.table(columns, rows)
    if report["pending_vectors"]:
        terminal.note(f"{rendering.counted(report['pending_vectors'], 'passage')} had no vector yet")
    terminal.note(f"evaluation {report['id']}")


def _interval(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else f"{value['mean']:.4f} [{value['low']:.4f}, {value['high']:.4f}]"


def _compared(value: Mapping[str, Any] | None) -> list[str]:
    if value is None:
        return ["", "", ""]
    difference = f"{value['difference']:+.4f} [{value['low']:+.4f}, {value['high']:+.4f}]"
    return [difference, f"{value['wins']}/{value['losses']}/{value['ties']}", f"{value['p_value']:.4f}"]


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _in_short(setting: Mapping[str, Any]) -> str:
    name, value = next(iter(setting["metrics"].items()), ("", {"mean": 0.0}))
    return f"{setting['name']}: {name} {value['mean']:.4f}"
