"""What the test generator made, and what it knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# Stands in every result, because it is easily forgotten.
NOTE = (
    "These are characterisation tests: they hold fast what the code was observed to do. "
    "They do not say that it is right."
)


@dataclass(frozen=True)
class Share:
    """How much of the code ran: shares of lines and branches, 0 to 1."""

    line: float
    branch: float


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test finds."""

    path: str
    line: int
    description: str


@dataclass(frozen=True)
class Intended:
    """A case that somebody expects.

    arguments, expected: Python expressions. raises: the name of an exception, or empty.
    """

    function: str
    arguments: tuple[str, ...]
    expected: str
    raises: str
    why: str


@dataclass(frozen=True)
class Disagreement:
    """An expectation that the code does not meet; one of the two is wrong."""

    case: Intended
    observed: str


@dataclass(frozen=True)
class Generated:
    """The outcome.

    files: the tests by path. passed: cases in them, all of which passed each time. dropped: cases that were
    written and left out because they failed or were not the same each time. mutants, killed: how many faults
    were planted and how many the tests find (with those that were there before); left: how many of them
    were not run. given: the paths of the tests that were there, where they pass. reason: why nothing was
    run; empty when it was.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    passed: int = 0
    dropped: int = 0
    before: Share | None = None
    after: Share | None = None
    mutants: int = 0
    killed: int = 0
    left: int = 0
    survivors: tuple[Survivor, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    notes: tuple[str, ...] = ()
    repetitions: int = 0
    reason: str = ""
    given: tuple[str, ...] = ()

    def mutation_score(self) -> float | None:
        """Share of the mutants that were run which the tests find; None when none was."""
        run = self.mutants - self.left
        return self.killed / run if run > 0 else None

    def to_json(self) -> dict[str, Any]:
        """As a plain object."""
        return {**asdict(self), "files": dict(self.files)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Generated:
        """From a plain object."""
        known = dict(data)
        for name in ("before", "after"):
            known[name] = Share(**data[name]) if data[name] is not None else None
        known["survivors"] = tuple(Survivor(**entry) for entry in data["survivors"])
        known["disagreements"] = tuple(
            Disagreement(
                Intended(**{**entry["case"], "arguments": tuple(entry["case"]["arguments"])}),
                entry["observed"],
            )
            for entry in data["disagreements"]
        )
        known["notes"], known["given"] = tuple(data["notes"]), tuple(data["given"])
        return cls(**known)
