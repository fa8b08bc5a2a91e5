"""Vectors in the plane."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Vector:
    """A direction with a length."""

    x: float
    y: float = 0.0

    def __add__(self, other: Vector) -> Vector:
        return Vector(self.x + other.x, self.y + other.y)

    def __mul__(self, factor: float) -> Vector:
        return Vector(self.x * factor, self.y * factor)

    def length(self) -> float:
        return math.hypot(self.x, self.y)

    def quadrant(self) -> int:
        if self.x == 0 or self.y == 0:
            return 0
        if self.x > 0:
            return 1 if self.y > 0 else 4
        return 2 if self.y > 0 else 3

    @classmethod
    def from_text(cls, text: str) -> Vector:
        """From "1, 2"."""
        parts = text.split(",")
        if len(parts) != 2:
            raise ValueError(f"not a vector: {text!r}")
        return cls(float(parts[0]), float(parts[1]))
