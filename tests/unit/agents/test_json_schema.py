"""JSON Schema out of descriptors."""

from __future__ import annotations

import pytest

from meldrag.agents.v1 import agents_pb2, results_pb2, workflow_pb2
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


def test_a_model_is_asked_for_every_field_and_may_leave_out_what_may_be_absent() -> None:
    schema = json_schema.asked(results_pb2.TestGeneratorResult.DESCRIPTOR, ("passed", "coverage", "files"))
    assert schema["required"] == list(schema["properties"]) == ["passed", "coverage", "files"]
    assert schema["properties"]["coverage"] == {"anyOf": [{"$ref": "#/$defs/Coverage"}, {"type": "null"}]}
    assert schema["$defs"]["SourceFile"]["required"] == ["path", "content"]
    assert json_schema.fault({"passed": 1, "coverage": None, "files": []}, schema) == ""
    assert json_schema.fault({"passed": 1, "files": []}, schema).startswith("$: 'coverage' is a required")
    assert json_schema.fault({"passed": "1", "coverage": None, "files": []}, schema).startswith("$.passed: ")


def test_every_result_of_the_roster_can_be_asked_for_but_for_workflows() -> None:
    steps = workflow_pb2.WorkflowStep.DESCRIPTOR
    for field in results_pb2.AgentResult.DESCRIPTOR.oneofs_by_name["result"].fields:
        # A step has inputs of any form: a model is asked for a plan in a message of its own.
        names = [part.name for part in field.message_type.fields if part.message_type is not steps]
        schema = json_schema.asked(field.message_type, names)
        assert schema["required"]
        assert "$schema" not in schema


def test_what_no_server_can_be_held_to_is_not_asked_for() -> None:
    with pytest.raises(TypeError, match="Struct"):
        json_schema.asked(agents_pb2.RunAgentRequest.DESCRIPTOR)
