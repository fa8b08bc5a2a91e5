"""The settings table: .env.example says what the code reads, with its unit and its true default."""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import dataclass

import pytest

from services.chassis.settings import ServiceSettings
from services.local.settings import read
from tests.architecture.sources import ROOT, SERVICES

# What the system was asked for with.
ASKED_FOR = """
FLASK_SECRET_KEY FLASK_ENV FLASK_DEBUG FLASK_HOST FLASK_PORT SESSION_TYPE SESSION_REDIS_HOST
SESSION_REDIS_PORT SESSION_REDIS_PASSWORD PERMANENT_SESSION_LIFETIME REDIS_HOST REDIS_PORT REDIS_PASSWORD
JWT_SECRET_KEY CORS_ORIGINS OPENAI_API_KEY OPENAI_MODEL OPENAI_MAX_TOKENS ANTHROPIC_API_KEY GOOGLE_API_KEY
COHERE_API_KEY CHROMADB_HOST CHROMADB_PORT CHROMADB_PATH COLLECTION_NAME VECTOR_DIMENSION
SIMILARITY_THRESHOLD MAX_RESULTS GUNICORN_WORKERS GUNICORN_THREADS GUNICORN_TIMEOUT GUNICORN_KEEPALIVE
LOG_LEVEL LOG_FORMAT LOG_FILE LOG_MAX_SIZE LOG_BACKUP_COUNT HEALTH_CHECK_INTERVAL METRICS_ENABLED
PROFILING_ENABLED
"""
LAUNCHER = {"MELD_RESTART_LIMIT"}
# Read by compose/ and docker-manage.sh alone.
CONTAINERS = {
    "MELD_DEVELOPMENT_PORT",
    "MELD_DEVELOPMENT_REDIS_PORT",
    "MELD_NOTEBOOK_PORT",
    "JUPYTER_TOKEN",
    "MELD_DEBUG",
    "MELD_LAYERS",
    "MELD_REDIS_NETWORK",
    "MELD_PROMETHEUS_PORT",
    "MELD_GRAFANA_PORT",
    "MELD_JAEGER_PORT",
    "GRAFANA_PASSWORD",
    "MELD_PUBLISH_HOST",
    "REDIS_MAXMEMORY",
    "REDIS_MEMORY_LIMIT",
    "MELD_VERSION",
    "MELD_BACKUP_KEEP",
}


@dataclass(frozen=True)
class Entry:
    """A variable of .env.example: what is said of it, the default shown, the section it stands in."""

    about: str
    default: str
    section: str


def entries() -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    section, about = "", []
    for line in (ROOT / ".env.example").read_text().splitlines():
        if title := re.match(r"# --- (.+?) -+$", line):
            section, about = title[1], []
        elif variable := re.match(r"(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", line):
            found[variable[1]] = Entry(" ".join(about), variable[2], section)
            about = []
        elif line.startswith("# "):
            about.append(line[2:])
        else:
            about = []
    return found


def kinds() -> dict[str, type[ServiceSettings]]:
    """The settings class of each service."""
    modules = {name: importlib.import_module(f"services.{name}.settings") for name in SERVICES}
    return {
        name: next(
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, ServiceSettings) and value is not ServiceSettings
        )
        for name, module in modules.items()
    }


DOCUMENTED = entries()
FIELDS = [(kind, field) for kind in kinds().values() for field in kind.model_fields]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {*DOCUMENTED, *(field.upper() for _, field in FIELDS)} & set(os.environ):
        monkeypatch.delenv(name)


def test_what_was_asked_for_is_documented() -> None:
    assert set(ASKED_FOR.split()) <= set(DOCUMENTED)


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_every_variable_is_explained_and_numbers_have_a_unit(name: str) -> None:
    entry = DOCUMENTED[name]

    assert entry.about.endswith(".")
    if re.fullmatch(r"-?\d+(\.\d+)?([KMG]i?B)?", entry.default):
        assert re.search(r"\((seconds|bytes|tokens|count|port|cosine)\b", entry.about)


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_every_variable_that_a_service_reads_is_documented_with_its_true_default(
    kind: type[ServiceSettings], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = DOCUMENTED[field.upper()]
    default = getattr(kind(), field)
    monkeypatch.setenv(field.upper(), entry.default)

    assert getattr(kind(), field) == default


def test_variables_that_nothing_reads_say_so() -> None:
    read_by_code = {field.upper() for _, field in FIELDS} | LAUNCHER | CONTAINERS
    unread = {name for name, entry in DOCUMENTED.items() if entry.section.startswith("Without effect")}

    assert set(DOCUMENTED) - read_by_code == unread


def test_a_copy_of_the_example_changes_nothing() -> None:
    as_copied = read({}, ROOT / ".env.example", ROOT)

    assert as_copied == read({}, ROOT / "no-such-file", ROOT)
