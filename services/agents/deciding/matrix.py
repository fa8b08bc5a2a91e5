"""A decision as it is stated: options, criteria, scores. Nothing is added to what was given."""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from meldrag.agents.v1 import results_pb2
from services.chassis.errors import InvalidArgumentError

MAX_OPTIONS = 20
MAX_CRITERIA = 20
_MAX_NAME = 200

# Names that say by themselves which scores are better.
_LOWER = re.compile(
    r"\b(costs?|prices?|fees?|expenses?|risks?|delays?|latency|effort|emissions?|errors?|defects?|downtime"
    r"|failures?|noise|waste|debts?|losses|complexity|complaints|lead times?|response times?)\b",
    re.IGNORECASE,
)
_HIGHER = re.compile(
    r"\b(quality|benefits?|revenues?|profits?|margins?|returns?|savings|safety|reliability|satisfaction"
    r"|performance|capacity|coverage|durability|comfort|accuracy|availability|security|fit|usability|ratings?"
    r"|scores?)\b",
    re.IGNORECASE,
)


class Better(enum.Enum):
    """Which scores are better."""

    HIGHER = "higher"
    LOWER = "lower"


_DIRECTIONS = {
    results_pb2.DIRECTION_HIGHER: Better.HIGHER,
    results_pb2.DIRECTION_LOWER: Better.LOWER,
}


@dataclass(frozen=True)
class Criterion:
    """Something that counts. scale: the lowest and the highest score that there can be, when both are said.
    at_least, at_most: what an option must hold. assumed: the direction was told from the name.
    """

    name: str
    weight: float = 0.0
    unit: str = ""
    better: Better | None = None
    scale: tuple[float, float] | None = None
    at_least: float | None = None
    at_most: float | None = None
    assumed: bool = False

    def holds(self, value: float) -> bool:
        """Whether a score is within what is allowed."""
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )

    @property
    def limited(self) -> bool:
        """Whether an option must hold something here."""
        return self.at_least is not None or self.at_most is not None

    def limits_in_words(self) -> str:
        """What is allowed, with the unit."""
        words = []
        if self.at_least is not None:
            words.append(f"at least {amount(self.at_least, self.unit)}")
        if self.at_most is not None:
            words.append(f"at most {amount(self.at_most, self.unit)}")
        return " and ".join(words)


def amount(value: float, unit: str) -> str:
    """A score for people."""
    return f"{value:.10g} {unit}".rstrip()


@dataclass(frozen=True)
class Matrix:
    """values: by option and criterion; what is not there is missing."""

    options: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    values: Mapping[tuple[str, str], float]

    @property
    def weighted(self) -> bool:
        """Whether somebody said how much the criteria count."""
        return any(criterion.weight for criterion in self.criteria)


# What a criterion has that nothing was said of.
_UNSET: Mapping[str, object] = {"weight": 0.0, "unit": ""}


@dataclass
class Stated:
    """Collects what was said, from wherever it was said; the first word on something counts, another one that
    contradicts it is an error.
    """

    options: dict[str, str] = field(default_factory=dict)
    criteria: dict[str, Criterion] = field(default_factory=dict)
    values: dict[tuple[str, str], float] = field(default_factory=dict)

    def option(self, name: str, path: str) -> str:
        """The option under the name by which it is known. Raises InvalidArgumentError."""
        return self.options.setdefault(_key(name, path), " ".join(name.split()))

    def criterion(self, name: str, path: str, **said: object) -> str:
        """The criterion likewise, with what is said of it."""
        known = self.criteria.setdefault(_key(name, path), Criterion(" ".join(name.split())))
        for what, value in said.items():
            unset, before = _UNSET.get(what), getattr(known, what)
            if value == unset:
                continue
            if before not in (unset, value):
                raise invalid(path, f"{known.name!r} has two values for {what}: {before} and {value}")
            known = dataclasses.replace(known, **{what: value})  # type: ignore[arg-type] # by its name
        self.criteria[_key(name, path)] = known
        return known.name

    def score(self, option: str, criterion: str, value: float, path: str) -> None:
        """A score. Raises InvalidArgumentError for a second, different one."""
        if not math.isfinite(value):
            raise invalid(path, "a score is a finite number")
        place = (self.option(option, path), self.criterion(criterion, path))
        if self.values.setdefault(place, value) != value:
            raise invalid(
                path, f"{place[0]!r} has two scores for {place[1]!r}: {self.values[place]:g}, {value:g}"
            )

    def matrix(self) -> Matrix:
        """All of it. Raises InvalidArgumentError where it is too much or impossible."""
        if len(self.options) > MAX_OPTIONS:
            raise invalid("$.options", f"more than {MAX_OPTIONS} options")
        if len(self.criteria) > MAX_CRITERIA:
            raise invalid("$.criteria", f"more than {MAX_CRITERIA} criteria")
        criteria = tuple(_directed(criterion) for criterion in self.criteria.values())
        for criterion in criteria:
            self._check(criterion)
        return Matrix(tuple(self.options.values()), criteria, dict(self.values))

    def _check(self, criterion: Criterion) -> None:
        path = "$.criteria"
        if not math.isfinite(criterion.weight) or criterion.weight < 0:
            raise invalid(path, f"the weight of {criterion.name!r} is a number of at least 0")
        limits = (criterion.at_least, criterion.at_most)
        if any(limit is not None and not math.isfinite(limit) for limit in limits):
            raise invalid("$.constraints", f"a limit of {criterion.name!r} is no finite number")
        if criterion.scale is None:
            return
        low, high = criterion.scale
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise invalid(path, f"the scale of {criterion.name!r} goes from a lower to a higher number")
        for option in self.options.values():
            value = self.values.get((option, criterion.name))
            if value is not None and not low <= value <= high:
                raise invalid(
                    path,
                    f"{option!r} has {value:g} for {criterion.name!r}, outside its scale {low:g} to {high:g}",
                )


def state(inputs: results_pb2.CeoInputs) -> Stated:
    """What the structured inputs say. Raises InvalidArgumentError (INPUTS_INVALID) that names the path."""
    stated = Stated()
    for position, option in enumerate(inputs.options):
        stated.option(option, f"$.options[{position}]")
    for position, given in enumerate(inputs.criteria):
        path = f"$.criteria[{position}]"
        ends = [given.HasField("scale_low"), given.HasField("scale_high")]
        if any(ends) and not all(ends):
            raise invalid(path, "a scale has a lowest and a highest score")
        stated.criterion(
            given.name,
            path,
            weight=given.weight,
            unit=given.unit[:_MAX_NAME],
            better=_DIRECTIONS.get(given.direction),
            scale=(given.scale_low, given.scale_high) if all(ends) else None,
        )
    for position, limit in enumerate(inputs.constraints):
        stated.criterion(
            limit.criterion,
            f"$.constraints[{position}]",
            at_least=limit.at_least if limit.HasField("at_least") else None,
            at_most=limit.at_most if limit.HasField("at_most") else None,
        )
    for position, score in enumerate(inputs.scores):
        stated.score(score.option, score.criterion, score.value, f"$.scores[{position}]")
    return stated


def _directed(criterion: Criterion) -> Criterion:
    """The criterion with the direction that its name tells, where it tells one and none was said."""
    lower, higher = bool(_LOWER.search(criterion.name)), bool(_HIGHER.search(criterion.name))
    if criterion.better is not None or lower == higher:
        return criterion
    return dataclasses.replace(criterion, better=Better.LOWER if lower else Better.HIGHER, assumed=True)


def _key(name: str, path: str) -> str:
    key = " ".join(name.split()).casefold()
    if not key or len(key) > _MAX_NAME:
        raise invalid(path, f"a name has 1 to {_MAX_NAME} characters")
    return key


def invalid(path: str, cause: str) -> InvalidArgumentError:
    """The inputs do not say what they should."""
    return InvalidArgumentError(
        f"the inputs do not fit the agent ceo: {path}: {cause}",
        reason="INPUTS_INVALID",
        metadata={"agent_id": "ceo", "path": path, "cause": cause},
    )
