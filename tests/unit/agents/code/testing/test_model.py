"""The outcome goes through a record and comes back."""

from __future__ import annotations

import json

from services.agents.code.testing.model import Disagreement, Generated, Intended, Share, Survivor


def test_the_outcome_survives_a_record() -> None:
    made = Generated(
        files={"test_a.py": "x"},
        passed=3,
        before=Share(0.5, 0.25),
        after=Share(1.0, 1.0),
        mutants=10,
        killed=6,
        left=2,
        survivors=(Survivor("a.py", 3, "`a` becomes `b`"),),
        disagreements=(Disagreement(Intended("f", ("1",), "2", "", "why"), "3"),),
        notes=("a note",),
        given=("tests/test_a.py",),
    )

    assert Generated.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_the_score_is_of_the_mutants_that_were_run() -> None:
    assert Generated(mutants=10, killed=6, left=2).mutation_score() == 0.75
    assert Generated(mutants=10, left=10).mutation_score() is None
