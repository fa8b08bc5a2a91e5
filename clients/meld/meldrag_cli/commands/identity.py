"""Who one is: signing in and out, the first owner, keys for programs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from meldrag_cli import rendering
from meldrag_cli.commands import options
from meldrag_cli.commands.prompts import confirm, word
from meldrag_cli.failures import Failure, RefusedFailure
from meldrag_cli.gateway import Gateway, path
from meldrag_cli.logins import Login
from meldrag_cli.terminal import Terminal

UserName = Annotated[
    str, typer.Argument(metavar="NAME", help="The user's name; asked for without it.", show_default=False)
]


def login(
    context: typer.Context,
    name: UserName = "",
    *,
    api_key: Annotated[
        bool, typer.Option("--api-key", help="By an API key; typed or on standard input, never an option.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Sign in, and stay so: a password or a key is asked for, or read from standard input."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    if api_key:
        _sign_in(started, terminal, Login(name=name, api_key=word("API key", secret=True)))
        return
    name = name or word("Name")
    password = word("Password", secret=True)
    with started.gateway(anonymous=True) as gateway:
        _sign_in(started, terminal, gateway.sign_in(name, password))


def setup(context: typer.Context, name: UserName = "", as_json: options.AsJson = False) -> None:
    """Make the first owner of a house that has none, and sign in; needs the house's MELD_SETUP_CODE."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    name = name or word("Name")
    password = word("Password", secret=True, twice=True)
    body = {"name": name, "password": password, "setup_code": word("Setup code", secret=True)}
    with started.gateway(anonymous=True) as gateway:
        gateway.post(path("auth", "setup"), body)
        _sign_in(started, terminal, gateway.sign_in(name, password))


def _sign_in(started: options.Start, terminal: Terminal, new: Login) -> None:
    """Keeps a login once the house has said whose it is."""
    with started.gateway(shown=new.shown) as gateway:
        me = gateway.get(path("auth", "me"))
    settings = started.settings()
    settings.logins.keep(settings.url, new)
    terminal.give({"url": settings.url, "name": new.name, **me})
    terminal.say(f"signed in at {settings.url}: {_told(me, new.name)}")
    if settings.token:
        terminal.note("MELD_TOKEN is set and goes before it")


def logout(context: typer.Context, as_json: options.AsJson = False) -> None:
    """Sign out: the tokens end at the house, and are forgotten here."""
    terminal = Terminal(as_json=as_json)
    settings = options.start(context).settings()
    kept = settings.logins.read(settings.url)
    settings.logins.keep(settings.url, None)
    ended = False
    if kept is not None and kept.refresh_token:
        try:
            with options.start(context).gateway(anonymous=True) as gateway:
                gateway.post(path("auth", "logout"), {"token": kept.refresh_token})
            ended = True
        except Failure as failure:
            terminal.note(f"forgotten here, and not ended at the house: {failure.detail}")
    terminal.give({"url": settings.url, "was_signed_in": kept is not None, "ended": ended})
    if kept is None:
        terminal.say(f"nobody was signed in at {settings.url}")
    elif kept.api_key:
        terminal.say(f"the key of {settings.url} is forgotten here; `meld keys revoke` ends a key")
    else:
        terminal.say(f"signed out at {settings.url}")


def whoami(context: typer.Context, as_json: options.AsJson = False) -> None:
    """Say as whom the house sees you."""
    terminal = Terminal(as_json=as_json)
    started = options.start(context)
    settings = started.settings()
    with started.gateway() as gateway:
        me = gateway.get(path("auth", "me"))
    kept = None if settings.token else settings.logins.read(settings.url)
    terminal.give({"url": settings.url, "name": kept.name if kept else "", **me})
    terminal.say(f"{_told(me, kept.name if kept else '')} at {settings.url}")
    if not me["login"]:
        terminal.note("nobody has to sign in there: everybody is the owner")


def _told(me: dict[str, Any], name: str) -> str:
    groups = f", in {', '.join(me['groups'])}" if me["groups"] else ""
    return f"{name or me['id']} ({me['role']}{groups})"


keys = typer.Typer(no_args_is_help=True, help="API keys, for programs.")


@keys.command("create")
def create_key(
    context: typer.Context,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What it is for.")],
    *,
    role: Annotated[
        str,
        typer.Option("--role", help="The most it may do: viewer, member, admin, owner; as you without it."),
    ] = "",
    as_json: options.AsJson = False,
) -> None:
    """Make a key. The secret is told this once and kept nowhere."""
    terminal = Terminal(as_json=as_json)
    body = {"label": label, **({"role": role} if role else {})}
    with options.start(context).gateway() as gateway:
        made = gateway.post(path("api-keys"), body)
    terminal.give(made)
    terminal.say(made["secret"])
    terminal.note(f"{made['id']}, {made['role']}; told this once, kept nowhere")


@keys.command("list")
def list_keys(context: typer.Context, as_json: options.AsJson = False) -> None:
    """List your keys."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        there = gateway.get(path("api-keys"))
    terminal.give(there)
    terminal.table(
        {"id": "left", "role": "left", "label": "left", "made": "left", "used": "left"},
        [
            [
                each["id"],
                each["role"],
                each["label"],
                rendering.moment(each["created"]),
                rendering.moment(each["last_used"]) or "never",
            ]
            for each in there["api_keys"]
        ],
    )


@keys.command("revoke")
def revoke_key(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="ID", help="As `meld keys list` has it.")],
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """End a key at once, for whoever has it."""
    terminal = Terminal(as_json=as_json)
    with options.start(context).gateway() as gateway:
        if not yes:
            confirm(terminal, f"End the key {_label(gateway, key)}?")
        gateway.delete(path("api-keys", key))
    terminal.give({"id": key, "revoked": True})
    terminal.say(f"{key} is ended")


def _label(gateway: Gateway, key: str) -> str:
    """The key for people. Raises RefusedFailure for one that is not there."""
    for each in gateway.get(path("api-keys"))["api_keys"]:
        if each["id"] == key:
            return f"{key} ({each['label']})"
    raise RefusedFailure("API_KEY_NOT_FOUND", f"you have no key {key}")
