"""Settings of the session service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ByteSize, Field, SecretStr, field_validator

from services.chassis.reaching import Allowed, allowed
from services.chassis.secret import NeededSecret
from services.chassis.settings import Port, ServiceSettings
from services.session.model import Lifetimes

# Ten years.
_LONGEST_SECONDS = 315_360_000
_RUN_SECONDS = 86_400
_CONVERSATION_SECONDS = 365 * 86_400


class SessionSettings(ServiceSettings):
    """What the session service reads. What begins with `session_redis_` stands before `redis_`."""

    needed_secrets: ClassVar = (NeededSecret(("redis_password", "session_redis_password"), 16),)

    # The store; Redis is the only one.
    session_type: Literal["redis"] = "redis"
    redis_host: str = "127.0.0.1"
    redis_port: Port = 6379
    redis_password: SecretStr = SecretStr("")
    session_redis_host: str = ""
    session_redis_port: Port | None = None
    session_redis_password: SecretStr = SecretStr("")
    # host:port of each sentinel, separated by commas; they stand before the host above.
    session_redis_sentinels: str = ""
    # The name under which they watch the primary.
    session_redis_master: str = "meld-rag"
    # Seconds from the last write to a run or a session until it expires.
    permanent_session_lifetime: Annotated[int, Field(ge=1, le=_LONGEST_SECONDS)] | None = None
    # The same, for sessions alone: what was said is wanted longer than how it came about.
    meld_conversation_lifetime: Annotated[int, Field(ge=1, le=_LONGEST_SECONDS)] | None = None

    # Where the bytes of attachments are; all replicas see the same folder.
    meld_attachments_path: Path | None = None
    # Of one attachment, and of all of a tenant together.
    meld_max_attachment_bytes: ByteSize = ByteSize(100 << 20)
    meld_max_attachments_bytes: ByteSize = ByteSize(5 << 30)
    # Seconds until an attachment without a session expires; as a run does when empty.
    meld_attachment_lifetime: Annotated[int, Field(ge=1, le=_LONGEST_SECONDS)] | None = None

    # Signs snapshots; one that was made with another key is refused.
    meld_snapshot_key: SecretStr = SecretStr("")

    # Lets whoever knows it make the first owner; nobody does when empty.
    meld_setup_code: SecretStr | None = Field(default=None, min_length=8)
    # Requests of a user in a minute, and tokens of models in a day (UTC); 0: any number.
    meld_rate_limit_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 600
    meld_daily_tokens: Annotated[int, Field(ge=0, le=1_000_000_000_000)] = 0

    # Hosts, addresses and networks that webhooks may reach although they are not on the public internet.
    meld_webhook_allow: str = ""

    @field_validator("meld_webhook_allow")
    @classmethod
    def _allowed(cls, value: str) -> str:
        allowed(value)
        return value

    @field_validator("session_redis_sentinels")
    @classmethod
    def _addresses(cls, value: str) -> str:
        addresses(value)
        return value

    @property
    def lifetimes(self) -> Lifetimes:
        """Who sets one time for all gets it for all."""
        every = self.permanent_session_lifetime
        return Lifetimes(
            runs=every or _RUN_SECONDS,
            conversations=self.meld_conversation_lifetime or every or _CONVERSATION_SECONDS,
        )

    @property
    def sentinels(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each sentinel; empty where Redis is one server."""
        return addresses(self.session_redis_sentinels)

    @property
    def attachments_folder(self) -> Path:
        """Where the bytes of attachments are."""
        return self.meld_attachments_path or self.meld_data_dir / "attachments"

    @property
    def attachment_lifetime(self) -> int:
        """Seconds that an attachment is kept which belongs to no session."""
        return self.meld_attachment_lifetime or self.lifetimes.runs

    @property
    def snapshot_key(self) -> bytes:
        """What snapshots are signed with; empty when they only carry a checksum."""
        return self.meld_snapshot_key.get_secret_value().encode()

    @property
    def webhook_allow(self) -> Allowed:
        """What webhooks may reach beside the public internet."""
        return allowed(self.meld_webhook_allow)

    @property
    def token_secret(self) -> bytes:
        """What tokens are signed with; empty where nobody can sign in."""
        return self.jwt_secret_key.get_secret_value().strip().encode() if self.jwt_secret_key else b""

    @property
    def setup_code(self) -> str:
        """What lets somebody make the first owner; empty where nobody may."""
        return self.meld_setup_code.get_secret_value().strip() if self.meld_setup_code else ""

    @property
    def store_host(self) -> str:
        """Where Redis is."""
        return self.session_redis_host or self.redis_host

    @property
    def store_port(self) -> int:
        """Its port."""
        return self.session_redis_port or self.redis_port

    @property
    def store_password(self) -> str:
        """Its password; empty when it asks for none."""
        return (
            self.session_redis_password.get_secret_value() or self.redis_password.get_secret_value()
        ).strip()

    @property
    def bind(self) -> str:
        """Where this service listens: the port of its address, on the interface to bind."""
        return f"{self.meld_bind_host}:{self.meld_session_address.rpartition(':')[2]}"


def addresses(text: str) -> tuple[tuple[str, int], ...]:
    """The pairs of host and port in "host:port,host:port". Raises ValueError."""
    found = []
    for word in filter(None, map(str.strip, text.split(","))):
        host, _, port = word.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError(f"{word[:100]!r} is not host:port")
        found.append((host, int(port)))
    return tuple(found)
