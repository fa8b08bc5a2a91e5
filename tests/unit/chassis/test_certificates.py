"""Services that know each other by certificates, over real connections; and files that are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from services.chassis.certificates import Certificates, read
from services.chassis.channel import credentials, named, open_aio_channel, open_channel
from services.chassis.server import Hosted, Server
from services.chassis.settings import ServiceSettings, SettingsError, load
from tests.support.authority import NAME, Authority, Files
from tests.unit.chassis.conftest import DESCRIPTOR, ScriptedSessions

REQUEST = session_pb2.GetSessionRequest(session_id="s1")


def of(files: Files, name: str = NAME) -> Certificates:
    return read(files.authority, files.certificate, files.key, name)


def settings_of(files: Files) -> ServiceSettings:
    return ServiceSettings(
        meld_mtls_ca=files.authority, meld_mtls_certificate=files.certificate, meld_mtls_key=files.key
    )


@pytest.fixture
def house(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "house")


@pytest.fixture
async def port(house: Authority) -> AsyncIterator[int]:
    """Of a server that shows a certificate and hears only who does."""
    sessions = ScriptedSessions()
    server = Server(
        name="session",
        services=[
            Hosted(DESCRIPTOR, lambda s: session_pb2_grpc.add_SessionServiceServicer_to_server(sessions, s))
        ],
        dependencies=[],
        settings=settings_of(house.sign("session")),
    )
    yield await server.start()
    await server.stop(0)


async def said(channel: grpc.aio.Channel) -> Any:
    """The answer to a call, or the code of its failure."""
    async with channel:
        try:
            answer = await session_pb2_grpc.SessionServiceStub(channel).GetSession(REQUEST, timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return answer.session.session_id


async def test_who_shows_a_certificate_of_the_house_is_heard(port: int, house: Authority) -> None:
    known = of(house.sign("gateway", name="another.example"))

    # By an address, which no certificate has, and by a name.
    for address in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert await said(open_aio_channel(address, DESCRIPTOR, certificates=known)) == "s1"
    async with open_aio_channel(f"127.0.0.1:{port}", certificates=known) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_threads_call_by_certificates_as_well(port: int, house: Authority) -> None:
    known = of(house.sign("gateway"))
    with open_channel(f"127.0.0.1:{port}", DESCRIPTOR, certificates=known) as channel:
        asked = session_pb2_grpc.SessionServiceStub(channel).GetSession.future(REQUEST, timeout=5)
        # The server is in this thread's loop.
        answer = await asyncio.to_thread(asked.result, 5)
    assert answer.session.session_id == "s1"


async def test_others_are_not_heard(port: int, house: Authority, tmp_path: Path) -> None:
    address = f"127.0.0.1:{port}"
    shown, stranger = of(house.sign("gateway")), of(Authority(tmp_path / "other").sign("gateway"))
    ended = of(house.sign("late", ended=True))
    false = Certificates(shown.authority, stranger.certificate, stranger.key, NAME)

    # In the clear; without a certificate; with one of another house, and one whose time is over.
    assert await said(open_aio_channel(address, DESCRIPTOR)) is grpc.StatusCode.UNAVAILABLE
    nothing = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(shown.authority), named(shown))
    assert await said(nothing) is grpc.StatusCode.UNAVAILABLE
    for known in (false, ended):
        assert (
            await said(open_aio_channel(address, DESCRIPTOR, certificates=known))
            is grpc.StatusCode.UNAVAILABLE
        )


async def test_nobody_else_is_called(port: int, house: Authority, tmp_path: Path) -> None:
    address = f"127.0.0.1:{port}"
    shown = of(house.sign("gateway"))
    other = Authority(tmp_path / "other").sign("gateway")

    # The server's certificate is of this house, and has this name.
    another_house = Certificates(other.authority.read_bytes(), shown.certificate, shown.key, NAME)
    another_name = Certificates(shown.authority, shown.certificate, shown.key, "else.example")
    for known in (another_house, another_name):
        assert (
            await said(open_aio_channel(address, DESCRIPTOR, certificates=known))
            is grpc.StatusCode.UNAVAILABLE
        )
    assert await said(grpc.aio.secure_channel(address, credentials(shown), named(shown))) == "s1"


def test_there_are_none_where_no_file_is_named() -> None:
    assert ServiceSettings().certificates is None


@pytest.fixture
def variables(house: Authority, monkeypatch: pytest.MonkeyPatch) -> Files:
    files = house.sign("session")
    for name, value in files.variables.items():
        monkeypatch.setenv(name, value)
    return files


def test_the_three_files_are_read(variables: Files) -> None:
    found = load(ServiceSettings).certificates
    assert found is not None
    assert (found.key, found.name) == (variables.key.read_bytes(), NAME)
    assert found.key.decode() not in repr(found)


def test_a_renewed_one_counts_after_a_restart(variables: Files, house: Authority) -> None:
    before = load(ServiceSettings)
    known = before.certificates
    renewed = house.sign("session-renewed")
    for kept, new in ((variables.certificate, renewed.certificate), (variables.key, renewed.key)):
        kept.write_bytes(new.read_bytes())
    assert before.certificates == known
    started = load(ServiceSettings).certificates
    assert started is not None
    assert started.key == renewed.key.read_bytes()


@pytest.mark.parametrize("missing", ["MELD_MTLS_CA", "MELD_MTLS_CERTIFICATE", "MELD_MTLS_KEY"])
def test_one_without_the_others_is_refused(
    variables: Files, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv(missing, "")
    with pytest.raises(SettingsError, match=r"^MELD_MTLS_KEY: .* belong together"):
        load(ServiceSettings)


@pytest.mark.parametrize(
    ("variable", "content"),
    [
        ("MELD_MTLS_CA", b"no certificate"),
        ("MELD_MTLS_CA", b"\xff\xfe"),
        ("MELD_MTLS_CA", None),
        ("MELD_MTLS_CERTIFICATE", None),
        ("MELD_MTLS_KEY", None),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(
    variables: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, content: bytes | None
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv(variable, str(file))
    with pytest.raises(SettingsError, match=f"^{variable}: "):
        load(ServiceSettings)


def test_a_key_of_another_certificate_or_with_a_password_is_refused(
    house: Authority, variables: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = house.sign("locked", password=b"open sesame")
    for certificate, key in (
        (variables.certificate, house.sign("other").key),
        (locked.certificate, locked.key),
        (variables.certificate, variables.certificate),
    ):
        monkeypatch.setenv("MELD_MTLS_CERTIFICATE", str(certificate))
        monkeypatch.setenv("MELD_MTLS_KEY", str(key))
        with pytest.raises(SettingsError, match=r"^MELD_MTLS_KEY: is not the unlocked key"):
            load(ServiceSettings)
