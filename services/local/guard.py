"""Ends what a launcher that was killed left behind.

Run as a script by the launcher, one for all processes. Each process announces
itself on this script's standard input with a line "+GROUP" before it becomes
the service, and the launcher writes "-GROUP" when the last of a group is gone.
The input ends when the launcher is gone, whatever ended it; then the groups
that remain are asked to stop, and killed when they do not.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GRACE_SECONDS = 2.0


def main() -> None:
    """Waits for the end of the input, then clears up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        groups.add(group) if line.startswith(b"+") else groups.discard(group)
    for number in (signal.SIGTERM, signal.SIGKILL):
        # A stopped process takes SIGTERM only once it runs again; SIGKILL it takes at once.
        groups = {group for group in groups if send(group, number)}
        end = time.monotonic() + GRACE_SECONDS
        while groups and time.monotonic() < end:
            time.sleep(0.05)
            groups = {group for group in groups if send(group, 0)}


def send(group: int, number: int) -> bool:
    """Sends a signal (0: none) to a process group; False when the group is gone."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
