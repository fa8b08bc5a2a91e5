from __future__ import annotations

import re

from flask.testing import FlaskClient

from tests.support.documented import document_of_code


def test_the_document_is_served_as_it_is_made(http: FlaskClient) -> None:
    answer = http.get("/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json == document_of_code()
    again = http.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_page_shows_every_operation_and_loads_nothing_from_elsewhere(http: FlaskClient) -> None:
    answer = http.get("/docs")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    document = document_of_code()
    for methods in document["paths"].values():
        for said in methods.values():
            assert f'id="{said["operationId"]}"' in answer.text
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in answer.text
    assert "<script" not in answer.text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert all(link.startswith(("#", "/")) and not link.startswith("//") for link in loaded)
    # Every link within the page leads somewhere.
    ids = set(re.findall(r'id="([^"]+)"', answer.text))
    assert {link[1:] for link in loaded if link.startswith("#")} <= ids
    for asset in {link for link in loaded if link.startswith("/assets/")}:
        assert http.get(asset).status_code == 200


def test_words_of_the_document_are_shown_as_text(http: FlaskClient) -> None:
    from services.gateway.openapi.reference import html

    document = document_of_code()
    document["info"]["description"] = "<script>alert(1)</script> **strong** `code`"
    document["paths"]["/livez"]["get"]["summary"] = '"><img src=x onerror=alert(1)>'
    shown = html(document)
    assert "<script" not in shown
    assert "<img" not in shown
    assert "<strong>strong</strong> <code>code</code>" in shown
