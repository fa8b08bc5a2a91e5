"""The rules that a contract states about its methods, read by reflection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from meldrag.options.v1 import options_pb2
from services.chassis.context import LOCAL_OWNER, Principal
from services.chassis.errors import InvalidArgumentError, PermissionDeniedError

Authenticator = Callable[[Mapping[str, str]], Awaitable[Principal]]
"""Finds the caller in the call's metadata; raises UnauthenticatedError."""


async def local_owner(metadata: Mapping[str, str]) -> Principal:
    """Every caller is the owner: for a house that listens on loopback only."""
    del metadata
    return LOCAL_OWNER


@dataclass(frozen=True)
class MethodRule:
    """Who may call a method, for how long, and whether a repeat does no harm.

    default_timeout and maximum_timeout are seconds. house_wide: it acts on all tenants; house_wide_field: it
    does where the request has that field set, empty where there is none.
    """

    path: str
    scope: int
    tenant_field: tuple[str, ...]
    default_timeout: float
    maximum_timeout: float
    idempotent: bool
    house_wide: bool = False
    house_wide_field: str = ""

    def timeout(self, asked: float | None) -> float:
        """Seconds that a call gets which asks for `asked`."""
        return min(self.default_timeout if asked is None else asked, self.maximum_timeout)

    def check_scope(self, principal: Principal) -> None:
        """Raises PermissionDeniedError when the caller lacks the scope, or the house that it asks for."""
        if self.scope != options_pb2.SCOPE_PUBLIC:
            _check_holds(principal, self.scope)
        if self.house_wide:
            check_house(principal)

    def check_request(self, principal: Principal, request: Message) -> None:
        """Raises what the request's own fields call for: InvalidArgumentError when it names no resource where
        it must, PermissionDeniedError when it asks for all tenants and is not the house's.
        """
        if self.house_wide_field and getattr(request, self.house_wide_field):
            check_house(principal)
        self.check_tenant_field(request)

    def check_tenant_field(self, request: Message) -> None:
        """Raises InvalidArgumentError when the request names no resource where it must."""
        if self.tenant_field and not any(_values(request, self.tenant_field)):
            field = ".".join(self.tenant_field)
            raise InvalidArgumentError(
                f"{field} is missing", reason="INVALID_FIELD", metadata={"field": field, "value": ""}
            )


def check_house(principal: Principal) -> None:
    """Raises PermissionDeniedError for who does not administer the house: SCOPE_MISSING for who administers
    nothing, NOT_OF_THE_HOUSE for who administers another tenant.
    """
    _check_holds(principal, options_pb2.SCOPE_ADMINISTRATION)
    if not principal.administers_house:
        raise PermissionDeniedError(
            "this is of the whole house, and for the administrators of its own tenant",
            reason="NOT_OF_THE_HOUSE",
        )


def _check_holds(principal: Principal, scope: int) -> None:
    if scope not in principal.scopes:
        name = options_pb2.Scope.Name(scope).removeprefix("SCOPE_").lower()
        raise PermissionDeniedError(
            f"this needs the permission {name}", reason="SCOPE_MISSING", metadata={"scope": name}
        )


def _values(message: Message, path: tuple[str, ...]) -> Iterator[Any]:
    head, *rest = path
    value = getattr(message, head)
    field = message.DESCRIPTOR.fields_by_name[head]
    for item in value if field.is_repeated else [value]:
        if rest:
            yield from _values(item, tuple(rest))
        elif item:
            yield item


class ContractError(Exception):
    """A contract lacks what every method must say. A defect found at start, never at a call."""


def rules(services: Iterable[ServiceDescriptor]) -> dict[str, MethodRule]:
    """The rules of all methods of the services, by full path ("/package.Service/Method").

    Raises ContractError when a method lacks its access or deadline option.
    """
    return {rule.path: rule for service in services for rule in map(_rule, service.methods)}


def _rule(method: MethodDescriptor) -> MethodRule:
    options: Any = method.GetOptions()
    path = f"/{method.containing_service.full_name}/{method.name}"
    access = options.Extensions[options_pb2.access]
    deadline = options.Extensions[options_pb2.deadline]
    if access.scope == options_pb2.SCOPE_UNSPECIFIED:
        raise ContractError(f"{path} has no access option")
    default, maximum = _seconds(deadline.default), _seconds(deadline.maximum)
    if not 0 < default <= maximum:
        raise ContractError(f"{path} has no valid deadline option")
    tenant_field = tuple(access.tenant_field.split(".")) if access.tenant_field else ()
    _require_field(method, tenant_field, path)
    if access.house_wide_field:
        _require_flag(method, access.house_wide_field, path)
    return MethodRule(
        path=path,
        scope=access.scope,
        tenant_field=tenant_field,
        default_timeout=default,
        maximum_timeout=maximum,
        idempotent=options.idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN,
        house_wide=access.house_wide,
        house_wide_field=access.house_wide_field,
    )


def _seconds(duration: Any) -> float:
    return float(duration.seconds) + float(duration.nanos) / 1e9


def _require_field(method: MethodDescriptor, field_path: tuple[str, ...], path: str) -> None:
    message: Any = method.input_type
    for name in field_path:
        field = message.fields_by_name.get(name) if message is not None else None
        if field is None:
            raise ContractError(f"{path} names the tenant field {'.'.join(field_path)}, which is not there")
        message = field.message_type


def _require_flag(method: MethodDescriptor, name: str, path: str) -> None:
    field = method.input_type.fields_by_name.get(name)
    if field is None or field.type != field.TYPE_BOOL:
        raise ContractError(f"{path} names the field {name}, which is no flag of its request")
