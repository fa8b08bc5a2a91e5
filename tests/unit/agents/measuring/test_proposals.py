"""Proposals are believed when they were measured."""

from __future__ import annotations

import pytest

from services.agents.measuring.profile import Subject
from services.agents.measuring.proposals import Change, Judgement, judge
from tests.support.plain_sandbox import PlainSandbox

SLOW = """
def unique(items: list[int]) -> list[int]:
    kept = []
    for item in items:
        if item not in kept:
            kept.append(item)
    return kept
"""
FAST = "def unique(items: list[int]) -> list[int]:\n    return list(dict.fromkeys(items))\n"
WRONG = "def unique(items: list[int]) -> list[int]:\n    return items[:1]\n"
SLOWER = SLOW.replace(
    "    kept = []\n", "    kept = []\n    for item in items:\n        kept.count(item) or sorted(items)\n"
)
BROKEN = "def unique(items: list[int]) -> list[int]:\n    return undefined\n"


async def judged(*changes: Change, text: str = SLOW) -> list[Judgement]:
    subject = Subject({"app.py": text}, entry="app.py:unique")
    return await judge(PlainSandbox(), subject, 400, changes)


def change(text: str) -> Change:
    return Change("a change", {"app.py": text})


async def test_each_proposal_gets_the_verdict_that_was_measured() -> None:
    fast, wrong, slower, broken, idea, strange, same = await judged(
        change(FAST),
        change(WRONG),
        change(SLOWER),
        change(BROKEN),
        Change("buy a machine", {}),
        Change("another file", {"other.py": "x = 1"}),
        change(SLOW),
    )
    assert fast.verdict == "VERIFIED"
    assert fast.reason == ""
    assert fast.before is not None
    assert fast.after is not None
    assert fast.corrected is not None
    assert fast.after < fast.before
    assert fast.corrected <= 0.05
    assert (wrong.verdict, wrong.reason) == ("FAILED", "It computes something else.")
    assert (slower.verdict, slower.reason) == ("FAILED", "It is slower.")
    assert broken.verdict == "FAILED"
    assert "NameError" in broken.reason
    assert [(j.verdict, j.reason.split(",")[0]) for j in (idea, strange, same)] == [
        ("NOT_RUN", "It is no change of the code"),
        ("NOT_RUN", "It changes 'other.py'"),
        ("NOT_RUN", "It changes nothing."),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import os\n" + SLOW.replace("return kept", "return os.getpid()"), "cannot be shown"),
        ("def unique(items: list[int]):\n    return object()\n", "cannot be shown"),
        ("def unique(items: list[int]):\n    return 1 / 0\n", "ZeroDivisionError"),
    ],
)
async def test_where_equality_cannot_be_shown_nothing_is_verified(text: str, told: str) -> None:
    (only,) = await judged(change(text + "\n# other\n"), text=text)
    assert only.verdict == "NOT_RUN"
    assert told in only.reason
