"""Secrets: files of a folder, and the refusal of those that others would guess."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from services.agents.settings import AgentsSettings
from services.chassis.redaction import redact
from services.chassis.secret import is_placeholder, weakness
from services.chassis.settings import ServiceSettings, SettingsError, load
from services.gateway.settings import GatewaySettings
from services.session.settings import SessionSettings
from services.vector.settings import VectorSettings

GOOD = "pV3x-9fQz7Lk2mWt8RbYc4Nd6Hs1Jg5A"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (AgentsSettings, GatewaySettings, SessionSettings, VectorSettings):
        for name in kind.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MELD_SECRETS_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("written", "read"),
    [("a key", "a key"), ("a key\n", "a key"), ("a key\r\n", "a key"), (" a key ", " a key "), ("\n", "")],
)
def test_a_secret_comes_from_its_file_without_the_line_end(folder: Path, written: str, read: str) -> None:
    (folder / "openai_api_key").write_bytes(written.encode())
    for kind in (AgentsSettings, VectorSettings):
        assert load(kind).openai_api_key.get_secret_value() == read


def test_a_variable_stands_before_the_file_and_an_empty_one_does_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "redis_password").write_text("from the file")
    monkeypatch.setenv("REDIS_PASSWORD", "from the environment")
    assert load(SessionSettings).store_password == "from the environment"
    monkeypatch.setenv("REDIS_PASSWORD", "")
    assert load(SessionSettings).store_password == "from the file"


def test_only_secrets_are_read_from_files(folder: Path) -> None:
    (folder / "redis_host").write_text("elsewhere")
    (folder / "flask_secret_key").write_text(GOOD)
    assert load(SessionSettings).redis_host == "127.0.0.1"
    key = load(GatewaySettings).flask_secret_key
    assert key is not None
    assert key.get_secret_value() == GOOD


def test_a_secret_of_a_file_is_kept_out_of_logs(folder: Path) -> None:
    (folder / "cohere_api_key").write_text("a-key-seen-nowhere-else\n")
    load(AgentsSettings)
    assert "a-key-seen-nowhere-else" not in redact("told: a-key-seen-nowhere-else")


def test_a_file_that_is_not_text_is_refused_by_the_variables_name(folder: Path) -> None:
    (folder / "redis_password").write_bytes(b"caf\xe9-password")
    with pytest.raises(SettingsError, match=r"^REDIS_PASSWORD: its file is not UTF-8$") as refused:
        load(SessionSettings)
    # A traceback would show the bytes.
    assert refused.value.__suppress_context__


def test_a_file_that_cannot_be_read_is_refused_by_the_variables_name(folder: Path) -> None:
    (folder / "redis_password").mkdir()
    with pytest.raises(SettingsError, match=r"^REDIS_PASSWORD: its file cannot be read: Is a directory$"):
        load(SessionSettings)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_refused(folder: Path) -> None:
    (folder / "redis_password").touch(mode=0)
    with pytest.raises(SettingsError, match=r"^REDIS_PASSWORD: its file cannot be read: Permission denied$"):
        load(SessionSettings)


def test_a_folder_that_is_not_there_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELD_SECRETS_DIR", str(folder / "elsewhere"))
    with pytest.raises(SettingsError, match=r"^MELD_SECRETS_DIR: "):
        load(SessionSettings)


WEAK = [
    *(
        "your_secret_key_here",
        "your_jwt_secret_key",
        "your_redis_password",
        "<generate-one-of-32-characters>",
    ),
    *(
        "changeme",
        "secret",
        "password",
        "admin",
        "Password123",
        "foobared",
        "${REDIS_PASSWORD:-unset}",
    ),
    *("dev-secret-key-change-me-in-production-1", "changeme-changeme-changeme-changeme-00", "x" * 64),
    *("x7Qa" * 16, "0123456789abcde"),
]


@pytest.mark.parametrize("value", WEAK)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (GatewaySettings, "FLASK_SECRET_KEY"),
        (GatewaySettings, "JWT_SECRET_KEY"),
        (SessionSettings, "REDIS_PASSWORD"),
        (SessionSettings, "SESSION_REDIS_PASSWORD"),
    ],
)
def test_a_weak_secret_is_refused_where_others_can_reach_the_process(
    kind: type[ServiceSettings], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELD_REQUIRE_SECRETS", "yes")
    for other in ("FLASK_SECRET_KEY", "JWT_SECRET_KEY", "REDIS_PASSWORD"):
        monkeypatch.setenv(other, GOOD)
    load(kind)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name}: ") as refused:
        load(kind)
    assert value not in str(refused.value)
    # And nobody minds on a machine's own loopback.
    monkeypatch.delenv("MELD_REQUIRE_SECRETS")
    load(kind)


def test_session_keys_need_twice_the_length_of_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELD_REQUIRE_SECRETS", "yes")
    monkeypatch.setenv("REDIS_PASSWORD", GOOD[:16])
    load(SessionSettings)
    monkeypatch.setenv("REDIS_PASSWORD", GOOD[:15])
    with pytest.raises(SettingsError, match=r"^REDIS_PASSWORD: is shorter than 16 characters"):
        load(SessionSettings)
    monkeypatch.setenv("FLASK_SECRET_KEY", GOOD[:31])
    monkeypatch.setenv("JWT_SECRET_KEY", GOOD[:32])
    with pytest.raises(SettingsError, match=r"^FLASK_SECRET_KEY: is shorter than 32 characters"):
        load(GatewaySettings)


@pytest.mark.parametrize("reachable", [("MELD_REQUIRE_SECRETS", "yes"), ("FLASK_HOST", "0.0.0.0")])
def test_the_gateway_does_not_start_without_its_keys_where_others_can_reach_it(
    reachable: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(GatewaySettings)
    monkeypatch.setenv("MELD_ALLOW_ANONYMOUS", "yes")
    monkeypatch.setenv(*reachable)
    with pytest.raises(SettingsError, match=r"^FLASK_SECRET_KEY: is needed .*; JWT_SECRET_KEY: is needed "):
        load(GatewaySettings)
    monkeypatch.setenv("FLASK_SECRET_KEY", GOOD)
    monkeypatch.setenv("JWT_SECRET_KEY", GOOD)
    load(GatewaySettings)


@pytest.mark.parametrize("reachable", [("MELD_REQUIRE_SECRETS", "yes"), ("MELD_BIND_HOST", "0.0.0.0")])
@pytest.mark.parametrize("name", ["REDIS_PASSWORD", "SESSION_REDIS_PASSWORD"])
def test_one_password_of_redis_is_enough_and_none_is_not(
    name: str, reachable: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(SessionSettings)
    monkeypatch.setenv(*reachable)
    with pytest.raises(SettingsError, match=r"^REDIS_PASSWORD or SESSION_REDIS_PASSWORD: is needed "):
        load(SessionSettings)
    monkeypatch.setenv(name, GOOD)
    load(SessionSettings)


def test_a_secret_of_a_file_satisfies_and_is_judged_like_any(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELD_REQUIRE_SECRETS", "yes")
    (folder / "redis_password").write_text(f"{GOOD}\n")
    load(SessionSettings)
    (folder / "redis_password").write_text("your_redis_password\n")
    with pytest.raises(SettingsError, match=r"^REDIS_PASSWORD: is a placeholder"):
        load(SessionSettings)


@pytest.mark.parametrize(
    "value",
    [
        *("your_openai_api_key_here", "your_openai_api_key", "your_anthropic_key", "YOUR-GOOGLE-KEY"),
        *("<key>", "changeme", "${OPENAI_API_KEY}"),
    ],
)
@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "COHERE_API_KEY"])
def test_a_placeholder_of_a_key_is_refused_everywhere(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name}: is a placeholder") as refused:
        load(AgentsSettings)
    assert value not in str(refused.value)


def test_the_vector_service_refuses_a_placeholder_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "your_openai_api_key_here")
    with pytest.raises(SettingsError, match=r"^OPENAI_API_KEY: is a placeholder"):
        load(VectorSettings)


@pytest.mark.parametrize("key", ["ollama", "x", "none", "lm-studio", "sk-scripted-key", "yourika-5f3"])
def test_keys_that_servers_of_ones_own_ask_for_are_no_placeholders(key: str) -> None:
    assert not is_placeholder(key)


def test_what_is_drawn_at_random_is_never_called_weak() -> None:
    drawn = [draw for _ in range(300) for draw in (secrets.token_hex(16), secrets.token_urlsafe(24))]
    drawn += ["".join(secrets.choice("0123456789") for _ in range(32)) for _ in range(100)]
    assert [weakness(secret, 32) for secret in drawn] == [None] * len(drawn)
