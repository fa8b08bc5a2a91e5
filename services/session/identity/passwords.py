"""Passwords are kept as argon2id hashes (RFC 9106).

A hash fills 19 MiB twice, the first choice of OWASP's Password Storage Cheat Sheet. So few are
made at once, in threads, and those who would wait long are sent away.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from services.session.identity import failures

T = TypeVar("T")

_AT_ONCE = 2
_WAITING = 64


class Passwords:
    """Makes and compares hashes. Its methods raise UnavailableError (SIGN_IN_BUSY)."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None, *, waiting: int = _WAITING) -> None:
        """waiting: of those who want a hash made or compared, how many there may be."""
        self._hasher = hasher or argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="passwords")
        self._room = waiting
        # What the password of a user that there is not is compared with, so that it takes as long.
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    def close(self) -> None:
        """Ends the threads; what waits is not done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """What is kept of a password; with a salt of its own, so never the same twice."""
        return await self._work(lambda: self._hasher.hash(password))

    async def fits(self, kept: str, password: str) -> bool:
        """Whether a password is that of the hash; never where there is none (empty), after the same time."""
        return await self._work(lambda: self._compare(kept or self._nobody, password)) and bool(kept)

    def outdated(self, kept: str) -> bool:
        """Whether a hash, which a password has just fitted, was made with other parameters than now."""
        return self._hasher.check_needs_rehash(kept)

    def _compare(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _work(self, work: Callable[[], T]) -> T:
        if self._room <= 0:
            raise failures.sign_in_busy()
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._room += 1
