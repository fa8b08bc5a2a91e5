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

from services.backup.terminal import parsed
from services.chassis.health import LIVENESS
from services.chassis.settings import ServiceSettings
from tests.architecture.sources import ROOT
from tests.architecture.test_settings import DOCUMENTED, kinds

FOLDER = ROOT / "compose" / "kubernetes"
BASE, OVERLAY = FOLDER / "base", FOLDER / "overlays" / "production"
TOOL = ROOT / "tests" / "tools" / "kubernetes"
SECRET_FILES = (
    "flask_secret_key",
    "jwt_secret_key",
    "redis_password",
    "openai_api_key",
    "meld_snapshot_key",
    "meld_setup_code",
    "meld_service_token",
)
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
METRICS = 9464
PROMETHEUS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
}

# The line of the overlay that lets vector out; it begins as a comment.
EMBEDDING = "  # - embedding.yaml\n"

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
JOBS = {
    one["metadata"]["name"]: one["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    for one in OBJECTS
    if one["kind"] == "CronJob"
}
CONTAINERS = {name: pod["containers"][0] for name, pod in {**PODS, **JOBS}.items()}
EACH = pytest.mark.parametrize("name", list(WORKLOADS))
EACH_POD = pytest.mark.parametrize("name", [*WORKLOADS, "backup"])


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
    listening, *others = CONTAINERS[name]["ports"]
    (offered,) = named("Service", name)["spec"]["ports"]

    assert listening["containerPort"] == port
    assert offered["targetPort"] == listening["name"]
    assert int(settings()["MELD_METRICS_PORT"]) == METRICS
    assert others == ([{"name": "metrics", "containerPort": METRICS}] if name in GRPC else [])
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


@EACH_POD
def test_a_pod_may_do_nothing_that_it_need_not(name: str) -> None:
    pod, container = {**PODS, **JOBS}[name], CONTAINERS[name]

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


@EACH_POD
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
    sources = secrets_of(PODS[name])
    service = WORKLOADS[name][0]
    if service is None:
        assert [item["path"] for item in sources["secrets"]["items"]] == ["redis_password"]
        return
    kind = kinds()[service]
    # All four sign or read who calls by it.
    needed = {needed.fields[0] for needed in kind.needed_secrets} | {"jwt_secret_key"}
    assert {item["path"] for item in sources.get("secrets", {}).get("items", [])} == needed
    login = {"meld_setup_code", "meld_oidc_client_secret"} & set(kind.secret_fields())
    # The gateway calls and is not called.
    login |= set() if service == "gateway" else {"meld_service_token"}
    assert {item["path"] for item in sources["login"]["items"]} == login
    # What is not needed by name: the keys of models, all that there are, and the key of snapshots.
    assert ("model-keys" in sources) == ("openai_api_key" in kind.secret_fields())
    assert ("snapshot-key" in sources) == ("meld_snapshot_key" in kind.secret_fields())
    assert all(source["optional"] for secret, source in sources.items() if secret != "secrets")


def test_people_log_in_and_a_backup_says_who_it_is() -> None:
    assert settings()["MELD_LOGIN"] == "required"
    assert "MELD_ALLOW_ANONYMOUS" not in settings()
    assert [item["path"] for item in secrets_of(JOBS["backup"])["secrets"]["items"]] == ["jwt_secret_key"]
    (literals,) = [one["literals"] for one in KUSTOMIZATIONS["production"]["configMapGenerator"]]
    assert not [one for one in literals if one.startswith(("MELD_ALLOW_ANONYMOUS", "MELD_LOGIN"))]
    # Who wrong passwords count for is what the ingress says, which would be everybody's address otherwise.
    assert any(one.startswith("MELD_TRUSTED_PROXIES=") for one in literals)


def secrets_of(pod: Object) -> dict[str, Object]:
    """The secrets of which the pod's /run/secrets is made, by name."""
    (volume,) = [one for one in pod["volumes"] if one["name"] == "secrets"]
    if "secret" in volume:
        return {volume["secret"]["secretName"]: volume["secret"]}
    return {source["secret"]["name"]: source["secret"] for source in volume["projected"]["sources"]}


@pytest.mark.parametrize(
    "pod", [PODS["vector"], PODS["session"], JOBS["backup"]], ids=["vector", "session", "backup"]
)
def test_who_makes_or_reads_a_backup_has_the_key_of_snapshots(pod: Object) -> None:
    assert secrets_of(pod)["snapshot-key"] == {
        "name": "snapshot-key",
        "optional": True,
        "items": [{"key": "meld_snapshot_key", "path": "meld_snapshot_key"}],
    }
    (generated,) = [
        one for one in KUSTOMIZATIONS["production"]["secretGenerator"] if one["name"] == "snapshot-key"
    ]
    assert generated["files"] == ["secrets/meld_snapshot_key"]


# Services whose code names the folder of what is kept.
WRITERS = sorted(
    name
    for name, (service, _) in WORKLOADS.items()
    if service
    and any("meld_data_dir" in path.read_text() for path in (ROOT / "services" / service).rglob("*.py"))
)


def test_the_services_that_write_are_known() -> None:
    assert WRITERS == ["session", "vector"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_service_can_write_where_its_data_is(name: str) -> None:
    """The root of every container is read-only."""
    (folder,) = [one["value"] for one in CONTAINERS[name]["env"] if one["name"] == "MELD_DATA_DIR"]
    (mount,) = [one for one in CONTAINERS[name]["volumeMounts"] if one["mountPath"] == folder]

    assert not mount.get("readOnly", False)
    if name == "vector":
        claims = named("StatefulSet", name)["spec"]["volumeClaimTemplates"]
        assert mount["name"] in [claim["metadata"]["name"] for claim in claims]
    else:
        (volume,) = [one for one in PODS[name]["volumes"] if one["name"] == mount["name"]]
        claim = named("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        # Each of its replicas reads what another one has written.
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_a_backup_is_made_with_the_gateways_image_onto_a_claim_and_waits_to_be_wanted() -> None:
    spec, pod, container = named("CronJob", "backup")["spec"], JOBS["backup"], CONTAINERS["backup"]

    assert spec["suspend"] is True
    assert (spec["concurrencyPolicy"], pod["restartPolicy"]) == ("Forbid", "Never")
    assert container["image"] == "meld-rag/gateway"
    assert container["command"][:3] == ["python", "-m", "services.backup"]
    asked = parsed(container["command"][3:])
    assert (asked.command, asked.keep) == ("create", 14)
    (mount,) = [one for one in container["volumeMounts"] if one["mountPath"] == str(asked.folder)]
    (volume,) = [one for one in pod["volumes"] if one["name"] == mount["name"]]
    assert volume["persistentVolumeClaim"]["claimName"] in names("PersistentVolumeClaim")
    assert container["envFrom"] == [{"configMapRef": {"name": "settings"}}]


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
        if "podSelector" in peer and "namespaceSelector" not in peer
    }


def test_calls_are_allowed_where_the_architecture_has_them_and_at_both_ends() -> None:
    calls = {
        "app": {"agents", "vector", "session"},
        "agents": {"agents", "vector", "session"},
        "session": {"redis"},
        "vector": set[str](),
        "redis": set[str](),
        "backup": {"vector", "session"},
    }
    deny = named("NetworkPolicy", "default-deny")["spec"]

    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert names("NetworkPolicy") == {"default-deny", "dns", "metrics", *calls}
    (resolving,) = named("NetworkPolicy", "dns")["spec"]["podSelector"]["matchExpressions"]
    # Whoever calls by name.
    assert set(resolving["values"]) == {name for name, targets in calls.items() if targets}
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


def test_prometheus_may_scrape_every_service_and_nobody_else() -> None:
    policy = named("NetworkPolicy", "metrics")["spec"]
    rule = {"from": [PROMETHEUS], "ports": [{"port": METRICS, "protocol": "TCP"}]}

    (selected,) = policy["podSelector"]["matchExpressions"]
    assert (selected["operator"], set(selected["values"])) == ("In", set(GRPC))
    assert policy["ingress"] == [rule]
    gateway = named("NetworkPolicy", "app")["spec"]["ingress"]
    assert {"from": [PROMETHEUS], "ports": [{"port": 5000, "protocol": "TCP"}]} in gateway


def test_vector_has_the_agents_way_out_where_its_model_is_a_service() -> None:
    (policy,) = documents(OVERLAY / "embedding.yaml")

    assert policy["spec"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "vector"}
    dns, outside = policy["spec"]["egress"]
    assert [dns] == named("NetworkPolicy", "dns")["spec"]["egress"]
    assert outside == named("NetworkPolicy", "agents")["spec"]["egress"][-1]
    # It is there for whoever wants it.
    assert EMBEDDING in (OVERLAY / "kustomization.yaml").read_text()


def test_webhooks_have_a_way_out_and_none_into_private_networks() -> None:
    (policy,) = documents(FOLDER / "webhooks" / "network.yaml")

    assert policy["spec"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "session"}
    (outside,) = policy["spec"]["egress"]
    models = named("NetworkPolicy", "agents")["spec"]["egress"][-1]
    assert outside["to"] == models["to"]
    assert {one["port"] for one in outside["ports"]} == {80, 443}
    dns = named("NetworkPolicy", "dns")["spec"]["podSelector"]["matchExpressions"][0]
    assert "session" in dns["values"]


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


def test_with_certificates_every_pod_has_them_and_is_asked_by_them() -> None:
    component = FOLDER / "mtls"
    (kustomization,) = documents(component / "kustomization.yaml")
    names_of_patches = [patch["path"] for patch in kustomization["patches"]]

    assert names_of_patches == [f"{name}.yaml" for name in ("app", "agents", "vector", "session", "backup")]
    (literals,) = [one["literals"] for one in kustomization["configMapGenerator"]]
    assert {literal.split("=")[0] for literal in literals} <= set(DOCUMENTED)
    files = dict(literal.split("=") for literal in literals)
    for name in GRPC:
        (patch,) = documents(component / f"{name}.yaml")
        (container,) = patch["spec"]["template"]["spec"]["containers"]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            command = container[kind]["exec"]["command"]
            plain = CONTAINERS[name][kind]["grpc"]
            assert command[:2] == ["grpc_health_probe", f"-addr=127.0.0.1:{plain['port']}"]
            assert ("-service=liveness" in command) == ("service" in plain)
            assert {
                f"-tls-ca-cert={files['MELD_MTLS_CA']}",
                f"-tls-client-cert={files['MELD_MTLS_CERTIFICATE']}",
                f"-tls-client-key={files['MELD_MTLS_KEY']}",
                f"-tls-server-name={ServiceSettings().meld_mtls_name}",
            } <= set(command)


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
@pytest.mark.parametrize(
    "folder",
    [
        *("base", "overlays/production", "overlays/production with embedding"),
        *("overlays/production with mtls", "overlays/production with webhooks"),
    ],
)
def test_the_types_of_kubernetes_know_every_field(
    folder: str, copied: Path, build: Callable[[Path], subprocess.CompletedProcess[str]]
) -> None:
    folder, _, wanted = folder.partition(" with ")
    file = copied / folder / "kustomization.yaml"
    if wanted == "embedding":
        file.write_text(file.read_text().replace(EMBEDDING, EMBEDDING.replace("# ", "")))
    if wanted == "mtls":
        # The Secret is cert-manager's to make.
        made = "  - name: certificates\n    literals: [ca.crt=x, tls.crt=x, tls.key=x]\n"
        text = file.read_text().replace("secretGenerator:\n", f"secretGenerator:\n{made}")
        file.write_text(f"{text}components: [../../mtls]\n")
    if wanted == "webhooks":
        file.write_text(f"{file.read_text()}components: [../../webhooks]\n")
    if folder == "base":
        # It waits for an overlay to bring these.
        with (copied / "base" / "kustomization.yaml").open("a") as base:
            base.write(
                "secretGenerator:\n  - name: secrets\n    literals:\n"
                "      [flask_secret_key=x, jwt_secret_key=x, redis_password=x]\n"
            )
    done = build(copied / folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert ("name: embedding" in done.stdout) == (wanted == "embedding")
    assert ("-tls-server-name" in done.stdout) == (wanted == "mtls")
    assert ("name: webhooks" in done.stdout) == (wanted == "webhooks")
    objects = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert len([one for one in objects if one["kind"] in ("Deployment", "StatefulSet")]) == len(WORKLOADS)
    assert {one["metadata"].get("namespace") for one in objects if one["kind"] != "Namespace"} == {"meld-rag"}
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet"):
            (container,) = one["spec"]["template"]["spec"]["containers"]
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                # A cluster refuses a probe that asks in two ways; their types do not.
                assert len({"grpc", "exec", "httpGet"} & set(container[kind])) == 1


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
        ("backup.yaml", ("claimName: backups", "claimName: backup"), 'no PersistentVolumeClaim "backup"'),
        ("backup.yaml", ("suspend: true", "suspended: true"), "unknown field"),
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
