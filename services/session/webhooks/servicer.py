"""The gRPC face of webhooks: it translates and nothing else.

The proto says what each method does and how it fails.
"""

from __future__ import annotations

from typing import Any

from meldrag.session.v1 import webhook_pb2, webhook_pb2_grpc
from services.chassis import context
from services.session import calls
from services.session.webhooks.model import (
    DocumentEvent,
    Listener,
    Message,
    MessageState,
    Webhook,
    WebhookChange,
)
from services.session.webhooks.webhooks import Webhooks

_STATES = {
    MessageState.WAITING: webhook_pb2.WEBHOOK_DELIVERY_STATE_WAITING,
    MessageState.DELIVERED: webhook_pb2.WEBHOOK_DELIVERY_STATE_DELIVERED,
    MessageState.FAILED: webhook_pb2.WEBHOOK_DELIVERY_STATE_FAILED,
    MessageState.CANCELLED: webhook_pb2.WEBHOOK_DELIVERY_STATE_CANCELLED,
}


class WebhookServicer(webhook_pb2_grpc.WebhookServiceServicer):
    """WebhookService."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    async def CreateWebhook(self, request: Any, _rpc: Any) -> webhook_pb2.CreateWebhookResponse:
        """See the proto."""
        webhook, secret = await self._webhooks.create(
            calls.space(), request.url, request.label, request.event_types, request.include_answer
        )
        return webhook_pb2.CreateWebhookResponse(webhook=_webhook(webhook), secret=secret)

    async def GetWebhook(self, request: Any, _rpc: Any) -> webhook_pb2.GetWebhookResponse:
        """See the proto."""
        webhook = await self._webhooks.get(calls.space(), request.webhook_id)
        return webhook_pb2.GetWebhookResponse(webhook=_webhook(webhook))

    async def ListWebhooks(self, request: Any, _rpc: Any) -> webhook_pb2.ListWebhooksResponse:
        """See the proto."""
        del request
        found = await self._webhooks.list_webhooks(calls.space())
        return webhook_pb2.ListWebhooksResponse(webhooks=map(_webhook, found))

    async def UpdateWebhook(self, request: Any, _rpc: Any) -> webhook_pb2.UpdateWebhookResponse:
        """See the proto."""
        change = WebhookChange(
            url=request.url if request.HasField("url") else None,
            label=request.label if request.HasField("label") else None,
            event_types=tuple(request.event_types.names) if request.HasField("event_types") else None,
            include_answer=request.include_answer if request.HasField("include_answer") else None,
            enabled=request.enabled if request.HasField("enabled") else None,
        )
        webhook = await self._webhooks.update(calls.space(), request.webhook_id, change)
        return webhook_pb2.UpdateWebhookResponse(webhook=_webhook(webhook))

    async def DeleteWebhook(self, request: Any, _rpc: Any) -> webhook_pb2.DeleteWebhookResponse:
        """See the proto."""
        await self._webhooks.delete(calls.space(), request.webhook_id)
        return webhook_pb2.DeleteWebhookResponse()

    async def RotateWebhookSecret(self, request: Any, _rpc: Any) -> webhook_pb2.RotateWebhookSecretResponse:
        """See the proto."""
        webhook, secret = await self._webhooks.rotate(calls.space(), request.webhook_id)
        return webhook_pb2.RotateWebhookSecretResponse(webhook=_webhook(webhook), secret=secret)

    async def TestWebhook(self, request: Any, _rpc: Any) -> webhook_pb2.TestWebhookResponse:
        """See the proto."""
        message = await self._webhooks.test(calls.space(), request.webhook_id, request.request_id)
        return webhook_pb2.TestWebhookResponse(delivery=_delivery(message))

    async def ListWebhookDeliveries(
        self, request: Any, _rpc: Any
    ) -> webhook_pb2.ListWebhookDeliveriesResponse:
        """See the proto."""
        page = await self._webhooks.list_messages(
            calls.space(), request.webhook_id, request.page_size, request.page_token
        )
        return webhook_pb2.ListWebhookDeliveriesResponse(
            deliveries=map(_delivery, page.items), next_page_token=page.next_place
        )

    async def ListDocumentListeners(
        self, request: Any, _rpc: Any
    ) -> webhook_pb2.ListDocumentListenersResponse:
        """See the proto."""
        page = await self._webhooks.list_listeners(context.principal(), request.page_size, request.page_token)
        return webhook_pb2.ListDocumentListenersResponse(
            listeners=map(_listener, page.items), next_page_token=page.next_place
        )

    async def PutDocumentEvents(self, request: Any, _rpc: Any) -> webhook_pb2.PutDocumentEventsResponse:
        """See the proto."""
        await self._webhooks.put_document_events(
            calls.space(),
            request.previous_cursor,
            request.cursor,
            [_document_event(event) for event in request.events],
        )
        return webhook_pb2.PutDocumentEventsResponse()


def _listener(listener: Listener) -> webhook_pb2.DocumentListener:
    return webhook_pb2.DocumentListener(
        tenant_id=listener.tenant_id,
        subject=listener.subject,
        role=listener.role,
        groups=listener.groups,
        cursor=listener.cursor,
        start_time=calls.moment(listener.since),
    )


def _document_event(said: Any) -> DocumentEvent:
    return DocumentEvent(
        said.event_type,
        said.collection_id,
        said.document_id,
        said.title,
        said.filename,
        said.error_reason,
        said.warning_count,
        calls.microseconds("events.event_time", said.event_time),
        said.again,
    )


def _webhook(webhook: Webhook) -> webhook_pb2.Webhook:
    return webhook_pb2.Webhook(
        webhook_id=webhook.webhook_id,
        url=webhook.url,
        label=webhook.label,
        event_types=webhook.event_types,
        include_answer=webhook.include_answer,
        enabled=webhook.enabled,
        disabled_reason=webhook.disabled_reason,
        failing_time=calls.moment(webhook.failing_time),
        dropped_messages=webhook.dropped,
        previous_secret_expire_time=calls.moment(webhook.previous_secret_expire_time),
        create_time=calls.moment(webhook.create_time),
        update_time=calls.moment(webhook.update_time),
    )


def _delivery(message: Message) -> webhook_pb2.WebhookDelivery:
    return webhook_pb2.WebhookDelivery(
        message_id=message.message_id,
        webhook_id=message.webhook_id,
        event_type=message.event_type,
        state=_STATES[message.state],
        attempts=message.attempts,
        last_status=message.status,
        last_error=message.error,
        event_time=calls.moment(message.event_time),
        last_attempt_time=calls.moment(message.attempt_time),
        next_attempt_time=calls.moment(message.next_time),
    )
