import pytest

from services.chassis.errors import InvalidArgumentError
from services.vector import identifiers
from tests.architecture.sources import ROOT


@pytest.mark.parametrize("name", ["ab", "a", "", "a" * 64, "a..b", "-ab", "ab."])
def test_a_name_that_is_none_is_refused_with_the_whole_rule(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"3 to 63 characters .* first and last, and no two dots"):
        identifiers.collection_id(name)


@pytest.mark.parametrize("name", ["abc", "a.b", "a-_b", "A" * 63])
def test_a_name_is_taken_as_it_is(name: str) -> None:
    assert identifiers.collection_id(name) == name


def test_the_rule_is_documented() -> None:
    assert "3 to 63" in (ROOT / "docs" / "collections.md").read_text()
