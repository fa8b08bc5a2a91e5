"""Runs test files against mutants with pytest, inside the sandbox, each in a fork of a warm process.

Reads .meld/request.json: {"layout", "tests" (paths), "mutants", "seconds"}; writes .meld/result.json:
{"killed": [ids], "survived": [ids], "left": [ids]} where `left` are those that time did not suffice for.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import resource
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from . import generate_gate as gate
from . import generate_targets as targets
from .generate_sessions import in_child

HOME = ".meld"
_WARM = """
from hypothesis import given, settings
from hypothesis import strategies as st

@settings(max_examples=5, database=None, deadline=None)
@given(values=st.lists(st.integers() | st.text()))
def test_warm(values):
    assert isinstance(values, list)
"""


def main() -> None:
    """Runs all mutants and writes what became of them."""
    data = json.loads(Path(HOME, "request.json").read_text("utf-8"))
    layout = targets.Layout.from_json(data["layout"])
    end = time.monotonic() + float(data["seconds"])
    sources = {path: Path(path).read_text("utf-8") for path in layout.modules.values()}

    def code(mutant: Mapping[str, Any] | None) -> int:
        replaced = None
        if mutant is not None:
            content = sources[mutant["path"]].encode("utf-8")
            new = mutant["replacement"].encode("utf-8")
            replaced = {
                mutant["path"]: (content[: mutant["start"]] + new + content[mutant["end"] :]).decode("utf-8")
            }
        targets.prepare(layout, replaced)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return int(
                pytest.main(
                    [*gate.options(), "-x", "--assert=plain", "--no-header", "--tb=no", *data["tests"]]
                )
            )

    _warm(pytest.main)
    clean = in_child(lambda: code(None), 60.0)
    usual = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    killed: list[int] = []
    survived: list[int] = []
    left: list[int] = []
    for mutant in data["mutants"] if clean == 0 else []:
        if time.monotonic() > end:
            left.append(mutant["id"])
            continue
        ended = in_child(lambda m=mutant: _bounded(code, m, 1.0 + 4 * usual), 30.0)
        (survived if ended == 0 else killed).append(mutant["id"])
    report = {"clean": clean, "killed": killed, "survived": survived, "left": left}
    Path(HOME, "result.json").write_text(json.dumps(report), "utf-8")


def _bounded(code: Callable[[Any], int], mutant: Any, seconds: float) -> int:
    """Ends this process when it uses more of the processor's time: the mutant does not end."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    return code(mutant)


def _warm(run: Callable[[list[str]], object]) -> None:
    """Has pytest and hypothesis load all that they load late, so that no fork has to."""
    path = Path(HOME, "test_warm.py")
    path.write_text(_WARM, "utf-8")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run([*gate.options(), "--assert=plain", str(path)])
    gc.collect()
    gc.freeze()
