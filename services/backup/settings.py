"""Settings of the backup program."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from services.chassis.settings import ServiceSettings


class BackupSettings(ServiceSettings):
    """What the backup program reads: where the services are, and the key they sign with.

    `.env` counts where the environment says nothing, as with `make run`, which gives it to the services.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, case_sensitive=False, env_file=".env"
    )

    # The same as the services have; a backup that was made with another cannot be used.
    meld_snapshot_key: SecretStr = SecretStr("")

    @property
    def snapshot_key(self) -> bytes:
        """What snapshots are signed with; empty when they only carry a checksum."""
        return self.meld_snapshot_key.get_secret_value().encode()
