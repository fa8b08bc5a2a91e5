"""A house that asks people to sign in: from the first owner to a run that goes on in a person's name."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
import pytest
from pydantic import SecretStr

from meldrag.session.v1 import identity_pb2, identity_pb2_grpc, session_pb2, session_pb2_grpc
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.chassis import passes, roles
from services.chassis.context import Principal
from services.chassis.passes import Passes
from services.chassis.settings import ServiceSettings
from tests.support.launched import ROOT, House, launched
from tests.support.model_server import Answer, ModelServer, Stall
from tests.support.webhook_receiver import Receiver
from tests.unit.session.webhooks.verification import verify

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SECRET = "w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU"
TOKEN = "tZ5-nW8q_3uRi6Xv1MoC9bEe4KgP7yDh"
CODE = "lift-off-41"
PASSWORD = "the tide comes at nine"
TEXT = "The lighthouse of Brava was built in 1884. Its lamp burns whale oil."
LOGIN = {
    "MELD_LOGIN": "required",
    "JWT_SECRET_KEY": SECRET,
    "MELD_SERVICE_TOKEN": TOKEN,
    "MELD_SETUP_CODE": CODE,
    "MELD_RATE_LIMIT_PER_MINUTE": "300",
    "MELD_WEBHOOK_ALLOW": "127.0.0.1",
    # Used up by the first run.
    "MELD_DAILY_TOKENS": "2",
}


def soon(true: Callable[[], Any], seconds: float = 60) -> Any:
    """What becomes true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError("it does not become true")


@dataclass
class Town:
    """A running house with an owner, and the model that it asks."""

    house: House
    model: ModelServer

    @property
    def api(self) -> str:
        return f"{self.house.base_url}/api/v1"

    def nobody(self) -> httpx.Client:
        return httpx.Client(base_url=self.api, timeout=60)

    def sign_in(self, name: str, password: str = PASSWORD) -> dict[str, Any]:
        answer = self.nobody().post("/auth/login", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def client(self, name: str) -> httpx.Client:
        """Somebody who is signed in."""
        token = self.sign_in(name)["access_token"]
        return httpx.Client(base_url=self.api, timeout=60, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with ModelServer(Stall("It was built in 17"), Answer("It was built in 1884 [1].")) as model:
        environment = {**LOGIN, "OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "k"}
        with launched(tmp_path_factory.mktemp("town"), environment) as house:
            town = Town(house, model)
            with town.nobody() as nobody:
                assert nobody.get("/auth").json() == {"login": True, "setup": True, "external": False}
                wrong = nobody.post(
                    "/auth/setup", json={"name": "olga", "password": PASSWORD, "setup_code": "wrong-code"}
                )
                assert wrong.status_code == 403
                made = nobody.post(
                    "/auth/setup", json={"name": "olga", "password": PASSWORD, "setup_code": CODE}
                )
                assert made.status_code == 201, made.text
                assert nobody.get("/auth").json()["setup"] is False
            with town.client("olga") as owner:
                for name, role in (("anna", "member"), ("vera", "viewer")):
                    fields = {"name": name, "password": PASSWORD, "role": role}
                    owner.post("/users", json=fields).raise_for_status()
            yield town


def test_the_setup_is_done_once(town: Town) -> None:
    with town.nobody() as nobody:
        again = nobody.post("/auth/setup", json={"name": "eve", "password": PASSWORD, "setup_code": CODE})
    assert (again.status_code, again.json()["reason"]) == (409, "SETUP_DONE")


def test_a_detached_run_is_taken_over_in_the_name_of_whose_it_is(town: Town) -> None:
    with town.client("anna") as anna:
        anna.post("/collections", json={"name": "notes"}).raise_for_status()
        file = {"file": ("brava.md", f"# Brava\n\n{TEXT}\n")}
        anna.post("/collections/notes/documents", files=file).raise_for_status()
        session = anna.post("/sessions", json={}).json()["id"]
        started = anna.post(
            "/runs",
            json={
                "agent": "research",
                "message": "When was the lighthouse of Brava built?",
                "collections": ["notes"],
                "background": True,
                "session_id": session,
            },
        )
        assert started.status_code == 202, started.text
        run_id = started.json()["run_id"]
        # The model has begun to answer: the run is in the middle of its work, and remembered.
        soon(lambda: town.model.chats)
        soon(lambda: anna.get(f"/runs/{run_id}").json().get("last_sequence", 1))
        time.sleep(1)

        town.house.send("agents", signal.SIGKILL)

        soon(lambda: anna.get(f"/runs/{run_id}").json().get("state") == "SUCCEEDED")
        assert anna.get(f"/runs/{run_id}").json()["text"] == "It was built in 1884 [1]."
        messages = anna.get(f"/sessions/{session}/messages").json()["messages"]
        assert [message["role"] for message in messages] == ["USER", "ASSISTANT"]


def test_the_tokens_of_a_run_are_taken_from_the_day_of_whose_it_is(town: Town) -> None:
    """After the run above."""
    with town.client("anna") as anna, town.client("vera") as vera:
        soon(lambda: nothing_left(town, anna.get("/auth/me").json()["id"]))
        asked = {"agent": "research", "message": "When was it built?", "collections": ["notes"]}
        refused = anna.post("/runs", json=asked)
        assert (refused.status_code, refused.json()["reason"]) == (429, "QUOTA_EXHAUSTED")
        assert 1 <= int(refused.headers["Retry-After"]) <= 86_400
        assert not nothing_left(town, vera.get("/auth/me").json()["id"])


def nothing_left(town: Town, user_id: str) -> bool:
    """Whether a person has used up the day, as the session service has it."""
    key = passes.key_of(ServiceSettings(jwt_secret_key=SecretStr(SECRET)))
    shown = passes.Passes(key).issue(Principal("home", user_id, roles.scopes_of("viewer"), role="viewer"))
    with grpc.insecure_channel(f"127.0.0.1:{town.house.ports['session']}") as channel:
        stub: Any = identity_pb2_grpc.IdentityServiceStub(channel)
        try:
            look = identity_pb2.ConsumeQuotaRequest(unit="tokens", amount=0)
            stub.ConsumeQuota(look, metadata=(("x-meld-pass", shown),), timeout=10)
        except grpc.RpcError as error:
            said: Any = error
            assert said.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            return True
    return False


def test_webhooks_are_told_of_the_documents_that_their_owners_may_read(town: Town) -> None:
    with (
        Receiver(path="/olga") as hers,
        Receiver(path="/anna") as annas,
        Receiver(path="/vera") as veras,
        town.client("olga") as olga,
        town.client("anna") as anna,
        town.client("vera") as vera,
    ):
        hooks = []
        for who, receiver in ((olga, hers), (anna, annas), (vera, veras)):
            made = {"url": receiver.url, "event_types": ["document.ready"]}
            hooks.append((who, who.post("/webhooks", json=made).raise_for_status().json()))
        for name in ("secret", "shared"):
            olga.post("/collections", json={"name": name}).raise_for_status()
        grants = {"access": [{"user": anna.get("/auth/me").json()["id"], "role": "reader"}]}
        olga.put("/collections/shared/access", json=grants).raise_for_status()
        for name in ("secret", "shared"):
            file = {"file": (f"{name}.md", f"# Of {name} things\n\n{TEXT}\n")}
            olga.post(f"/collections/{name}/documents", files=file).raise_for_status()
        told = [verify(hooks[0][1]["secret"], one.headers, one.body) for one in hers.wait(2)]
        assert {one["data"]["collection_id"] for one in told} == {"secret", "shared"}
        [got] = annas.wait()
        assert verify(hooks[1][1]["secret"], got.headers, got.body)["data"]["filename"] == "shared.md"
        # Another look at all of it.
        time.sleep(5)
        assert (len(hers.received), len(annas.received), len(veras.received)) == (2, 1, 0)
        for who, hook in hooks:
            who.delete(f"/webhooks/{hook['id']}").raise_for_status()


def test_roles_decide_what_somebody_may(town: Town) -> None:
    with town.client("vera") as vera, town.client("anna") as anna, town.client("olga") as olga:
        assert vera.get("/collections").status_code == 200
        assert vera.post("/collections", json={"name": "hers"}).status_code == 403
        assert anna.post("/collections", json={"name": "annas"}).status_code == 201
        assert anna.get("/users").status_code == 403
        assert [user["name"] for user in olga.get("/users").json()["users"]] == ["anna", "olga", "vera"]
        actions = {entry["action"] for entry in olga.get("/audit").json()["entries"]}
        assert {"set_up", "create_user", "sign_in"} <= actions
        assert anna.get("/audit").status_code == 403


def test_row_29_a_refresh_token_is_no_access_token_nor_the_other_way_round(town: Town) -> None:
    kept = town.sign_in("anna")
    with town.nobody() as nobody:
        for wrong in (kept["refresh_token"], "mrk_" + kept["access_token"], TOKEN):
            answer = nobody.get("/collections", headers={"Authorization": f"Bearer {wrong}"})
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        answer = nobody.post("/auth/refresh", json={"refresh_token": kept["access_token"]})
        assert answer.status_code == 401


def test_row_29_who_has_signed_out_is_refused_at_once(town: Town) -> None:
    kept = town.sign_in("anna")
    bearer = {"Authorization": f"Bearer {kept['access_token']}"}
    with town.nobody() as nobody:
        assert nobody.get("/collections", headers=bearer).status_code == 200
        assert nobody.post("/auth/logout", json={"token": kept["refresh_token"]}).status_code == 200
        assert nobody.get("/collections", headers=bearer).status_code == 401
        again = nobody.post("/auth/refresh", json={"refresh_token": kept["refresh_token"]})
        assert again.status_code == 401


def test_rows_25_to_28_tokens_that_we_did_not_make_are_refused(town: Town) -> None:
    real = town.sign_in("anna")["access_token"]
    claims = jwt.decode(real, options={"verify_signature": False})
    header, body, signature = real.split(".")
    now = int(time.time())

    def signed(key: str = SECRET, algorithm: str = "HS256", **changed: Any) -> str:
        kept = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        return jwt.encode(kept, key, algorithm, headers={"typ": jwt.get_unverified_header(real)["typ"]})

    forged = [
        jwt.encode(claims, None, "none"),
        f"{header}.{body}.",
        f"{header}.{body}.{signature[:-4]}AAAA",
        f"{header}.{body}.{signature}.x.y",
        signed("another key that is long enough for it"),
        signed(SECRET * 2, "HS512"),
        jwt.encode(claims, "x" * 32, "HS256", headers={"kid": "../../etc/passwd"}),
        jwt.encode(
            claims, "x" * 32, "HS256", headers={"jwk": {"kty": "oct", "k": "eHh4"}, "jku": "http://x"}
        ),
        jwt.encode(claims, SECRET, "HS256", headers={"crit": ["ours"], "ours": 1}),
        *(signed(**{name: None}) for name in ("exp", "sub", "aud")),
        signed(exp=now - 3600),
        signed(nbf=now + 3600),
        signed(aud=["meldrag"]),
        signed(aud="meldrag-internal"),
        signed(exp="soon"),
        signed(exp=1e30),
        Passes(b"k" * 32).issue(Principal("home", "x", roles.scopes_of("owner"))),
    ]
    with town.nobody() as nobody:
        for token in forged:
            answer = nobody.get("/collections", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401, token
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        huge = nobody.get("/collections", headers={"Authorization": "Bearer " + "x" * 1_000_000})
        assert huge.status_code in (400, 431)
        good = nobody.get("/collections", headers={"Authorization": f"Bearer {real}"})
        assert good.status_code == 200


def test_row_30_five_tabs_renew_at_once_and_stay_signed_in(town: Town) -> None:
    with town.nobody() as nobody:
        page = nobody.post("/auth/login", json={"name": "anna", "password": PASSWORD, "cookie": True})
        session, access = page.cookies["meld_session"], page.cookies["meld_access"]
        assert nobody.get("/collections", headers={"Cookie": f"meld_access={access}"}).status_code == 200
        nobody.cookies.clear()

        def renew(_: int) -> httpx.Response:
            return httpx.post(
                f"{town.api}/auth/refresh",
                json={},
                headers={"Cookie": f"meld_session={session}"},
                timeout=30,
            )

        with ThreadPoolExecutor(5) as tabs:
            answers = list(tabs.map(renew, range(5)))
        assert [answer.status_code for answer in answers] == [200] * 5
        assert len({answer.cookies["meld_session"] for answer in answers}) == 1
        renewed = answers[0].cookies["meld_access"]
        assert nobody.get("/collections", headers={"Cookie": f"meld_access={renewed}"}).status_code == 200


def test_a_key_of_a_program_may_no_more_than_it_was_given(town: Town) -> None:
    with town.client("anna") as anna:
        made = anna.post("/api-keys", json={"label": "cron", "role": "viewer"}).json()
        key = {"Authorization": f"Bearer {made['secret']}"}
        with town.nobody() as program:
            assert program.get("/collections", headers=key).status_code == 200
            assert program.post("/collections", json={"name": "no"}, headers=key).status_code == 403
            assert anna.delete(f"/api-keys/{made['id']}").status_code == 200
            assert program.get("/collections", headers=key).status_code == 401


@pytest.mark.parametrize("service", ["session", "vector"])
def test_row_35_a_forged_identity_reaches_no_service(town: Town, service: str) -> None:
    owner = Principal("home", "usr_x", roles.scopes_of("owner"))
    forged = [
        (),
        (("x-meld-tenant", "home"), ("x-meld-role", "owner")),
        (("x-meld-pass", Passes(SECRET.encode()).issue(owner)),),
        (("x-meld-pass", Passes(b"k" * 32).issue(owner)),),
        (("authorization", "Bearer guess"),),
    ]
    with grpc.insecure_channel(f"127.0.0.1:{town.house.ports[service]}") as channel:

        def call(metadata: Any) -> Any:
            if service == "session":
                stub: Any = session_pb2_grpc.SessionServiceStub(channel)
                return stub.ListSessions(session_pb2.ListSessionsRequest(), metadata=metadata, timeout=10)
            stub = vector_pb2_grpc.VectorServiceStub(channel)
            return stub.ListCollections(vector_pb2.ListCollectionsRequest(), metadata=metadata, timeout=10)

        for metadata in forged:
            with pytest.raises(grpc.RpcError) as refused:
                call(metadata)
            said: Any = refused.value
            assert said.code() is grpc.StatusCode.UNAUTHENTICATED
        call((("authorization", f"Bearer {TOKEN}"),))


@pytest.mark.parametrize("token", [TOKEN, ""])
def test_a_backup_acts_for_the_house_by_its_token_or_by_the_key(
    town: Town, tmp_path: Path, token: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.backup", "create", str(tmp_path / "copies")],
        cwd=ROOT,
        env={**town.house.environment, "MELD_SERVICE_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "copies").iterdir())


def test_row_69_the_rate_of_a_person_ends_whatever_is_forwarded(town: Town) -> None:
    with town.client("olga") as olga:
        made = olga.post("/users", json={"name": "max", "password": PASSWORD, "role": "viewer"})
        assert made.status_code == 201
    with town.client("max") as busy:

        def ask(number: int) -> httpx.Response:
            return busy.get("/auth/me", headers={"X-Forwarded-For": f"203.0.113.{number % 250}"})

        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(ask, range(620)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.status_code for answer in answers} == {200, 429}
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    assert refused[0].json()["reason"] == "QUOTA_EXHAUSTED"
    with town.client("anna") as other:
        assert other.get("/auth/me").status_code == 200


# Last: for a while nobody signs in from here.
def test_row_33_wrong_passwords_end_in_429(town: Town) -> None:
    with town.nobody() as nobody:
        statuses = [
            nobody.post(
                "/auth/login",
                json={"name": "vera", "password": "wrong password"},
                headers={"X-Forwarded-For": f"203.0.113.{number}"},
            ).status_code
            for number in range(15)
        ]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert set(statuses) == {401, 429}
