"""Why a command ends without what was asked for, and the exit code that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

OK = 0
REFUSED = 1
USAGE = 2
UNREACHABLE = 3
INTERRUPTED = 130


class Failure(Exception):  # noqa: N818 - not every end of a command is an error of somebody
    """Ends a command. `problem` is what a program gets to read, in the form of the gateway's problems."""

    exit_code: ClassVar[int] = REFUSED

    def __init__(self, reason: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.problem: dict[str, Any] = {"reason": reason, "detail": detail, **more}

    @property
    def reason(self) -> str:
        """SCREAMING_SNAKE, for programs."""
        return str(self.problem["reason"])

    @property
    def detail(self) -> str:
        """For people."""
        return str(self.problem["detail"])


class RefusedFailure(Failure):
    """The house answered, and the answer is no."""

    exit_code = REFUSED

    @classmethod
    def of(cls, problem: Mapping[str, Any]) -> RefusedFailure:
        """From a problem document of the gateway."""
        rest = {name: value for name, value in problem.items() if name not in ("reason", "detail")}
        title = str(problem.get("title") or "refused")
        return cls(str(problem.get("reason") or "REFUSED"), str(problem.get("detail") or title), **rest)

    @property
    def retry_after(self) -> float | None:
        """Seconds after which a new try makes sense; None when none was named."""
        value = self.problem.get("retry_after")
        return float(value) if isinstance(value, int | float) else None


class UsageFailure(Failure):
    """The command makes no sense as it was given."""

    exit_code = USAGE


class UnreachableFailure(Failure):
    """No house answers at the address."""

    exit_code = UNREACHABLE
