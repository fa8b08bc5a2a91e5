"""The MCP server over HTTP, one message at a time, in front of scripted services."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2
from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import (
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from services.gateway.mcp.documents import MAX_TEXT_BYTES
from tests.unit.gateway.routes.test_runs import EVENTS, RESULT, STARTED, event, failed
from tests.unit.gateway.scripted_services import ScriptedServices

ACCEPT = "application/json, text/event-stream"
SHA = "ab" * 32


def say(http: FlaskClient, method: str, accept: str = ACCEPT, **params: Any) -> Any:
    """The JSON-RPC answer of a client of the handshake's time."""
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    headers = {"Accept": accept, "MCP-Protocol-Version": "2025-11-25"}
    answer = http.post("/mcp", json=message, headers=headers)
    assert answer.status_code == 200, answer.text
    if answer.mimetype == "text/event-stream":
        return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")][-1]
    return answer.json


def tool(http: FlaskClient, name: str, **arguments: Any) -> Any:
    return say(http, "tools/call", name=name, arguments=arguments)["result"]


def refused(http: FlaskClient, name: str, **arguments: Any) -> str:
    result = tool(http, name, **arguments)
    assert result["isError"] is True
    assert "structuredContent" not in result
    text: str = result["content"][0]["text"]
    return text


@pytest.fixture
def agents(services: ScriptedServices) -> ScriptedServices:
    agent = agents_pb2.Agent(
        agent_id="ceo", display_name="CEO", purpose="Decides.", examples=["This or that?"]
    )
    json_format.ParseDict(
        {"type": "object", "properties": {"options": {"type": "array"}}, "additionalProperties": False},
        agent.input_schema,
    )
    services.script["ListAgents"] = agents_pb2.ListAgentsResponse(agents=[agent])

    async def get(asked: agents_pb2.GetAgentRequest) -> agents_pb2.GetAgentResponse:
        if asked.agent_id != "ceo":
            raise NotFoundError("no such agent", reason="AGENT_NOT_FOUND")
        return agents_pb2.GetAgentResponse(agent=agent)

    services.script["GetAgent"] = get
    services.script["ListCollections"] = collections("papers", "notes")
    services.script["RunAgent"] = EVENTS
    return services


def collections(*names: str, token: str = "") -> vector_pb2.ListCollectionsResponse:
    listed = [vector_pb2.Collection(collection_id=name) for name in names]
    return vector_pb2.ListCollectionsResponse(collections=listed, next_page_token=token)


def test_a_client_is_greeted_without_a_session(http: FlaskClient) -> None:
    client = {"name": "c", "version": "1"}
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client},
    }
    answer = http.post("/mcp", json=message, headers={"Accept": ACCEPT})
    assert answer.json is not None
    assert answer.json["result"]["protocolVersion"] == "2025-06-18"
    assert set(answer.json["result"]["capabilities"]) == {"resources", "tools"}
    assert "no instruction" in answer.json["result"]["instructions"]
    assert "Mcp-Session-Id" not in answer.headers


def test_every_agent_is_a_tool_with_its_own_inputs(http: FlaskClient, agents: ScriptedServices) -> None:
    listed = {item["name"]: item for item in say(http, "tools/list")["result"]["tools"]}
    assert list(listed) == ["search", "ask", "verify_citations", "ceo"]
    ceo = listed["ceo"]
    assert set(ceo["inputSchema"]["properties"]) == {"options", "message", "collections", "session_id"}
    assert ceo["inputSchema"]["required"] == ["message"]
    assert ceo["description"] == "Decides. For instance: “This or that?”"
    assert "options" in ceo["outputSchema"]["$defs"]["CeoResult"]["properties"]
    assert listed["ask"]["inputSchema"]["properties"]["agent"]["enum"] == ["auto", "ceo"]


def test_an_agent_gets_its_inputs_and_answers_for_people_and_programs(
    http: FlaskClient, agents: ScriptedServices
) -> None:
    result = tool(http, "ceo", message="m", options=["a", "b"], collections=["papers"])
    asked = agents.requests["RunAgent"][0]
    assert (asked.agent_id, asked.message, list(asked.collection_ids)) == ("ceo", "m", ["papers"])
    assert list(asked.inputs["options"]) == ["a", "b"]
    assert set(asked.inputs.fields) == {"options"}
    assert result["content"][0]["text"] == "Yes."
    assert (result["structuredContent"]["run_id"], result["structuredContent"]["agent"]) == (
        "run_1",
        "research",
    )
    assert result["structuredContent"]["result"]["confidence"] == 1


def test_a_question_is_routed_and_asked_where_the_agents_find_right(
    http: FlaskClient, agents: ScriptedServices
) -> None:
    tool(http, "ask", question="Is it so?")
    tool(http, "ask", question="Is it so?", agent="ceo", session_id="s", collections=["papers"])
    first, second = agents.requests["RunAgent"]
    assert (first.agent_id, first.message, list(first.collection_ids)) == ("auto", "Is it so?", [])
    assert (second.agent_id, second.session_id, list(second.collection_ids)) == ("ceo", "s", ["papers"])


def test_too_many_collections_to_search_have_to_be_named(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["ListCollections"] = collections("papers", token="more")
    assert refused(http, "search", query="q").startswith("COLLECTIONS_NEEDED: there are more than 16")
    assert services.requests["Search"] == []


def test_sources_stand_below_the_answer(http: FlaskClient, agents: ScriptedServices) -> None:
    cited = agents_pb2.RunResult()
    cited.CopyFrom(RESULT)
    cited.citations.add(
        number=1, document_id="d", collection_id="papers", title="T", quote="It is so.", location="line 3"
    )
    cited.degradations.add(component="model", reason="The model is away.")
    end = agents_pb2.RunEnded(outcome=agents_pb2.RUN_OUTCOME_SUCCEEDED, result=cited)
    agents.script["RunAgent"] = [STARTED, event(2, ended=end)]
    assert tool(http, "ask", question="q")["content"][0]["text"] == (
        "Yes.\n\n[1] T, line 3: “It is so.” — meld://collections/papers/documents/d"
        "\n\nNote: The model is away."
    )


def test_progress_is_told_where_it_was_asked_for(http: FlaskClient, agents: ScriptedServices) -> None:
    found = agents_pb2.PassagesRetrieved(query="q", passages=[agents_pb2.Passage()])
    agents.script["RunAgent"] = [
        STARTED,
        event(2, passages=found),
        event(3, text=agents_pb2.TextDelta(text="Ye")),
        event(4, text=agents_pb2.TextDelta(text="s.")),
        event(5, tool_finished=agents_pb2.ToolFinished(tool="t", summary="done")),
        event(6, ended=EVENTS[-1].ended),
    ]
    message = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {"name": "ask", "arguments": {"question": "q"}, "_meta": {"progressToken": "p"}},
    }
    answer = http.post("/mcp", json=message, headers={"Accept": ACCEPT})
    said = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    told = [(item["params"]["progress"], item["params"]["message"]) for item in said[:-1]]
    assert told == [
        (1, "The run has begun."),
        (2, "1 passages for “q”."),
        (3, "The answer is being written."),
        (5, "t: done"),
    ]
    assert said[-1]["result"]["content"][0]["text"] == "Yes."


def test_a_client_that_takes_no_events_gets_json(http: FlaskClient, agents: ScriptedServices) -> None:
    answer = say(http, "tools/call", accept="application/json", name="ask", arguments={"question": "q"})
    assert answer["result"]["structuredContent"]["text"] == "Yes."


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([failed(9, "MODEL_TRUNCATED")], "MODEL_TRUNCATED: said why"),
        ([failed(1, "X", agents_pb2.RUN_OUTCOME_CANCELLED)], "RUN_CANCELLED: the run was cancelled"),
        (
            [InvalidArgumentError("the message is empty", reason="INVALID_FIELD")],
            "INVALID_FIELD: the message is",
        ),
        (
            [ResourceExhaustedError("enough", reason="QUOTA_EXHAUSTED", retry_after=5.0)],
            "QUOTA_EXHAUSTED: enough Try again after 5 s.",
        ),
        ([UnavailableError("away", reason="BUSY")], "BUSY: away"),
        ([STARTED], "NO_ANSWER: the run's events ended before the run"),
    ],
)
def test_a_run_that_fails_is_a_result_with_its_reason(
    http: FlaskClient, agents: ScriptedServices, script: list[Any], said: str
) -> None:
    agents.script["RunAgent"] = script
    assert refused(http, "ask", question="q").startswith(said)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("search", {}, "INVALID_FIELD: query: a string is needed"),
        ("search", {"query": 3}, "INVALID_FIELD: query: a string is needed"),
        ("search", {"query": "q", "limit": "5"}, "INVALID_FIELD: limit: a whole number is needed"),
        ("search", {"query": "q", "limit": 0}, "INVALID_FIELD: limit: must be between 1 and 100"),
        ("search", {"query": "q", "limit": True}, "INVALID_FIELD: limit: a whole number is needed"),
        ("search", {"query": "q", "collections": "papers"}, "INVALID_FIELD: collections: a list of strings"),
        ("search", {"query": "q", "tenant_id": "x"}, "UNKNOWN_FIELD: 'tenant_id' is not a field"),
        ("ask", {"question": "a\0b"}, "INVALID_FIELD: question: holds a NUL character"),
        ("ask", {"question": "q", "top_k": 3}, "UNKNOWN_FIELD: 'top_k' is not a field"),
        ("ceo", {"options": []}, "INVALID_FIELD: message: a string is needed"),
        ("ceo", {"message": "m", "options": [2**60]}, "INVALID_FIELD: arguments: a whole number beyond 2^53"),
        ("verify_citations", {"citations": [{"quote": "q"}]}, "INVALID_FIELD: citations[0].document_id"),
    ],
)
def test_bad_arguments_are_told_by_name(
    http: FlaskClient, agents: ScriptedServices, name: str, arguments: dict[str, Any], said: str
) -> None:
    assert refused(http, name, **arguments).replace("“", "'").replace('"', "'").startswith(said)
    assert agents.requests["RunAgent"] == []
    assert agents.requests["Search"] == []


def test_an_unknown_tool_is_no_tool(http: FlaskClient, agents: ScriptedServices) -> None:
    error = say(http, "tools/call", name="nix", arguments={})["error"]
    assert (error["code"], error["message"]) == (-32602, "TOOL_UNKNOWN: there is no tool 'nix'")


def test_passages_are_found_with_their_place(http: FlaskClient, agents: ScriptedServices) -> None:
    hit = vector_pb2.Hit(
        document_id="d",
        collection_id="papers",
        title="T",
        text="It is so.",
        page=2,
        span=vector_pb2.Span(byte_start=4, byte_end=13),
    )
    agents.script["Search"] = vector_pb2.SearchResponse(hits=[hit], degraded_reason="no vectors yet")
    result = tool(http, "search", query="q", limit=3)
    asked = agents.requests["Search"][0]
    assert (asked.query, asked.top_k, list(asked.collection_ids)) == ("q", 3, ["papers", "notes"])
    assert result["structuredContent"]["hits"][0]["byte_end"] == 13
    assert result["content"][0]["text"] == (
        "The search was degraded: no vectors yet\n\n"
        "[1] T, page 2 — meld://collections/papers/documents/d bytes 4–13\nIt is so."
    )


def test_a_house_without_collections_finds_nothing(http: FlaskClient, agents: ScriptedServices) -> None:
    agents.script["ListCollections"] = collections()
    assert tool(http, "search", query="q")["content"][0]["text"] == "Nothing was found."


def test_citations_are_checked(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["VerifyCitations"] = vector_pb2.VerifyCitationsResponse(
        verdicts=[
            vector_pb2.CitationVerdict(verified=True),
            vector_pb2.CitationVerdict(fault=vector_pb2.CITATION_FAULT_QUOTE_DIFFERS),
        ]
    )
    claim = {"document_id": "d", "extraction_sha256": SHA, "byte_start": 0, "byte_end": 1, "quote": "q"}
    result = tool(http, "verify_citations", citations=[claim, {**claim, "title": "T"}])
    assert result["content"][0]["text"] == "1: stands there\n2: QUOTE_DIFFERS"
    assert [item["verified"] for item in result["structuredContent"]["results"]] == [True, False]
    assert services.requests["VerifyCitations"][0].citations[0].quote == "q"


def documents(*names: str, token: str = "") -> vector_pb2.ListDocumentsResponse:
    listed = [
        vector_pb2.Document(
            collection_id="papers",
            document_id=name,
            title=f"The {name}",
            filename=f"{name}.md",
            text_bytes=9,
            state=vector_pb2.DOCUMENT_STATE_READY,
        )
        for name in names
    ]
    return vector_pb2.ListDocumentsResponse(documents=listed, next_page_token=token)


def test_documents_are_listed_collection_by_collection(http: FlaskClient, services: ScriptedServices) -> None:
    async def listed(asked: vector_pb2.ListCollectionsRequest) -> vector_pb2.ListCollectionsResponse:
        following = {"": ("papers", "2"), "2": ("empty", "3"), "3": ("notes", "")}
        name, token = following[asked.page_token]
        return collections(name, token=token)

    async def held(asked: vector_pb2.ListDocumentsRequest) -> vector_pb2.ListDocumentsResponse:
        return {
            ("papers", ""): documents("a", token="t"),
            ("papers", "t"): documents("b"),
            ("empty", ""): documents(),
            ("notes", ""): documents("c"),
        }[asked.collection_id, asked.page_token]

    services.script |= {"ListCollections": listed, "ListDocuments": held}
    pages, cursor = [], {}
    for _ in range(3):
        page = say(http, "resources/list", **cursor)["result"]
        pages.append([item["uri"].rpartition("/")[2] for item in page["resources"]])
        cursor = {"cursor": page.get("nextCursor")}
    assert pages == [["collections", "a"], ["b"], ["c"]]
    assert cursor == {"cursor": None}


@pytest.mark.parametrize("cursor", ["x", "e30=", "WyJhIl0=", "bnVsbA==", "é", "WzEsMl0="])
def test_a_cursor_of_others_is_refused(http: FlaskClient, services: ScriptedServices, cursor: str) -> None:
    assert say(http, "resources/list", cursor=cursor)["error"]["message"].startswith("INVALID_CURSOR")


def test_a_page_token_that_the_service_does_not_know_is_a_bad_cursor(
    http: FlaskClient, services: ScriptedServices
) -> None:
    services.script["ListCollections"] = InvalidArgumentError("not ours", reason="INVALID_PAGE_TOKEN")
    error = say(http, "resources/list", cursor="WyJhIiwiYiJd")["error"]
    assert (error["code"], error["message"][:14]) == (-32602, "INVALID_CURSOR")


def pieces(*texts: str, start: int = 0) -> list[vector_pb2.ReadDocumentTextResponse]:
    made = []
    for text in texts:
        end = start + len(text.encode())
        span = vector_pb2.Span(byte_start=start, byte_end=end)
        made.append(vector_pb2.ReadDocumentTextResponse(text=text, span=span, extraction_sha256=SHA))
        start = end
    return made


def test_a_document_is_read_whole_or_in_parts(http: FlaskClient, services: ScriptedServices) -> None:
    found = vector_pb2.GetDocumentResponse(document=vector_pb2.Document(text_bytes=12))
    services.script |= {"GetDocument": found, "ReadDocumentText": pieces("Grün ", "ist es.")}
    uri = "meld://collections/papers/documents/d"
    (whole,) = say(http, "resources/read", uri=uri)["result"]["contents"]
    assert (whole["text"], whole["uri"], whole["mimeType"]) == ("Grün ist es.", uri, "text/plain")
    assert whole["_meta"] == {
        "meldrag/byte_start": 0,
        "meldrag/byte_end": 13,
        "meldrag/extraction_sha256": SHA,
    }
    services.script["ReadDocumentText"] = pieces("ist", start=6)
    (part,) = say(http, "resources/read", uri=f"{uri}/text/6-9")["result"]["contents"]
    assert part["text"] == "ist"
    asked = services.requests["ReadDocumentText"][-1]
    assert (asked.collection_id, asked.document_id) == ("papers", "d")
    assert (asked.span.byte_start, asked.span.byte_end) == (6, 9)


def test_a_text_that_is_too_large_says_how_to_read_it(http: FlaskClient, services: ScriptedServices) -> None:
    found = vector_pb2.GetDocumentResponse(document=vector_pb2.Document(text_bytes=MAX_TEXT_BYTES + 1))
    services.script["GetDocument"] = found
    error = say(http, "resources/read", uri="meld://collections/papers/documents/d")["error"]
    assert error["message"].startswith(f"TEXT_TOO_LARGE: the text has {MAX_TEXT_BYTES + 1} bytes")
    assert f"meld://collections/papers/documents/d/text/0-{MAX_TEXT_BYTES}" in error["message"]
    assert services.requests["ReadDocumentText"] == []


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("meld://collections/papers/documents/d/text/5-5", "PART_INVALID"),
        (f"meld://collections/papers/documents/d/text/0-{MAX_TEXT_BYTES + 1}", "PART_INVALID"),
        ("meld://collections/papers", "RESOURCE_UNKNOWN"),
        ("meld://collections/../documents/a/../../b", "RESOURCE_UNKNOWN"),
        ("meld://collections/a%2fb/documents/c", "RESOURCE_UNKNOWN"),
        ("file:///etc/passwd", "RESOURCE_UNKNOWN"),
        ("http://127.0.0.1/", "RESOURCE_UNKNOWN"),
    ],
)
def test_what_is_no_resource_is_not_read(
    http: FlaskClient, services: ScriptedServices, uri: str, reason: str
) -> None:
    error = say(http, "resources/read", uri=uri)["error"]
    assert (error["code"], error["data"]["reason"]) == (-32602, reason)
    assert services.requests["ReadDocumentText"] == []


def test_a_missing_document_says_so(http: FlaskClient, services: ScriptedServices) -> None:
    services.script["GetDocument"] = NotFoundError("there is none", reason="DOCUMENT_NOT_FOUND")
    error = say(http, "resources/read", uri="meld://collections/papers/documents/d")["error"]
    assert error["message"] == "DOCUMENT_NOT_FOUND: there is none"


def test_collections_are_a_resource(http: FlaskClient, services: ScriptedServices) -> None:
    async def listed(asked: vector_pb2.ListCollectionsRequest) -> vector_pb2.ListCollectionsResponse:
        return collections("notes") if asked.page_token else collections("papers", token="2")

    services.script["ListCollections"] = listed
    (read,) = say(http, "resources/read", uri="meld://collections")["result"]["contents"]
    said = json.loads(read["text"])
    assert ([item["id"] for item in said["collections"]], said["complete"]) == (["papers", "notes"], True)


def test_resources_have_templates(http: FlaskClient) -> None:
    found = say(http, "resources/templates/list")["result"]["resourceTemplates"]
    assert [item["uriTemplate"] for item in found] == [
        "meld://collections/{collection}/documents/{document}",
        "meld://collections/{collection}/documents/{document}/text/{byte_start}-{byte_end}",
    ]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_are_no_sessions_to_follow_or_end(http: FlaskClient, method: str) -> None:
    answer = http.open("/mcp", method=method)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("data", "headers", "status", "code"),
    [
        (b"{", {}, 400, -32700),
        (b"[]", {}, 400, -32700),
        (b"null", {}, 400, -32700),
        (b'{"id": 1, "id": 2}', {}, 400, -32700),
        (b'{"a": NaN}', {}, 400, -32700),
        (b"[" * 100_000, {}, 400, -32700),
        (b"\xff", {}, 400, -32700),
        (b"{}", {"Content-Type": "text/plain"}, 415, -32600),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', {}, 413, -32600),
        (b"{}", {"Origin": "https://evil.example"}, 403, -32600),
        (b"{}", {"Host": "evil.example"}, 400, -32600),
    ],
)
def test_what_is_no_message_is_refused_in_the_form_of_json_rpc(
    http: FlaskClient, data: bytes, headers: dict[str, str], status: int, code: int
) -> None:
    answer = http.post("/mcp", data=data, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == status
    assert answer.json is not None
    assert (answer.json["id"], answer.json["error"]["code"]) == (None, code)
    assert answer.json["error"]["data"]["request_id"]


@pytest.mark.parametrize(
    "message",
    [{}, {"jsonrpc": "1.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 1}],
)
def test_json_that_is_no_message_is_refused(http: FlaskClient, message: dict[str, Any]) -> None:
    answer = http.post("/mcp", json=message, headers={"Accept": ACCEPT})
    assert answer.status_code == 400
    assert answer.json is not None
    assert "error" in answer.json


def test_a_notification_is_taken_and_a_method_of_nobody_is_not(http: FlaskClient) -> None:
    message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert http.post("/mcp", json=message, headers={"Accept": ACCEPT}).status_code == 202
    assert say(http, "prompts/list")["error"]["code"] == -32601
    assert say(http, "ping")["result"] == {}
