"""What the document says of a resource is what rendering makes of it, with everything or nothing in it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from meldrag.agents.v1 import agents_pb2, results_pb2
from meldrag.session.v1 import identity_pb2, session_pb2
from meldrag.vector.v1 import vector_pb2
from services.gateway import rendering
from services.gateway.openapi.resources import SHAPES, components
from services.gateway.openapi.schema import Shape
from tests.unit.gateway.openapi.samples import filled

SCHEMAS = components().schemas
# How full the messages are: empty, everything, and in between.
SHARES = (0.0, 1.0, 1.0, *(0.5 for _ in range(60)))


def closed(schema: Any) -> Any:
    """The same schema, but no member may come that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    return made | ({"additionalProperties": False} if "properties" in schema else {})


CLOSED = closed(SCHEMAS)


def judge(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": CLOSED}})


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_resource_is_declared_as_it_is_rendered(shape: Shape) -> None:
    draw = random.Random(shape.name)
    seen: set[str] = set()
    for share in SHARES:
        shown = shape.render(filled(shape.descriptor, draw, share))
        judge(shape.name).validate(shown)
        seen |= set(shown)
    # What is declared does occur.
    assert shape.union or seen | set(shape.asked) == set(SCHEMAS[shape.name]["properties"])


RESULTS = list(results_pb2.AgentResult.DESCRIPTOR.fields)


@pytest.mark.parametrize("field", RESULTS, ids=lambda field: field.name)
def test_the_result_of_each_agent_is_declared_as_it_is_rendered(field: Any) -> None:
    draw = random.Random(field.name)
    for share in SHARES:
        shown = rendering.message(filled(field.message_type, draw, share))
        judge(field.message_type.name).validate(shown)


def test_what_was_done_to_users_is_declared() -> None:
    draw = random.Random(1)
    for share in SHARES:
        judge("AuditEntry").validate(
            rendering.message(filled(identity_pb2.AuditEntry.DESCRIPTOR, draw, share))
        )


def test_found_passages_are_declared_with_and_without_an_explanation() -> None:
    draw = random.Random(1)
    for share in SHARES:
        found: Any = filled(vector_pb2.SearchResponse.DESCRIPTOR, draw, share)
        for explain in (True, False):
            judge("SearchResult").validate(rendering.search(found, explain))


def test_a_replay_is_declared() -> None:
    draw = random.Random(1)
    for share in SHARES:
        outcome: Any = filled(agents_pb2.ReplayOutcome.DESCRIPTOR, draw, share)
        ended: Any = filled(agents_pb2.RunEnded.DESCRIPTOR, draw, share)
        for end in (ended, None):
            judge("Replay").validate({"run_id": "r", **rendering.replay(outcome, end)})


def test_a_run_is_declared_before_and_after_its_end() -> None:
    draw = random.Random(1)
    for share in SHARES:
        record: Any = filled(session_pb2.Run.DESCRIPTOR, draw, share)
        result: Any = filled(agents_pb2.RunResult.DESCRIPTOR, draw, share)
        judge("RunRecord").validate(rendering.run_record(record))
        judge("Run").validate(rendering.run_record(record) | rendering.run_result(result) | {"error": None})


def test_a_member_that_rendering_does_not_make_is_noticed() -> None:
    shown = rendering.session(session_pb2.Session(session_id="s"))
    assert judge("Session").is_valid(shown)
    assert not judge("Session").is_valid(shown | {"owner": "me"})
    assert not judge("Session").is_valid({name: shown[name] for name in list(shown)[1:]})
    assert not judge("Session").is_valid(shown | {"messages": "1"})
