"""Stored workflows through the service: kept as items, run by name, drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc.aio
import pytest

from meldrag.agents.v1 import agents_pb2, workflow_pb2
from services.chassis.errors import ServiceError, UnavailableError, from_rpc_error
from tests.contract.agents import flows
from tests.contract.agents.conftest import Client
from tests.contract.agents.flows import outcome, states, step
from tests.contract.agents.neighbours import SessionNeighbour

Open = Callable[..., Any]


@pytest.fixture
async def house(open_house: Open) -> Client:
    made: Client = await open_house()
    return made


def workflow(*plain: dict[str, Any], workflow_id: str = "mine", **fields: Any) -> workflow_pb2.Workflow:
    return workflow_pb2.Workflow(workflow_id=workflow_id, steps=flows.steps(*plain), **fields)


async def refused(call: Any) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def create(house: Client, made: workflow_pb2.Workflow) -> workflow_pb2.Workflow:
    request = agents_pb2.CreateWorkflowRequest(workflow=made)
    return (await house.stub.CreateWorkflow(request, timeout=10)).workflow


async def update(house: Client, made: workflow_pb2.Workflow) -> workflow_pb2.Workflow:
    request = agents_pb2.UpdateWorkflowRequest(workflow=made)
    return (await house.stub.UpdateWorkflow(request, timeout=10)).workflow


async def test_a_stored_workflow_is_run_by_its_name(house: Client) -> None:
    kept = await create(house, workflow(step("look", "When does the bakery open?"), title="Look"))
    assert (kept.title, kept.revision) == ("Look", 1)
    said = await flows.run(house, workflow_id="mine")
    assert states(outcome(said)) == {"look": "SUCCEEDED"}
    assert "The bakery opens at six." in said[-1][1].ended.result.text


async def test_who_does_not_know_the_last_change_changes_nothing(house: Client) -> None:
    await create(house, workflow(step("a")))
    error = await refused(create(house, workflow(step("b"))))
    assert (error.reason, error.metadata) == ("WORKFLOW_EXISTS", {"workflow_id": "mine"})
    await update(house, workflow(step("b"), revision=1))
    error = await refused(update(house, workflow(step("c"), revision=1)))
    assert (error.reason, error.metadata) == ("WORKFLOW_CHANGED", {"workflow_id": "mine", "revision": "2"})
    found = await house.stub.GetWorkflow(agents_pb2.GetWorkflowRequest(workflow_id="mine"), timeout=10)
    assert [each.step_id for each in found.workflow.steps] == ["b"]
    error = await refused(update(house, workflow(step("b"), workflow_id="other", revision=4)))
    assert error.reason == "WORKFLOW_NOT_FOUND"


async def test_they_are_listed_drawn_and_deleted(house: Client) -> None:
    await create(house, workflow(step("a")))
    listed = await house.stub.ListWorkflows(agents_pb2.ListWorkflowsRequest(), timeout=10)
    assert [each.workflow_id for each in listed.workflows] == ["fix", "investigate", "plan", "review", "mine"]
    drawn = await house.stub.DrawWorkflow(agents_pb2.DrawWorkflowRequest(workflow_id="plan"), timeout=10)
    assert "somebody decides" in drawn.svg
    request = agents_pb2.DeleteWorkflowRequest(workflow_id="mine")
    await house.stub.DeleteWorkflow(request, timeout=10)
    assert (await refused(house.stub.DeleteWorkflow(request, timeout=10))).reason == "WORKFLOW_NOT_FOUND"


async def test_without_the_session_service_those_of_the_release_are_there(
    house: Client, session: SessionNeighbour
) -> None:
    session.faults.methods = {"ListItems", "PutItem"}
    session.faults.error = UnavailableError("down", reason="STORE_UNAVAILABLE")
    found = await house.stub.GetWorkflow(agents_pb2.GetWorkflowRequest(workflow_id="fix"), timeout=10)
    assert found.workflow.built_in
    assert (await refused(create(house, workflow(step("a"))))).reason == "SESSION_UNAVAILABLE"
