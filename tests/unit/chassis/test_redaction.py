"""Secrets stay out of what a process writes."""

from __future__ import annotations

import io
import json
import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from services.chassis import redaction
from services.chassis.export import RedactingSpanExporter
from services.chassis.settings import ServiceSettings, SettingsError, load
from services.chassis.telemetry import JsonFormatter, TextFormatter


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests made known to this process is an ordinary word here."""
    monkeypatch.setattr(redaction, "_known", redaction._KnownSecrets())


CANARY = 'can"ary-ü-31337'


def written(formatter: logging.Formatter, act: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("test")
    logger.addHandler(handler)
    act(logger)  # type: ignore[operator]
    return stream.getvalue()


@pytest.mark.parametrize("formatter", [JsonFormatter("t"), TextFormatter("t")])
def test_a_registered_secret_is_nowhere_in_a_line(formatter: logging.Formatter) -> None:
    redaction.register(CANARY)

    def act(logger: logging.Logger) -> None:
        try:
            raise RuntimeError(f"bad key {CANARY}")
        except RuntimeError:
            logger.exception(
                "asked with %s", CANARY, extra={"fields": {"url": f"http://h/?k={CANARY}", CANARY: [CANARY]}}
            )

    line = written(formatter, act)
    assert "asked with" in line
    assert "31337" not in line


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefghij",
        "redis://:s3cretpass@host:6379/0",
        "key sk-abcdefghijklmnop",
        "https://host/?api_key=abcdefgh&x=1",
        "token eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    hidden = redaction.redact(text)
    assert "[redacted]" in hidden
    for secret in ("abcdefgh", "s3cretpass", "eyJzdWIi"):
        assert secret not in hidden


def test_ordinary_words_stay() -> None:
    text = "the basic idea of a token bucket: secret sharing at http://127.0.0.1:50051/abcdefgh"
    assert redaction.redact(text) == text


def test_a_value_cannot_start_a_line() -> None:
    line = written(
        JsonFormatter("t"), lambda logger: logger.warning("user %s", 'a\r\n{"level": "x"}\x1b[31m')
    )
    assert line.count("\n") == 1
    assert json.loads(line)["message"].startswith("user a\r\n")
    assert "\x1b" not in line


def test_spans_are_cleaned_on_their_way_out() -> None:
    redaction.register(CANARY)
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(RedactingSpanExporter(kept)))
    with provider.get_tracer("t").start_as_current_span(
        "s", attributes={"url": f"x{CANARY}", "n": 3}
    ) as span:
        span.add_event("e", {"k": CANARY})
    (sent,) = kept.get_finished_spans()
    assert sent.attributes["n"] == 3
    assert "31337" not in sent.to_json()


class KeySettings(ServiceSettings):
    """A service with a secret."""

    test_canary_key: SecretStr = SecretStr("")
    test_canary_count: int = 1


def test_a_secret_setting_is_known_once_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_CANARY_KEY", "zebra-9000")
    load(KeySettings)
    assert "zebra" not in redaction.redact("it is zebra-9000")


def test_a_bad_setting_names_its_variable_and_not_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_CANARY_COUNT", "swordfish")
    with pytest.raises(SettingsError, match="TEST_CANARY_COUNT") as caught:
        load(KeySettings)
    assert "swordfish" not in str(caught.value)
