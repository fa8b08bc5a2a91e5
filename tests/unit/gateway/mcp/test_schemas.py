"""The schemas of results say what the gateway really renders, whatever is in it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from google.protobuf import descriptor_pool, message_factory, struct_pb2

from meldrag.agents.v1 import agents_pb2, results_pb2
from meldrag.vector.v1 import vector_pb2
from services.gateway import rendering
from services.gateway.mcp import schemas

AGENTS = [field.name for field in results_pb2.AgentResult.DESCRIPTOR.oneofs_by_name["result"].fields]


def filled(descriptor: Any, depth: int = 0) -> Any:
    """A message of which every field says something, the last of each oneof."""
    message = message_factory.GetMessageClass(descriptor)()
    if descriptor.full_name == "google.protobuf.Struct":
        message.update({"a": [1, None, {"b": 2.5}]})
        return message
    if descriptor.full_name == "google.protobuf.Value":
        message.CopyFrom(struct_pb2.Value(string_value="v"))
        return message
    for field in descriptor.fields:
        kind = field.message_type
        if kind is not None:
            if depth > 3:
                continue
            if kind.GetOptions().map_entry:
                value = kind.fields_by_name["value"]
                if value.message_type is None:
                    getattr(message, field.name)["key"] = scalar(value)
                else:
                    getattr(message, field.name)["key"].CopyFrom(filled(value.message_type, depth + 1))
            elif field.is_repeated:
                getattr(message, field.name).append(filled(kind, depth + 1))
            else:
                getattr(message, field.name).CopyFrom(filled(kind, depth + 1))
        elif field.is_repeated:
            getattr(message, field.name).append(scalar(field))
        else:
            setattr(message, field.name, scalar(field))
    return message


def scalar(field: Any) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.cpp_type == field.CPPTYPE_STRING:
        return b"x" if field.type == field.TYPE_BYTES else "text"
    return field.cpp_type == field.CPPTYPE_BOOL or 3


def faults(value: Any, schema: dict[str, Any]) -> list[str]:
    jsonschema.Draft202012Validator.check_schema(schema)
    found = jsonschema.Draft202012Validator(schema).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.mark.parametrize("agent", AGENTS)
def test_a_run_of_every_agent_fits_the_schema_of_its_tool(agent: str) -> None:
    kind = results_pb2.AgentResult.DESCRIPTOR.fields_by_name[agent].message_type
    definitions: dict[str, Any] = {}
    schema = schemas.run(schemas.rendered(kind, definitions), definitions)
    full: Any = results_pb2.AgentResult()
    getattr(full, agent).CopyFrom(filled(kind))
    empty: Any = results_pb2.AgentResult()
    getattr(empty, agent).SetInParent()
    for result in (full, empty, results_pb2.AgentResult()):
        run = filled(descriptor_pool.Default().FindMessageTypeByName("meldrag.agents.v1.RunResult"))
        run.result.CopyFrom(result)
        assert faults(rendering.run_result(run), schema) == []
    assert faults(rendering.run_result(agents_pb2.RunResult()), schema) == []


def test_a_result_that_lacks_something_does_not_fit() -> None:
    kind = results_pb2.ResearchResult.DESCRIPTOR
    definitions: dict[str, Any] = {}
    schema = schemas.run(schemas.rendered(kind, definitions), definitions)
    run = rendering.run_result(agents_pb2.RunResult())

    assert faults({**run, "text": None}, schema)
    assert faults({**run, "result": {"findings": "none"}}, schema)


@pytest.mark.parametrize("full", [True, False])
def test_searches_and_verdicts_fit(full: bool) -> None:
    found = filled(vector_pb2.SearchResponse.DESCRIPTOR) if full else vector_pb2.SearchResponse()
    verdict = filled(vector_pb2.CitationVerdict.DESCRIPTOR) if full else vector_pb2.CitationVerdict()

    assert faults(rendering.search(found, explain=False), schemas.SEARCH) == []
    assert faults({"results": [rendering.verdict(verdict)]}, schemas.VERDICTS) == []
