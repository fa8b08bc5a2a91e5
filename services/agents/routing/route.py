"""The outcome of routing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Alternative:
    """A next best agent; confidence 0 to 1."""

    agent_id: str
    confidence: float


@dataclass(frozen=True)
class Route:
    """The agent that fits, how sure that is (0 to 1), why, and the next best.

    asks: how sure it is that a request asks what documents say, where there are some; 0 to 1.
    """

    agent_id: str
    confidence: float
    reasons: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    asks: float = 0.0
