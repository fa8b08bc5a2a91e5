"""Options that several commands have, and what each command starts with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from meldrag_cli import settings
from meldrag_cli.failures import Failure
from meldrag_cli.gateway import Gateway, path
from meldrag_cli.settings import Settings

_COMPLETION_SECONDS = 1.0
_COMPLETIONS = 200


@dataclass(frozen=True)
class Start:
    """What the options before the command said."""

    url: str = ""

    def settings(self) -> Settings:
        """Where the house is. Raises UsageFailure."""
        return settings.read(url=self.url)

    def gateway(self, *, anonymous: bool = False, shown: str | None = None) -> Gateway:
        """The house, asked by nobody (`anonymous`), with a token that is `shown`, or as the settings have it.

        Raises UsageFailure.
        """
        return Gateway(self.settings(), shown="" if anonymous else shown)


def start(context: typer.Context) -> Start:
    """What the options before the command said."""
    return context.ensure_object(Start)


def _ids(where: str, name: str, *, paged: bool = True) -> Callable[[str], list[str]]:
    """Completes the ids of a list; silently nothing when the house does not tell them."""

    def complete(incomplete: str) -> list[str]:
        try:
            with Start().gateway() as gateway:
                page = gateway.get(
                    path(where), {"page_size": _COMPLETIONS if paged else ""}, _COMPLETION_SECONDS
                )
            return [item["id"] for item in page[name] if item["id"].startswith(incomplete)]
        except (Failure, KeyError):
            return []

    return complete


agent_ids = _ids("agents", "agents")
collection_ids = _ids("collections", "collections")
webhook_ids = _ids("webhooks", "webhooks", paged=False)
workflow_ids = _ids("workflows", "workflows")

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON; errors too, on standard error.")]
Collections = Annotated[
    list[str] | None,
    typer.Option(
        "--collection",
        "-c",
        metavar="NAME",
        help="Where to look; may stand several times. The house's own default without it.",
        autocompletion=collection_ids,
    ),
]
OneCollection = Annotated[
    str,
    typer.Option(
        "--collection",
        "-c",
        metavar="NAME",
        help="Which collection; MELD_COLLECTION, else the house's own default, without it.",
        autocompletion=collection_ids,
    ),
]
Session = Annotated[
    str, typer.Option("--session", "-s", metavar="ID", help="The conversation that it belongs to.")
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=1, help="How long it may take; up to half an hour."),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
# Of commands that send files.
Create = Annotated[bool, typer.Option("--create", help="Create the collection if it is not there.")]
Include = Annotated[
    list[str] | None, typer.Option("--include", metavar="PATTERN", help='Only such files, as "*.md".')
]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", metavar="PATTERN", help="No such files.")]
Hidden = Annotated[bool, typer.Option("--hidden", help="Also names that begin with a dot.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=16, help="Files at once.")]
FileSeconds = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long one file may take.")
]
