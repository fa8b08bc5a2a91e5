"""The layers that this machine allows, and what is left of a run."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import psutil
import pytest

from services.sandbox import folders, layers
from services.sandbox.launching import NEWEST, Launcher
from services.sandbox.layers import Layer
from services.sandbox.room import landlock
from services.sandbox.sandbox import Sandbox

# Both layers, each also as an older kernel would have it: without Landlock, with the first version of it.
LAYERS = {
    "bubblewrap": (Layer.BUBBLEWRAP, NEWEST),
    "bubblewrap-without-landlock": (Layer.BUBBLEWRAP, 0),
    "landlock": (Layer.LANDLOCK, NEWEST),
    "landlock-1": (Layer.LANDLOCK, 1),
}


def launcher(name: str, folder: Path | None = None) -> Launcher:
    """Of that layer; skips the test where it cannot be had. folder: of its rooms, else the usual one."""
    layer, abi = LAYERS[name]
    if layer is Layer.BUBBLEWRAP and not shutil.which("bwrap"):
        if os.environ.get("MELD_REQUIRE_BWRAP") == "1":
            pytest.fail("bubblewrap is required and not installed")
        pytest.skip("bubblewrap is not installed")
    if layer is Layer.LANDLOCK and not landlock.version():
        pytest.skip("the kernel has no Landlock")
    return Launcher(layer, folder or folders.base(), layers.find_bubblewrap(), abi)


def sandbox(name: str, folder: Path | None = None, places: int = 2) -> Sandbox:
    """Unlike open_sandbox, of exactly that layer."""
    return Sandbox(launcher(name, folder), places=places)


def alive(mark: str) -> list[list[str]]:
    """Commands of living processes that have the mark among their arguments, this one aside."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if process.status() != psutil.STATUS_ZOMBIE and any(mark in part for part in command):
                found.append(command)
        except psutil.Error:
            continue
    return found


def wait_until_gone(mark: str, seconds: float = 20.0) -> list[list[str]]:
    """What is still alive after that time at most."""
    until = time.monotonic() + seconds
    while (left := alive(mark)) and time.monotonic() < until:
        time.sleep(0.05)
    return left
