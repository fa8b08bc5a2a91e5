"""The document is valid, complete, and made from the routes."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask
from jsonschema import ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.gateway.identity.admission import OPEN_RULES
from services.gateway.openapi.document import UndeclaredError, document
from services.gateway.openapi.operation import json, operation
from services.gateway.openapi.reasons import REASONS
from tests.architecture.sources import ROOT
from tests.support.documented import Documented, document_of_code

DOCUMENT = document_of_code()
OPERATIONS = [
    pytest.param(path, method, said, id=f"{method.upper()} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, said in methods.items()
]
each_operation = pytest.mark.parametrize(("path", "method", "said"), OPERATIONS)
Said = dict[str, Any]


# Paths that the door lets everybody ask for, as the document writes them.
OPEN = {re.sub(r"<(?:path:)?([a-z_]+)>", r"{\1}", rule) for rule in OPEN_RULES}


def answer_of(said: Said) -> Said:
    """An answer itself, where it is referred to."""
    if "$ref" not in said:
        return said
    found: Said = DOCUMENT["components"]["responses"][said["$ref"].rpartition("/")[2]]
    return found


def parameters(said: Said) -> dict[str, Said]:
    known = DOCUMENT["components"]["parameters"]
    found = [
        known[each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in said["parameters"]
    ]
    return {each["name"]: each for each in found}


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_a_route_without_a_declaration_is_named() -> None:
    app = Flask("undeclared", static_folder=None)
    blueprint = Blueprint("things", __name__)
    blueprint.add_url_rule("/things", "list_things", lambda: "", methods=["GET"])
    app.register_blueprint(blueprint)
    with pytest.raises(UndeclaredError, match="GET /things"):
        document(app)


def test_an_answer_that_is_nowhere_described_is_refused() -> None:
    app = Flask("unknown", static_folder=None)

    @app.get("/things")
    @operation(answers={200: json("Nothing")})
    def things() -> str:
        """Things."""
        return ""

    with pytest.raises(KeyError, match="Nothing"):
        document(app)


def test_the_document_has_every_route_of_the_code() -> None:
    decorator = re.compile(r"^@blueprint\.(get|post|put|patch|delete)\(\"([^\"]+)\"\)", re.MULTILINE)
    routes = [
        (match[1], re.sub(r"<(?:path:)?([a-z_]+)>", r"{\1}", match[2]))
        for path in (ROOT / "services" / "gateway").rglob("*.py")
        for match in decorator.finditer(path.read_text())
    ]
    assert len(routes) > 50
    for method, rule in routes:
        assert any(path.endswith(rule) and method in methods for path, methods in DOCUMENT["paths"].items())
    assert len(routes) == sum(len(methods) for methods in DOCUMENT["paths"].values())


@each_operation
def test_each_operation_has_words_a_name_of_its_own_and_good_answers(
    path: str, method: str, said: Said
) -> None:
    assert len(said["summary"]) > 3
    assert sum(other.values[2]["operationId"] == said["operationId"] for other in OPERATIONS) == 1
    assert any(status.startswith(("2", "303")) for status in said["responses"])
    assert "400" in said["responses"]
    assert said["tags"]


@each_operation
def test_every_post_hears_an_idempotency_key_and_says_what_it_does(
    path: str, method: str, said: Said
) -> None:
    key = parameters(said).get("Idempotency-Key")
    if method == "post":
        assert key is not None
        assert any(words in key["description"] for words in ("Creates nothing", "once", "for itself"))
        # A secret is shown once, so it cannot be told again.
        if "201" in said["responses"] and path not in ("/api/v1/api-keys", "/api/v1/webhooks"):
            assert "done once" in key["description"]
    elif method == "get":
        assert key is None


@each_operation
def test_lists_are_paged_alike(path: str, method: str, said: Said) -> None:
    answer = said["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    names = parameters(said)
    if "next_page_token" in answer.get("properties", {}):
        assert {"page_size", "page_token"} <= set(names)
        (items,) = set(answer["properties"]) - {"next_page_token"}
        assert answer["properties"][items]["type"] == "array"
    else:
        assert "page_token" not in names


@each_operation
def test_gets_of_single_resources_have_etags(path: str, method: str, said: Said) -> None:
    if method == "get" and path.endswith("_id}") and path.startswith("/api"):
        assert "If-None-Match" in parameters(said)
        assert "ETag" in said["responses"]["200"]["headers"]
        assert "304" in said["responses"]


@each_operation
def test_the_ways_to_log_in_are_said_where_a_login_may_be_needed(path: str, method: str, said: Said) -> None:
    if path in OPEN:
        assert said["security"] == []
    else:
        assert {"bearer": []} in said["security"]
        assert {"401", "403", "429"} <= set(said["responses"])
        refused = answer_of(said["responses"]["429"])
        assert "Retry-After" in refused["headers"]
        assert "WWW-Authenticate" in answer_of(said["responses"]["401"])["headers"]
    for needed in said["security"]:
        assert set(needed) <= set(DOCUMENT["components"]["securitySchemes"])


@each_operation
def test_problems_are_told_in_the_form_of_the_protocol(path: str, method: str, said: Said) -> None:
    form = ("application/problem+json", "Problem")
    if path.startswith("/v1/"):
        form = ("application/json", "OpenAIError")
    if path == "/mcp":
        form = ("application/json", "RpcError")
    content = answer_of(said["responses"]["400"])["content"]
    assert content == {form[0]: {"schema": {"$ref": f"#/components/schemas/{form[1]}"}}}


def test_an_answer_may_share_its_status_with_a_problem() -> None:
    both = DOCUMENT["paths"]["/health"]["get"]["responses"]["503"]
    assert set(both["content"]) == {"application/json", "application/problem+json"}
    assert "Retry-After" in both["headers"]


def test_what_answers_for_paths_that_there_are_not_is_no_operation() -> None:
    assert {path for path in DOCUMENT["paths"] if path.startswith("/v1")} == {
        "/v1/models",
        "/v1/models/{model_id}",
        "/v1/chat/completions",
        "/v1/embeddings",
    }


def test_every_reason_of_the_gateway_is_listed() -> None:
    """Words in capitals that are given to a problem, in the source."""
    given = set()
    for path in (ROOT / "services" / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and called(node).endswith(("Error", "unauthenticated")):
                words = [*node.args, *(word.value for word in node.keywords if word.arg == "reason")]
                given |= {
                    word.value
                    for word in words
                    if isinstance(word, ast.Constant) and re.fullmatch(r"[A-Z][A-Z0-9_]{3,}", str(word.value))
                }
    assert len(given) > 20
    assert given <= set(REASONS)


def called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def test_the_reasons_of_every_contract_are_listed() -> None:
    for proto in Path(ROOT / "protos").rglob("error_reason.proto"):
        names = re.findall(r"^\s+ERROR_REASON_([A-Z0-9_]+) = [1-9]", proto.read_text(), re.MULTILINE)
        assert names
        assert set(names) <= set(REASONS)
    assert set(DOCUMENT["components"]["schemas"]["Problem"]["x-reasons"]) == set(REASONS)


PROBLEM = b'{"type": "t", "title": "t", "status": 404, "detail": "d", "reason": "%s", "request_id": "r"}'


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (418, "application/json", b"{}"),
        (200, "text/html", b"{}"),
        (200, "application/json", b"{}"),
        (404, "application/problem+json", PROBLEM % b"NOBODY_SAYS_SO"),
        (400, "application/problem+json", PROBLEM % b"AGENT_NOT_FOUND"),
    ],
    ids=["status", "media type", "schema", "reason", "another status"],
)
def test_an_answer_that_is_not_declared_is_noticed(status: int, kind: str, body: bytes) -> None:
    judge = Documented(DOCUMENT)
    judge.check(
        "/api/v1/agents/{agent_id}", "GET", 404, "application/problem+json", PROBLEM % b"AGENT_NOT_FOUND"
    )
    with pytest.raises((AssertionError, ValidationError)):
        judge.check("/api/v1/agents/{agent_id}", "GET", status, kind, body)
