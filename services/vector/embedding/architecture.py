"""What a local model's tensors alone do not tell. Apart, because what builds graphs takes long to load."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Pooling(StrEnum):
    """How the vectors of a text's tokens become one."""

    MEAN = "mean"
    FIRST = "first"


@dataclass(frozen=True)
class Architecture:
    """What the tensors alone do not tell.

    epsilon: of the layers' norms. prefix: before the name of every tensor. first_position: row of the table
    of positions that the first token has.
    """

    name: str
    width: int
    layers: int
    heads: int
    epsilon: float
    pooling: Pooling
    prefix: str = ""
    first_position: int = 0
