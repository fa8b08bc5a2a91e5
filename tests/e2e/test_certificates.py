"""A house whose services know each other by certificates: it and its programs work, nobody else is heard."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.authority import Authority
from tests.support.launched import ROOT, House, launched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

TEXT = "The lighthouse of Brava was built in 1884. Its lamp burns whale oil."


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    files = Authority(tmp_path_factory.mktemp("authority")).sign("house")
    with launched(tmp_path_factory.mktemp("sealed-house"), files.variables) as house:
        yield house


def test_a_question_is_answered_through_all_services(sealed: House) -> None:
    api = f"{sealed.base_url}/api/v1"
    with httpx.Client(base_url=api, timeout=60) as http:
        assert http.get(f"{sealed.base_url}/readyz").status_code == 200
        http.post("/collections", json={"name": "notes"}).raise_for_status()
        file = {"file": ("brava.md", f"# Brava\n\n{TEXT}\n")}
        http.post("/collections/notes/documents", files=file).raise_for_status()
        answer = http.post(
            "/runs", json={"agent": "research", "message": "When was it built?", "collections": ["notes"]}
        ).raise_for_status()
    assert "1884" in answer.json()["text"]


@pytest.mark.parametrize("name", ["session", "vector", "agents"])
def test_who_has_no_certificate_is_not_heard(sealed: House, name: str) -> None:
    with (
        grpc.insecure_channel(f"127.0.0.1:{sealed.ports[name]}") as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_programs_of_the_house_show_theirs(sealed: House, tmp_path: Path) -> None:
    for words in (["backup", "create", str(tmp_path)], ["fsck"]):
        done = subprocess.run(
            [sys.executable, "-m", f"services.{words[0]}", *words[1:]],
            cwd=ROOT,
            env=sealed.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
