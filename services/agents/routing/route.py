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
    """The agent that fits, how sure that is (0 to 1), why, and the next best."""

    agent_id: str
    confidence: float
    reasons: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
