"""JSON Schema out of descriptors."""

from __future__ import annotations

from meldrag.agents.v1 import results_pb2
from services.agents import json_schema


def test_names_types_lists_enums_and_nested_messages() -> None:
    schema = json_schema.of(results_pb2.CodeRepairResult.DESCRIPTOR)
    assert schema["title"] == "CodeRepairResult"
    assert schema["properties"]["diff"] == {"type": "string"}
    assert schema["properties"]["files"] == {"type": "array", "items": {"$ref": "#/$defs/SourceFile"}}
    assert schema["properties"]["verdict"] == {
        "enum": ["VERDICT_VERIFIED", "VERDICT_FAILED", "VERDICT_NOT_RUN"]
    }
    assert schema["$defs"]["SourceFile"]["properties"]["path"] == {"type": "string"}
    assert schema["additionalProperties"] is False


def test_times_are_strings() -> None:
    schema = json_schema.of(results_pb2.CoachingResult.DESCRIPTOR)
    assert schema["$defs"]["Milestone"]["properties"]["due_time"] == {"type": "string", "format": "date-time"}


def test_an_empty_message_takes_nothing() -> None:
    schema = json_schema.of(results_pb2.QuestionInputs.DESCRIPTOR)
    assert (schema["properties"], schema["additionalProperties"]) == ({}, False)
