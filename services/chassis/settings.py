"""Settings: read once from the environment, typed, frozen.

A field's variable is its name in upper case. A bad value is reported with the
variable's name and without the value, which may be a secret. Secrets may lie in
files instead (MELD_SECRETS_DIR), and have to be good ones where others can reach
the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import ByteSize, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.chassis import certificates, redaction
from services.chassis.addresses import is_loopback
from services.chassis.certificates import CertificateError, Certificates
from services.chassis.secret import NeededSecret, SecretFileError, from_file, is_placeholder, weakness

S = TypeVar("S", bound="ServiceSettings")

# What says who somebody is; good ones are needed wherever callers have to log in.
_SIGNING = (NeededSecret(("jwt_secret_key",), 32), NeededSecret(("meld_service_token",), 32))

Port = Annotated[int, Field(ge=0, le=65535)]


class SettingsError(Exception):
    """A variable has a value that cannot be used. The message names it."""


class ServiceSettings(BaseSettings):
    """What every service reads."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, case_sensitive=False
    )

    # Secrets that a process which others can reach does not start without.
    needed_secrets: ClassVar[tuple[NeededSecret, ...]] = ()
    # Fields that hold secrets inside of JSON: braces around it make it no placeholder.
    structured_secrets: ClassVar[frozenset[str]] = frozenset()

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
    # Whether metrics and logs go there too; a trace store takes neither.
    otel_metrics_exporter: Literal["otlp", "none"] = "otlp"
    otel_logs_exporter: Literal["otlp", "none"] = "otlp"

    meld_data_dir: Path = Path("data")
    meld_bind_host: str = "127.0.0.1"
    # Seconds that calls in flight get to end after SIGTERM.
    meld_drain_seconds: Annotated[float, Field(ge=0, le=600)] = 3.0
    meld_agents_address: str = "127.0.0.1:50051"
    meld_vector_address: str = "127.0.0.1:50052"
    meld_session_address: str = "127.0.0.1:50053"

    # Whether everybody has to say who they are. Off by itself; the gateway has its own rule for that.
    meld_login: Literal["", "off", "required"] = ""
    # Signs access tokens, and the passes that calls between the services carry.
    jwt_secret_key: SecretStr | None = Field(default=None, min_length=1)
    # What a program shows that calls the services itself and acts for the house.
    meld_service_token: SecretStr | None = Field(default=None, min_length=1)

    # Files (PEM) by which the services know each other: the authority that signs for this house, what the
    # process shows, and its key. All three or none.
    meld_mtls_ca: Path | None = None
    meld_mtls_certificate: Path | None = None
    meld_mtls_key: Path | None = Field(default=None, validate_default=True)
    # A name (DNS) that the certificate of every service has.
    meld_mtls_name: Annotated[str, Field(min_length=1)] = "meld-rag"

    # A folder with a file for each secret, named as its field: redis_password.
    meld_secrets_dir: Path | None = None
    # Whether others can reach the process; by the address it listens on where this says nothing.
    meld_require_secrets: bool | None = None

    @field_validator("meld_mtls_key")
    @classmethod
    def _has_both_others(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        given = {
            info.data.get("meld_mtls_ca") is None,
            info.data.get("meld_mtls_certificate") is None,
            key is None,
        }
        if len(given) > 1:
            raise ValueError("MELD_MTLS_CA, MELD_MTLS_CERTIFICATE and MELD_MTLS_KEY belong together")
        return key

    @cached_property
    def certificates(self) -> Certificates | None:
        """What calls between the services are encrypted and known by, read once from its files; None where
        they speak in the clear. Raises CertificateError.
        """
        if self.meld_mtls_ca is None or self.meld_mtls_certificate is None or self.meld_mtls_key is None:
            return None
        return certificates.read(
            self.meld_mtls_ca, self.meld_mtls_certificate, self.meld_mtls_key, self.meld_mtls_name
        )

    @property
    def listens_on(self) -> str:
        """The host to listen on."""
        return self.meld_bind_host

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach the process, so that its secrets matter."""
        if self.meld_require_secrets is None:
            return not is_loopback(self.listens_on)
        return self.meld_require_secrets

    @property
    def login_required(self) -> bool:
        """Whether callers have to say who they are."""
        return self.meld_login == "required"

    @classmethod
    def secret_fields(cls) -> tuple[str, ...]:
        """The fields that hold secrets."""
        return tuple(name for name, field in cls.model_fields.items() if _is_secret(field))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, the environment, `.env` for programs that read it, the files of secrets.

        The first that says something counts. A service is given its environment and names no `.env`.
        """
        del file_secret_settings
        return init_settings, env_settings, dotenv_settings, _SecretFiles(settings_cls)


def load(kind: type[S]) -> S:
    """Reads the settings of a service. Raises SettingsError; secrets become known to the redaction."""
    try:
        settings = kind()
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()
        )
        raise SettingsError(faults) from None
    try:
        _ = settings.certificates
    except CertificateError as error:
        raise SettingsError(str(error)) from None
    for name in kind.secret_fields():
        if value := _secret(settings, name):
            redaction.register(value)
    if bad := "; ".join(_bad_secrets(settings)):
        raise SettingsError(bad)
    return settings


class _SecretFiles(PydanticBaseSettingsSource):
    """The files of MELD_SECRETS_DIR, for secrets that the environment does not name.

    pydantic-settings' own source would take any field from a file, and ends on a file
    that is not UTF-8 with an error that shows the bytes.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The secret of one field."""
        folder = self.current_state.get("meld_secrets_dir")
        if not folder or not _is_secret(field) or self.current_state.get(field_name):
            return None, field_name, False
        try:
            return from_file(Path(folder), field_name), field_name, False
        except SecretFileError as error:
            raise SettingsError(f"{field_name.upper()}: {error}") from None

    def __call__(self) -> dict[str, Any]:
        folder = self.current_state.get("meld_secrets_dir")
        if folder and not Path(folder).is_dir():
            raise SettingsError("MELD_SECRETS_DIR: there is no such folder, or it cannot be entered")
        values = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        # An empty file says as little as an empty variable.
        return {name: value for name, value in values.items() if value}


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _secret(settings: ServiceSettings, name: str) -> str:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else ""


def _bad_secrets(settings: ServiceSettings) -> Iterator[str]:
    """What is wrong with the secrets, each with its variable's name."""
    guarded = {name: needed for needed in settings.needed_secrets for name in needed.fields}
    signing = {name: needed for needed in _SIGNING for name in needed.fields}
    for name in settings.secret_fields():
        if name in guarded or name in signing or name in settings.structured_secrets:
            continue
        if is_placeholder(_secret(settings, name)):
            yield f"{name.upper()}: is a placeholder; leave it empty or set the real one"
    if settings.login_required:
        yield from _weak(settings, _SIGNING, "callers have to log in")
        if not _secret(settings, "jwt_secret_key").strip():
            yield (
                "JWT_SECRET_KEY: is needed where callers have to log in, 32 characters or more "
                "(or a file in MELD_SECRETS_DIR)"
            )
    if not settings.exposed:
        return
    for needed in settings.needed_secrets:
        if settings.login_required and needed in _SIGNING:
            continue
        if not any(_secret(settings, name).strip() for name in needed.fields):
            names = " or ".join(name.upper() for name in needed.fields)
            yield (
                f"{names}: is needed where other machines can reach this process, {needed.min_length} "
                "characters or more (or a file in MELD_SECRETS_DIR)"
            )
    told = _SIGNING if settings.login_required else ()
    others = [needed for needed in settings.needed_secrets if needed not in told]
    yield from _weak(settings, others, "other machines can reach this process")


def _weak(settings: ServiceSettings, guarded: Iterable[NeededSecret], why: str) -> Iterator[str]:
    """The secrets that are set and that others would guess, and why that matters."""
    for needed in guarded:
        for name in needed.fields:
            value = _secret(settings, name)
            if value and (reason := weakness(value, needed.min_length)):
                yield f"{name.upper()}: {reason}; {why}"
