"""Logins that are kept: private, whole, and renewed by one command at a time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from meldrag_cli.failures import RefusedFailure, UnreachableFailure, UsageFailure
from meldrag_cli.logins import FILE, Login, Logins

URL = "http://127.0.0.1:5000"


def tokens(number: int, seconds: float = 600) -> Login:
    return Login("olga", "", f"access-{number}", f"refresh-{number}", time.time() + seconds)


def never(_: str) -> Login:
    raise AssertionError("nothing is to be renewed")


def test_what_is_kept_is_read_again_by_house_and_by_nobody_else(tmp_path: Path) -> None:
    logins = Logins(tmp_path / "meld")
    assert logins.read(URL) is None
    kept = tokens(1)
    logins.keep(URL, kept)
    logins.keep("https://other.example", Login(api_key="mrk_1_2"))

    assert Logins(tmp_path / "meld").read(URL) == kept
    assert (tmp_path / "meld").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "meld" / FILE).stat().st_mode & 0o777 == 0o600

    logins.keep(URL, None)
    assert logins.read(URL) is None
    other = logins.read("https://other.example")
    assert other is not None
    assert other.shown == "mrk_1_2"
    assert not list((tmp_path / "meld").glob(".*"))


def test_a_file_that_was_open_to_others_is_private_once_it_is_written(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"logins": {}}')
    (tmp_path / FILE).chmod(0o644)
    Logins(tmp_path).keep(URL, tokens(1))
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"logins": {"u": 3}}', '{"logins": {"u": {"ends": "soon"}}}'])
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UsageFailure, match=FILE):
        Logins(tmp_path).read(URL)


def test_what_holds_is_not_renewed_and_a_key_never(tmp_path: Path) -> None:
    logins = Logins(tmp_path)
    assert logins.current(URL, never) is None
    logins.keep(URL, tokens(1))
    assert (logins.current(URL, never) or tokens(0)).shown == "access-1"
    logins.keep(URL, Login(api_key="mrk_1_2"))
    assert (logins.current(URL, never, stale="mrk_1_2") or tokens(0)).shown == "mrk_1_2"


@pytest.mark.parametrize(("seconds", "stale"), [(5, ""), (-100, ""), (600, "access-1")])
def test_many_at_once_renew_once(tmp_path: Path, seconds: float, stale: str) -> None:
    """A refresh token that comes a second time would end the login of all of them."""
    Logins(tmp_path).keep(URL, tokens(1, seconds))
    spent: list[str] = []

    def renew(token: str) -> Login:
        spent.append(token)
        time.sleep(0.2)
        return tokens(2)

    with ThreadPoolExecutor(8) as pool:
        # Each opens the lock for itself, as commands do.
        ask: Callable[[int], Login | None] = lambda _: Logins(tmp_path).current(URL, renew, stale=stale)  # noqa: E731
        found = list(pool.map(ask, range(8)))

    assert spent == ["refresh-1"]
    assert {login.shown for login in found if login is not None} == {"access-2"}
    assert {login.name for login in found if login is not None} == {"olga"}


def test_a_login_that_has_ended_is_forgotten_and_no_other(
    tmp_path: Path,
) -> None:
    logins = Logins(tmp_path)
    logins.keep(URL, tokens(1, 0))

    def away(_: str) -> Login:
        raise UnreachableFailure("NOT_REACHABLE", "nobody")

    def busy(_: str) -> Login:
        raise RefusedFailure("TOO_MANY", "later", status=429)

    def over(_: str) -> Login:
        raise RefusedFailure("TOKEN_REVOKED", "no", status=401)

    with pytest.raises(UnreachableFailure):
        logins.current(URL, away)
    with pytest.raises(RefusedFailure, match="later"):
        logins.current(URL, busy)
    assert logins.read(URL) is not None
    with pytest.raises(RefusedFailure, match="meld login"):
        logins.current(URL, over)
    assert logins.read(URL) is None


def test_nobody_reads_half_of_the_file(tmp_path: Path) -> None:
    logins = Logins(tmp_path)
    logins.keep(URL, tokens(0))

    def write() -> None:
        for number in range(200):
            logins.keep(f"http://{number}", tokens(number))

    thread = threading.Thread(target=write)
    thread.start()
    while thread.is_alive():
        assert json.loads((tmp_path / FILE).read_text())["logins"]
    thread.join()
    assert len(json.loads((tmp_path / FILE).read_text())["logins"]) == 201
