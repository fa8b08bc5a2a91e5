"""Whether an answer is one that the OpenAPI document declares."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator

from services.gateway.app import create_app
from services.gateway.clients import Addresses, Clients
from services.gateway.door import Door, slots_for
from services.gateway.openapi.document import document
from services.gateway.openapi.reasons import REASONS
from services.gateway.settings import GatewaySettings

NOWHERE = Addresses("127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1")


def document_of_code() -> dict[str, Any]:
    """The document as the code makes it, without a process."""
    return document(app_of_code())


def app_of_code() -> Flask:
    """The application with all its routes, which reaches no service."""
    return create_app(Door(GatewaySettings(), Clients(NOWHERE), slots_for(16)))


class Documented:
    """Holds answers against a document."""

    def __init__(self, whole: dict[str, Any]) -> None:
        self._whole = whole

    def check(self, path: str, method: str, status: int, kind: str, body: bytes) -> None:
        """Raises AssertionError or ValidationError for what is not declared. path: as in the document."""
        answers = self._whole["paths"][path][method.lower()]["responses"]
        label = f"{method} {path}: {status}"
        assert str(status) in answers, f"{label} is not declared"
        said = answers[str(status)]
        if "$ref" in said:
            said = self._whole["components"]["responses"][said["$ref"].rpartition("/")[2]]
        media_type = kind.partition(";")[0]
        content = said.get("content", {})
        if not content:
            assert not body, f"{label} has a body"
            return
        assert media_type in content or "*/*" in content, f"{label} is {media_type}, not {list(content)}"
        schema = content.get(media_type, {}).get("schema", {})
        if media_type in ("application/json", "application/problem+json"):
            self._hold(schema, json.loads(body))
        if media_type == "text/event-stream":
            self._hold_events(schema["properties"]["data"], body.decode())
        if media_type == "application/problem+json":
            problem = json.loads(body)
            assert problem["status"] == status
            # What nobody has listed is no use to a program.
            assert problem["reason"] in REASONS, problem

    def _hold_events(self, data: dict[str, Any], text: str) -> None:
        ways = data.get("anyOf", [data])
        last = [way["const"] for way in ways if "const" in way]
        said = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
        assert not set(said[:-1]) & set(last), "something comes behind the end"
        for each in said:
            if each not in last:
                self._hold(
                    {"anyOf": [way["contentSchema"] for way in ways if "const" not in way]}, json.loads(each)
                )

    def _hold(self, schema: dict[str, Any], value: Any) -> None:
        Draft202012Validator({**schema, "components": self._whole["components"]}).validate(value)
