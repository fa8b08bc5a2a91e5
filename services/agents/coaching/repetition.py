"""When to repeat what was learnt: the algorithm SM-2.

P. A. Woźniak, Optimization of learning, 1990, chapter 3.2. Intervals are 1 day, 6 days, then each the one
before times the ease, which begins at 2.5, rises and falls with the grades, and is never below 1.3. After a
grade below 3 the intervals begin anew and the ease stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PASSING = 3
BEST = 5
_FIRST_DAYS = 1
_SECOND_DAYS = 6
_FIRST_EASE = 2.5
_LEAST_EASE = 1.3


@dataclass(frozen=True)
class Memory:
    """How well something is known. repetitions: passed in a row. interval: days until the next one."""

    repetitions: int = 0
    interval: int = 0
    ease: float = _FIRST_EASE

    def after(self, grade: int) -> Memory:
        """The memory after an answer. grade: 0 (nothing) to 5 (at once and right)."""
        if grade < PASSING:
            return Memory(0, _FIRST_DAYS, self.ease)
        lapse = BEST - grade
        ease = round(max(_LEAST_EASE, self.ease + 0.1 - lapse * (0.08 + lapse * 0.02)), 4)
        match self.repetitions:
            case 0:
                days = _FIRST_DAYS
            case 1:
                days = _SECOND_DAYS
            case _:
                # Fractions of a day are rounded up; what is left of the product's rounding is none.
                days = math.ceil(round(self.interval * ease, 6))
        return Memory(self.repetitions + 1, days, ease)


def days_of(repetitions: int) -> list[int]:
    """Days from the first time to each repetition, if each is just as easy as the first (grade 4)."""
    memory, day, days = Memory(), 0, []
    for _ in range(repetitions):
        memory = memory.after(BEST - 1)
        day += memory.interval
        days.append(day)
    return days
