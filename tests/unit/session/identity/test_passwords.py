"""Passwords are hashed with argon2id, a few at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import argon2
import pytest

from services.chassis.errors import UnavailableError
from services.session.identity.passwords import Passwords


class Held(argon2.PasswordHasher):
    """Compares only when it is let, and counts how many do so at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.let = threading.Event()
        self.began = threading.Semaphore(0)
        self.now = self.most = 0
        self._lock = threading.Lock()

    def verify(self, hash: Any, password: Any) -> Any:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.began.release()
        assert self.let.wait(30)
        with self._lock:
            self.now -= 1
        return super().verify(hash, password)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    yield made
    made.close()


async def test_a_hash_fits_its_password_alone(passwords: Passwords) -> None:
    kept = await passwords.hash("the tide comes at nine")
    assert kept != await passwords.hash("the tide comes at nine")
    assert await passwords.fits(kept, "the tide comes at nine")
    for wrong in ("The tide comes at nine", "", "the tide comes at nine "):
        assert not await passwords.fits(kept, wrong)


async def test_what_is_no_hash_fits_nothing(passwords: Passwords) -> None:
    for kept in ("", "$argon2id$broken", "plain"):
        assert not await passwords.fits(kept, "plain")


async def test_in_earnest_it_is_argon2id_with_what_owasp_asks() -> None:
    made = Passwords()
    try:
        kept = await made.hash("the tide comes at nine")
    finally:
        made.close()
    parameters = argon2.extract_parameters(kept)
    assert parameters.type is argon2.Type.ID
    assert (parameters.memory_cost, parameters.time_cost) >= (19 * 1024, 2)


async def test_nobody_is_compared_with_a_hash_too() -> None:
    """So it takes as long; without a clock: the same work is done."""
    hasher = Held()
    hasher.let.set()
    made = Passwords(hasher)
    try:
        assert not await made.fits("", "the tide comes at nine")
        assert hasher.most == 1
    finally:
        made.close()


async def test_two_work_some_wait_and_the_rest_is_sent_away() -> None:
    hasher = Held()
    made = Passwords(hasher, waiting=5)
    try:
        kept = hasher.hash("x")
        tasks = [asyncio.create_task(made.fits(kept, "x")) for _ in range(5)]
        for _ in range(2):
            await asyncio.to_thread(hasher.began.acquire, timeout=30)
        with pytest.raises(UnavailableError) as caught:
            await made.fits(kept, "x")
        assert caught.value.reason == "SIGN_IN_BUSY"
        # Who leaves makes room.
        tasks.pop().cancel()
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(made.fits(kept, "x")))
        await asyncio.sleep(0)
        hasher.let.set()
        assert await asyncio.gather(*tasks) == [True] * 5
        assert hasher.most == 2
    finally:
        hasher.let.set()
        made.close()


async def test_a_hash_of_other_parameters_is_outdated(passwords: Passwords) -> None:
    assert not passwords.outdated(await passwords.hash("the tide comes at nine"))
    for other in (argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1), argon2.PasswordHasher()):
        assert passwords.outdated(other.hash("the tide comes at nine"))
