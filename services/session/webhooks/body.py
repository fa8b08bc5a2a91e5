"""The bytes of a message: the same at each try, since all that they hold is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from services.session.webhooks.model import Claimed


def body(claimed: Claimed) -> bytes:
    """{"type": …, "timestamp": …, "data": {…}}. timestamp: when the event happened, in UTC."""
    moment = datetime.fromtimestamp(claimed.message.event_time / 1_000_000, UTC)
    return json.dumps(
        {
            "type": claimed.message.event_type,
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "data": dict(sorted(claimed.data.items())),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
