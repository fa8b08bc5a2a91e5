"""Weighs options: a weighted sum of normalised scores, what is dominated, and what would change the outcome.

Simple additive weighting after min-max normalisation (Hwang and Yoon, 1981, Multiple Attribute Decision
Making); dominance as in Pareto. A missing score is not zero: it may be anything on the criterion's scale, so
an option with one has a lowest and a highest sum. An option is chosen only if its lowest sum is above the
highest of every other one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from services.agents.deciding.matrix import Better, Criterion, Matrix, amount

# Sums that differ by less are equal: what is left is rounding.
EQUAL = 1e-9


@dataclass(frozen=True)
class Used:
    """A criterion that was used. share: of all weights. worst, best: the scores that count 0 and 1."""

    criterion: Criterion
    share: float
    worst: float
    best: float

    def normalised(self, value: float) -> float:
        """0 for the worst score, 1 for the best; 1 where all are the same."""
        if self.best == self.worst:
            return 1.0
        return abs(value - self.worst) / abs(self.best - self.worst)


@dataclass(frozen=True)
class Weighed:
    """An option. counted: whether it has a sum, which one that is excluded has not. low, high: the sum if all
    that is missing were worst, and best. normalised: by criterion, where it is known.
    """

    option: str
    counted: bool = False
    low: float = 0.0
    high: float = 0.0
    normalised: dict[str, float] = field(default_factory=dict)
    dominated_by: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.counted and self.low == self.high


@dataclass(frozen=True)
class Flip:
    """With another share of one weight, the others in proportion, `option` does as well as the leader."""

    criterion: str
    share: float
    flip_share: float
    option: str


@dataclass(frozen=True)
class Weighing:
    """The outcome. options: the best first, then the excluded ones. decision: "" where the numbers do not
    decide. reason: why it is so."""

    options: tuple[Weighed, ...]
    used: tuple[Used, ...]
    decision: str
    reason: str
    ties: tuple[str, ...] = ()
    flips: tuple[Flip, ...] = ()
    assumptions: tuple[str, ...] = ()


def weigh(matrix: Matrix) -> Weighing:
    """The outcome of a decision as it was stated."""
    excluded = {option: tuple(_violations(matrix, option)) for option in matrix.options}
    eligible = [option for option in matrix.options if not excluded[option]]
    used = _used(matrix, eligible)
    weighed = [_weighed(matrix, option, used) for option in eligible] if used else []
    weighed = [_with_dominance(item, weighed, used) for item in weighed]
    weighed.sort(key=lambda item: (-_middle(item), matrix.options.index(item.option)))
    rest = [Weighed(option, excluded=excluded[option]) for option in matrix.options if excluded[option]]
    if not used:
        rest = [Weighed(option, excluded=excluded[option]) for option in matrix.options]
    decision, reason, ties = _decide(matrix, eligible, weighed, used)
    return Weighing(
        (*weighed, *rest),
        tuple(used),
        decision,
        reason,
        ties,
        tuple(_flips(weighed, used)),
        tuple(_assumptions(matrix, weighed, used)),
    )


def _violations(matrix: Matrix, option: str) -> Iterator[str]:
    for criterion in matrix.criteria:
        if not criterion.limited:
            continue
        value, limits = matrix.values.get((option, criterion.name)), criterion.limits_in_words()
        if value is None:
            yield f"{criterion.name} is missing, and has to be {limits}"
        elif not criterion.holds(value):
            yield f"{criterion.name} is {amount(value, criterion.unit)}, and has to be {limits}"


def _used(matrix: Matrix, eligible: Sequence[str]) -> list[Used]:
    """The criteria that can tell options apart: with a direction, a weight and a score."""
    usable = []
    for criterion in matrix.criteria:
        if criterion.better is None or (matrix.weighted and not criterion.weight):
            continue
        given = [matrix.values[o, criterion.name] for o in eligible if (o, criterion.name) in matrix.values]
        ends = criterion.scale or ((min(given), max(given)) if given else None)
        if ends is not None and given:
            usable.append((criterion, ends))
    total = sum(criterion.weight for criterion, _ in usable) if matrix.weighted else len(usable)
    found = []
    for criterion, (low, high) in usable:
        worst, best = (low, high) if criterion.better is Better.HIGHER else (high, low)
        found.append(Used(criterion, (criterion.weight if matrix.weighted else 1.0) / total, worst, best))
    return found


def _weighed(matrix: Matrix, option: str, used: Sequence[Used]) -> Weighed:
    normalised = {
        item.criterion.name: item.normalised(matrix.values[option, item.criterion.name])
        for item in used
        if (option, item.criterion.name) in matrix.values
    }
    low = sum(item.share * normalised.get(item.criterion.name, 0.0) for item in used)
    high = sum(item.share * normalised.get(item.criterion.name, 1.0) for item in used)
    return Weighed(option, True, low, low if len(normalised) == len(used) else high, normalised)


def _with_dominance(item: Weighed, others: Sequence[Weighed], used: Sequence[Used]) -> Weighed:
    by = tuple(other.option for other in others if other is not item and _dominates(other, item, used))
    return dataclasses.replace(item, dominated_by=by)


def _dominates(one: Weighed, other: Weighed, used: Sequence[Used]) -> bool:
    """As good by each criterion and better by one. Where a score is missing nobody knows."""
    names = [item.criterion.name for item in used]
    if not (one.normalised.keys() & other.normalised.keys()) >= set(names):
        return False
    gaps = [one.normalised[name] - other.normalised[name] for name in names]
    return min(gaps) >= 0 and max(gaps) > EQUAL


def _middle(item: Weighed) -> float:
    return (item.low + item.high) / 2


def _decide(
    matrix: Matrix, eligible: Sequence[str], weighed: Sequence[Weighed], used: Sequence[Used]
) -> tuple[str, str, tuple[str, ...]]:
    """The decision, its reason and the options that are tied."""
    if len(matrix.options) < 2:
        return "", "There are no options to choose between: give at least two.", ()
    if not eligible:
        return "", "No option is shown to hold what it has to.", ()
    if len(eligible) == 1:
        return eligible[0], "It is the only option that is shown to hold what it has to.", ()
    unclear = [criterion.name for criterion in matrix.criteria if _unclear(matrix, criterion)]
    if not used and not unclear:
        return "", "No scores were given, and no number is made of what the documents say.", ()
    if unclear:
        return "", f"It was not said whether higher or lower is better for {', '.join(unclear)}.", ()
    untold = [
        c.name
        for c in matrix.criteria
        if c.weight and all((o, c.name) not in matrix.values for o in eligible)
    ]
    if untold:
        return "", f"No option has a score for {', '.join(untold)}, which is to count.", ()
    best, *others = weighed
    tied = [item.option for item in others if item.complete and abs(_middle(item) - best.low) <= EQUAL]
    if best.complete and tied:
        return "", f"{', '.join([best.option, *tied])} have the same weighted sum.", (best.option, *tied)
    if all(best.option in item.dominated_by for item in others):
        return best.option, "It is at least as good as every other option by each criterion.", ()
    if not matrix.weighted:
        leads = f"{best.option} would lead" if best.complete else "nothing would be certain"
        return "", f"No weights were given; if all criteria counted alike, {leads}.", ()
    close = [item for item in others if item.high >= best.low - EQUAL]
    if close:
        return "", _open(best, close, used), tuple(item.option for item in (best, *close))
    second = max(others, key=lambda item: item.high)
    return (
        best.option,
        f"Its weighted sum is {best.low:.3f}{'' if best.complete else ' at least'}; that of the next, "
        f"{second.option}, is {second.high:.3f}{'' if second.complete else ' at most'}.",
        (),
    )


def _unclear(matrix: Matrix, criterion: Criterion) -> bool:
    """Whether it would count, if one knew which scores are better."""
    counts = criterion.weight > 0 or not matrix.weighted
    values = {v for (_, name), v in matrix.values.items() if name == criterion.name}
    # One by which all are the same decides nothing anyway.
    return criterion.better is None and counts and len(values) > 1


def _open(best: Weighed, close: Sequence[Weighed], used: Sequence[Used]) -> str:
    missing = [
        f"{used_.criterion.name} of {item.option}"
        for item in (best, *close)
        for used_ in used
        if used_.criterion.name not in item.normalised
    ]
    names = ", ".join(item.option for item in close)
    return f"{best.option} would lead, but what is missing could put {names} ahead: {', '.join(missing)}."


def _flips(weighed: Sequence[Weighed], used: Sequence[Used]) -> list[Flip]:
    """For each criterion the nearest smaller and larger share at which another option is level.

    With the share w of a criterion and the rest in proportion the lead is w*d + (1-w)*r, where d is the
    lead by the criterion and r that by the rest: it is gone at w = r / (r - d). Missing scores count worst
    for the first and best for the others.
    """
    if len(weighed) < 2 or len(used) < 2:
        return []
    best, *others = weighed
    found: list[Flip] = []
    for item in used:
        name, rest = item.criterion.name, 1 - item.share
        if rest <= EQUAL:
            continue
        nearest: dict[bool, Flip] = {}
        for other in others:
            by_it = best.normalised.get(name, 0.0) - other.normalised.get(name, 1.0)
            lead = best.low - other.high
            by_rest = (lead - item.share * by_it) / rest
            if lead <= EQUAL or abs(by_rest - by_it) <= EQUAL:
                continue
            share = by_rest / (by_rest - by_it)
            if not EQUAL < share < 1 - EQUAL:
                continue
            flip = Flip(name, item.share, share, other.option)
            known = nearest.get(share > item.share)
            if known is None or abs(flip.flip_share - item.share) < abs(known.flip_share - item.share):
                nearest[share > item.share] = flip
        found += nearest.values()
    return sorted(found, key=lambda flip: abs(flip.flip_share - flip.share))


def _assumptions(matrix: Matrix, weighed: Sequence[Weighed], used: Sequence[Used]) -> Iterator[str]:
    for item in used:
        if item.criterion.assumed and item.criterion.better:
            word = item.criterion.better.value.capitalize()
            yield f"{word} is better for {item.criterion.name}, by its name."
    by_options = [item.criterion.name for item in used if item.criterion.scale is None]
    if by_options:
        yield f"Of {', '.join(by_options)} the options' own lowest and highest scores are the scale."
    if used and not matrix.weighted and len(used) > 1:
        yield "All criteria count alike: no weights were given."
    if not all(item.complete for item in weighed):
        yield "A missing score may be anything between the worst and the best one of its criterion."
