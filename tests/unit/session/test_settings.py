"""Settings are read from the environment, and a bad one is named."""

from __future__ import annotations

import pytest

from services.chassis.settings import SettingsError, load
from services.session.model import Lifetimes
from services.session.settings import SessionSettings

NAMES = (
    *("SESSION_TYPE", "SESSION_REDIS_HOST", "SESSION_REDIS_PORT", "SESSION_REDIS_PASSWORD"),
    *("REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "PERMANENT_SESSION_LIFETIME"),
    *("MELD_CONVERSATION_LIFETIME", "MELD_ATTACHMENT_LIFETIME"),
    *("MELD_BIND_HOST", "MELD_SESSION_ADDRESS"),
)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_are_those_of_a_bare_machine() -> None:
    settings = load(SessionSettings)
    assert (settings.store_host, settings.store_port, settings.store_password) == ("127.0.0.1", 6379, "")
    assert settings.lifetimes == Lifetimes(runs=86_400, conversations=365 * 86_400)
    assert settings.bind == "127.0.0.1:50053"


def test_one_time_for_all_is_for_all_but_what_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERMANENT_SESSION_LIFETIME", "86400")
    settings = load(SessionSettings)
    assert (settings.lifetimes, settings.attachment_lifetime) == (Lifetimes(86_400, 86_400), 86_400)
    monkeypatch.setenv("MELD_CONVERSATION_LIFETIME", "7")
    monkeypatch.setenv("MELD_ATTACHMENT_LIFETIME", "8")
    settings = load(SessionSettings)
    assert (settings.lifetimes, settings.attachment_lifetime) == (Lifetimes(86_400, 7), 8)


def test_the_sessions_own_redis_stands_before_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "shared")
    monkeypatch.setenv("REDIS_PORT", "1")
    monkeypatch.setenv("REDIS_PASSWORD", "shared-password")
    settings = load(SessionSettings)
    assert (settings.store_host, settings.store_port, settings.store_password) == (
        "shared",
        1,
        "shared-password",
    )
    monkeypatch.setenv("SESSION_REDIS_HOST", "own")
    monkeypatch.setenv("SESSION_REDIS_PORT", "2")
    monkeypatch.setenv("SESSION_REDIS_PASSWORD", "own-password")
    settings = load(SessionSettings)
    assert (settings.store_host, settings.store_port, settings.store_password) == ("own", 2, "own-password")
    assert "own-password" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_TYPE", "filesystem"),
        ("SESSION_REDIS_PORT", "99999"),
        ("PERMANENT_SESSION_LIFETIME", "0"),
        ("PERMANENT_SESSION_LIFETIME", "a day"),
        ("MELD_CONVERSATION_LIFETIME", "0"),
    ],
)
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load(SessionSettings)


def test_the_service_listens_where_its_address_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELD_BIND_HOST", "0.0.0.0")
    monkeypatch.setenv("MELD_SESSION_ADDRESS", "session:7000")
    monkeypatch.setenv("REDIS_PASSWORD", "k3Tq-81xVb-Zp07-mNc")
    assert load(SessionSettings).bind == "0.0.0.0:7000"


def test_without_settings_nobody_signs_in_or_sets_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JWT_SECRET_KEY", "MELD_SETUP_CODE", "MELD_RATE_LIMIT_PER_MINUTE", "MELD_DAILY_TOKENS"):
        monkeypatch.delenv(name, raising=False)
    settings = load(SessionSettings)
    assert (settings.token_secret, settings.setup_code) == (b"", "")
    assert (settings.meld_rate_limit_per_minute, settings.meld_daily_tokens) == (600, 0)


def test_secrets_of_identity_are_read_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY", "w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU")
    monkeypatch.setenv("MELD_SETUP_CODE", "lift-off-41")
    settings = load(SessionSettings)
    assert settings.token_secret == b"w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU"
    assert settings.setup_code == "lift-off-41"
    assert "lift-off" not in repr(settings)
    assert "w7Jt" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MELD_SETUP_CODE", "short"),
        ("MELD_RATE_LIMIT_PER_MINUTE", "-1"),
        ("MELD_DAILY_TOKENS", "many"),
    ],
)
def test_a_bad_value_of_identity_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load(SessionSettings)
