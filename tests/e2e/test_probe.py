"""The reference clients of the field agree that the services are well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.launched import House

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SERVICES = {
    "vector": ["meldrag.vector.v1.VectorService"],
    "session": ["meldrag.session.v1.SessionService", "meldrag.session.v1.IdentityService"],
    "agents": ["meldrag.agents.v1.AgentService"],
}


@pytest.mark.parametrize("name", list(SERVICES))
def test_grpc_health_probe_passes(house: House, name: str) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    probe = shutil.which("grpc_health_probe", path=path)
    if probe is None:
        pytest.skip("no grpc_health_probe here; `make probe` builds it")

    for service in ("", *SERVICES[name]):
        done = subprocess.run(
            [probe, f"-addr=127.0.0.1:{house.ports[name]}", f"-service={service}", "-rpc-timeout=5s"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", list(SERVICES))
def test_reflection_lists_the_services(house: House, name: str) -> None:
    import grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    with grpc.insecure_channel(f"127.0.0.1:{house.ports[name]}") as channel:
        listed = set(ProtoReflectionDescriptorDatabase(channel).get_services())

    assert listed >= {*SERVICES[name], "grpc.health.v1.Health"}
