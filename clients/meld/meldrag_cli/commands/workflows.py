"""Workflows: several agents, step by step, with decisions in between."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from meldrag_cli.commands import options
from meldrag_cli.commands.asking import read_object
from meldrag_cli.failures import UsageFailure
from meldrag_cli.gateway import Gateway, path
from meldrag_cli.runs import Decide, follow, nobody
from meldrag_cli.terminal import Terminal, line

workflows = typer.Typer(no_args_is_help=True, help="Workflows: several agents, step by step.")

WorkflowId = Annotated[str, typer.Argument(metavar="WORKFLOW", autocompletion=options.workflow_ids)]


@workflows.command("list")
def list_workflows(context: typer.Context, as_json: options.AsJson = False) -> None:
    """List the workflows: those of the release, then the stored ones."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        there = list(gateway.items(path("workflows"), "workflows"))
    terminal.give({"workflows": there})
    terminal.table(
        {"workflow": "left", "steps": "right", "what it is for": "left"},
        [[each["id"], str(len(each["steps"])), each["description"] or each["title"]] for each in there],
    )


@workflows.command("show")
def show_workflow(context: typer.Context, workflow: WorkflowId, as_json: options.AsJson = False) -> None:
    """Show a workflow's steps."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        there = gateway.get(path("workflows", workflow))
    terminal.give(there)
    terminal.say(f"{there['id']} ({there['title']})", "bold")
    if there["description"]:
        terminal.say(there["description"])
    terminal.table(
        {"step": "left", "who": "left", "after": "left", "asks": "left"},
        [
            [step["step_id"], _who(step), ", ".join(step.get("after") or ()), line(_asked(step), 120)]
            for step in there["steps"]
        ],
    )


def _who(step: Mapping[str, Any]) -> str:
    if "approval" in step:
        return "you decide"
    return "meld" if "meld" in step else str(step.get("agent_id") or "")


def _asked(step: Mapping[str, Any]) -> str:
    approval = step.get("approval") or {}
    return str(step.get("message") or approval.get("question") or "")


@workflows.command("run")
def run_workflow(
    context: typer.Context,
    workflow: WorkflowId,
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="What is asked; else `message` in the input.")
    ] = "",
    *,
    input_file: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="Its inputs as a JSON object; - reads them."),
    ] = None,
    collection: options.Collections = None,
    session: options.Session = "",
    approve: Annotated[bool, typer.Option("--approve", help="Approve every step that waits.")] = False,
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
) -> None:
    """Run a workflow. A step that waits for a decision is asked about in a terminal."""
    terminal = Terminal(as_json=as_json)
    inputs = {} if input_file is None else read_object(input_file)
    message = message or str(inputs.pop("message", ""))
    if not message.strip():
        raise UsageFailure("MESSAGE_MISSING", "say what is asked: as MESSAGE, or as `message` in the input")
    body: dict[str, Any] = {"workflow": workflow, "message": message, "inputs": inputs}
    if collection:
        body["collections"] = collection
    if session:
        body["session_id"] = session
    with options.start(context).gateway() as gateway:
        decide = _decide(gateway, terminal, approve=approve)
        follow(gateway, terminal, path("workflows", "runs"), body, seconds=timeout, decide=decide)


def _decide(gateway: Gateway, terminal: Terminal, *, approve: bool) -> Decide:
    """How waiting steps are decided on: all approved, asked about in a terminal, else left to others."""

    def asked(run_id: str, step: Mapping[str, Any]) -> None:
        try:
            approved = approve or typer.confirm("Approve?")
        except typer.Abort:
            # Ctrl-C at the question means the run, as it does everywhere else.
            raise KeyboardInterrupt from None
        _decision(gateway, run_id, step["step_id"], approved, "")

    def told(run_id: str, step: Mapping[str, Any]) -> None:
        terminal.note(f"step {step['step_id']} waits: {line(step.get('reason') or '', 300)}")
        terminal.note(f"decide with: meld workflow decide {run_id} {step['step_id']} --approve")

    if approve or terminal.live:
        return asked
    return nobody if terminal.as_json else told


@workflows.command("decide")
def decide_step(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run of the workflow.")],
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step that waits.")],
    *,
    approve: Annotated[bool, typer.Option("--approve/--reject", help="The decision.", show_default=False)],
    comment: Annotated[str, typer.Option("--comment", "-m", help="Why.")] = "",
    as_json: options.AsJson = False,
) -> None:
    """Decide on a step that waits. The same decision again changes nothing."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        decided = _decision(gateway, run_id, step, approve, comment)
    terminal.give(decided)
    terminal.say(f"step {step} is {'approved' if approve else 'rejected'}")


def _decision(gateway: Gateway, run_id: str, step: str, approved: bool, comment: str) -> dict[str, Any]:
    decision = {"approved": approved, "comment": comment}
    return gateway.post(path("runs", run_id, "steps", step, "decision"), decision)
