"""The OpenAPI document as a page of HTML: one file, no script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from services.gateway.openapi.schema import REFERENCE, Schema

_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}: interface</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" type="image/svg+xml" href="/assets/mark.svg">
<link rel="stylesheet" href="/assets/reference.css">
</head>
<body>
<header>
<h1>{title}: interface</h1>
<p>OpenAPI {openapi}, version {version}. As a file: <a href="/openapi.json">openapi.json</a></p>
</header>
"""
_STRONG = re.compile(r"\*\*(.+?)\*\*")
_CODE = re.compile(r"`(.+?)`")


def html(document: Schema) -> str:
    """The whole page."""
    info = document["info"]
    parts = [
        _HEAD.format(
            title=escape(info["title"]),
            openapi=escape(document["openapi"]),
            version=escape(info["version"]),
        ),
        _contents(document),
        "<main>\n",
        '<section class="about">\n',
        *(f"<p>{_marked(text)}</p>\n" for text in info["description"].strip().split("\n\n")),
        "</section>\n",
        *_operations(document),
        '<section><h2 id="schemas">Schemas</h2>\n',
        *(_component(name, schema) for name, schema in document["components"]["schemas"].items()),
        "</section>\n</main>\n</body>\n</html>\n",
    ]
    return "".join(parts)


def _marked(text: str) -> str:
    """Strong words and code, as the description writes them in Markdown."""
    return _CODE.sub(r"<code>\1</code>", _STRONG.sub(r"<strong>\1</strong>", escape(text)))


def _contents(document: Schema) -> str:
    links = "".join(
        f'<a href="#tag-{escape(tag["name"])}">{escape(tag["name"])}</a> ' for tag in document["tags"]
    )
    return f'<nav aria-label="Contents">{links}<a href="#schemas">schemas</a></nav>\n'


def _operations(document: Schema) -> Iterator[str]:
    for tag in document["tags"]:
        name = tag["name"]
        yield f'<section><h2 id="tag-{escape(name)}">{escape(name)}</h2>\n'
        for path, methods in document["paths"].items():
            for method, said in methods.items():
                if name in said["tags"]:
                    yield _one(document, path, method, said)
        yield "</section>\n"


def _one(document: Schema, path: str, method: str, said: Schema) -> str:
    rows = "".join(_parameter(_resolved(document, each)) for each in said["parameters"])
    answers = "".join(
        _answer(document, status, answer) for status, answer in sorted(said["responses"].items())
    )
    body = ""
    if "requestBody" in said:
        body = f"<h4>Body</h4>{_content(said['requestBody']['content'])}"
    return (
        f'<details id="{escape(said["operationId"])}"><summary><b class="{method}">{method.upper()}</b> '
        f"<code>{escape(path)}</code> <span>{escape(said['summary'])}</span></summary>\n"
        + (f"<p>{escape(said['description'])}</p>" if "description" in said else "")
        + (f"<h4>Parameters</h4><table>{rows}</table>" if rows else "")
        + body
        + f"<h4>Answers</h4><table>{answers}</table></details>\n"
    )


def _parameter(said: Schema) -> str:
    needed = " (needed)" if said.get("required") else ""
    return (
        f"<tr><td><code>{escape(said['name'])}</code></td><td>{escape(said['in'])}{needed}</td>"
        f"<td>{_type(said['schema'])}</td><td>{escape(said.get('description', ''))}</td></tr>\n"
    )


def _answer(document: Schema, status: str, said: Schema) -> str:
    answer = _resolved(document, said)
    headers = ", ".join(f"<code>{escape(name)}</code>" for name in answer.get("headers", {}))
    return (
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(answer['description'])}</td>"
        f"<td>{_content(answer.get('content', {}))}</td><td>{headers}</td></tr>\n"
    )


def _content(content: dict[str, Any]) -> str:
    return "".join(f"<p>{escape(kind)}: {_type(said['schema'])}</p>" for kind, said in content.items())


def _component(name: str, schema: Schema) -> str:
    about = f"<p>{escape(schema['description'])}</p>" if "description" in schema else ""
    needed = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(member)}</code>{'' if member in needed else ' (may be absent)'}</td>"
        f"<td>{_type(said)}</td><td>{escape(said.get('description', ''))}</td></tr>\n"
        for member, said in schema.get("properties", {}).items()
    )
    reasons = "".join(
        f"<tr><td><code>{escape(reason)}</code></td><td>{escape(meaning)}</td></tr>\n"
        for reason, meaning in schema.get("x-reasons", {}).items()
    )
    return (
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>{about}'
        + (f"<table>{rows}</table>" if rows else f"<p>{_type(schema)}</p>")
        + (f"<h4>Reasons</h4><table>{reasons}</table>" if reasons else "")
        + "</details>\n"
    )


def _type(schema: Schema) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(REFERENCE))
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema and "type" not in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(
            f"<code>{escape(str(value))}</code>" for value in schema["enum"] if value is not None
        )
    kinds = schema.get("type", "anything")
    words = escape(" or ".join(kinds) if isinstance(kinds, list) else kinds)
    if "items" in schema:
        return f"{words} of {_type(schema['items'])}"
    if members := schema.get("properties"):
        inner = "; ".join(f"<code>{escape(name)}</code> {_type(said)}" for name, said in members.items())
        return f"{words} ({inner})"
    return words + _limits(schema)


def _limits(schema: Schema) -> str:
    named = (
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "at least"),
        ("maxLength", "at most"),
        ("format", "as"),
    )
    return "".join(f" {word} {escape(str(schema[key]))}" for key, word in named if key in schema)


def _resolved(document: Schema, said: Schema) -> Schema:
    found: Any = said
    while "$ref" in found:
        steps = found["$ref"].removeprefix("#/").split("/")
        found = document
        for step in steps:
            found = found[step]
    return dict(found)
