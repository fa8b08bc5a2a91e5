"""Where the house is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from meldrag_cli.failures import UsageFailure
from meldrag_cli.settings import Settings, config_path, read


def test_without_a_word_it_is_on_this_machine(tmp_path: Path) -> None:
    settings = read({"XDG_CONFIG_HOME": str(tmp_path)})
    assert settings == Settings("http://127.0.0.1:5000", "", "documents")
    assert settings.local


def test_the_option_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "meld.toml"
    file.write_text('url = "https://meld.example/"\ntoken = "kept"\ncollection = "notes"\n')
    environment = {"MELD_CONFIG": str(file), "MELD_TOKEN": "given"}
    assert read(environment) == Settings("https://meld.example", "given", "notes")
    assert read({**environment, "MELD_URL": "http://other:1"}).url == "http://other:1"
    assert read({**environment, "MELD_URL": "http://other:1"}, url="http://third:2").url == "http://third:2"
    assert not read(environment).local


@pytest.mark.parametrize(
    ("content", "told"),
    [("url = 5", "url"), ("secret = 'x'", "secret"), ("url = ", "meld.toml"), ("\x00", "meld.toml")],
)
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "meld.toml"
    file.write_text(content)
    with pytest.raises(UsageFailure, match=told):
        read({"MELD_CONFIG": str(file)})


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageFailure, match="is not there"):
        read({"MELD_CONFIG": str(tmp_path / "absent.toml")})


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:5000", "ftp://host", "http://", "http://host:x", "http://me:pw@host", "http://host?a=b"],
)
def test_an_address_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(UsageFailure, match="address"):
        read({}, url=url)


def test_a_token_cannot_add_a_header(tmp_path: Path) -> None:
    with pytest.raises(UsageFailure, match="token"):
        read({"XDG_CONFIG_HOME": str(tmp_path), "MELD_TOKEN": "a\r\nX-Other: b"})


def test_the_file_is_looked_for_where_the_user_keeps_settings() -> None:
    assert config_path({"XDG_CONFIG_HOME": "/etc/xdg"}) == Path("/etc/xdg/meld/config.toml")
    assert config_path({"MELD_CONFIG": "/a/b.toml"}) == Path("/a/b.toml")
