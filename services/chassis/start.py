"""How a process begins and what it says when it cannot. Light: it loads before everything else."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn

from services.chassis.settings import SettingsError

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The process cannot start; the message is one line for the person who started it."""


def run_service(main: Callable[[], Awaitable[None]], name: str) -> NoReturn:
    """Runs an entrypoint and exits: 0 after a clean end, 2 for a bad setting, 1 when it cannot start."""

    async def entry() -> None:
        await main()

    # Read when numpy is loaded, so a service loads that after this. Its products of a matrix and one vector
    # are memory-bound, and a second thread spins on for milliseconds in which the embedder wants its core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        asyncio.run(entry())
    except SettingsError as error:
        sys.exit(_fail(name, error, 2))
    except StartError as error:
        sys.exit(_fail(name, error, 1))
    except Exception:
        # As one line of the log, where that is set up by now.
        _log.exception("the %s service has ended with an error", name)
        sys.exit(1)
    sys.exit(0)


def _fail(name: str, error: Exception, code: int) -> int:
    print(f"{name}: {error}", file=sys.stderr)
    return code
