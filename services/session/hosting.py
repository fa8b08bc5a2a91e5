"""The session service put together: a store in Redis, the domain over it, a server in front."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import argon2

from meldrag.session.v1 import (
    identity_pb2,
    identity_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    webhook_pb2,
    webhook_pb2_grpc,
)
from services.chassis import passes
from services.chassis.access import Authenticator
from services.chassis.health import Dependency
from services.chassis.server import Hosted, Server
from services.session.attachment_files import AttachmentFiles, AttachmentSweep
from services.session.attachments import Attachments
from services.session.conversations import Conversations
from services.session.identity.audit import Audit
from services.session.identity.keys import ApiKeys
from services.session.identity.passwords import Passwords
from services.session.identity.quotas import Quotas
from services.session.identity.redis_identity import RedisIdentity
from services.session.identity.servicer import IdentityServicer
from services.session.identity.signing_in import SigningIn
from services.session.identity.store import IdentityStore
from services.session.identity.tokens import TokenMaker
from services.session.identity.users import Users
from services.session.items import Items
from services.session.redis_attachments import RedisAttachments
from services.session.redis_items import RedisItems
from services.session.redis_snapshots import RedisSnapshots
from services.session.redis_store import Sentinels, open_redis_store
from services.session.runs import Runs
from services.session.searching import Searching
from services.session.servicer import SessionServicer
from services.session.settings import SessionSettings
from services.session.snapshots import Snapshots
from services.session.watching import RunWatching
from services.session.webhooks.delivering import Deliveries
from services.session.webhooks.posting import Poster
from services.session.webhooks.reaching import Reach
from services.session.webhooks.redis_webhooks import RedisWebhooks
from services.session.webhooks.secret_making import SecretMaker
from services.session.webhooks.servicer import WebhookServicer
from services.session.webhooks.webhooks import Webhooks

# Watchers are bounded apart, below this, so that other calls always find room.
_MAX_CALLS = 1_024

_SESSION = session_pb2.DESCRIPTOR.services_by_name["SessionService"]
_IDENTITY = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"]
_WEBHOOK = webhook_pb2.DESCRIPTOR.services_by_name["WebhookService"]


@asynccontextmanager
async def session_server(
    settings: SessionSettings,
    bind: str,
    authenticator: Authenticator | None = None,
    *,
    hasher: argon2.PasswordHasher | None = None,
) -> AsyncIterator[Server]:
    """The server, not started, with its adapters open for the duration of the block. Raises StartError.

    authenticator: that of the settings when None. hasher: that of `Passwords` when None.
    """
    async with (
        _passwords(hasher) as passwords,
        open_redis_store(
            settings.store_host,
            settings.store_port,
            settings.store_password,
            settings.lifetimes,
            sentinels=Sentinels(settings.sentinels, settings.session_redis_master)
            if settings.sentinels
            else None,
        ) as store,
    ):
        watching = RunWatching(store)
        kept = RedisSnapshots(store)
        files = AttachmentFiles(settings.attachments_folder)
        known = RedisAttachments(store, settings.attachment_lifetime, settings.meld_max_attachments_bytes)
        snapshots = Snapshots(kept, files, settings.meld_data_dir / "session", settings.snapshot_key)
        sessions = SessionServicer(
            conversations=Conversations(store),
            searching=Searching(store),
            runs=Runs(store),
            watching=watching,
            attachments=Attachments(known, files, settings.meld_max_attachment_bytes),
            items=Items(RedisItems(store)),
            snapshots=snapshots,
        )
        identities = identity_servicer(settings, RedisIdentity(store), passwords)
        hooks, reach = RedisWebhooks(store), Reach(settings.webhook_allow)
        secrets = SecretMaker(settings.token_secret)
        webhooks = WebhookServicer(Webhooks(hooks, reach, secrets=secrets))
        async with (
            watching.following(),
            kept.tidying(),
            AttachmentSweep(files, known).sweeping(),
            Deliveries(hooks, reach, Poster(), secrets=secrets).sending(),
        ):
            yield Server(
                name="session",
                services=[
                    Hosted(
                        _SESSION,
                        lambda server: session_pb2_grpc.add_SessionServiceServicer_to_server(
                            sessions, server
                        ),
                    ),
                    Hosted(
                        _IDENTITY,
                        lambda server: identity_pb2_grpc.add_IdentityServiceServicer_to_server(
                            identities, server
                        ),
                    ),
                    Hosted(
                        _WEBHOOK,
                        lambda server: webhook_pb2_grpc.add_WebhookServiceServicer_to_server(
                            webhooks, server
                        ),
                    ),
                ],
                dependencies=[Dependency("redis", store.ping)],
                settings=settings,
                authenticator=authenticator or passes.authenticator(settings),
                bind=bind,
                max_concurrent=_MAX_CALLS,
            )


def identity_servicer(
    settings: SessionSettings, store: IdentityStore, passwords: Passwords
) -> IdentityServicer:
    """IdentityService over a store."""
    return IdentityServicer(
        users=Users(store, store, passwords, settings.setup_code),
        keys=ApiKeys(store),
        signing_in=SigningIn(store, passwords, TokenMaker(settings.token_secret)),
        quotas=Quotas(
            store,
            {"requests": settings.meld_rate_limit_per_minute, "tokens": settings.meld_daily_tokens},
        ),
        audit=Audit(store),
    )


@asynccontextmanager
async def _passwords(hasher: argon2.PasswordHasher | None) -> AsyncIterator[Passwords]:
    """What makes and compares hashes, for the duration of the block."""
    passwords = Passwords(hasher)
    try:
        yield passwords
    finally:
        passwords.close()
