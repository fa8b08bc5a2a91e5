"""What is measured of runs."""

from __future__ import annotations

from services.agents.measures import RunMeasures
from tests.support.measured import Measured


def test_runs_at_work_by_agent_and_those_that_ended() -> None:
    measured = Measured()
    measures = RunMeasures(measured.meter)
    at_work = ["research", "auto", "research"]
    measures.watch(lambda: at_work)
    assert measured.values("meldrag.runs.active") == {"research": 2, "auto": 1}
    at_work.clear()
    assert measured.values("meldrag.runs.active") == {}
    measures.finished("research", "succeeded", "extractive", 1.5)
    measures.finished("research", "failed", "none", 0.5)
    assert measured.values("meldrag.runs.finished") == {
        "research extractive succeeded": 1,
        "research none failed": 1,
    }
    # It stays known, so that its line does not end.
    assert measured.values("meldrag.runs.active") == {"research": 0}
    assert measured.values("meldrag.run.duration") == {"research succeeded": 1, "research failed": 1}
