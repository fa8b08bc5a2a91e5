"""Webhooks: programs that are told what happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meldrag_cli import rendering
from meldrag_cli.commands import options
from meldrag_cli.commands.prompts import confirm
from meldrag_cli.gateway import path
from meldrag_cli.terminal import Terminal

webhooks = typer.Typer(no_args_is_help=True, help="Webhooks: programs that are told what happens.")

WebhookId = Annotated[
    str,
    typer.Argument(metavar="ID", help="As `meld webhooks list` has it.", autocompletion=options.webhook_ids),
]


@webhooks.command("list")
def list_webhooks(context: typer.Context, as_json: options.AsJson = False) -> None:
    """List your webhooks, oldest first."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        there = gateway.get(path("webhooks"))
    terminal.give(there)
    terminal.table(
        {"id": "left", "state": "left", "label": "left", "events": "left", "url": "left"},
        [
            [each["id"], _state(each), each["label"], ", ".join(each["event_types"]), each["url"]]
            for each in there["webhooks"]
        ],
    )


@webhooks.command("add")
def add_webhook(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the messages are sent.")],
    *,
    label: Annotated[str, typer.Option("--label", "-l", help="For people.")] = "",
    events: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            "-e",
            metavar="TYPE",
            help="Of what: run.finished, document.ready, document.failed; may stand several times. All "
            "without it.",
        ),
    ] = None,
    answer: Annotated[bool, typer.Option("--answer", help="With the text of the answers of runs.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a webhook. The secret that it signs with is told this once."""
    terminal = Terminal(as_json=as_json)
    body = {"url": url, "label": label, "event_types": events or [], "include_answer": answer}
    with options.start(context).gateway() as gateway:
        made = gateway.post(path("webhooks"), body)
    _tell_secret(terminal, made)


@webhooks.command("show")
def show_webhook(context: typer.Context, webhook: WebhookId, as_json: options.AsJson = False) -> None:
    """Show a webhook, and how it stands."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        there = gateway.get(path("webhooks", webhook))
    terminal.give(there)
    terminal.say(f"{there['id']} · {_state(there)}", "bold")
    lines = {
        "url": there["url"],
        "label": there["label"],
        "events": ", ".join(there["event_types"]),
        "with answers": "yes" if there["include_answer"] else "",
        "nothing arrives since": rendering.moment(there["failing_since"]),
        "dropped": str(there["dropped_messages"] or ""),
        "old secret holds until": rendering.moment(there["previous_secret_expires"]),
        "made": rendering.moment(there["created"]),
        "changed": rendering.moment(there["updated"]),
    }
    for name, value in lines.items():
        if value:
            terminal.say(f"{name}: {value}")


@webhooks.command("test")
def send_test(context: typer.Context, webhook: WebhookId, as_json: options.AsJson = False) -> None:
    """Send a message that says nothing, once; `meld webhooks deliveries` has how it went."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        sent = gateway.post(path("webhooks", webhook, "test"), None)
    terminal.give(sent)
    terminal.say(f"{sent['id']} is on its way")


@webhooks.command("enable")
def enable_webhook(context: typer.Context, webhook: WebhookId, as_json: options.AsJson = False) -> None:
    """Switch a webhook on. What happened meanwhile is not sent."""
    _switch(context, webhook, True, as_json)


@webhooks.command("disable")
def disable_webhook(context: typer.Context, webhook: WebhookId, as_json: options.AsJson = False) -> None:
    """Switch a webhook off. What waits is not sent."""
    _switch(context, webhook, False, as_json)


@webhooks.command("rotate")
def rotate_secret(context: typer.Context, webhook: WebhookId, as_json: options.AsJson = False) -> None:
    """Give a webhook another secret, told this once; for a day both sign."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        made = gateway.post(path("webhooks", webhook, "rotate"), None)
    _tell_secret(terminal, made)


@webhooks.command("delete")
def delete_webhook(
    context: typer.Context, webhook: WebhookId, yes: options.Yes = False, as_json: options.AsJson = False
) -> None:
    """Remove a webhook, and what waits to be sent by it."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        if not yes:
            there = gateway.get(path("webhooks", webhook))
            confirm(terminal, f"Remove the webhook {webhook} to {there['url']}?")
        gateway.delete(path("webhooks", webhook))
    terminal.give({"id": webhook, "deleted": True})
    terminal.say(f"{webhook} is removed")


@webhooks.command("deliveries")
def list_deliveries(
    context: typer.Context,
    webhook: WebhookId,
    limit: options.Limit = 100,
    as_json: options.AsJson = False,
) -> None:
    """List the messages of a webhook, newest first; the house keeps the newest 100."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        there = list(gateway.items(path("webhooks", webhook, "deliveries"), "deliveries", limit))
    terminal.give({"deliveries": there})
    terminal.table(
        {
            "message": "left",
            "event": "left",
            "state": "left",
            "tries": "right",
            "status": "right",
            "last try": "left",
            "next try": "left",
            "error": "left",
        },
        [
            [
                each["id"],
                each["event_type"],
                each["state"],
                str(each["attempts"]),
                str(each["last_status"] or ""),
                rendering.moment(each["last_attempt"]),
                rendering.moment(each["next_attempt"]),
                each["last_error"] or "",
            ]
            for each in there
        ],
    )


def _switch(context: typer.Context, webhook: str, enabled: bool, as_json: bool) -> None:
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        there = gateway.patch(path("webhooks", webhook), {"enabled": enabled})
    terminal.give(there)
    terminal.say(f"{webhook} is {_state(there)}")


def _tell_secret(terminal: Terminal, made: Mapping[str, Any]) -> None:
    terminal.give(made)
    terminal.say(made["secret"])
    terminal.note(f"{made['id']}, to {made['url']}; told this once")


def _state(webhook: Mapping[str, Any]) -> str:
    """Whether it sends, and why not."""
    if not webhook["enabled"]:
        return f"off ({webhook['disabled_reason']})"
    return "failing" if webhook["failing_since"] else "on"
