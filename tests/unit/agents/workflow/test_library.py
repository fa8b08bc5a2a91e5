"""Workflows are checked before they are kept; those of the release stay as they are."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from meldrag.agents.v1 import workflow_pb2
from services.agents.roster.registry import Registry
from services.agents.workflow import graph
from services.agents.workflow.built_in import built_in
from services.agents.workflow.catalog import not_found
from services.agents.workflow.library import Library
from services.chassis.errors import AlreadyExistsError, ServiceError


class Memory:
    """Is a Shelf."""

    def __init__(self) -> None:
        self.kept: dict[str, workflow_pb2.Workflow] = {}

    async def get(self, workflow_id: str) -> workflow_pb2.Workflow:
        if workflow_id not in self.kept:
            raise not_found(workflow_id)
        return self.kept[workflow_id]

    async def page(self, page_size: int, page_token: str) -> tuple[list[workflow_pb2.Workflow], str]:
        names = [name for name in sorted(self.kept) if name > page_token]
        more = len(names) > page_size
        return [self.kept[name] for name in names[:page_size]], names[page_size - 1] if more else ""

    async def put(
        self, workflow: workflow_pb2.Workflow, previous_revision: int, request_id: str
    ) -> workflow_pb2.Workflow:
        if previous_revision == 0 and workflow.workflow_id in self.kept:
            raise AlreadyExistsError("there", reason="WORKFLOW_EXISTS")
        stored = workflow_pb2.Workflow()
        stored.CopyFrom(workflow)
        stored.revision = previous_revision + 1
        self.kept[workflow.workflow_id] = stored
        return stored

    async def delete(self, workflow_id: str) -> None:
        await self.get(workflow_id)
        del self.kept[workflow_id]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture
def shelf() -> Memory:
    return Memory()


@pytest.fixture
def library(registry: Registry, shelf: Memory) -> Library:
    return Library(registry, shelf)


def workflow(workflow_id: str = "mine", **fields: Any) -> workflow_pb2.Workflow:
    plain = {"workflow_id": workflow_id, "steps": [{"step_id": "a", "agent_id": "research"}], **fields}
    return json_format.ParseDict(plain, workflow_pb2.Workflow())


async def refused(call: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value


def test_the_workflows_of_the_release_can_be_run(registry: Registry) -> None:
    assert list(built_in()) == ["fix", "investigate", "plan", "review"]
    for shipped in built_in().values():
        assert shipped.built_in
        assert shipped.title
        assert shipped.description
        assert graph.validate(shipped.steps, registry).nodes


async def test_a_workflow_is_kept_changed_and_deleted(library: Library) -> None:
    made = await library.create(workflow(title="Mine", built_in=True, revision=7), "")
    assert (made.title, made.built_in, made.revision) == ("Mine", False, 1)
    assert [step.step_id for step in await library.find("mine")] == ["a"]
    changed = await library.update(workflow(title="Other"), "")
    assert (changed.title, changed.revision) == ("Other", 2)
    await library.delete("mine")
    assert (await refused(library.get("mine"))).reason == "WORKFLOW_NOT_FOUND"
    assert (await refused(library.update(workflow(), ""))).reason == "WORKFLOW_NOT_FOUND"
    assert (await refused(library.delete("mine"))).reason == "WORKFLOW_NOT_FOUND"


async def test_those_of_the_release_are_found_and_cannot_be_changed(library: Library, shelf: Memory) -> None:
    assert (await library.get("fix")).built_in
    assert (await refused(library.create(workflow("fix"), ""))).reason == "WORKFLOW_EXISTS"
    assert (await refused(library.update(workflow("fix"), ""))).reason == "WORKFLOW_BUILT_IN"
    assert (await refused(library.delete("fix"))).reason == "WORKFLOW_BUILT_IN"
    assert not shelf.kept


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"workflow_id": "No spaces"}, "INVALID_FIELD"),
        ({"workflow_id": ""}, "INVALID_FIELD"),
        ({"title": "x" * 201}, "INVALID_FIELD"),
        ({"description": "x" * 2001}, "INVALID_FIELD"),
        ({"steps": []}, "WORKFLOW_INVALID"),
        ({"steps": [{"step_id": "a", "agent_id": "nobody"}]}, "WORKFLOW_INVALID"),
        (
            {
                "steps": [
                    {"step_id": f"s{n}", "agent_id": "research", "inputs": {}, "message": "x" * 8000}
                    for n in range(32)
                ]
                + [{"step_id": "s0", "agent_id": "research"}]
            },
            "WORKFLOW_INVALID",
        ),
    ],
)
async def test_what_cannot_be_run_is_not_kept(
    library: Library, shelf: Memory, fields: dict[str, Any], reason: str
) -> None:
    assert (await refused(library.create(workflow(**fields), ""))).reason == reason
    assert not shelf.kept


@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 5, 6, 100])
async def test_pages_go_through_all_of_them(library: Library, page_size: int) -> None:
    own = ["a-1", "b-1", "c-1"]
    for name in own:
        await library.create(workflow(name), "")
    found: list[str] = []
    token = ""
    for _ in range(20):
        shown, token = await library.page(page_size, token)
        assert len(shown) <= page_size
        found += [each.workflow_id for each in shown]
        if not token:
            break
    assert found == [*built_in(), *own]


@pytest.mark.parametrize("token", ["x", "b-1", "bx", "b99999"])
async def test_a_page_token_that_nobody_made_is_refused(library: Library, token: str) -> None:
    assert (await refused(library.page(10, token))).reason == "INVALID_FIELD"


async def test_a_picture_is_of_a_name_or_of_steps(library: Library) -> None:
    assert "<svg" in await library.draw("fix", ())
    assert "research" in await library.draw("", tuple(workflow().steps))
    assert (await refused(library.draw("fix", tuple(workflow().steps)))).reason == "WORKFLOW_INVALID"
    assert (await refused(library.draw("nobody", ()))).reason == "WORKFLOW_NOT_FOUND"
