"""Questions, and agents with a task of their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from meldrag_cli.commands import options
from meldrag_cli.failures import RefusedFailure, UsageFailure
from meldrag_cli.gateway import LONG_SECONDS, Gateway, path
from meldrag_cli.runs import follow
from meldrag_cli.terminal import Terminal, line

_MOST_INPUT = 1 << 20

AgentId = Annotated[str, typer.Argument(metavar="AGENT", autocompletion=options.agent_ids)]


def ask(
    context: typer.Context,
    question: Annotated[list[str], typer.Argument(metavar="QUESTION", help="What you want to know.")],
    *,
    agent: Annotated[
        str,
        typer.Option("--agent", "-a", help="Who answers.", autocompletion=options.agent_ids),
    ] = "auto",
    collection: options.Collections = None,
    session: options.Session = "",
    new_session: Annotated[
        bool, typer.Option("--new-session", help="Begin a conversation; its id is told.")
    ] = False,
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
) -> None:
    """Ask a question: the answer as it is written, then its sources."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        if new_session:
            if session:
                raise UsageFailure("INVALID_OPTIONS", "--session and --new-session exclude each other")
            session = gateway.post(path("sessions"), {"collections": collection or []})["id"]
            terminal.note(f"session {session}")
        body = _body(agent, " ".join(question), collection, session)
        follow(gateway, terminal, path("runs"), body, seconds=timeout)


def run(
    context: typer.Context,
    agent: AgentId,
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="What it shall do; else `message` in the input.")
    ] = "",
    *,
    input_file: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="Its inputs as a JSON object; - reads them."),
    ] = None,
    collection: options.Collections = None,
    session: options.Session = "",
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
) -> None:
    """Let an agent work on inputs of its own; `meld agents show AGENT` says which it takes."""
    terminal = Terminal(as_json=as_json)
    inputs = {} if input_file is None else read_object(input_file)
    if not message:
        said = inputs.pop("message", None)
        if not isinstance(said, str) or not said.strip():
            raise UsageFailure(
                "MESSAGE_MISSING", "say what the agent shall do: as MESSAGE, or as `message` in the input"
            )
        message = said
    body = {**_body(agent, message, collection, session), "inputs": inputs}
    with options.start(context).gateway() as gateway:
        follow(gateway, terminal, path("runs"), body, seconds=timeout)


def replay(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The id of a recorded run.")],
    as_json: options.AsJson = False,
) -> None:
    """Run a recorded run again from its record; fails when anything differs."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        result = gateway.post(path("runs", run_id, "replay"), {}, LONG_SECONDS)
    terminal.give(result)
    if result["identical"]:
        terminal.say(f"{run_id} is the same: every event, and every byte of its result")
        return
    difference = result["difference"] or {}
    terminal.say(f"{run_id} goes another way at {difference.get('path') or difference.get('kind')}:")
    terminal.say(f"  recorded  {line(str(difference.get('recorded')), 300)}")
    terminal.say(f"  repeated  {line(str(difference.get('repeated')), 300)}")
    raise RefusedFailure("REPLAY_DIFFERS", "the repeated run differs from the recorded one", run_id=run_id)


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file, or on standard input for "-". Raises UsageFailure."""
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(_MOST_INPUT + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(_MOST_INPUT + 1)
    except OSError as error:
        raise UsageFailure("NOT_READABLE", f"{file}: {error.strerror}") from None
    if len(data) > _MOST_INPUT:
        raise UsageFailure("INPUT_TOO_LARGE", f"{file} is larger than {_MOST_INPUT} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageFailure("INVALID_JSON", f"{file} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageFailure("INVALID_JSON", f"{file} holds no JSON object")
    return value


def _body(agent: str, message: str, collections: list[str] | None, session: str) -> dict[str, Any]:
    body: dict[str, Any] = {"agent": agent, "message": message}
    if collections:
        body["collections"] = collections
    if session:
        body["session_id"] = session
    return body


agents = typer.Typer(no_args_is_help=True, help="The agents: who there is and what they take.")


@agents.command("list")
def list_agents(context: typer.Context, as_json: options.AsJson = False) -> None:
    """List the agents."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        found = list(gateway.items(path("agents"), "agents"))
    terminal.give({"agents": found})
    columns = {"agent": "left", "purpose": "left"}
    terminal.table(columns, [[agent["id"], agent["purpose"]] for agent in found])


@agents.command("show")
def show_agent(context: typer.Context, agent: AgentId, as_json: options.AsJson = False) -> None:
    """Show an agent: its purpose, its inputs, examples."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        found = _agent(gateway, agent)
    terminal.give(found)
    terminal.say(f"{found['id']} ({found['name']})", "bold")
    terminal.say(found["purpose"])
    terminal.say("\nInputs", "bold")
    fields = found["input_schema"].get("properties") or {}
    needed = set(found["input_schema"].get("required") or ())
    terminal.table(
        {"field": "left", "type": "left", "what it is": "left"},
        [
            [f"{name} (needed)" if name in needed else name, _kind(field), field.get("description") or ""]
            for name, field in fields.items()
        ],
    )
    if not fields:
        terminal.say("none but the message")
    if found["tools"]:
        terminal.say(f"\nTools: {', '.join(found['tools'])}")
    if found["examples"]:
        terminal.say("\nExamples", "bold")
        for example in found["examples"]:
            terminal.say(f"- {line(example)}")


def _agent(gateway: Gateway, agent: str) -> dict[str, Any]:
    return gateway.get(path("agents", agent))


def _kind(field: dict[str, Any]) -> str:
    """The type that a JSON Schema names, in a word or two."""
    if field.get("enum"):
        return " or ".join(json.dumps(value, ensure_ascii=False) for value in field["enum"])
    kind = field.get("type")
    if kind == "array":
        return f"list of {(field.get('items') or {}).get('type') or 'anything'}"
    return "/".join(kind) if isinstance(kind, list) else str(kind or "anything")
