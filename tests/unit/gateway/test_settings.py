"""What the environment may say, and what is refused by name."""

from __future__ import annotations

import pytest

from services.chassis.settings import SettingsError, load
from services.gateway.settings import GatewaySettings


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLASK_HOST", "FLASK_PORT", "FLASK_ENV", "FLASK_DEBUG", "CORS_ORIGINS", "GUNICORN_THREADS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLASK_PORT", "http"),
        ("FLASK_PORT", "65536"),
        ("FLASK_ENV", "staging"),
        ("GUNICORN_WORKERS", "0"),
        ("GUNICORN_THREADS", "1"),
        ("GUNICORN_TIMEOUT", "0"),
        ("GUNICORN_KEEPALIVE", "-1"),
        ("MELD_HEARTBEAT_SECONDS", "11"),
        ("MELD_LOGIN", "yes"),
        ("MELD_TRUSTED_PROXIES", "proxy"),
        ("MELD_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("MELD_METRICS_NETWORKS", "10.0.0.0/8/8"),
    ],
)
def test_a_bad_value_is_refused_by_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load(GatewaySettings)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "example.org", "::"])
def test_beyond_loopback_people_log_in_or_are_let_in_by_name(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("FLASK_HOST", host)
    with pytest.raises(SettingsError, match=r"^JWT_SECRET_KEY: is needed where callers have to log in"):
        load(GatewaySettings)
    for key in ("FLASK_SECRET_KEY", "JWT_SECRET_KEY"):
        monkeypatch.setenv(key, "k3Tq-81xVb-Zp07-mNc-4Rd9-Ws62-Yh5")
    assert load(GatewaySettings).login_required
    monkeypatch.setenv("MELD_LOGIN", "off")
    with pytest.raises(SettingsError, match=r"^FLASK_HOST: "):
        load(GatewaySettings)
    monkeypatch.setenv("MELD_ALLOW_ANONYMOUS", "yes")
    assert not load(GatewaySettings).login_required
    monkeypatch.setenv("MELD_LOGIN", "required")
    assert load(GatewaySettings).login_required


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_permission(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("FLASK_HOST", host)
    assert load(GatewaySettings).flask_host == host
    assert not load(GatewaySettings).login_required


def test_everybody_may_be_let_in_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_HOST", "0.0.0.0")
    monkeypatch.setenv("MELD_ALLOW_ANONYMOUS", "yes")
    for key in ("FLASK_SECRET_KEY", "JWT_SECRET_KEY"):
        monkeypatch.setenv(key, "k3Tq-81xVb-Zp07-mNc-4Rd9-Ws62-Yh5")
    monkeypatch.setenv("MELD_TRUSTED_HOSTS", "docs.example.org, Other.example")
    settings = load(GatewaySettings)
    assert settings.hosts == {"localhost", "127.0.0.1", "[::1]", "docs.example.org", "other.example"}


def test_development_has_a_port_of_its_own_and_reloads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load(GatewaySettings).port, load(GatewaySettings).development) == (5000, False)
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert (load(GatewaySettings).port, load(GatewaySettings).development) == (5000, True)
    monkeypatch.setenv("FLASK_ENV", "development")
    assert (load(GatewaySettings).port, load(GatewaySettings).development) == (5001, True)
    monkeypatch.setenv("FLASK_PORT", "7000")
    assert load(GatewaySettings).port == 7000


def test_origins_are_an_exact_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "http://localhost:3000, https://good.com/")
    assert load(GatewaySettings).origins == {"http://localhost:3000", "https://good.com"}
