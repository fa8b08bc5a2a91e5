"""Tries at start whether a layer holds on this machine: a small escape check that really runs."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from services.sandbox.launching import Launcher, LaunchError
from services.sandbox.layers import python
from services.sandbox.model import End, Job, Limits

_CANARY = b"not for the room"
_LIMITS = Limits(seconds=10.0, processes=4, memory_bytes=256 << 20, disk_bytes=4 << 20, file_bytes=1 << 20)
# Prints which of its attempts came through.
_ATTEMPTS = """
import ctypes, json, os, socket, sys, time
from os import environ
canary, folder = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
through = []

def attempt(name, action):
    try:
        if action() is not False:
            through.append(name)
    except OSError:
        pass

def processes():
    children = []
    try:
        for _ in range(8):
            child = os.fork()
            if child == 0:
                time.sleep(5)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    for child in children:
        os.kill(child, 9)
    return len(children) > 3

attempt("read a file of the host", lambda: open(canary).read())
attempt("write beside it", lambda: open(folder + "/written", "w"))
attempt("list its folder", lambda: os.listdir(folder))
attempt("open a network socket", lambda: socket.socket(socket.AF_INET))
attempt("open a local socket", lambda: socket.socket(socket.AF_UNIX))
attempt("make a user namespace", lambda: libc.unshare(0x10000000) == 0)
attempt("trace a process", lambda: libc.ptrace(0, 0, 0, 0) == 0)
attempt("see a process outside", lambda: os.listdir("/proc"))
attempt("signal the supervisor", lambda: os.kill(os.getppid(), 0))
attempt("start more processes than allowed", processes)
print(json.dumps({"through": through, "environment": sorted(environ)}))
"""


async def probe(launcher: Launcher, known: set[str]) -> str:
    """Why the layer does not hold; empty when it does. known: the variables that a run may see."""
    with tempfile.TemporaryDirectory(prefix="meld-canary-") as folder:
        canary = Path(folder) / "canary"
        canary.write_bytes(_CANARY)
        job = Job(argv=("python", "-I", "-c", _ATTEMPTS, str(canary), folder), limits=_LIMITS)
        try:
            outcome = await launcher.launch(job, python())
        except LaunchError as error:
            return str(error)
        if outcome.end is not End.EXITED or outcome.exit_code != 0:
            said = outcome.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            return f"the check {outcome.detail}: {said}"
        report = json.loads(outcome.stdout)
        if (Path(folder) / "written").exists() and "write beside it" not in report["through"]:
            report["through"].append("write beside it")
    if report["through"]:
        return "code inside could " + ", ".join(report["through"])
    if unknown := set(report["environment"]) - known:
        return "code inside saw the variables " + ", ".join(sorted(unknown))
    return ""
