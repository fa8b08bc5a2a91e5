"""What the launcher reads: the environment, and `.env` where the environment says nothing.

The services have settings of their own, read from the environment that the
launcher gives them; here stand only the addresses and limits that the launcher
acts on. It loads nothing heavy, so that the first process starts at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

from services.chassis import certificates
from services.chassis.addresses import is_loopback
from services.chassis.certificates import CertificateError, Certificates
from services.chassis.secret import SecretFileError, from_file

_SIZE = re.compile(r"(\d+)\s*(?:([kmg]?)(i?)b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}
_YES = frozenset(("1", "on", "t", "true", "y", "yes"))
_LOOPBACK = ("127.0.0.1", "localhost")


class SettingError(Exception):
    """A variable or a line of `.env` cannot be used. The message names it, without its value."""


@dataclass(frozen=True)
class Address:
    """Where a process listens, and the variable that changes it."""

    host: str
    port: int
    variable: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class LocalSettings:
    """The launcher's settings. `environment` is what the services get, but for the launcher's additions."""

    data: Path
    gateway: Address
    agents: Address
    vector: Address
    session: Address
    # None where it is on another machine: that server is not ours to start.
    redis: Address | None
    redis_password: str = field(repr=False)
    # A log file that grows past this many bytes is put aside; so many old ones are kept.
    log_max_size: int
    log_backup_count: int
    # A process that ends more often than this within a minute is not started again.
    restart_limit: int
    # The first of three ports for scrapes; 0 for none.
    metrics_port: int
    # What the services know each other by; None where they speak in the clear.
    certificates: Certificates | None
    environment: Mapping[str, str] = field(repr=False)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where the house will listen."""
        known = (self.redis, self.session, self.vector, self.agents, self.gateway)
        return tuple(address for address in known if address is not None)


def read(environment: Mapping[str, str], dotenv: Path, directory: Path) -> LocalSettings:
    """The settings in `environment` and, for what is not set there, in the file `dotenv`.

    Relative paths are taken from `directory`. Raises SettingError.
    """
    merged = {**read_dotenv(dotenv), **environment}
    # An empty value means the default, as in the services.
    given = {name: value for name, value in merged.items() if value}
    # As the session service chooses: its own variables stand before the general ones.
    redis_host = given.get("SESSION_REDIS_HOST") or given.get("REDIS_HOST", _LOOPBACK[0])
    redis_port = "SESSION_REDIS_PORT" if given.get("SESSION_REDIS_PORT") else "REDIS_PORT"
    default_port = 5001 if given.get("FLASK_ENV") == "development" else 5000
    return LocalSettings(
        data=(directory / given.get("MELD_DATA_DIR", "data")).resolve(),
        gateway=Address(
            given.get("FLASK_HOST", _LOOPBACK[0]), _port(given, "FLASK_PORT", default_port), "FLASK_PORT"
        ),
        agents=_address(given, "MELD_AGENTS_ADDRESS", 50051),
        vector=_address(given, "MELD_VECTOR_ADDRESS", 50052),
        session=_address(given, "MELD_SESSION_ADDRESS", 50053),
        redis=Address(redis_host, _port(given, redis_port, 6379), redis_port)
        if redis_host in _LOOPBACK
        else None,
        redis_password=_redis_password(given, directory),
        log_max_size=_size(given, "LOG_MAX_SIZE", "100MB"),
        log_backup_count=_whole(given, "LOG_BACKUP_COUNT", 5, range(1001)),
        restart_limit=_whole(given, "MELD_RESTART_LIMIT", 5, range(1_000_001)),
        metrics_port=_whole(given, "MELD_METRICS_PORT", 0, range(65534)),
        certificates=_certificates(given),
        environment={**merged, **_login(given)},
    )


def _login(given: Mapping[str, str]) -> dict[str, str]:
    """What all services are told where the gateway asks people to log in although no setting says so: the
    others cannot know where it listens.
    """
    open_to_all = given.get("MELD_ALLOW_ANONYMOUS", "no").strip().lower() in _YES
    if given.get("MELD_LOGIN") or open_to_all or is_loopback(given.get("FLASK_HOST", _LOOPBACK[0])):
        return {}
    return {"MELD_LOGIN": "required"}


def _certificates(given: Mapping[str, str]) -> Certificates | None:
    """As the services find them; which of the three is missing they say themselves."""
    files = [given.get(f"MELD_MTLS_{name}") for name in ("CA", "CERTIFICATE", "KEY")]
    try:
        authority, certificate, key = (Path(file) for file in files if file)
        return certificates.read(authority, certificate, key, given.get("MELD_MTLS_NAME", "meld-rag"))
    except ValueError:
        return None
    except CertificateError as error:
        raise SettingError(str(error)) from None


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file, none where there is no file. Raises SettingError with the line."""
    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} cannot be read: {error}") from error
    values: dict[str, str] = {}
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            raise SettingError(f"{path} line {binding.original.line}: expected NAME=value")
        if binding.key is not None:
            values[binding.key] = binding.value or ""
    return values


def _redis_password(given: Mapping[str, str], directory: Path) -> str:
    """As the session service finds it: its own variable or file first, then the general one."""
    folder = given.get("MELD_SECRETS_DIR")
    for name in ("SESSION_REDIS_PASSWORD", "REDIS_PASSWORD"):
        found = given.get(name)
        if not found and folder:
            try:
                found = from_file(directory / folder, name.lower())
            except SecretFileError as error:
                raise SettingError(f"{name}: {error}") from None
        if found:
            return found.strip()
    return ""


def _whole(given: Mapping[str, str], name: str, default: int, allowed: range) -> int:
    text = given.get(name, str(default)).strip()
    if not text.isdecimal() or int(text) not in allowed:
        raise SettingError(f"{name} must be a whole number from {allowed.start} to {allowed.stop - 1}")
    return int(text)


def _port(given: Mapping[str, str], name: str, default: int) -> int:
    return _whole(given, name, default, range(1, 65536))


def _address(given: Mapping[str, str], name: str, default: int) -> Address:
    host, colon, port = given.get(name, f"{_LOOPBACK[0]}:{default}").strip().rpartition(":")
    if not colon or host not in _LOOPBACK:
        raise SettingError(f"{name} must be 127.0.0.1:PORT for a house on one machine")
    return Address(host, _port({name: port}, name, default), name)


def _size(given: Mapping[str, str], name: str, default: str) -> int:
    match = _SIZE.fullmatch(given.get(name, default).strip())
    if match is None:
        raise SettingError(f"{name} must be a size such as 100MB")
    number, unit, binary = match.groups(default="")
    return int(number) * int((1024 if binary else 1000) ** _POWERS[unit.lower()])
