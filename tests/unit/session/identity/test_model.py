"""Of two roles the smaller counts."""

from __future__ import annotations

import pytest

from services.session.identity.model import smaller


@pytest.mark.parametrize(
    ("role", "other", "counts"),
    [
        ("owner", "admin", "admin"),
        ("admin", "owner", "admin"),
        ("member", "viewer", "viewer"),
        ("viewer", "member", "viewer"),
        ("viewer", "owner", "viewer"),
        ("member", "", "member"),
        ("member", "member", "member"),
    ],
)
def test_the_smaller_of_two_roles(role: str, other: str, counts: str) -> None:
    assert smaller(role, other) == counts
