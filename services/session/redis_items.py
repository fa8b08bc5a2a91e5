"""Things in Redis: each a hash, with an index by name for each kind.

A thing is put by one script, which compares the revision that the caller knows. The first answer to a request
has the revision and the times alone, since the request itself has the rest.
"""

from __future__ import annotations

from services.session import failures
from services.session.entries import ITEM_FIELDS
from services.session.model import Item, NewItem, Page, Payload
from services.session.redis_store import (
    PAGE_BYTES,
    Fields,
    Place,
    RedisStore,
    fields_of,
    fingerprint_of,
    once_place,
)
from services.session.requests import Once


class RedisItems:
    """Is an ItemStore."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def page_token_key(self) -> bytes:
        """See ItemStore."""
        return await self._store.page_token_key()

    async def put_item(
        self, tenant: str, item: NewItem, previous: int, limit: int, once: Once | None
    ) -> Item:
        """See ItemStore."""
        kind, name = item.kind, item.name
        reply = await self._store.run(
            "item_put",
            [_item(tenant, kind, name), _items(tenant, kind), once_place(tenant, "item", once)],
            [
                *(self._store.lifetime, fingerprint_of(once), previous, limit, name),
                *("kind", kind, "name", name, "type", item.payload.type_url, "value", item.payload.value),
            ],
        )
        match reply[0]:
            case b"reused":
                raise failures.request_id_reused(once.request_id if once else "")
            case b"exists":
                raise failures.item_exists(kind, name)
            case b"missing":
                raise failures.item_not_found(kind, name)
            case b"changed":
                raise failures.item_changed(kind, name, int(reply[1]))
            case b"full":
                raise failures.too_many_items(kind, limit)
        return _kept(item, fields_of(reply[1]))

    async def get_item(self, tenant: str, kind: str, name: str) -> Item | None:
        """See ItemStore."""
        fields = await self._store.picked(_item(tenant, kind, name), ITEM_FIELDS)
        return _item_of(fields) if fields else None

    async def list_items(self, tenant: str, kind: str, after: str, count: int) -> Page[Item]:
        """See ItemStore."""
        last, found = await self._store.run(
            "items_list",
            [_items(tenant, kind)],
            [after, count, PAGE_BYTES, _item(tenant, kind, ""), *ITEM_FIELDS],
        )
        return Page(tuple(_item_of(fields_of(flat)) for flat in found), last.decode())

    async def delete_item(self, tenant: str, kind: str, name: str) -> None:
        """See ItemStore."""
        [status] = await self._store.run(
            "item_delete", [_item(tenant, kind, name), _items(tenant, kind)], [name]
        )
        if status == b"missing":
            raise failures.item_not_found(kind, name)


def _item(tenant: str, kind: str, name: str) -> Place:
    return Place(f"{{{tenant}}}:item:{kind}:{name}")


def _items(tenant: str, kind: str) -> Place:
    return Place(f"{{{tenant}}}:items:{kind}")


def _item_of(fields: Fields) -> Item:
    payload = Payload(fields[b"type"].decode(), fields[b"value"])
    return _kept(NewItem(fields[b"kind"].decode(), fields[b"name"].decode(), payload), fields)


def _kept(item: NewItem, fields: Fields) -> Item:
    return Item(item, int(fields[b"revision"]), int(fields[b"created"]), int(fields[b"updated"]))
