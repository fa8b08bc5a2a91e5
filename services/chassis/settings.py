"""Settings: read once from the environment, typed, frozen.

A field's variable is its name in upper case. A bad value is reported with the
variable's name and without the value, which may be a secret.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import ByteSize, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.chassis import redaction

S = TypeVar("S", bound="ServiceSettings")

Port = Annotated[int, Field(ge=0, le=65535)]


class SettingsError(Exception):
    """A variable has a value that cannot be used. The message names it."""


class ServiceSettings(BaseSettings):
    """What every service reads."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, case_sensitive=False
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    log_file: str = ""
    log_max_size: ByteSize = ByteSize(100_000_000)
    log_backup_count: Annotated[int, Field(ge=0, le=1000)] = 5
    # Seconds between pings of a dependency that answers; one that does not is
    # pinged every second.
    health_check_interval: Annotated[float, Field(gt=0, le=3600)] = 1.0
    metrics_enabled: bool = True
    # Where a process without a web server of its own answers a scrape; 0: nowhere.
    meld_metrics_port: Port = 0
    # Whether a process may be asked for a profile of itself.
    profiling_enabled: bool = False
    otel_exporter_otlp_endpoint: str = ""

    meld_data_dir: Path = Path("data")
    meld_bind_host: str = "127.0.0.1"
    # Seconds that calls in flight get to end after SIGTERM.
    meld_drain_seconds: Annotated[float, Field(ge=0, le=600)] = 3.0
    meld_agents_address: str = "127.0.0.1:50051"
    meld_vector_address: str = "127.0.0.1:50052"
    meld_session_address: str = "127.0.0.1:50053"


def load(kind: type[S]) -> S:
    """Reads the settings of a service. Raises SettingsError; secrets become known to the redaction."""
    try:
        settings = kind()
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()
        )
        raise SettingsError(faults) from None
    for name in kind.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            redaction.register(value.get_secret_value())
    return settings
