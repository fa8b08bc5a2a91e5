"""How long a house that says "later" is waited for."""

from __future__ import annotations

import pytest

from meldrag_cli.failures import RefusedFailure, UnreachableFailure
from meldrag_cli.patience import MUCH_SECONDS, passing, patiently


class House:
    """Refuses some times, and then answers."""

    def __init__(self, times: int, reason: str, **more: object) -> None:
        self.asked = 0
        self.slept: list[float] = []
        self._times = times
        self._refusal = RefusedFailure(reason, "later", **more)

    def ask(self) -> str:
        self.asked += 1
        if self.asked <= self._times:
            raise self._refusal
        return "yes"

    def patiently(self, **more: float) -> str:
        return patiently(self.ask, sleep=self.slept.append, **more)


def test_who_has_much_to_do_waits_until_the_minute_of_the_house_is_over() -> None:
    house = House(1, "QUOTA_EXHAUSTED", retry_after=59.0)
    with pytest.raises(RefusedFailure):
        house.patiently()
    assert (house.asked, house.slept) == (1, [])
    house = House(2, "QUOTA_EXHAUSTED", retry_after=59.0)
    assert house.patiently(longest=MUCH_SECONDS) == "yes"
    assert house.slept == [59.0, 59.0]
    with pytest.raises(RefusedFailure):
        House(1, "QUOTA_EXHAUSTED", retry_after=3600.0).patiently(longest=MUCH_SECONDS)


def test_a_service_that_is_away_is_asked_five_times() -> None:
    house = House(9, "UPSTREAM_UNAVAILABLE")
    with pytest.raises(RefusedFailure):
        house.patiently()
    assert (house.asked, house.slept) == (5, [1.0, 2.0, 4.0, 8.0])


def test_a_no_is_a_no() -> None:
    house = House(1, "COLLECTION_NOT_FOUND", status=404)
    with pytest.raises(RefusedFailure):
        house.patiently()
    assert house.slept == []

    def gone() -> str:
        raise UnreachableFailure("NOT_REACHABLE", "nothing answers")

    with pytest.raises(UnreachableFailure):
        patiently(gone, sleep=house.slept.append)
    assert house.slept == []


@pytest.mark.parametrize(
    ("reason", "more", "passes"),
    [
        ("STORAGE_FULL", {"status": 507}, True),
        ("QUOTA_EXHAUSTED", {"status": 429, "retry_after": 59.0}, True),
        ("TRANSPORT", {}, True),
        ("TOKEN_INVALID", {"status": 401}, False),
        ("COLLECTION_NOT_FOUND", {"status": 404}, False),
    ],
)
def test_some_refusals_pass(reason: str, more: dict[str, object], passes: bool) -> None:
    assert passing(RefusedFailure(reason, "no", **more)) is passes
