"""Spaces: what belongs to one person alone has a name of its own."""

import itertools

import pytest

from services.chassis.context import LOCAL_OWNER, SERVICE, Principal


def test_the_local_owner_has_a_space_that_no_person_has() -> None:
    assert LOCAL_OWNER.space == "local"
    assert Principal("home", "owner", frozenset(), role="viewer").space == "local"


def test_no_two_people_have_one_space() -> None:
    names = ("local", "owner", "home", "a", "b", "a-b", "a_b")
    spaces = [Principal(*pair, frozenset()).space for pair in itertools.product(names, repeat=2)]
    assert len(set(spaces)) == len(spaces)
    assert SERVICE.space == "home.service"


@pytest.mark.parametrize("identity", [("a.b", "c"), ("a", "b.c"), (".", "")])
def test_a_dot_in_an_identity_is_refused(identity: tuple[str, str]) -> None:
    """Else a.b with c and a with b.c would be one."""
    with pytest.raises(ValueError, match="dot"):
        _ = Principal(*identity, frozenset()).space
