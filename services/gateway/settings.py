"""Settings of the gateway."""

from __future__ import annotations

import ipaddress
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from services.chassis.addresses import is_loopback
from services.chassis.secret import NeededSecret
from services.chassis.settings import ServiceSettings
from services.gateway.proxies import Network, networks_of

_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


class GatewaySettings(ServiceSettings):
    """What the gateway reads from the environment. Sizes are bytes, times are seconds."""

    needed_secrets: ClassVar = (
        NeededSecret(("flask_secret_key",), 32),
        NeededSecret(("jwt_secret_key",), 32),
    )

    # Whoever reaches the port is the owner, although it can be reached from other machines.
    meld_allow_anonymous: bool = False
    # Another identity provider that people may sign in by (OpenID Connect): its address, and what it knows
    # this house by. Empty: none.
    meld_oidc_issuer: str = ""
    meld_oidc_client_id: str = Field(default="", validate_default=True)
    meld_oidc_client_secret: SecretStr | None = Field(default=None, min_length=1)
    meld_oidc_scopes: str = "openid profile email"
    flask_host: str = "127.0.0.1"
    # 5000, or 5001 when FLASK_ENV is development.
    flask_port: int | None = Field(default=None, ge=0, le=65535)
    flask_env: Literal["production", "development", "testing"] = "production"
    flask_debug: bool = False
    flask_secret_key: SecretStr | None = Field(default=None, min_length=1)
    # Origins of other sites whose pages may call, separated by commas.
    cors_origins: str = ""
    gunicorn_workers: int = Field(default=2, ge=1, le=64)
    gunicorn_threads: int = Field(default=64, ge=2, le=1024)
    gunicorn_timeout: int = Field(default=120, ge=1)
    gunicorn_keepalive: int = Field(default=5, ge=0)
    # Addresses and networks, separated by commas, of proxies in front: their word counts for where a request
    # comes from and how.
    meld_trusted_proxies: str = ""
    # Addresses and networks that may read /metrics without a login, besides this machine.
    meld_metrics_networks: str = ""
    # Further names that the Host header may have, separated by commas.
    meld_trusted_hosts: str = ""
    meld_max_json_bytes: int = Field(default=1 << 20, ge=1024)
    # Pictures and recordings are in it.
    meld_max_chat_bytes: int = Field(default=32 << 20, ge=1024)
    meld_max_upload_bytes: int = Field(default=100 << 20, ge=1024)
    meld_max_attachment_bytes: int = Field(default=100 << 20, ge=1024)
    meld_max_import_bytes: int = Field(default=1 << 30, ge=1024)
    # Of an archive that is checked or restored.
    meld_max_backup_bytes: int = Field(default=16 << 30, ge=1024)
    # Where archives lie while they are looked at; empty: the system's folder for temporary files.
    meld_spool_dir: str = ""
    # The same as the services have; a backup that was made with another cannot be used.
    meld_snapshot_key: SecretStr = SecretStr("")
    # Longest silence on an event stream.
    meld_heartbeat_seconds: float = Field(default=10.0, gt=0, le=10)
    # Requests that may be repeated wait this long for a service that has just gone.
    meld_patience_seconds: float = Field(default=0.0, ge=0, le=60)
    # A client that sends nothing for this long, or its header slower than this, is cut off.
    meld_client_idle_seconds: float = Field(default=10.0, gt=0)

    @field_validator("flask_host")
    @classmethod
    def _stays_on_loopback(cls, host: str, info: ValidationInfo) -> str:
        off = info.data.get("meld_login") == "off"
        if off and not is_loopback(host) and not info.data.get("meld_allow_anonymous"):
            raise ValueError(
                f"{host} can be reached from other machines and MELD_LOGIN is off; listen on 127.0.0.1, let "
                "people log in, or set MELD_ALLOW_ANONYMOUS=yes to let everybody in as the owner"
            )
        return host

    @field_validator("meld_oidc_issuer")
    @classmethod
    def _speaks_tls(cls, issuer: str) -> str:
        parts = urlsplit(issuer)
        safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        if issuer and not (safe and parts.hostname and not parts.query and not parts.fragment):
            raise ValueError("must be an https address, or http on loopback, as the provider names itself")
        return issuer

    @field_validator("meld_oidc_client_id")
    @classmethod
    def _has_an_issuer(cls, client_id: str, info: ValidationInfo) -> str:
        if bool(client_id) != bool(info.data.get("meld_oidc_issuer")):
            raise ValueError("MELD_OIDC_ISSUER and MELD_OIDC_CLIENT_ID belong together")
        return client_id

    @field_validator("meld_trusted_proxies", "meld_metrics_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks_of(value)
        return value

    @property
    def listens_on(self) -> str:
        """The host of the web server."""
        return self.flask_host

    @property
    def login_required(self) -> bool:
        """Whether callers have to sign in: where MELD_LOGIN says nothing, when others can reach the port and
        are not let in as the owner.
        """
        if self.meld_login:
            return self.meld_login == "required"
        return not is_loopback(self.flask_host) and not self.meld_allow_anonymous

    @property
    def port(self) -> int:
        """The port to listen on; 0 takes a free one."""
        if self.flask_port is not None:
            return self.flask_port
        return 5001 if self.flask_env == "development" else 5000

    @property
    def snapshot_key(self) -> bytes:
        """What snapshots are signed with; empty when they only carry a checksum."""
        return self.meld_snapshot_key.get_secret_value().encode()

    @property
    def development(self) -> bool:
        """Whether code and page are reloaded as they change."""
        return self.flask_debug or self.flask_env == "development"

    @property
    def origins(self) -> frozenset[str]:
        """Origins that may call from a browser, besides our own page."""
        return frozenset(origin.rstrip("/") for origin in _listed(self.cors_origins))

    @property
    def trusted_proxies(self) -> tuple[Network, ...]:
        """Where proxies are whose word counts."""
        return networks_of(self.meld_trusted_proxies)

    @property
    def metrics_networks(self) -> tuple[Network, ...]:
        """Where somebody may read the measurements who has not logged in."""
        return networks_of(self.meld_metrics_networks)

    @property
    def hosts(self) -> frozenset[str]:
        """Names, without port, that a Host header may have."""
        names = {*_LOCAL_NAMES, *_listed(self.meld_trusted_hosts)}
        if not _is_any_address(self.flask_host):
            names.add(self.flask_host)
        return frozenset(name.lower() for name in names)


def _is_any_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def _listed(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]
