"""Where the house is and who asks: the environment, else a file of the user's, else this machine."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from meldrag_cli.failures import UsageFailure
from meldrag_cli.logins import Logins

DEFAULT_URL = "http://127.0.0.1:5000"
# As the page calls the first one.
DEFAULT_COLLECTION = "documents"

_NAMES = ("url", "token", "collection")


@dataclass(frozen=True)
class Settings:
    """url: of the gateway, without a slash at its end. token: an access token or API key; empty for none, and
    where the login counts that is kept for the house.

    collection: where files go when none is named. folder: where logins are kept.
    """

    url: str = DEFAULT_URL
    token: str = ""
    collection: str = DEFAULT_COLLECTION
    folder: Path = field(default=Path(), compare=False)

    @property
    def logins(self) -> Logins:
        """The logins of this user."""
        return Logins(self.folder)

    @property
    def local(self) -> bool:
        """Whether the gateway is on this machine, which no proxy leads to."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def config_path(environment: Mapping[str, str]) -> Path:
    """MELD_CONFIG, else config.toml in the user's folder for settings."""
    if named := environment.get("MELD_CONFIG"):
        return Path(named)
    base = environment.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return Path(base) / "meld" / "config.toml"


def read(environment: Mapping[str, str] | None = None, url: str = "") -> Settings:
    """The settings: `url`, then MELD_URL, MELD_TOKEN and MELD_COLLECTION, then the file. A login that is kept
    for the house goes before the token of the file.

    Raises UsageFailure for a file or an address that makes no sense.
    """
    environment = os.environ if environment is None else environment
    place = config_path(environment)
    kept = _file(place, named="MELD_CONFIG" in environment)
    found = {
        name: environment.get(f"MELD_{name.upper()}") or kept.get(name) or getattr(Settings, name)
        for name in _NAMES
    }
    found["url"] = _checked(url or found["url"])
    if not found["token"].isascii() or not found["token"].isprintable() or " " in found["token"]:
        raise UsageFailure("INVALID_TOKEN", "the token holds characters that no token has")
    settings = Settings(**found, folder=place.parent)
    if not environment.get("MELD_TOKEN") and settings.logins.read(settings.url) is not None:
        return replace(settings, token="")
    return settings


def _file(path: Path, *, named: bool) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except FileNotFoundError:
        if named:
            raise UsageFailure("INVALID_CONFIG", f"{path} is not there") from None
        return {}
    except (OSError, ValueError) as error:
        raise UsageFailure("INVALID_CONFIG", f"{path}: {error}") from None
    for name, value in values.items():
        if name not in _NAMES or not isinstance(value, str):
            raise UsageFailure(
                "INVALID_CONFIG", f"{path}: {name} is not one of the texts {', '.join(_NAMES)}"
            )
    return values


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        usable = None
    if not usable or parts.query or parts.fragment:
        raise UsageFailure("INVALID_URL", f"{url!r} is no address as in {DEFAULT_URL}")
    if parts.username or parts.password:
        raise UsageFailure("INVALID_URL", "the address holds a password; MELD_TOKEN is the place for secrets")
    return url.rstrip("/")
