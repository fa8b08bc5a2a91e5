"""Runs a program under the limits of a parser: `python -m ... SECONDS MEMORY_BYTES PROGRAM ARGUMENT...`.

It becomes the program, so whoever started it kills and reaps the program itself.
"""

import os
import sys

from services.vector.extraction import sandbox
from services.vector.extraction.model import Limits


def main() -> None:
    seconds, memory, *command = sys.argv[1:]
    sandbox.confine(Limits(seconds=float(seconds), memory_bytes=int(memory)))
    os.execv(command[0], command)  # noqa: S606 # the caller names the program, no shell reads it


if __name__ == "__main__":
    main()
