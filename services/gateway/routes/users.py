"""Users, their API keys, and what was done to both."""

from __future__ import annotations

from flask import Blueprint, Response, request

from meldrag.session.v1 import identity_pb2
from services.gateway import rendering
from services.gateway.body import Query, idempotency_key, json_object
from services.gateway.calls import unary
from services.gateway.door import answer, door
from services.gateway.identity import admission
from services.gateway.openapi.operation import created, json, operation, pages, text_of
from services.gateway.openapi.schema import array, record, reference

blueprint = Blueprint("users", __name__)

_MAX_BYTES = 64 << 10
_QUOTAS = json(record({"quotas": array(reference("Quota"))}))
_KEYS = json(record({"api_keys": array(reference("ApiKey"))}))


@blueprint.post("/users")
@operation(answers={201: created("User")}, body="NewUser", problems=(507,), repeat="key")
def create_user() -> Response:
    """Creates a user."""
    fields = json_object(request, _MAX_BYTES)
    message = identity_pb2.CreateUserRequest(
        name=fields.text("name", required=True),
        password=fields.text("password", required=True, content=True),
        role=fields.text("role", required=True),
        groups=fields.texts("groups"),
        request_id=idempotency_key(request),
    )
    fields.finish()
    created = unary(door().clients.identity.CreateUser, message).user
    return answer(rendering.user(created), 201, {"Location": f"/api/v1/users/{created.user_id}"})


@blueprint.get("/users")
@operation(answers={200: pages("users", "User")}, paged=True)
def list_users() -> Response:
    """A page of the users, by name."""
    query = Query(request)
    page_size, page_token = query.page()
    query.finish()
    page = unary(
        door().clients.identity.ListUsers,
        identity_pb2.ListUsersRequest(page_size=page_size, page_token=page_token),
    )
    return answer(rendering.page("users", map(rendering.user, page.users), page.next_page_token))


@blueprint.patch("/users/<user_id>")
@operation(answers={200: json("User")}, body="ChangedUser", problems=(507,), repeat="key")
def update_user(user_id: str) -> Response:
    """Changes what is given of a user."""
    fields = json_object(request, _MAX_BYTES)
    message = identity_pb2.UpdateUserRequest(user_id=user_id, request_id=idempotency_key(request))
    if fields.has("password"):
        message.password = fields.text("password", content=True)
    if fields.has("role"):
        message.role = fields.text("role")
    if fields.has("disabled"):
        message.disabled = fields.boolean("disabled")
    if fields.has("groups"):
        message.groups.CopyFrom(identity_pb2.Groups(names=fields.texts("groups")))
    fields.finish()
    return answer(rendering.user(unary(door().clients.identity.UpdateUser, message).user))


@blueprint.delete("/users/<user_id>")
@operation(answers={200: json(record({}))}, repeat="key")
def delete_user(user_id: str) -> Response:
    """Removes a user with keys, tokens and webhooks."""
    Query(request).finish()
    message = identity_pb2.DeleteUserRequest(user_id=user_id, request_id=idempotency_key(request))
    unary(door().clients.identity.DeleteUser, message)
    return answer({})


@blueprint.post("/api-keys")
@operation(answers={201: created("NewApiKeySecret")}, body="NewApiKey", problems=(404, 507), repeat="anew")
def create_api_key() -> Response:
    """Creates a key for a program; its secret is in this answer and nowhere else. A key that is made by a key
    ends no later than that one.
    """
    fields = json_object(request, _MAX_BYTES)
    message = identity_pb2.CreateApiKeyRequest(
        label=fields.text("label", required=True),
        role=fields.text("role"),
        user_id=fields.text("user"),
        expire_time=fields.time("expires"),
        caller_api_key_id=admission.api_key_id(),
    )
    fields.finish()
    created = unary(door().clients.identity.CreateApiKey, message)
    return answer(
        {**rendering.api_key(created.api_key), "secret": created.secret},
        201,
        {"Location": f"/api/v1/api-keys/{created.api_key_id}"},
    )


@blueprint.get("/api-keys")
@operation(
    answers={200: _KEYS}, query=(text_of("user", "Whose; the caller's when absent."),), problems=(404,)
)
def list_api_keys() -> Response:
    """The caller's keys, or those of ?user= for who may administer."""
    query = Query(request)
    user_id = query.text("user")
    query.finish()
    keys = unary(door().clients.identity.ListApiKeys, identity_pb2.ListApiKeysRequest(user_id=user_id))
    return answer({"api_keys": [rendering.api_key(key) for key in keys.api_keys]})


@blueprint.delete("/api-keys/<api_key_id>")
@operation(answers={200: json(record({}))})
def revoke_api_key(api_key_id: str) -> Response:
    """Ends a key."""
    Query(request).finish()
    message = identity_pb2.RevokeApiKeyRequest(api_key_id=api_key_id)
    unary(door().clients.identity.RevokeApiKey, message)
    return answer({})


@blueprint.get("/quotas")
@operation(answers={200: _QUOTAS})
def list_quotas() -> Response:
    """What the caller may use up in a time, and has used."""
    Query(request).finish()
    quotas = unary(door().clients.identity.ListQuotas, identity_pb2.ListQuotasRequest()).quotas
    return answer({"quotas": [rendering.quota(quota) for quota in quotas]})


@blueprint.get("/audit")
@operation(answers={200: pages("entries", "AuditEntry")}, paged=True)
def list_audit_entries() -> Response:
    """A page of what was done to users and keys, the newest first."""
    query = Query(request)
    page_size, page_token = query.page()
    query.finish()
    page = unary(
        door().clients.identity.ListAuditEntries,
        identity_pb2.ListAuditEntriesRequest(page_size=page_size, page_token=page_token),
    )
    return answer(rendering.page("entries", map(rendering.message, page.entries), page.next_page_token))
