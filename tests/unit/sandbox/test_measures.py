"""Runs are counted by the way they ended."""

from __future__ import annotations

from services.sandbox.measures import SandboxMeasures
from services.sandbox.model import Job, Limits
from services.sandbox.sandbox import Sandbox
from tests.support.measured import Measured
from tests.unit.sandbox.rooms import launcher


async def test_runs_are_counted_by_their_end() -> None:
    measured = Measured()
    box = Sandbox(launcher("landlock"), measures=SandboxMeasures(measured.meter))

    await box.run(Job(argv=("python", "-c", "")))
    await box.run(Job(argv=("python", "-c", "import time; time.sleep(9)"), limits=Limits(seconds=0.3)))

    counted = measured.values("meldrag.sandbox.finished")
    assert counted.pop("exited") == counted.pop("time") == 1
    assert set(counted.values()) == {0}
    assert measured.values("meldrag.sandbox.time")["time"] >= 0.3
