"""The words of the command line, and what is said to the person who wrote them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The command. Exits with 2 when there is none."""
    parser = argparse.ArgumentParser(prog="backup", description="Copies of all that the house keeps.")
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a backup in a new folder below DIR")
    create.add_argument("--keep", type=positive, metavar="N", help="keep the newest N backups only")
    verify = commands.add_parser("verify", help="check a backup, without any service")
    restore = commands.add_parser("restore", help="replace all that is kept by a backup")
    restore.add_argument("--yes", action="store_true", help="do not ask")
    for command in (create, verify, restore):
        command.add_argument("folder", type=Path, metavar="DIR")
    return parser.parse_args(words)


def positive(word: str) -> int:
    """A count of at least one."""
    if int(word) < 1:
        raise ValueError(word)
    return int(word)


def confirmed(folder: Path) -> bool:
    """Whether the person at the terminal agrees; without a terminal nobody does."""
    if not sys.stdin.isatty():
        return False
    return input(f"Replace all documents and sessions by {folder}? Type yes: ").strip() == "yes"


def print_line(line: str) -> None:
    """Tells how far it is."""
    print(line, flush=True)


def tell(code: int, *lines: str) -> int:
    """Tells why it did not work."""
    for line in lines:
        print(f"backup: {line}", file=sys.stderr)
    return code
