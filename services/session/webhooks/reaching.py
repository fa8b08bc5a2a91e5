"""Where messages may go: chassis/reaching.py, with the errors of webhooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.chassis import reaching
from services.chassis.reaching import Allowed, Target
from services.session.failures import invalid_field
from services.session.webhooks import failures


def target(field: str, url: str) -> Target:
    """The parts of an address. Raises InvalidArgumentError (INVALID_FIELD)."""
    try:
        return reaching.target(url)
    except reaching.AddressError as error:
        raise invalid_field(field, error.given, error.rule) from None


class Reach:
    """Finds the addresses to which a message may go. resolve: the addresses of a host and port."""

    def __init__(
        self, allow: Allowed, resolve: Callable[[str, int], Awaitable[list[str]]] = reaching.looked_up
    ) -> None:
        self._reach = reaching.Reach(allow, resolve)

    async def addresses(self, wanted: Target) -> list[str]:
        """Those of the host, each of which may be reached.

        Raises InvalidArgumentError (WEBHOOK_ADDRESS_UNKNOWN), PermissionDeniedError (WEBHOOK_ADDRESS_REFUSED)
        when one of them may not.
        """
        try:
            return await self._reach.addresses(wanted)
        except reaching.UnknownHostError:
            raise failures.address_unknown(wanted.host) from None
        except reaching.RefusedHostError:
            raise failures.address_refused(wanted.host) from None
