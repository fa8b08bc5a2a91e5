"""The OpenAPI document of an application, made from its routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flask import Flask

from services.gateway.openapi import foreign
from services.gateway.openapi.bodies import BODIES
from services.gateway.openapi.operation import JSON, Answer, Operation, declared, is_not_there
from services.gateway.openapi.resources import components
from services.gateway.openapi.schema import Schema, reference
from services.gateway.problem import MEDIA_TYPE, title

# The API's own version; the path has it too.
VERSION = "1"

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_VARIABLE = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>")

_ABOUT = """\
Answers from your own documents through agents, every citation checked.

**Problems.** Every error is `application/problem+json`: `reason` is for programs, `detail` for people.
429 and 503 say in `Retry-After` when a new try makes sense. Below `/v1` errors have the form that OpenAI
gives them, and `/mcp` answers with errors of JSON-RPC. Besides the statuses of an operation any
request can be answered with 414 or 431 when its head is too large, and with 405 for a method that the
path has not.

**Time and names.** `Request-Timeout: 5` gives a request five seconds, the services behind it included; it
is answered with 504 after that. `X-Request-ID` names a request; every answer has one, and the log has it
too.

**Doing things once.** Every POST hears `Idempotency-Key`; each says what it does with it. A key that
comes again with the same request answers as the first time, with another one it is refused (422,
REQUEST_ID_REUSED).

**Pages.** Lists take `page_size` (1 to 1,000) and `page_token`, and answer with `next_page_token`, which
is null on the last page.

**Revisions.** GETs of single resources answer with a strong `ETag`. With `If-None-Match` they are
answered with 304 while nothing has changed; changes that hear `If-Match` are refused with 412 when
something has.

**Strictness.** Fields and parameters that are not listed are refused. JSON numbers that a double cannot
hold, duplicate names and halves of surrogate pairs are too.
"""

_IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": 128},
}
_REPEATED = {
    "key": "A request that comes again with the same key is answered as the first time and done once.",
    "reads": "Creates nothing, so it can be repeated as it is; the key is checked and has no effect.",
    "same": "Done twice is done once, so it can be repeated as it is; the key is checked and has no effect.",
    "anew": "Each request is done for itself; the key is checked and has no effect.",
}
_HOUSE_WIDE = "Of the whole house: for the administrators of its own tenant."
_PARAMETERS: dict[str, Schema] = {
    "PageSize": {
        "name": "page_size",
        "in": "query",
        "description": "At most so many; 100 when absent.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000},
    },
    "PageToken": {
        "name": "page_token",
        "in": "query",
        "description": "The next_page_token of the page before; absent for the first.",
        "schema": {"type": "string"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "ETags that the client has; 304 when the resource still has one of them.",
        "schema": {"type": "string"},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "ETags of which the resource must still have one, else 412.",
        "schema": {"type": "string"},
    },
}
_HEADERS: dict[str, tuple[Schema, str]] = {
    "Accept-Ranges": ({"type": "string"}, "What ranges can be asked for in."),
    "Allow": ({"type": "string"}, "The methods of the path."),
    "Content-Disposition": ({"type": "string"}, "Under which name to keep it."),
    "Content-Range": ({"type": "string"}, "Which bytes these are."),
    "ETag": ({"type": "string"}, "Names exactly this representation."),
    "Location": ({"type": "string", "format": "uri-reference"}, "Where it is."),
    "Retry-After": ({"type": "integer"}, "Seconds after which a new try makes sense."),
    "Set-Cookie": ({"type": "string"}, "Cookies that no script reads."),
    "WWW-Authenticate": ({"type": "string"}, "How to log in."),
    "X-Should-Retry": (
        {"type": "string", "enum": ["true", "false"]},
        "Whether OpenAI's clients try again by themselves.",
    ),
    "X-Extraction-SHA256": ({"type": "string"}, "Names the extraction that the text is of."),
}
_PROBLEM_HEADERS: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    416: ("Content-Range",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_SECURITY: dict[str, Schema] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token or an API key. Needed where the server requires a login.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "meld_access",
        "description": "The page's own cookie; only pages of this origin may use it.",
    },
}


class UndeclaredError(Exception):
    """Routes that say nothing of themselves."""

    def __init__(self, routes: list[str]) -> None:
        super().__init__(f"routes without a declaration: {', '.join(routes)}")
        self.routes = routes


def document(app: Flask) -> Schema:
    """The document. Raises UndeclaredError for routes that say nothing, KeyError for unknown components."""
    made = components()
    foreign.add(made)
    for name, schema in BODIES.items():
        made.add(name, schema)
    paths: dict[str, dict[str, Any]] = {}
    missing = []
    for rule, method, view in _routes(app):
        said = declared(view)
        if said is None:
            missing.append(f"{method} {rule}")
            continue
        path = _VARIABLE.sub(r"{\1}", rule)
        paths.setdefault(path, {})[method.lower()] = _operation(rule, method, view, said)
    if missing:
        raise UndeclaredError(missing)
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "Meld & RAG", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(_tags(paths))],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(made.schemas.items())),
            "parameters": _PARAMETERS,
            "headers": {
                name: {"schema": schema, "description": about} for name, (schema, about) in _HEADERS.items()
            },
            "responses": _problems(paths),
            "securitySchemes": _SECURITY,
        },
    }
    return _checked(whole)


def _routes(app: Flask) -> Iterator[tuple[str, str, Any]]:
    for rule in app.url_map.iter_rules():
        for method in _METHODS:
            if method in (rule.methods or ()) and not is_not_there(app.view_functions[rule.endpoint]):
                yield rule.rule, method, app.view_functions[rule.endpoint]


def _tags(paths: dict[str, dict[str, Any]]) -> Iterator[str]:
    for methods in paths.values():
        for said in methods.values():
            yield from said["tags"]


def _operation(rule: str, method: str, view: Any, said: Operation) -> Schema:
    about = (view.__doc__ or "").strip()
    summary, _, rest = about.partition("\n")
    made: Schema = {
        "operationId": view.__name__,
        "tags": [view.__module__.rsplit(".", 1)[-1]],
        "summary": summary.rstrip("."),
        "parameters": _parameters(rule, said),
        "responses": {
            **{str(status): _answer(status, answer, said) for status, answer in said.answers.items()},
            **(
                {"304": {"description": "Unchanged.", "headers": _headers(("ETag",))}}
                if said.conditional
                else {}
            ),
            **{str(status): _problem(status, said) for status in sorted(problems_of(rule, method, said))},
        },
        # Without login everybody is the owner, so no credential is needed either.
        "security": [] if said.public else [{}, {"bearer": []}, {"cookie": []}],
    }
    rest = " ".join((*rest.split(), *((_HOUSE_WIDE,) if said.house_wide else ())))
    if rest:
        made["description"] = rest
    if said.body:
        made["requestBody"] = {
            "required": "Empty" not in str(said.body),
            "content": {kind: {"schema": schema} for kind, schema in said.body.items()},
        }
    return made


def _parameters(rule: str, said: Operation) -> list[Schema]:
    made: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _VARIABLE.findall(rule)
    ]
    made += [
        {"name": each.name, "in": place, "description": each.description, "schema": each.schema}
        for place, several in (("query", said.query), ("header", said.headers))
        for each in several
    ]
    if said.paged:
        made += [_parameter("PageSize"), _parameter("PageToken")]
    if said.repeat is not None:
        made.append({**_IDEMPOTENCY_KEY, "description": _REPEATED[said.repeat]})
    if said.conditional:
        made.append(_parameter("IfNoneMatch"))
    if said.matched:
        made.append(_parameter("IfMatch"))
    return made


def _parameter(name: str) -> Schema:
    return {"$ref": f"#/components/parameters/{name}"}


def problems_of(rule: str, method: str, said: Operation) -> frozenset[int]:
    """The statuses that an operation's problems can have."""
    statuses = {400, *said.problems}
    if not said.public:
        # Login, permission, quota; services that do not believe the gateway, are away or slow.
        statuses |= {401, 403, 429, 502, 503, 504}
    if method not in ("GET", "HEAD"):
        # Pages of another origin.
        statuses.add(403)
    if _VARIABLE.search(rule):
        statuses.add(404)
    if said.body:
        statuses |= {408, 413}
        if "Empty" not in str(said.body):
            statuses.add(415)
    if said.repeat == "key":
        statuses |= {409, 422}
    if said.matched:
        statuses.add(412)
    return frozenset(statuses)


def _problem(status: int, said: Operation) -> Schema:
    if status not in said.answers:
        return {"$ref": f"#/components/responses/{said.tells}{status}"}
    # The status has an answer of its own, and those before the route know it too.
    told = _told(said.tells, status)
    answer = _answer(status, said.answers[status], said)
    headers = answer.get("headers", {}) | told.get("headers", {})
    return answer | {"content": answer["content"] | told["content"], "headers": headers}


def _answer(status: int, answer: Answer, said: Operation) -> Schema:
    names = answer.headers + (("ETag",) if said.conditional and status == 200 else ())
    made: Schema = {"description": answer.description or title(status)}
    if answer.content:
        made["content"] = {kind: {"schema": schema} for kind, schema in answer.content.items()}
    return made | ({"headers": _headers(names)} if names else {})


def _headers(names: tuple[str, ...]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in dict.fromkeys(names)}


def _problems(paths: dict[str, dict[str, Any]]) -> dict[str, Schema]:
    """The problem answers that the paths refer to, by name."""
    used = {
        answer["$ref"].rpartition("/")[2]
        for methods in paths.values()
        for said in methods.values()
        for answer in said["responses"].values()
        if "$ref" in answer
    }
    return {name: _told(name[:-3], int(name[-3:])) for name in sorted(used)}


def _told(form: str, status: int) -> Schema:
    """A problem with this status, in this form."""
    names = _PROBLEM_HEADERS.get(status, ())
    if form == "OpenAIError":
        names += ("X-Should-Retry",)
    return {
        "description": title(status),
        "content": {MEDIA_TYPE if form == "Problem" else JSON: {"schema": reference(form)}},
        **({"headers": _headers(names)} if names else {}),
    }


def _checked(whole: Schema) -> Schema:
    """The document itself. Raises KeyError for a reference to nothing."""
    waiting: list[Any] = [whole]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            if isinstance(target := value.get("$ref"), str):
                found: Any = whole
                for step in target.removeprefix("#/").split("/"):
                    found = found[step]
            waiting.extend(value.values())
    return whole
