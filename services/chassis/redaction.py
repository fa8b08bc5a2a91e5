"""The one place that keeps secrets out of logs and traces."""

from __future__ import annotations

import re
from typing import Any

_HIDDEN = "[redacted]"
_MIN_LENGTH = 6  # shorter values would blot out ordinary words

# Forms in which a secret that nobody registered still shows itself.
_FORMS = re.compile(
    r"(?i)(\bbearer\s+|\bbasic\s+|(?:api[_-]?key|token|password|secret)[\"']?\s*[=:]\s*[\"']?)"
    r"([^\s\"'&,;@]{6,})"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|\bsk-[A-Za-z0-9_-]{8,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
)


class _KnownSecrets:
    """The registered secrets, as one pattern that tries longer ones first."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        self._secrets.add(secret)
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def hide(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)


_known = _KnownSecrets()  # of the process, as its log is


def register(secret: str) -> None:
    """Hides `secret` from now on wherever this process writes. Values under 6 characters are not hidden."""
    if len(secret) >= _MIN_LENGTH:
        _known.add(secret)


def redact(text: str) -> str:
    """`text` without the registered secrets and without what looks like one."""
    return _FORMS.sub(lambda match: f"{match.group(1) or ''}{_HIDDEN}", _known.hide(text))


def redact_value(value: Any) -> Any:
    """`value` with every string in it redacted; containers are copied."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): redact_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(item) for item in value]
    return value
