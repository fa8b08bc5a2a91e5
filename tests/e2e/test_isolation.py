"""The attacks of tests/contract/isolation/test_doors.py on the whole house as a person starts it.

There every operation is attacked; here one for each kind of thing that a request names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pydantic import SecretStr

from services.chassis import passes
from services.chassis.passes import Passes
from services.chassis.roles import MEMBER
from services.chassis.settings import ServiceSettings
from tests.contract.isolation import operations
from tests.contract.isolation.doors import Attacker, attack, furnish
from tests.contract.isolation.operations import PAGE, REQUEST, TAG
from tests.contract.isolation.residents import HOME, Possessions, Town, town_at
from tests.support.launched import launched

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]

SECRET = "w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU"
# Who asks again, and from where on, is the same rule for all.
_BESIDE = frozenset((REQUEST, PAGE, TAG))
# The first operation that names just these kinds of things.
OPERATIONS = {
    one.name: one
    for one in {
        frozenset(slot.kind for slot in one.slots) - _BESIDE: one
        for one in reversed(list(operations.operations()))
    }.values()
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    login = {"MELD_LOGIN": "required", "JWT_SECRET_KEY": SECRET, "MELD_HEARTBEAT_SECONDS": "1"}
    login["MELD_WEBHOOK_ALLOW"] = "127.0.0.1"
    key = passes.key_of(ServiceSettings(jwt_secret_key=SecretStr(SECRET)))
    with launched(tmp_path_factory.mktemp("house"), login) as house:
        session = f"127.0.0.1:{house.ports['session']}"
        async with town_at(house.base_url, session, Passes(key)) as town:
            yield town


@pytest.mark.parametrize("name", OPERATIONS)
async def test_nobody_learns_of_anothers_things(name: str, town: Town) -> None:
    victim = Possessions(await town.resident(HOME, MEMBER))
    try:
        await furnish(OPERATIONS[name], victim)
        for attacker in (await town.owner("elsewhere"), await town.resident(HOME, MEMBER, ("cooks",))):
            assert await attack(OPERATIONS[name], victim, Attacker(attacker)) == []
    finally:
        await victim.close()
