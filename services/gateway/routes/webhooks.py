"""Webhooks: where other programs are told of what happens."""

from __future__ import annotations

from flask import Blueprint, Response, request

from meldrag.session.v1 import webhook_pb2
from services.gateway import rendering
from services.gateway.body import Query, idempotency_key, json_object, no_body
from services.gateway.calls import unary
from services.gateway.door import answer, door
from services.gateway.openapi.operation import created, json, operation, pages
from services.gateway.openapi.schema import array, record, reference

blueprint = Blueprint("webhooks", __name__)

_MAX_BYTES = 64 << 10
_WEBHOOKS = json(record({"webhooks": array(reference("Webhook"))}))


@blueprint.post("/webhooks")
@operation(answers={201: created("NewWebhookSecret")}, body="NewWebhook", problems=(403, 507), repeat="anew")
def create_webhook() -> Response:
    """Makes a webhook; its secret is in this answer and nowhere else."""
    fields = json_object(request, _MAX_BYTES)
    message = webhook_pb2.CreateWebhookRequest(
        url=fields.text("url", required=True),
        label=fields.text("label"),
        event_types=fields.texts("event_types"),
        include_answer=fields.boolean("include_answer"),
    )
    fields.finish()
    made = unary(door().clients.webhook.CreateWebhook, message)
    return answer(
        {**rendering.webhook(made.webhook), "secret": made.secret},
        201,
        {"Location": f"/api/v1/webhooks/{made.webhook.webhook_id}"},
    )


@blueprint.get("/webhooks")
@operation(answers={200: _WEBHOOKS})
def list_webhooks() -> Response:
    """The caller's webhooks, oldest first."""
    Query(request).finish()
    found = unary(door().clients.webhook.ListWebhooks, webhook_pb2.ListWebhooksRequest())
    return answer({"webhooks": [rendering.webhook(webhook) for webhook in found.webhooks]})


@blueprint.get("/webhooks/<webhook_id>")
@operation(answers={200: json("Webhook")}, conditional=True)
def get_webhook(webhook_id: str) -> Response:
    """A webhook."""
    Query(request).finish()
    message = webhook_pb2.GetWebhookRequest(webhook_id=webhook_id)
    return answer(rendering.webhook(unary(door().clients.webhook.GetWebhook, message).webhook))


@blueprint.patch("/webhooks/<webhook_id>")
@operation(answers={200: json("Webhook")}, body="ChangedWebhook", problems=(403, 507))
def update_webhook(webhook_id: str) -> Response:
    """Changes what is given of a webhook."""
    fields = json_object(request, _MAX_BYTES)
    message = webhook_pb2.UpdateWebhookRequest(webhook_id=webhook_id)
    if fields.has("url"):
        message.url = fields.text("url")
    if fields.has("label"):
        message.label = fields.text("label")
    if fields.has("event_types"):
        message.event_types.CopyFrom(webhook_pb2.WebhookEventTypes(names=fields.texts("event_types")))
    if fields.has("include_answer"):
        message.include_answer = fields.boolean("include_answer")
    if fields.has("enabled"):
        message.enabled = fields.boolean("enabled")
    fields.finish()
    return answer(rendering.webhook(unary(door().clients.webhook.UpdateWebhook, message).webhook))


@blueprint.delete("/webhooks/<webhook_id>")
@operation(answers={200: json(record({}))})
def delete_webhook(webhook_id: str) -> Response:
    """Removes a webhook with its messages, also those that wait."""
    Query(request).finish()
    unary(door().clients.webhook.DeleteWebhook, webhook_pb2.DeleteWebhookRequest(webhook_id=webhook_id))
    return answer({})


@blueprint.post("/webhooks/<webhook_id>/rotate")
@operation(answers={200: json("NewWebhookSecret")}, problems=(507,), repeat="anew")
def rotate_webhook_secret(webhook_id: str) -> Response:
    """Gives a webhook another secret; for a day messages are signed with both."""
    no_body(request)
    message = webhook_pb2.RotateWebhookSecretRequest(webhook_id=webhook_id)
    made = unary(door().clients.webhook.RotateWebhookSecret, message)
    return answer({**rendering.webhook(made.webhook), "secret": made.secret})


@blueprint.post("/webhooks/<webhook_id>/test")
@operation(answers={202: json("WebhookDelivery")}, problems=(409, 429, 507), repeat="key")
def test_webhook(webhook_id: str) -> Response:
    """Sends a message of the type webhook.test, once, in the background."""
    no_body(request)
    message = webhook_pb2.TestWebhookRequest(webhook_id=webhook_id, request_id=idempotency_key(request))
    sent = unary(door().clients.webhook.TestWebhook, message).delivery
    return answer(rendering.webhook_delivery(sent), 202)


@blueprint.get("/webhooks/<webhook_id>/deliveries")
@operation(answers={200: pages("deliveries", "WebhookDelivery")}, paged=True)
def list_webhook_deliveries(webhook_id: str) -> Response:
    """A page of the messages of a webhook, the newest first."""
    query = Query(request)
    page_size, page_token = query.page()
    query.finish()
    page = unary(
        door().clients.webhook.ListWebhookDeliveries,
        webhook_pb2.ListWebhookDeliveriesRequest(
            webhook_id=webhook_id, page_size=page_size, page_token=page_token
        ),
    )
    return answer(
        rendering.page("deliveries", map(rendering.webhook_delivery, page.deliveries), page.next_page_token)
    )
