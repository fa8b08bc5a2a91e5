"""The contracts as they are declared."""

from __future__ import annotations

import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from meldrag.agents.v1 import agents_pb2, replicas_pb2
from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import identity_pb2, session_pb2, webhook_pb2
from meldrag.vector.v1 import vector_pb2
from services.chassis.access import rules
from tests.architecture.sources import ROOT

DECLARED = {
    "VectorService": "CreateCollection GetCollection ListCollections SetCollectionAccess DeleteCollection "
    "ReembedCollection CancelReembed RevertReembed FinishReembed IngestDocument ImportDocuments "
    "GetDocument ListDocuments ListDocumentEvents ReadDocumentText ReadDocumentOriginal DeleteDocument "
    "CancelIngest RetryIngest ReprocessDocument CancelReprocess Search VerifyCitations RunEvaluation "
    "GetEvaluation ListEvaluations ListEvaluationQueries DeleteEvaluation GetDeletion EmbedTexts "
    "CompareWords ListEmbeddingModels CheckIndex RepairIndex PurgeDeleted ExportSnapshot ImportSnapshot",
    "SessionService": "CreateSession GetSession ListSessions SearchSessions UpdateSession DeleteSession "
    "AppendMessage ListMessages CreateRun AppendRunEvents TakeRun ListRunEntries GetRun ListRuns WatchRun "
    "PutAttachment GetAttachment ReadAttachment ListAttachments DeleteAttachment PutItem ListItems "
    "DeleteItem ExportSnapshot ImportSnapshot",
    "IdentityService": "SetUp CreateUser ListUsers UpdateUser DeleteUser ChangePassword Authenticate "
    "AuthenticateExternal Identify RefreshToken RevokeToken CreateApiKey ListApiKeys RevokeApiKey "
    "ConsumeQuota ListQuotas ListAuditEntries",
    "WebhookService": "CreateWebhook GetWebhook ListWebhooks UpdateWebhook DeleteWebhook "
    "RotateWebhookSecret TestWebhook ListWebhookDeliveries ListDocumentListeners PutDocumentEvents",
    "AgentService": "ListAgents GetAgent RouteTask RunAgent RunWorkflow DecideStep CreateWorkflow "
    "GetWorkflow ListWorkflows UpdateWorkflow DeleteWorkflow DrawWorkflow CancelRun ReplayRun",
    "ReplicaService": "ReachRun ReachStep",
}
SERVICES: dict[str, ServiceDescriptor] = {
    service.name: service
    for file in (vector_pb2, session_pb2, identity_pb2, webhook_pb2, agents_pb2, replicas_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
}
METHODS: list[MethodDescriptor] = [method for service in SERVICES.values() for method in service.methods]


def test_every_service_has_exactly_the_methods_of_the_design() -> None:
    assert {name: {method.name for method in service.methods} for name, service in SERVICES.items()} == {
        name: set(methods.split()) for name, methods in DECLARED.items()
    }


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_method_says_who_may_call_it_and_for_how_long(method: MethodDescriptor) -> None:
    rule = rules([method.containing_service])[f"/{method.containing_service.full_name}/{method.name}"]

    assert options_pb2.Scope.Name(rule.scope)  # raises for a number that the contract does not know
    assert 0 < rule.default_timeout <= rule.maximum_timeout <= 4 * 3600


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_a_request_that_names_a_resource_is_bound_to_its_tenant(method: MethodDescriptor) -> None:
    """Where a request has the id of something owned, the tenant field says so, unless it creates it."""
    owned = {"collection_id", "collection_ids", "document_id", "session_id", "run_id"}
    owned |= {"user_id", "api_key_id", "attachment_id", "workflow_id", "evaluation_id", "webhook_id"}
    named = owned & set(method.input_type.fields_by_name)
    makes = method.name.startswith(("Create", "Run", "List", "Draw")) or method.client_streaming
    # An id that only narrows what is done to all of the tenant's may be empty.
    makes = makes or method.name in ("CheckIndex", "RepairIndex")
    access = method.GetOptions().Extensions[options_pb2.access]

    assert access.tenant_field or makes or not named, f"{named} belong to a tenant"


# What administrators of any tenant may call, since it stays within the caller's own tenant; and why it does.
WITHIN_A_TENANT = {
    "CreateUser": "the user is of the caller's tenant",
    "ListUsers": "of the caller's tenant",
    "AuthenticateExternal": "finds or makes a user of the caller's tenant",
    "ListAuditEntries": "of the caller's tenant",
}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_administration_is_of_a_tenant_or_of_the_house(method: MethodDescriptor) -> None:
    """What administrators alone may do says whether it is of the whole house, or stays within a tenant."""
    access = method.GetOptions().Extensions[options_pb2.access]
    of_the_house = bool(access.house_wide or access.house_wide_field)
    if access.scope == options_pb2.SCOPE_ADMINISTRATION:
        within = bool(access.tenant_field) or method.name in WITHIN_A_TENANT
        assert of_the_house != within, "is it of one tenant, or does it need house_wide?"
    else:
        assert not of_the_house, "what is of the whole house is administration"
    flags = [name for name in method.input_type.fields_by_name if name.startswith("every_")]
    assert flags == ([access.house_wide_field] if access.house_wide_field else [])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_only_what_does_no_harm_twice_may_be_retried(method: MethodDescriptor) -> None:
    """A method that is declared idempotent reads, deletes, or knows repeats by request_id or state."""
    level = method.GetOptions().idempotency_level
    reads = method.name.startswith(
        (
            *("Get", "List", "Read", "Search", "Verify", "Embed", "Check", "Watch", "Route", "Export"),
            *("Replay", "Draw", "Identify", "Compare"),
        )
    )
    if level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS:
        assert reads
    elif level == descriptor_pb2.MethodOptions.IDEMPOTENT:
        repeatable = method.name.startswith(("Delete", "Update", "Revoke", "Cancel", "Repair", "Purge"))
        # A run is named by who creates it; its events carry their position in it.
        known = {"request_id", "run_id", "run"} & set(method.input_type.fields_by_name)
        assert repeatable or known


def test_reads_are_declared_as_such() -> None:
    undeclared = [
        method.full_name
        for method in METHODS
        if method.name.startswith(("Get", "List", "Search", "Verify"))
        and method.GetOptions().idempotency_level != descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    ]

    assert undeclared == []


def test_buf_finds_nothing_to_complain_about() -> None:
    done = subprocess.run(
        [f"{sys.prefix}/bin/buf", "lint", "protos"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_the_stubs_were_built_from_these_contracts() -> None:
    assert (
        subprocess.run([sys.executable, "protos/build.py", "--check"], cwd=ROOT, check=False).returncode == 0
    )
