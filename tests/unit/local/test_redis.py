from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis as client
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from services.local import readiness, redis
from services.local.settings import Address
from tests.support.redis_server import free_port


@contextmanager
def running(directory: Path, password: str) -> Iterator[Address]:
    address = Address("127.0.0.1", free_port(), "REDIS_PORT")
    command = redis.command(redis.executable(), address, directory, password)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield address
    finally:
        process.kill()
        process.wait()


def connected(address: Address, password: str) -> client.Redis:
    patient = Retry(ConstantBackoff(0.05), 100)
    return client.Redis(
        address.host,
        address.port,
        password=password or None,
        retry=patient,
        retry_on_error=[client.ConnectionError],
    )


def test_the_server_is_durable_and_never_evicts(tmp_path: Path) -> None:
    with running(tmp_path / "redis", "") as address:
        told = connected(address, "").config_get("*")

    assert told["appendonly"] == "yes"
    assert told["appendfsync"] == "always"
    assert told["maxmemory-policy"] == "noeviction"
    assert told["save"] == ""
    assert told["bind"] == "127.0.0.1"
    assert told["dir"] == str(tmp_path / "redis")


def test_any_password_works_and_shows_neither_on_the_command_line_nor_to_others(tmp_path: Path) -> None:
    password = 'with "quotes", \\ and spaces #1'
    with running(tmp_path / "redis", password) as address:
        assert connected(address, password).ping()

    command = redis.command("redis-server", address, tmp_path / "redis", password)
    assert not any(password in word for word in command)
    mode = (tmp_path / "redis" / "password.conf").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_password_that_was_taken_away_leaves_no_file(tmp_path: Path) -> None:
    address = Address("127.0.0.1", 6379, "REDIS_PORT")
    redis.command("redis-server", address, tmp_path, "once")
    redis.command("redis-server", address, tmp_path, "")

    assert list(tmp_path.iterdir()) == []


async def test_it_is_ready_once_it_answers_with_or_without_a_password(tmp_path: Path) -> None:
    for password in ("", "secret-secret"):
        with running(tmp_path / f"redis{len(password)}", password) as address:
            connected(address, password).ping()
            assert await readiness.redis(address)()
        assert not await readiness.redis(address)()


def test_a_program_that_is_no_redis_server_has_no_version() -> None:
    assert redis.version(sys.executable) == (0, 0)
    assert redis.version("/nonexistent/redis-server") == (0, 0)
    assert redis.version(redis.executable()) >= redis.MINIMUM
