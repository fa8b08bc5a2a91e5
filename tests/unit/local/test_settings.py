from __future__ import annotations

from pathlib import Path

import pytest

from services.local.settings import SettingError, read


def test_defaults_stand_without_any_variable(tmp_path: Path) -> None:
    settings = read({}, tmp_path / ".env", tmp_path)

    assert [str(address) for address in settings.addresses] == [
        "127.0.0.1:6379",
        "127.0.0.1:50053",
        "127.0.0.1:50052",
        "127.0.0.1:50051",
        "127.0.0.1:5000",
    ]
    assert settings.data == tmp_path / "data"


def test_the_environment_wins_over_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# a comment\nexport FLASK_PORT=5100\nREDIS_PORT='6400'\n\nOPENAI_API_KEY=from-file\n"
    )

    settings = read({"FLASK_PORT": "5200"}, tmp_path / ".env", tmp_path)

    assert settings.gateway.port == 5200
    assert settings.redis is not None
    assert settings.redis.port == 6400
    assert settings.environment["OPENAI_API_KEY"] == "from-file"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLASK_PORT", "0"),
        ("FLASK_PORT", "65536"),
        ("FLASK_PORT", "five"),
        ("REDIS_PORT", "-1"),
        ("MELD_VECTOR_ADDRESS", "vector:50052"),
        ("MELD_VECTOR_ADDRESS", "50052"),
        ("LOG_MAX_SIZE", "plenty"),
        ("LOG_BACKUP_COUNT", "1.5"),
        ("MELD_RESTART_LIMIT", "-3"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_not_shown(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingError) as refused:
        read({name: value}, tmp_path / ".env", tmp_path)

    assert name in str(refused.value)
    assert f"'{value}'" not in str(refused.value)


@pytest.mark.parametrize("line", ["FLASK_PORT 5000", "=5000", "FLASK PORT=5000"])
def test_a_bad_line_of_dotenv_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"LOG_LEVEL=INFO\n{line}\n")

    with pytest.raises(SettingError, match="line 2"):
        read({}, tmp_path / ".env", tmp_path)


def test_a_redis_on_another_machine_is_not_started(tmp_path: Path) -> None:
    settings = read({"REDIS_HOST": "redis.example.org"}, tmp_path / ".env", tmp_path)

    assert settings.redis is None
    assert len(settings.addresses) == 4


def test_redis_is_started_where_the_session_service_looks_for_it(tmp_path: Path) -> None:
    variables = {"REDIS_PORT": "6400", "SESSION_REDIS_PORT": "6500", "SESSION_REDIS_HOST": "127.0.0.1"}

    settings = read({"REDIS_HOST": "redis.example.org", **variables}, tmp_path / ".env", tmp_path)

    assert settings.redis is not None
    assert (settings.redis.port, settings.redis.variable) == (6500, "SESSION_REDIS_PORT")


def test_development_listens_on_5001(tmp_path: Path) -> None:
    assert read({"FLASK_ENV": "development"}, tmp_path / ".env", tmp_path).gateway.port == 5001


@pytest.mark.parametrize(
    ("text", "size"), [("100MB", 100_000_000), ("2 KiB", 2048), ("5", 5), ("1gb", 10**9), ("7b", 7)]
)
def test_sizes_are_read_with_their_units(tmp_path: Path, text: str, size: int) -> None:
    assert read({"LOG_MAX_SIZE": text}, tmp_path / ".env", tmp_path).log_max_size == size


def test_secrets_do_not_show_in_the_settings_text(tmp_path: Path) -> None:
    settings = read({"REDIS_PASSWORD": "hunter2-hunter2"}, tmp_path / ".env", tmp_path)

    assert "hunter2" not in repr(settings)


def test_redis_gets_the_password_that_the_session_service_will_use(tmp_path: Path) -> None:
    files = tmp_path / "secrets"
    files.mkdir()
    (files / "redis_password").write_text("of-the-file\n")
    variables = {"MELD_SECRETS_DIR": "secrets"}

    assert read(variables, tmp_path / ".env", tmp_path).redis_password == "of-the-file"
    both = variables | {"REDIS_PASSWORD": "of-the-variable"}
    assert read(both, tmp_path / ".env", tmp_path).redis_password == "of-the-variable"
    (files / "session_redis_password").write_text("its-own")
    assert read(both, tmp_path / ".env", tmp_path).redis_password == "its-own"


def test_a_password_file_that_is_not_text_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "redis_password").write_bytes(b"\xff\xfe")

    with pytest.raises(SettingError, match=r"^REDIS_PASSWORD: its file is not UTF-8"):
        read({"MELD_SECRETS_DIR": str(tmp_path)}, tmp_path / ".env", tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, None),
        ({"FLASK_HOST": "::1"}, None),
        ({"FLASK_HOST": "0.0.0.0"}, "required"),
        ({"FLASK_HOST": "0.0.0.0", "MELD_ALLOW_ANONYMOUS": "Yes"}, None),
        ({"FLASK_HOST": "0.0.0.0", "MELD_ALLOW_ANONYMOUS": "no"}, "required"),
        ({"FLASK_HOST": "0.0.0.0", "MELD_LOGIN": "off"}, "off"),
        ({"MELD_LOGIN": "required"}, "required"),
    ],
)
def test_all_services_are_told_that_people_log_in(
    tmp_path: Path, given: dict[str, str], told: str | None
) -> None:
    environment = read(given, tmp_path / "none", tmp_path).environment
    assert environment.get("MELD_LOGIN") == told
