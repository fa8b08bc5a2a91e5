"""Signing in and out, and keys, against a scripted gateway."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from meldrag_cli.app import main
from tests.unit.meldrag_cli.scripted import Answer, Scripted, problem, scripted

API = "/api/v1"
ME = {"id": "usr_1", "tenant": "home", "role": "owner", "groups": ["crew"], "scopes": [], "login": True}
KEY = {
    "id": "key_1",
    "label": "nightly",
    "role": "viewer",
    "created": "2026-11-26T12:00:00Z",
    "last_used": None,
}
PASSWORD = "the tide comes at nine"


def tokens(number: int, seconds: float = 600) -> dict[str, Any]:
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "access_token": f"access-{number}",
        "refresh_token": f"refresh-{number}",
        "token_type": "Bearer",
        "expires": ends.isoformat().replace("+00:00", "Z"),
    }


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def shown(house: Scripted) -> list[tuple[str, str | None]]:
    return [(path, headers.get("Authorization")) for _, path, headers, _ in house.requests]


def test_a_login_is_kept_and_used_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, PASSWORD)
    answers: dict[str, Answer | list[Answer]] = {
        f"POST {API}/auth/login": Answer({"user": {}, **tokens(1)}),
        f"GET {API}/auth/me": Answer(ME),
        f"POST {API}/auth/logout": Answer({}),
    }
    with scripted(answers) as house:
        assert main(["--url", house.url, "login", "olga"]) == 0
        assert main(["--url", house.url, "whoami", "--json"]) == 0
        assert main(["--url", house.url, "logout"]) == 0
        assert main(["--url", house.url, "whoami"]) == 0

    _, _, _, body = house.requests[0]
    assert json.loads(body) == {"name": "olga", "password": PASSWORD}
    assert shown(house) == [
        (f"{API}/auth/login", None),
        (f"{API}/auth/me", "Bearer access-1"),
        (f"{API}/auth/me", "Bearer access-1"),
        (f"{API}/auth/logout", None),
        (f"{API}/auth/me", None),
    ]
    assert json.loads(house.requests[3][3]) == {"token": "refresh-1"}
    told = capsys.readouterr()
    assert f"signed in at {house.url}: olga (owner, in crew)" in told.out
    assert PASSWORD not in told.out + told.err
    assert "access-1" not in told.out + told.err + "".join(
        path.read_text() for path in (tmp_path / "config" / "meld").iterdir()
    )


def test_a_token_that_ends_is_renewed_before_it_is_shown_and_when_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    typed(monkeypatch, PASSWORD)
    agents = Answer({"agents": [], "next_page_token": None})
    answers: dict[str, Answer | list[Answer]] = {
        f"POST {API}/auth/login": Answer({"user": {}, **tokens(1, 10)}),
        f"POST {API}/auth/refresh": [Answer(tokens(2)), Answer(tokens(3))],
        f"GET {API}/auth/me": Answer(ME),
        f"GET {API}/agents": [agents, problem(401, "TOKEN_REVOKED", "no"), agents],
    }
    with scripted(answers) as house:
        assert main(["--url", house.url, "login", "olga"]) == 0
        assert main(["--url", house.url, "agents", "list"]) == 0
        assert main(["--url", house.url, "agents", "list"]) == 0

    assert shown(house)[2:] == [
        (f"{API}/auth/refresh", None),
        (f"{API}/agents?page_size=200", "Bearer access-2"),
        (f"{API}/agents?page_size=200", "Bearer access-2"),
        (f"{API}/auth/refresh", None),
        (f"{API}/agents?page_size=200", "Bearer access-3"),
    ]
    assert [json.loads(body) for _, path, _, body in house.requests if path.endswith("refresh")] == [
        {"refresh_token": "refresh-1"},
        {"refresh_token": "refresh-2"},
    ]


def test_the_clock_of_this_machine_may_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes are ten minutes, whatever the house calls now."""
    typed(monkeypatch, PASSWORD)
    answers: dict[str, Answer | list[Answer]] = {
        f"POST {API}/auth/login": Answer({"user": {}, **tokens(1, 600 - 7200)}),
        f"GET {API}/auth/me": Answer(ME),
    }
    with scripted(answers) as house:
        house.ahead = -7200
        assert main(["--url", house.url, "login", "olga"]) == 0
        assert main(["--url", house.url, "whoami"]) == 0
    assert [path for path, _ in shown(house)] == [f"{API}/auth/login", f"{API}/auth/me", f"{API}/auth/me"]


def test_a_login_that_has_ended_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, PASSWORD)
    answers: dict[str, Answer | list[Answer]] = {
        f"POST {API}/auth/login": Answer({"user": {}, **tokens(1, 0)}),
        f"POST {API}/auth/refresh": problem(401, "TOKEN_REVOKED", "the token is not valid"),
        f"GET {API}/auth/me": Answer(ME),
    }
    with scripted(answers) as house:
        assert main(["--url", house.url, "login", "olga"]) == 0
        assert main(["--url", house.url, "whoami"]) == 1
        assert "sign in with: meld login" in capsys.readouterr().err


def test_a_wrong_password_is_refused_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "wrong")
    with scripted({f"POST {API}/auth/login": problem(401, "CREDENTIAL_INVALID", "no such user")}) as house:
        assert main(["--url", house.url, "login", "olga", "--json"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert json.loads(told.err)["error"]["reason"] == "CREDENTIAL_INVALID"
    assert not (tmp_path / "config").exists()


def test_a_key_is_kept_as_it_is_and_the_environment_goes_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "mrk_1_2")
    with scripted({f"GET {API}/auth/me": Answer(ME)}) as house:
        assert main(["--url", house.url, "login", "--api-key"]) == 0
        assert main(["--url", house.url, "whoami"]) == 0
        monkeypatch.setenv("MELD_TOKEN", "mrk_3_4")
        assert main(["--url", house.url, "whoami"]) == 0
        monkeypatch.delenv("MELD_TOKEN")
        assert main(["--url", house.url, "logout"]) == 0
    assert [token for _, token in shown(house)] == ["Bearer mrk_1_2", "Bearer mrk_1_2", "Bearer mrk_3_4"]


def test_the_first_owner_is_made_and_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, PASSWORD, "lift-off-41")
    answers: dict[str, Answer | list[Answer]] = {
        f"POST {API}/auth/setup": Answer({"id": "usr_1"}, 201),
        f"POST {API}/auth/login": Answer({"user": {}, **tokens(1)}),
        f"GET {API}/auth/me": Answer(ME),
    }
    with scripted(answers) as house:
        assert main(["--url", house.url, "setup", "olga"]) == 0
    assert json.loads(house.requests[0][3]) == {
        "name": "olga",
        "password": PASSWORD,
        "setup_code": "lift-off-41",
    }


def test_what_nobody_types_is_asked_for_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch)
    assert main(["--url", "http://127.0.0.1:9", "login", "olga"]) == 2
    assert "Password: nobody is there to type it" in capsys.readouterr().err


def test_keys_are_made_listed_and_ended(capsys: pytest.CaptureFixture[str]) -> None:
    answers: dict[str, Answer | list[Answer]] = {
        f"POST {API}/api-keys": Answer({**KEY, "secret": "mrk_1_secret"}, 201),
        f"GET {API}/api-keys": Answer({"api_keys": [KEY]}),
        f"DELETE {API}/api-keys/key_1": Answer({}),
    }
    with scripted(answers) as house:
        base = ["--url", house.url, "keys"]
        assert main([*base, "create", "nightly", "--role", "viewer"]) == 0
        made = capsys.readouterr()
        assert made.out == "mrk_1_secret\n"
        assert main([*base, "list"]) == 0
        assert "key_1  viewer  nightly  2026-11-26 12:00:00Z  never" in capsys.readouterr().out
        assert main([*base, "revoke", "key_1"]) == 2
        assert main([*base, "revoke", "key_9"]) == 1
        assert main([*base, "revoke", "key_1", "--yes"]) == 0
    assert json.loads(house.requests[0][3]) == {"label": "nightly", "role": "viewer"}
    assert [method for method, *_ in house.requests].count("DELETE") == 1
