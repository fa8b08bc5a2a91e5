"""The objects for Kubernetes: what they say of themselves, of each other and of the services is true."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.chassis.health import LIVENESS
from tests.architecture.sources import ROOT
from tests.architecture.test_settings import DOCUMENTED, kinds

FOLDER = ROOT / "compose" / "kubernetes"
BASE, OVERLAY = FOLDER / "base", FOLDER / "overlays" / "production"
TOOL = ROOT / "tests" / "tools" / "kubernetes"
SECRET_FILES = ("flask_secret_key", "jwt_secret_key", "redis_password", "openai_api_key", "users")
# Workload, the package of services/ that it runs, and its port.
WORKLOADS = {
    "app": ("gateway", 5000),
    "agents": ("agents", 50051),
    "vector": ("vector", 50052),
    "session": ("session", 50053),
    "redis": (None, 6379),
}
GRPC = ("agents", "vector", "session")
REPLICATED = ("app", "agents", "session")

Object = dict[str, Any]


def documents(*paths: Path) -> list[Object]:
    return [one for path in paths for one in yaml.safe_load_all(path.read_text()) if one]


def settings() -> dict[str, str]:
    lines = (BASE / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


OBJECTS = documents(*(path for path in sorted(BASE.glob("*.yaml")) if path.name != "kustomization.yaml"))
OBJECTS += documents(OVERLAY / "ingress.yaml")
KUSTOMIZATIONS = {path.parent.name: documents(path)[0] for path in FOLDER.rglob("kustomization.yaml")}
PODS = {
    one["metadata"]["name"]: one["spec"]["template"]["spec"]
    for one in OBJECTS
    if one["kind"] in ("Deployment", "StatefulSet")
}
CONTAINERS = {name: pod["containers"][0] for name, pod in PODS.items()}
EACH = pytest.mark.parametrize("name", list(WORKLOADS))


def named(kind: str, name: str) -> Object:
    (found,) = [one for one in OBJECTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def names(kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in OBJECTS if one["kind"] == kind}


def test_every_file_is_part_of_the_base_and_every_workload_is_there() -> None:
    files = {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}

    assert files == set(KUSTOMIZATIONS["base"]["resources"])
    assert set(PODS) == set(WORKLOADS)
    assert all(len(pod["containers"]) == 1 for pod in PODS.values())


def test_one_writer_has_one_replica_and_the_others_two() -> None:
    assert names("Deployment") == set(REPLICATED)
    assert {name: named("Deployment", name)["spec"]["replicas"] for name in REPLICATED} == dict.fromkeys(
        REPLICATED, 2
    )
    for name in ("vector", "redis"):
        spec = named("StatefulSet", name)["spec"]
        assert spec["replicas"] == 1
        assert [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]] == ["data"]


@EACH
def test_ports_are_those_that_the_settings_name(name: str) -> None:
    port = WORKLOADS[name][1]
    (listening,) = CONTAINERS[name]["ports"]
    (offered,) = named("Service", name)["spec"]["ports"]

    assert listening["containerPort"] == port
    assert offered["targetPort"] == listening["name"]
    variable = {"app": "FLASK_PORT", "redis": "REDIS_PORT"}.get(name, f"MELD_{name.upper()}_ADDRESS")
    assert settings()[variable] == (f"{name}:{port}" if name in GRPC else str(port))
    # A headless service changes no port; the gateway's does.
    headless = named("Service", name)["spec"].get("clusterIP") == "None"
    assert headless == (name != "app")
    assert offered["port"] == (port if headless else 80)


def test_every_variable_is_one_that_is_documented() -> None:
    used = set(settings())
    used |= {variable["name"] for one in CONTAINERS.values() for variable in one.get("env", [])}
    used |= {
        literal.split("=")[0]
        for generated in KUSTOMIZATIONS["production"]["configMapGenerator"]
        for literal in generated["literals"]
    }

    assert used <= set(DOCUMENTED)


@pytest.mark.parametrize("name", GRPC)
def test_the_kubelet_asks_a_service_whether_it_lives_and_whether_it_can_work(name: str) -> None:
    container, port = CONTAINERS[name], WORKLOADS[name][1]

    # A dependency that is down is no reason to kill what depends on it.
    assert container["livenessProbe"]["grpc"] == {"port": port, "service": LIVENESS}
    assert container["startupProbe"]["grpc"] == {"port": port, "service": LIVENESS}
    assert container["readinessProbe"]["grpc"] == {"port": port}


def test_the_kubelet_asks_the_gateway_by_a_name_that_it_answers_to() -> None:
    probes = {
        kind: CONTAINERS["app"][f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")
    }

    assert {kind: probe["path"] for kind, probe in probes.items()} == {
        "startup": "/livez",
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    for probe in probes.values():
        assert probe["port"] == "http"
        assert probe["httpHeaders"] == [{"name": "Host", "value": "localhost"}]


@EACH
def test_a_pod_may_do_nothing_that_it_need_not(name: str) -> None:
    pod, container = PODS[name], CONTAINERS[name]

    assert pod["automountServiceAccountToken"] is False
    # Kubernetes would set REDIS_PORT to an address because of the service's name.
    assert pod["enableServiceLinks"] is False
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    # The image of Redis has an owner of its own.
    assert context["runAsUser"] == (999 if name == "redis" else 1000)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not any("hostPath" in volume for volume in pod["volumes"])


@EACH
def test_every_container_has_its_share(name: str) -> None:
    resources = CONTAINERS[name]["resources"]

    assert set(resources["limits"]) == set(resources["requests"]) == {"cpu", "memory"}
    if name == "app":
        assert resources == {
            "limits": {"cpu": "2", "memory": "4Gi"},
            "requests": {"cpu": "1", "memory": "2Gi"},
        }


@EACH
def test_a_pod_is_killed_only_after_its_calls_had_their_time(name: str) -> None:
    pause = 0
    if hook := CONTAINERS[name].get("lifecycle"):
        pause = int(hook["preStop"]["exec"]["command"][1])
    assert (pause > 0) == (name != "redis")

    assert PODS[name]["terminationGracePeriodSeconds"] >= pause + float(settings()["MELD_DRAIN_SECONDS"]) + 10


@EACH
def test_secrets_are_mounted_as_files_that_the_service_reads(name: str) -> None:
    assert settings()["MELD_SECRETS_DIR"] == "/run/secrets"
    assert settings()["MELD_REQUIRE_SECRETS"] == "yes"
    mounts = {mount["name"]: mount for mount in CONTAINERS[name]["volumeMounts"]}
    assert mounts["secrets"]["mountPath"] == "/run/secrets"
    (volume,) = [one["secret"] for one in PODS[name]["volumes"] if one["name"] == "secrets"]
    service = WORKLOADS[name][0]
    if service is None:
        assert [item["path"] for item in volume["items"]] == ["redis_password"]
        return
    kind = kinds()[service]
    needed = {needed.fields[0] for needed in kind.needed_secrets}
    assert {item["path"] for item in volume.get("items", [])} == needed
    # What is not needed by name are the keys of models, all that there are.
    assert volume["secretName"] == ("secrets" if needed else "model-keys")
    if not needed:
        assert "openai_api_key" in kind.secret_fields()


def test_no_secret_is_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "compose/kubernetes"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert [path for path in listed if "/secrets/" in path and not path.endswith(".gitignore")] == []
    assert names("Secret") == set()
    ignored = subprocess.run(
        ["git", "check-ignore", *(f"{OVERLAY}/secrets/{name}" for name in SECRET_FILES)],
        cwd=ROOT,
        check=False,
    )
    assert ignored.returncode == 0


def test_what_can_be_replicated_scales_and_keeps_one_pod() -> None:
    assert names("HorizontalPodAutoscaler") == names("PodDisruptionBudget") == set(REPLICATED)
    for name in REPLICATED:
        scaler = named("HorizontalPodAutoscaler", name)["spec"]
        assert scaler["scaleTargetRef"]["name"] == name
        assert 2 == scaler["minReplicas"] < scaler["maxReplicas"]
        assert named("PodDisruptionBudget", name)["spec"]["minAvailable"] == 1


def callees(policy: Object) -> set[tuple[str, int]]:
    return {
        (peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"], port["port"])
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "podSelector" in peer and "namespaceSelector" not in peer
        for port in rule["ports"]
    }


def callers(policy: Object) -> set[str]:
    return {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        for rule in policy["spec"].get("ingress", [])
        for peer in rule["from"]
        if "podSelector" in peer
    }


def test_calls_are_allowed_where_the_architecture_has_them_and_at_both_ends() -> None:
    calls = {
        "app": {"agents", "vector", "session"},
        "agents": {"agents", "vector", "session"},
        "session": {"redis"},
        "vector": set[str](),
        "redis": set[str](),
    }
    deny = named("NetworkPolicy", "default-deny")["spec"]

    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert names("NetworkPolicy") == {"default-deny", "dns", *calls}
    for name, targets in calls.items():
        policy = named("NetworkPolicy", name)
        assert callees(policy) == {(target, WORKLOADS[target][1]) for target in targets}
        assert callers(policy) == {caller for caller, called in calls.items() if name in called}
    # Models are outside; nobody else leaves the cluster.
    leaving = [
        one["metadata"]["name"]
        for one in OBJECTS
        if one["kind"] == "NetworkPolicy" and "ipBlock" in str(one["spec"].get("egress"))
    ]
    assert leaving == ["agents"]


@pytest.mark.parametrize("kustomization", ["base", "production"])
def test_every_image_of_ours_has_a_tag(kustomization: str) -> None:
    ours = {f"meld-rag/{service}" for service, _ in WORKLOADS.values() if service}

    assert {one["image"] for one in CONTAINERS.values()} == {*ours, "redis:7-alpine"}
    assert {one["name"] for one in KUSTOMIZATIONS[kustomization]["images"] if one["newTag"]} == ours


def test_redis_acknowledges_what_is_on_its_disk() -> None:
    lines = (BASE / "redis" / "redis.conf").read_text().splitlines()

    assert {"appendonly yes", "appendfsync always", "maxmemory-policy noeviction"} <= set(lines)
    # kustomize takes no file from outside its folder, so these are copies.
    for name in ("redis.conf", "start.sh"):
        original = ROOT / "compose" / "redis" / name
        assert not original.exists() or original.read_text() == (BASE / "redis" / name).read_text()


# --- As the cluster reads it: with the types of Kubernetes itself, in Go ------------------------------

GO = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """Builds a kustomization and checks it; needs Go and, the first time, its modules."""
    required = os.environ.get("MELD_REQUIRE_GO") == "1"

    def give_up(reason: str) -> None:
        (pytest.fail if required else pytest.skip)(reason)

    if shutil.which("go") is None:
        give_up("no Go here; MELD_REQUIRE_GO=1 makes that a failure")

    def go(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["go", *words], cwd=TOOL, capture_output=True, text=True, check=False)

    listed = go("list", "-mod=readonly", "-deps", ".")
    if listed.returncode != 0:
        give_up(f"the Go modules of tests/tools/kubernetes cannot be had: {listed.stderr[-300:]}")
    program = tmp_path_factory.mktemp("go") / "kubernetes"
    built = go("build", "-mod=readonly", "-o", str(program), ".")
    assert built.returncode == 0, built.stderr
    return lambda folder: subprocess.run([program, folder], capture_output=True, text=True, check=False)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of compose/kubernetes with the operator's files in it."""
    copy = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, copy)
    for name in SECRET_FILES:
        (copy / "overlays" / "production" / "secrets" / name).write_text("for a test\n")
    return copy


@GO
@pytest.mark.parametrize("folder", ["base", "overlays/production"])
def test_the_types_of_kubernetes_know_every_field(
    folder: str, copied: Path, build: Callable[[Path], subprocess.CompletedProcess[str]]
) -> None:
    if folder == "base":
        # It waits for an overlay to bring these.
        with (copied / "base" / "kustomization.yaml").open("a") as file:
            file.write(
                "secretGenerator:\n  - name: secrets\n    literals:\n"
                "      [flask_secret_key=x, jwt_secret_key=x, redis_password=x]\n"
            )
    done = build(copied / folder)

    assert (done.returncode, done.stderr) == (0, "")
    objects = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert len([one for one in objects if one["kind"] in ("Deployment", "StatefulSet")]) == len(WORKLOADS)
    assert {one["metadata"].get("namespace") for one in objects if one["kind"] != "Namespace"} == {"meld-rag"}


@GO
@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("app.yaml", ("readOnlyRootFilesystem", "readonlyRootFilesystem"), "unknown field"),
        ("app.yaml", ("replicas: 2", "replicas: two"), "spec.replicas"),
        (
            "agents.yaml",
            (
                "  template:\n    metadata:\n      labels:\n        app.kubernetes.io/name: agents",
                "  template:\n    metadata:\n      labels:\n        app.kubernetes.io/name: agent",
            ),
            "does not select its own pods",
        ),
        ("session.yaml", ("targetPort: grpc", "targetPort: rpc"), "has no port rpc"),
        ("vector.yaml", ("- name: data\n              mount", "- name: dat\n              mount"), '"dat"'),
        ("vector.yaml", ("serviceName: vector", "serviceName: vectors"), "no headless service"),
        ("network.yaml", ("- port: 50053", "- port: 50054"), "has no port 50054"),
        ("redis.yaml", ("            name: redis\n", "            name: rediss\n"), 'no ConfigMap "rediss"'),
        ("session.yaml", ("- key: redis_password", "- key: redis_pass"), 'no key "redis_pass"'),
        ("app.yaml", ("    kind: Deployment\n", "    kind: StatefulSet\n"), 'no StatefulSet "app"'),
    ],
)
def test_a_slip_is_told(
    file: str,
    change: tuple[str, str],
    complaint: str,
    copied: Path,
    build: Callable[[Path], subprocess.CompletedProcess[str]],
) -> None:
    path = copied / "base" / file
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    done = build(copied / "overlays" / "production")

    assert done.returncode == 1
    assert re.search(re.escape(complaint), done.stderr)
