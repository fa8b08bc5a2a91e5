"""The twelve agents as they are described."""

from __future__ import annotations

import jsonschema
import pytest
from google.protobuf import json_format

from meldrag.agents.v1 import results_pb2
from services.agents.roster.registry import Registry
from services.chassis.errors import InvalidArgumentError, NotFoundError


def test_each_is_complete() -> None:
    registry = Registry()
    assert len(registry.ids()) == 12
    for hosted in registry:
        definition = hosted.definition
        fields = results_pb2.AgentResult.DESCRIPTOR.fields_by_name
        assert fields[definition.agent_id].message_type is definition.result.DESCRIPTOR
        assert len(set(definition.examples)) >= 5
        assert definition.purpose.endswith(".")
        assert len(hosted.prompt) > 50
        jsonschema.Draft202012Validator.check_schema(hosted.input_schema)
        jsonschema.Draft202012Validator.check_schema(hosted.result_schema)


def test_an_unknown_agent_is_named() -> None:
    with pytest.raises(NotFoundError) as caught:
        Registry().get("x" * 1000)
    assert caught.value.reason == "AGENT_NOT_FOUND"
    assert len(caught.value.metadata["agent_id"]) == 100


def test_results_fit_their_schema() -> None:
    hosted = Registry().get("ceo")
    result = results_pb2.CeoResult(
        objective="x",
        options=[results_pb2.OptionAssessment(option="a", score=0.5, evidence=[results_pb2.Finding()])],
    )
    value = json_format.MessageToDict(
        result, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    jsonschema.validate(value, hosted.result_schema)


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"options": "a"}, "$.options"),
        ({"options": [1]}, "$.options[0]"),
        ({"other": 1}, "$"),
        ({"criteria": [{"name": "x", "weight": "1"}]}, "$.criteria[0].weight"),
    ],
)
def test_wrong_inputs_are_located(inputs: dict[str, object], path: str) -> None:
    registry = Registry()
    with pytest.raises(InvalidArgumentError) as caught:
        registry.parse_inputs(registry.get("ceo"), inputs)
    assert (caught.value.reason, caught.value.metadata["path"]) == ("INPUTS_INVALID", path)


def test_right_inputs_become_the_message() -> None:
    registry = Registry()
    message = registry.parse_inputs(
        registry.get("ceo"), {"options": ["a", "b"], "criteria": [{"name": "cost", "weight": 2.0}]}
    )
    assert message == results_pb2.CeoInputs(
        options=["a", "b"], criteria=[results_pb2.Criterion(name="cost", weight=2)]
    )
