"""The errors of webhooks, one constructor for each reason of error_reason.proto."""

from __future__ import annotations

from services.chassis.errors import (
    AbortedError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
)


def webhook_not_found(webhook_id: str) -> NotFoundError:
    """No such webhook of the caller's."""
    return NotFoundError("no such webhook", reason="WEBHOOK_NOT_FOUND", metadata={"webhook_id": webhook_id})


def address_refused(host: str) -> PermissionDeniedError:
    """The host lies where webhooks do not go. Which address it has is not told: that would be a way to look
    into a private network.
    """
    return PermissionDeniedError(
        "webhooks do not go there: the host is not on the public internet, and MELD_WEBHOOK_ALLOW does not "
        "name it",
        reason="WEBHOOK_ADDRESS_REFUSED",
        metadata={"host": host},
    )


def address_unknown(host: str) -> InvalidArgumentError:
    """The host has no address."""
    return InvalidArgumentError(
        "the host of the address is not known", reason="WEBHOOK_ADDRESS_UNKNOWN", metadata={"host": host}
    )


def too_many_webhooks(limit: int) -> ResourceExhaustedError:
    """No more for this person."""
    return ResourceExhaustedError(
        f"there are at most {limit} webhooks; remove one first",
        reason="TOO_MANY_WEBHOOKS",
        metadata={"limit": str(limit)},
    )


def webhook_disabled(webhook_id: str) -> FailedPreconditionError:
    """Nothing is sent by it."""
    return FailedPreconditionError(
        "the webhook is switched off", reason="WEBHOOK_DISABLED", metadata={"webhook_id": webhook_id}
    )


def queue_full(limit: int) -> ResourceExhaustedError:
    """Too many messages wait."""
    return ResourceExhaustedError(
        f"{limit} messages wait already", reason="WEBHOOK_QUEUE_FULL", metadata={"limit": str(limit)}
    )


def cursor_moved() -> AbortedError:
    """Somebody else has told of documents since."""
    return AbortedError("these events follow another place than was reached", reason="CURSOR_MOVED")
