"""Settings of the program that checks."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from services.chassis.settings import ServiceSettings


class FsckSettings(ServiceSettings):
    """Where the vector service is. `.env` counts where the environment says nothing, as with `make run`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, case_sensitive=False, env_file=".env"
    )
