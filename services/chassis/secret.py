"""Secrets: where they may come from besides the environment, and which are none at all.

Light: the launcher loads it before its first word. Nothing here puts a value into a message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# The words that examples, guides and defaults are made of.
_WORDS = (
    "administrator|admin|anthropic|api|app|changeit|changeme|change|cohere|default|demo|development|dev|"
    "example|flask|foobared|for|google|here|insert|in|it|jwt|keys|key|letmein|local|me|meld|my|not|openai|password|"
    "passwd|pass|production|prod|qwerty|rag|redis|replace|root|sample|secrets|secret|signing|super|temp|test|"
    "the|this|token|to|value|very|with|your"
)
_KNOWN_WORD = re.compile(_WORDS)
_PLACEHOLDER = re.compile(r"your[ _-].*|<.*>|\$?\{.*\}|(change|replace|insert)[ _-]?(me|this|it|with|your).*")


class SecretFileError(Exception):
    """The file of a secret is there and cannot be used. The message says why, without the content."""


@dataclass(frozen=True)
class NeededSecret:
    """What a process that others can reach must be given: one of `fields`, of `min_length` characters."""

    fields: tuple[str, ...]
    min_length: int


def from_file(folder: Path, name: str) -> str | None:
    """The secret in the file `name` of `folder`, without the line end after it; None where there is no file.

    Raises SecretFileError.
    """
    try:
        text = (folder / name).read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretFileError(f"its file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SecretFileError("its file is not UTF-8") from None
    return text.rstrip("\r\n")


def is_placeholder(value: str) -> bool:
    """Whether an example's text stands where a secret should, as in "your_api_key_here"."""
    return _PLACEHOLDER.fullmatch(value.strip().casefold()) is not None


def weakness(value: str, min_length: int) -> str | None:
    """Why others would guess `value`, in words that do not tell it; None where nothing speaks for it."""
    value = value.strip()
    letters = re.sub(r"[\W\d_]", "", value.casefold())
    if is_placeholder(value) or (letters and not _KNOWN_WORD.sub("", letters)):
        return "is a placeholder or a default that everybody knows"
    if len(value) < min_length:
        return f"is shorter than {min_length} characters"
    # A text is a piece repeated where it is found again inside its double.
    if value in (value + value)[1:-1]:
        return "repeats one character or one short piece"
    return None
