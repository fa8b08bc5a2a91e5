"""Who may do what."""

from enum import IntEnum
from typing import Union


class Role(IntEnum):
    GUEST = 0
    EDITOR = 5
    ADMIN = 9


def may(user: dict, action: str, owner: Union[str, None] = None) -> bool:
    """Whether a user with a name and a role may do something."""
    role = Role(user.get("role", 0))
    if user.get("blocked"):
        return False
    if action == "read":
        return True
    if action == "write":
        return role >= Role.EDITOR or (owner is not None and owner == user["name"])
    if action == "delete":
        return role == Role.ADMIN or (role == Role.EDITOR and owner == user["name"])
    raise ValueError(f"unknown action {action!r}")
