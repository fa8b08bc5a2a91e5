"""What names, passwords, groups and labels may be. Raises InvalidArgumentError (INVALID_FIELD).

A name is kept in form NFKC, so that what looks the same in most typefaces is the same, and compared without
regard to case. Only printable characters are in it: no line end reaches a log, no mark that turns the
direction of writing reaches a page. A password is compared in form NFC (RFC 8265, OpaqueString): an accented
letter is the same from every keyboard.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable

from services.chassis import roles
from services.chassis.secret import weakness
from services.session.failures import invalid_field

MAX_NAME_CHARACTERS = 254
MIN_PASSWORD_CHARACTERS = 12
MAX_PASSWORD_CHARACTERS = 256
MAX_GROUPS = 50
MAX_GROUP_CHARACTERS = 64
# As JSON: every call carries them in its metadata, which is not to have more than 8 KiB.
MAX_GROUPS_BYTES = 3_000
MAX_LABEL_CHARACTERS = 100
MAX_EXTERNAL_CHARACTERS = 500

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def name(field: str, value: str) -> str:
    """A name as it is kept."""
    kept = unicodedata.normalize("NFKC", value[: 4 * MAX_NAME_CHARACTERS])
    if not 0 < len(kept) <= MAX_NAME_CHARACTERS or len(value) > 4 * MAX_NAME_CHARACTERS:
        raise invalid_field(field, value, f"must have 1 to {MAX_NAME_CHARACTERS} characters")
    if not kept.isprintable() or kept.strip() != kept:
        raise invalid_field(field, value, "must be printable, without spaces around it")
    return kept


def folded(kept: str) -> str:
    """What two names that count as the same have in common."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", kept).casefold())


def shown_password(field: str, value: str) -> str:
    """A password that somebody shows, in the form that is compared; one too short is merely wrong."""
    if len(value) > MAX_PASSWORD_CHARACTERS:
        raise invalid_field(field, "", f"must have at most {MAX_PASSWORD_CHARACTERS} characters")
    if "\0" in value:
        raise invalid_field(field, "", "must not contain NUL")
    return unicodedata.normalize("NFC", value)


def new_password(field: str, value: str, owner: str) -> str:
    """A password to keep, in the form that is compared. owner: the name of its user."""
    kept = shown_password(field, value)
    if len(kept) < MIN_PASSWORD_CHARACTERS:
        raise invalid_field(
            field, "", f"must have {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters"
        )
    if folded(kept) == folded(owner):
        raise invalid_field(field, "", "must not be the name")
    if why := weakness(kept, MIN_PASSWORD_CHARACTERS):
        raise invalid_field(field, "", f"{why}; choose another one")
    return kept


def role(field: str, value: str) -> str:
    """A role that there is."""
    if value not in roles.ROLES:
        raise invalid_field(field, value, f"must be one of {', '.join(roles.ROLES)}")
    return value


def groups(field: str, values: Iterable[str]) -> tuple[str, ...]:
    """Names of groups, sorted, each once."""
    kept = sorted({_printable(field, value, MAX_GROUP_CHARACTERS) for value in values})
    if len(kept) > MAX_GROUPS:
        raise invalid_field(field, len(kept), f"must be at most {MAX_GROUPS}")
    if len(json.dumps(kept)) > MAX_GROUPS_BYTES:
        raise invalid_field(field, len(kept), f"must have at most {MAX_GROUPS_BYTES} bytes together")
    return tuple(kept)


def label(field: str, value: str) -> str:
    """What a key is called."""
    return _printable(field, value, MAX_LABEL_CHARACTERS)


def external(field: str, value: str) -> str:
    """A provider, or what it calls somebody; kept as it comes."""
    if not 0 < len(value) <= MAX_EXTERNAL_CHARACTERS or not value.isprintable():
        raise invalid_field(field, value, f"must be 1 to {MAX_EXTERNAL_CHARACTERS} printable characters")
    return value


def identifier(field: str, value: str) -> str:
    """An id; it becomes a part of a key of the store."""
    if not _ID.fullmatch(value):
        raise invalid_field(field, value, 'must be 1 to 64 letters, digits, "_" or "-"')
    return value


def _printable(field: str, value: str, most: int) -> str:
    kept = unicodedata.normalize("NFKC", value[: 4 * most])
    if not 0 < len(kept) <= most or len(value) > 4 * most:
        raise invalid_field(field, value, f"must have 1 to {most} characters")
    if not kept.isprintable() or kept.strip() != kept:
        raise invalid_field(field, value, "must be printable, without spaces around it")
    return kept
