"""Every variable that the system was asked for with changes what can be seen of the running system.

One row a variable: what it is set to, what is looked at, what is seen without it and with it.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.test_settings import ASKED_FOR, DOCUMENTED
from tests.contract.settings import gateways, insides
from tests.contract.settings.gateways import OTHER_SITE, QUIET_SECONDS, SECRETS, Seen
from tests.contract.settings.insides import ASIDE, PASSWORD, Knocks, RedisAside, Stage
from tests.support.model_folder import WIDTH
from tests.support.model_server import Answer, ModelServer
from tests.unit.gateway.scripted_services import ScriptedServices, running_services

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="other addresses of the loopback network are used"),
]

ANSWER = Answer("It was built in 1884 [1].")
KEY = "sk-of-the-settings-table"
EMBEDDING = {
    "OPENAI_API_KEY": KEY,
    "OPENAI_BASE_URL": "{model}",
    "MELD_EMBEDDING_MODEL": "text-embedding-3-small",
}
AT_OPEN_REDIS = {"REDIS_HOST": ASIDE, "REDIS_PORT": "{open_redis}"}
AT_LOCKED_REDIS = {"REDIS_HOST": ASIDE, "REDIS_PORT": "{locked_redis}"}


@dataclass(frozen=True)
class Row:
    """set_to: the value; names in braces are places of the stage. along: set with and without it."""

    set_to: str
    observe: Callable[[Stage], Any]
    without: Any
    changed: Any
    along: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GatewayRow:
    """As Row, but of two gateways: one without any variable, one with all variables of these rows."""

    set_to: str
    observe: Callable[[Seen], Any]
    without: Any
    changed: Any


GATEWAY_ROWS = {
    "FLASK_HOST": GatewayRow("127.0.0.2", gateways.host, "127.0.0.1", "127.0.0.2"),
    "CORS_ORIGINS": GatewayRow(OTHER_SITE, gateways.allowed_origin, None, OTHER_SITE),
    "GUNICORN_WORKERS": GatewayRow("1", gateways.number_of_workers, 2, 1),
    "GUNICORN_THREADS": GatewayRow("2", gateways.has_a_thread_left, True, False),
    "GUNICORN_KEEPALIVE": GatewayRow("0", gateways.connection_header, "keep-alive", "close"),
    "GUNICORN_TIMEOUT": GatewayRow("5", gateways.replaces_a_silent_worker, False, True),
    "PROFILING_ENABLED": GatewayRow("yes", gateways.profile_status, 404, 200),
    "METRICS_ENABLED": GatewayRow("no", gateways.metrics_status, 200, 404),
    "LOG_LEVEL": GatewayRow("DEBUG", gateways.logs_details, False, True),
    "LOG_FORMAT": GatewayRow("text", gateways.log_is_json, True, False),
    "LOG_FILE": GatewayRow("{folder}/changed/app.log", gateways.is_logged_in_a_file, False, True),
    "LOG_MAX_SIZE": GatewayRow("4KB", gateways.has_put_a_log_aside, False, True),
    "LOG_BACKUP_COUNT": GatewayRow("2", gateways.logs_put_aside, 0, 2),
}
ROWS = {
    "FLASK_ENV": Row("development", insides.page_may_be_kept, "no-cache", "no-store"),
    "FLASK_DEBUG": Row("1", insides.page_may_be_kept, "no-cache", "no-store"),
    "FLASK_PORT": Row("5987", insides.port_listened_on, 5000, 5987),
    "FLASK_SECRET_KEY": Row(SECRETS["flask_secret_key"], insides.cookie_is_signed, False, True),
    "JWT_SECRET_KEY": Row(
        SECRETS["jwt_secret_key"],
        insides.what_stops_a_gateway,
        "gateway: JWT_SECRET_KEY:",
        "its port",
        {"MELD_REQUIRE_SECRETS": "yes", "FLASK_SECRET_KEY": SECRETS["flask_secret_key"]},
    ),
    "SESSION_TYPE": Row("filesystem", insides.how_a_session_process_fares, "serves", "names it"),
    "REDIS_HOST": Row(ASIDE, insides.where_sessions_are, "none", "open", {"REDIS_PORT": "{open_redis}"}),
    "REDIS_PORT": Row("{open_redis}", insides.where_sessions_are, "none", "open", {"REDIS_HOST": ASIDE}),
    "REDIS_PASSWORD": Row(PASSWORD, insides.where_sessions_are, "none", "locked", AT_LOCKED_REDIS),
    "SESSION_REDIS_HOST": Row(
        ASIDE, insides.where_sessions_are, "none", "open", {"REDIS_PORT": "{open_redis}"}
    ),
    "SESSION_REDIS_PORT": Row("{open_redis}", insides.where_sessions_are, "none", "open", AT_LOCKED_REDIS),
    "SESSION_REDIS_PASSWORD": Row(
        PASSWORD,
        insides.where_sessions_are,
        "none",
        "locked",
        {**AT_LOCKED_REDIS, "REDIS_PASSWORD": "another"},
    ),
    "PERMANENT_SESSION_LIFETIME": Row(
        "100", insides.how_long_a_session_stays, "longer", "within the hour", AT_OPEN_REDIS
    ),
    "OPENAI_API_KEY": Row(KEY, insides.bearer, "Bearer none", f"Bearer {KEY}"),
    "OPENAI_MODEL": Row("another-model", insides.model_asked, "gpt-4", "another-model"),
    "OPENAI_MAX_TOKENS": Row("321", insides.tokens_allowed, 4000, 321),
    "ANTHROPIC_API_KEY": Row(KEY, insides.vendor_asked, None, (f"Bearer {KEY}", "claude-sonnet-4-5")),
    "GOOGLE_API_KEY": Row(KEY, insides.vendor_asked, None, (f"Bearer {KEY}", "gemini-2.5-flash")),
    "COHERE_API_KEY": Row(KEY, insides.vendor_asked, None, (f"Bearer {KEY}", "command-a-03-2025")),
    "COLLECTION_NAME": Row("atlas", insides.collection_searched, ["atlas", "meld_rag_vectors"], ["atlas"]),
    "CHROMADB_HOST": Row(ASIDE, insides.asks_the_server_aside, False, True, {"CHROMADB_PORT": "{knocks}"}),
    "CHROMADB_PORT": Row("{knocks}", insides.asks_the_server_aside, False, True, {"CHROMADB_HOST": ASIDE}),
    "CHROMADB_PATH": Row("{folder}/named", insides.where_the_index_is, ["usual"], ["named"]),
    "VECTOR_DIMENSION": Row("48", insides.components_of_a_vector, 1536, 48, EMBEDDING),
    "SIMILARITY_THRESHOLD": Row("0.99", insides.hits_of_a_search, 4, 0),
    "MAX_RESULTS": Row("3", insides.hits_of_a_search, 4, 3),
    "HEALTH_CHECK_INTERVAL": Row("0.02", insides.pings_often, False, True),
}
# Of later variables, which nobody asked for by name.
MORE_ROWS = {
    "OPENAI_TRANSCRIPTION_MODEL": Row("whisper-9", insides.listener_asked, None, "whisper-9"),
    "OPENAI_SPEECH_MODEL": Row("tts-9", insides.speaker_asked, None, "tts-9"),
    "MELD_CONVERSATION_LIFETIME": Row(
        "100", insides.how_long_a_session_stays, "longer", "within the hour", AT_OPEN_REDIS
    ),
    "MELD_FETCH_ALLOW": Row(ASIDE, insides.why_nothing_is_fetched, "ADDRESS_REFUSED", "FETCH_FAILED"),
    "MELD_KEEP_ORIGINALS": Row("false", insides.whether_a_file_is_kept, True, False),
    "MELD_EMBEDDING_MODELS_DIR": Row(
        "{folder}/ours",
        insides.components_with_a_model_in_a_folder,
        1536,
        WIDTH,
        EMBEDDING,
    ),
}


def test_every_variable_that_was_asked_for_has_a_row() -> None:
    assert set(ASKED_FOR.split()) == {*ROWS, *GATEWAY_ROWS}
    assert not set(ROWS) & set(GATEWAY_ROWS)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(DOCUMENTED) & set(os.environ):
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def services() -> Iterator[ScriptedServices]:
    with running_services() as running:
        yield running


@pytest.fixture(scope="module")
def two_gateways(
    services: ScriptedServices, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Seen, Seen]]:
    """One without any variable of the table, and one with those of GATEWAY_ROWS."""
    folder = tmp_path_factory.mktemp("gateways")
    variables = {name: row.set_to.format(folder=folder) for name, row in GATEWAY_ROWS.items()}
    with pytest.MonkeyPatch.context() as patch, ExitStack() as held:
        for name in set(DOCUMENTED) & set(os.environ):
            patch.delenv(name)
        pair = held.enter_context(gateways.gateways(services, folder, variables))
        yield pair


# The last one disturbs the workers.
@pytest.mark.parametrize("name", sorted(GATEWAY_ROWS, key=lambda name: name == "GUNICORN_TIMEOUT"))
def test_a_gateway_shows_the_variable(
    name: str, two_gateways: tuple[Seen, Seen], services: ScriptedServices
) -> None:
    services.reset()
    plain, changed = two_gateways
    row = GATEWAY_ROWS[name]

    assert row.observe(plain) == row.without
    assert row.observe(changed) == row.changed


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Redis servers, a model server and a port that notes who comes, for all rows."""
    with ExitStack() as held:
        redis = {}
        for name, password in (("open_redis", ""), ("locked_redis", PASSWORD)):
            server = RedisAside(tmp_path_factory.mktemp(name), password=password, arguments=("--bind", ASIDE))
            server.start()
            held.callback(server.kill)
            redis[name] = server
        yield {
            **redis,
            "knocks": held.enter_context(Knocks().listening()),
            "model": held.enter_context(ModelServer(forever=ANSWER, dimension=1536)),
        }


@pytest.mark.parametrize("name", [*ROWS, *MORE_ROWS])
async def test_the_variable_can_be_seen(
    name: str, places: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = (ROWS | MORE_ROWS)[name]
    seen = []
    for case in ("without", "changed"):
        folder = tmp_path / case
        folder.mkdir()
        written = {
            "folder": str(folder),
            "model": places["model"].base_url,
            **{key: str(places[key].port) for key in ("open_redis", "locked_redis", "knocks")},
        }
        variables = {**row.along, **({name: row.set_to} if case == "changed" else {})}
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value.format(**written))
        stage = Stage(folder=folder, patience=QUIET_SECONDS / 2 if case == "without" else 60.0, **places)
        observed = row.observe(stage)
        seen.append(await observed if inspect.isawaitable(observed) else observed)

    assert seen == [row.without, row.changed]
