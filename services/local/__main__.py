"""`python -m services.local`: starts the house, says where it is, stops it on Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from services.local.house import GiveUpError, House, Limits
from services.local.members import members
from services.local.preflight import StartError, check_ports, sole_launcher
from services.local.process import Guard
from services.local.readiness import reachable
from services.local.settings import LocalSettings, SettingError, read

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Runs the house. Returns the exit code: 0 when it was asked to stop, 1 else."""
    try:
        settings = read(os.environ, ROOT / ".env", Path.cwd())
        with sole_launcher(settings.data):
            check_ports(settings.addresses)
            asyncio.run(serve(settings))
    except (SettingError, StartError, GiveUpError) as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def serve(settings: LocalSettings) -> None:
    """Runs the house until SIGINT, SIGTERM or SIGHUP; a second signal kills at once. Raises GiveUpError."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
        else:
            stop.set()
            say("\n  stopping")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Who started this with nohup wants it to outlive the terminal.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, on_signal)
    say(f"Meld & RAG, data in {settings.data}")
    guard, address = Guard(), settings.gateway
    limits = Limits(settings.restart_limit, settings.log_max_size, settings.log_backup_count)
    house = House(members(settings, guard), limits, settings.data / "processes.json", say)
    try:
        await house.run(stop, hurry, f"http://{reachable(address.host)}:{address.port}")
    finally:
        say("  stopped")
        await guard.close()


def say(line: str) -> None:
    """Tells the person at the terminal. A terminal that was closed must not keep the house from stopping."""
    with suppress(OSError):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
