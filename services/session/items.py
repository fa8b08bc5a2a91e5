"""Small things that the owner keeps: the rules, over a store."""

from __future__ import annotations

from dataclasses import replace

from services.session import failures, validation
from services.session.model import Item, NewItem, Page
from services.session.page_tokens import PageTokens
from services.session.requests import once
from services.session.store import ItemStore

# For whatever revision is there.
ANY = -1


class Items:
    """What may be done with things.

    All methods raise InvalidArgumentError (INVALID_FIELD, INVALID_PAGE_TOKEN) and what the store raises.
    """

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def put(self, tenant: str, item: NewItem, previous: int, limit: int, request_id: str) -> Item:
        """Keeps a thing in the place of a revision, once per request id when there is one."""
        validation.new_item(item)
        if previous < ANY:
            raise failures.invalid_field("previous_revision", previous, "must be -1 or more")
        if not 0 <= limit <= validation.MAX_ITEMS:
            raise failures.invalid_field("kind_limit", limit, f"must be 0 to {validation.MAX_ITEMS}")
        content = (item.kind, item.name, item.payload.type_url, item.payload.value, str(previous))
        return await self._store.put_item(
            tenant, item, previous, limit or validation.MAX_ITEMS, once(request_id, content)
        )

    async def list_items(
        self, tenant: str, kind: str, name: str, page_size: int, page_token: str
    ) -> Page[Item]:
        """A page of the things of a kind, or the one of a name."""
        validation.item_kind("kind", kind)
        count = validation.page_size(page_size)
        tokens = PageTokens(await self._store.page_token_key(), tenant, "ListItems", kind, name)
        place = tokens.place(page_token)
        if name:
            found = await self._store.get_item(tenant, kind, validation.item_name("name", name))
            return Page((found,) if found else (), "")
        page = await self._store.list_items(tenant, kind, place, count)
        return replace(page, next_place=tokens.token(page.next_place))

    async def delete(self, tenant: str, kind: str, name: str) -> None:
        """Deletes a thing."""
        validation.item_kind("kind", kind)
        await self._store.delete_item(tenant, kind, validation.item_name("name", name))
