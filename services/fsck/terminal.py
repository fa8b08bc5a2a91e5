"""The words of the command line, and what is said to the person who wrote them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """What is to be done. collection: that one only; everything when empty."""

    repair: bool = False
    purge: bool = False
    collection: str = ""


def parsed(words: Sequence[str]) -> Asked:
    """The command. Exits with 2 when there is none."""
    parser = argparse.ArgumentParser(prog="fsck", description="Is all that the house keeps as it should be?")
    parser.add_argument("--repair", action="store_true", help="mend what is found")
    parser.add_argument("--purge", action="store_true", help="leave no byte of what was deleted in any file")
    parser.add_argument("--collection", default="", metavar="C", help="look at this collection only")
    given = parser.parse_args(words)
    return Asked(given.repair, given.purge, given.collection)


def print_line(line: str) -> None:
    """Tells what was found and how far it is."""
    print(line, flush=True)


def tell(code: int, *lines: str) -> int:
    """Tells why it did not work."""
    for line in lines:
        print(f"fsck: {line}", file=sys.stderr)
    return code
