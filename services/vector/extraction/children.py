"""The end of a child process, whatever it was doing."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Final

_DRAIN_SECONDS: Final = 5.0


async def end(child: asyncio.subprocess.Process) -> None:
    """Kills what is left of the child and its group, and reaps it.

    Its output is read to the end first: asyncio tells of an exit only when all pipes are closed, and a pipe
    that nobody reads any more never is. A grandchild that left the group may hold one open, so that has a
    bound.
    """
    if child.returncode is not None:
        return
    # It may end by itself in this moment.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while child.stdout is not None and await child.stdout.read(64 * 1024):
                pass
            await child.wait()
