"""The sandbox as services know it: opened once, then asked to run jobs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

from services.chassis.errors import FailedPreconditionError, ResourceExhaustedError
from services.sandbox import folders, layers
from services.sandbox.checking import check
from services.sandbox.launching import Launcher, LaunchError
from services.sandbox.layers import Layer
from services.sandbox.measures import FAILED, SandboxMeasures
from services.sandbox.model import Job, Outcome
from services.sandbox.probe import probe

_log = logging.getLogger(__name__)

# A job waits this long for a free place.
_WAIT_SECONDS = 60.0
# Each may hold half a GiB.
_MOST_PLACES = 4
# What the launcher adds to a run's environment, and what the interpreter adds by itself.
ADDED = {"HOME", "PWD", "TMPDIR", "LC_CTYPE"}
CHOICES = ("auto", "bubblewrap", "landlock", "off")


class Sandbox:
    """Runs jobs shut in, as many at once as there are places; never otherwise.

    launcher: None where no layer holds. reason: why none does, or those that were tried before it.
    """

    def __init__(
        self,
        launcher: Launcher | None,
        reason: str = "",
        *,
        places: int = 1,
        wait_seconds: float = _WAIT_SECONDS,
        measures: SandboxMeasures | None = None,
    ) -> None:
        self.launcher = launcher
        self.reason = reason
        self._places = asyncio.Semaphore(places)
        self._count = places
        self._wait_seconds = wait_seconds
        self._measures = measures or SandboxMeasures()

    @property
    def layer(self) -> Layer | None:
        """What shuts runs in; None where nothing does, and nothing is run."""
        return self.launcher.layer if self.launcher else None

    async def run(self, job: Job) -> Outcome:
        """Runs a job to its end. Whatever it left running is ended, whatever it wrote is removed.

        Raises FailedPreconditionError (TOOL_UNAVAILABLE) where no sandbox is possible, InvalidArgumentError
        (INPUTS_INVALID), ResourceExhaustedError (TOO_MANY_RUNS) when no place became free in time.
        Cancelled, it ends the run before it returns.
        """
        if self.launcher is None:
            self._unavailable(self.reason)
        program = check(job)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise ResourceExhaustedError(
                f"all {self._count} places of the sandbox were taken for {self._wait_seconds:g} s",
                reason="TOO_MANY_RUNS",
                metadata={"limit": str(self._count)},
            ) from None
        started = time.monotonic()
        end = FAILED
        try:
            outcome = await self.launcher.launch(job, program)
            end = outcome.end.value
            return outcome
        except LaunchError as error:
            # A launcher that was killed did not clear up.
            with contextlib.suppress(OSError):
                await asyncio.to_thread(folders.sweep, self.launcher.folder)
            self._unavailable(str(error))
        finally:
            self._places.release()
            self._measures.finished(end, time.monotonic() - started)

    @staticmethod
    def _unavailable(reason: str) -> NoReturn:
        raise FailedPreconditionError(
            f"code cannot be run here: {reason}",
            reason="TOOL_UNAVAILABLE",
            metadata={"tool": "sandbox", "cause": reason},
        )


async def open_sandbox(choice: str = "auto", places: int | None = None) -> Sandbox:
    """The sandbox of this machine, tried out: the first layer that holds.

    choice: auto, bubblewrap, landlock or off. places: runs at once; when None as many as cores, up to four.
    Never fails: where nothing holds, the sandbox refuses every job with the reason.
    """
    if choice not in CHOICES:
        raise ValueError(f"{choice!r} is none of {', '.join(CHOICES)}")
    if choice == "off":
        return Sandbox(None, "the sandbox is switched off (MELD_SANDBOX)")
    wanted = list(Layer) if choice == "auto" else [Layer(choice)]
    launcher, reason = await _first(wanted)
    if launcher is None:
        _log.warning("No sandbox: %s", reason)
        return Sandbox(None, reason)
    _log.info("Code is run shut in by %s", launcher.layer.value)
    return Sandbox(launcher, reason, places=places or min(len(os.sched_getaffinity(0)), _MOST_PLACES))


@asynccontextmanager
async def opening_sandbox(choice: str = "auto") -> AsyncIterator[OpeningSandbox]:
    """The sandbox of this machine, tried out beside the start of the service that has it."""
    opened = asyncio.create_task(open_sandbox(choice), name="open sandbox")
    try:
        yield OpeningSandbox(opened)
    finally:
        opened.cancel()
        await asyncio.gather(opened, return_exceptions=True)


class OpeningSandbox:
    """Runs jobs like Sandbox; the first ones wait until it was tried out."""

    def __init__(self, opened: asyncio.Task[Sandbox]) -> None:
        self._opened = opened

    async def run(self, job: Job) -> Outcome:
        """See Sandbox."""
        sandbox = await asyncio.shield(self._opened)
        return await sandbox.run(job)


async def _first(wanted: Sequence[Layer]) -> tuple[Launcher | None, str]:
    """The first launcher that holds, and why those before it do not."""
    try:
        folder = await asyncio.to_thread(folders.base)
        await asyncio.to_thread(folders.sweep, folder)
    except OSError as error:
        return None, f"there is no place for working folders: {error}"
    known = {*layers.environment(), *ADDED}
    reasons: list[str] = []
    for layer in wanted:
        bubblewrap = layers.find_bubblewrap()
        if layer is Layer.BUBBLEWRAP and not bubblewrap:
            reasons.append("bubblewrap: not installed")
            continue
        launcher = Launcher(layer, folder, bubblewrap)
        if why := await probe(launcher, known):
            reasons.append(f"{layer.value}: {why}")
            continue
        return launcher, "; ".join(reasons)
    return None, "; ".join(reasons)
