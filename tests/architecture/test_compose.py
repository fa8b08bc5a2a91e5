"""The containers get what the services read, and the script that runs them is sound."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.sources import ROOT
from tests.architecture.test_settings import kinds

CONTAINERS = {"gateway": "app", "agents": "agents", "vector": "vector", "session": "session"}
# Set by the image or by a layer, or not needed where the compose network names Redis.
NOT_IN_THE_CORE = {
    *("MELD_DATA_DIR", "MELD_REQUIRE_SECRETS"),
    *("MELD_MTLS_CA", "MELD_MTLS_CERTIFICATE", "MELD_MTLS_KEY", "MELD_MTLS_NAME"),
    *("SESSION_REDIS_HOST", "SESSION_REDIS_PORT", "SESSION_REDIS_PASSWORD"),
}
MTLS_FILES = ("MELD_MTLS_CA", "MELD_MTLS_CERTIFICATE", "MELD_MTLS_KEY")
PROBE = {"ca-cert": MTLS_FILES[0], "client-cert": MTLS_FILES[1], "client-key": MTLS_FILES[2]}
SCRIPTS = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "docker-manage.sh", *(ROOT / "compose").rglob("*.sh"))
)


def container_of(service: str) -> dict[str, Any]:
    services = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text())["services"]
    found: dict[str, Any] = services[CONTAINERS[service]]
    return found


@pytest.mark.parametrize("service", CONTAINERS)
def test_every_setting_of_a_service_reaches_its_container(service: str) -> None:
    container = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text())["services"][
        CONTAINERS[service]
    ]
    given = {*container["environment"], *(name.upper() for name in container.get("secrets", ()))}
    read = {field.upper() for field in kinds()[service].model_fields}

    # The gateway signs a pass for each caller; the token is for programs that have none.
    unneeded = {"MELD_SERVICE_TOKEN"} if service == "gateway" else set()
    assert read - given <= NOT_IN_THE_CORE | unneeded
    assert not given & unneeded
    # And none that would be said without effect.
    assert given - read <= {"REDIS_PASSWORD", "MELD_SECRETS"}


@pytest.mark.parametrize("service", CONTAINERS)
def test_everybody_logs_in_to_the_containers(service: str) -> None:
    given = container_of(service)

    assert given["environment"]["MELD_LOGIN"] == "${MELD_LOGIN:-required}"
    assert given["environment"].get("MELD_ALLOW_ANONYMOUS", "") in ("", "${MELD_ALLOW_ANONYMOUS:-}")
    assert "jwt_secret_key" in given["secrets"]


@pytest.mark.parametrize("service", [*CONTAINERS.values(), "backup"])
def test_with_certificates_every_service_has_them(service: str) -> None:
    layer = yaml.safe_load((ROOT / "compose" / "compose.mtls.yaml").read_text())["services"][service]
    files = {name: f"/run/secrets/{name.lower()}" for name in MTLS_FILES}

    assert {name: layer["environment"][name] for name in MTLS_FILES} == files
    assert set(layer["secrets"]) == {name.lower() for name in MTLS_FILES}
    if service in ("agents", "vector", "session"):
        # As the core asks, but with a certificate.
        plain = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text())["services"][service]
        asked = layer["healthcheck"]["test"]
        assert asked[: len(plain["healthcheck"]["test"])] == plain["healthcheck"]["test"]
        assert {"-tls", *(f"-tls-{option}={files[name]}" for option, name in PROBE.items())} <= set(asked)


def test_a_layer_gives_webhooks_a_way_out_and_nothing_else_gets_one() -> None:
    core = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text())
    assert core["services"]["session"]["networks"] == ["internal"]
    layer = yaml.safe_load((ROOT / "compose" / "compose.webhooks.yaml").read_text())
    assert set(layer["services"]) == {"session"}
    (own,) = set(layer["services"]["session"]["networks"]) - {"internal"}
    assert not layer["networks"][own].get("internal")
    # Nobody else stands there, and nothing is published.
    assert own not in core["networks"]
    assert set(layer["services"]["session"]) == {"networks", "extra_hosts"}


@pytest.mark.parametrize("others", [(), ("prod",), ("dev",), ("prod", "scale", "sentinel")])
def test_compose_takes_the_layer_of_webhooks(others: tuple[str, ...]) -> None:
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("docker is not installed")
    known = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    if known.returncode:
        pytest.skip("Compose v2 is not installed")
    files = [f"compose/compose{layer}.yaml" for layer in ("", *(f".{one}" for one in others), ".webhooks")]
    command = [docker, "compose", *(word for file in files for word in ("-f", file)), "config"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert {"internal", "webhooks"} <= set(services["session"]["networks"])
    others_there = {name for name, one in services.items() if "webhooks" in (one.get("networks") or {})}
    assert others_there == {"session"}


def test_no_layer_says_otherwise() -> None:
    for layer in (ROOT / "compose").glob("compose.*.yaml"):
        for name in ("MELD_LOGIN", "MELD_ALLOW_ANONYMOUS"):
            assert name not in layer.read_text(), layer.name


@pytest.mark.parametrize("service", CONTAINERS)
def test_a_secret_never_comes_as_a_variable(service: str) -> None:
    container = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text())["services"][
        CONTAINERS[service]
    ]
    secret = {field.upper() for field in kinds()[service].secret_fields()}

    assert secret & set(container["environment"]) == set()


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(script: str) -> None:
    if shutil.which("shellcheck") is None:
        assert not os.environ.get("CI"), "shellcheck is needed in CI"
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout == ""


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    # DL3008: Debian's packages are as new as the base image, which is where their versions are chosen.
    command = [str(program), "--ignore", "DL3008", "compose/Dockerfile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout == ""
