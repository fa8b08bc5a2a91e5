"""kill -9 during ingest: nothing that was acknowledged is lost, nothing partial is seen.

Four clients ingest through the gateway while one process is killed: by time, or
by itself at a named point (before and after the record's commit, before and
after the index's add). The index flushes every few dozen vectors here, so that
timed kills also land inside its flush. After each round the house must become
ready by itself, and what was acknowledged must be there, whole.

MELD_CHAOS_ROUNDS (default 6) says how many rounds, MELD_CHAOS_SEED which.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.support.fleet import Fleet, running_fleet

ROUNDS = int(os.environ.get("MELD_CHAOS_ROUNDS", "6"))
SEED = int(os.environ.get("MELD_CHAOS_SEED", "20261122"))
CLIENTS = 4
COLLECTION = "chaos"
POINTS = (
    "vector.before_record_commit",
    "vector.after_record_commit",
    "vector.before_index_add",
    "vector.after_index_add",
)
OTHERS = ("redis", "session", "agents", "gateway")
VISIBLE = {"EMBEDDING", "READY"}
SYLLABLES = ("bra", "cul", "dor", "fen", "gri", "hal", "jop", "kem", "lun", "mos", "nar", "pol", "ves", "zit")

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(0)]


@dataclass
class Ledger:
    """What the clients know: every text that was sent, and which were acknowledged under which id."""

    sent: dict[str, str] = field(default_factory=dict)
    acknowledged: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def text(self, marker: str) -> str:
        """A document of some passages that carries its marker in each."""
        rng = random.Random(marker)
        # Words of its own: among texts of the same few words the nearest to a passage may be another's.
        words = ["".join(rng.choices(SYLLABLES, k=3)) for _ in range(6)]
        paragraphs = [
            " ".join([f"Passage {number} of {marker} tells of", *rng.choices(words, k=15)]) + "."
            for number in range(rng.randint(1, 12))
        ]
        text = "\n\n".join(paragraphs)
        with self.lock:
            self.sent[hashlib.sha256(text.encode()).hexdigest()] = marker
        return text

    def acknowledge(self, document_id: str, text: str) -> None:
        with self.lock:
            self.acknowledged[document_id] = hashlib.sha256(text.encode()).hexdigest()


class Client(threading.Thread):
    """Ingests until told to stop: uploads of one file, and imports of some texts."""

    def __init__(self, base_url: str, name: str, ledger: Ledger) -> None:
        super().__init__(name=name, daemon=True)
        self._url = f"{base_url}/api/v1/collections/{COLLECTION}/documents"
        self._ledger = ledger
        self.stop = threading.Event()
        self.refused: Counter[str] = Counter()

    def run(self) -> None:
        number = 0
        with httpx.Client(timeout=10) as http:
            while not self.stop.is_set():
                # The kill is the subject here, not the embedder's speed.
                self.stop.wait(0.15)
                number += 1
                marker = f"{self.name}x{number}"
                try:
                    if number % 3:
                        self._upload(http, marker)
                    else:
                        self._import(http, marker)
                except (httpx.HTTPError, json.JSONDecodeError) as error:
                    self.refused[type(error).__name__] += 1
                    self.stop.wait(0.05)

    def _upload(self, http: httpx.Client, marker: str) -> None:
        text = self._ledger.text(marker)
        answer = http.post(self._url, files={"file": (f"{marker}.txt", text.encode(), "text/plain")})
        if answer.status_code == 202:
            self._ledger.acknowledge(answer.json()["id"], text)
        else:
            assert answer.status_code >= 400, answer.text
            self.refused[str(answer.status_code)] += 1
            self.stop.wait(0.05)

    def _import(self, http: httpx.Client, marker: str) -> None:
        texts = [self._ledger.text(f"{marker}n{index}") for index in range(8)]
        body = "".join(
            json.dumps({"id": f"{marker}n{index}", "title": marker, "text": text}) + "\n"
            for index, text in enumerate(texts)
        )
        headers = {"Content-Type": "application/x-ndjson"}
        with http.stream("POST", f"{self._url}/import", content=body.encode(), headers=headers) as answer:
            if answer.status_code != 200:
                self.refused[str(answer.status_code)] += 1
                return
            for line in answer.iter_lines():
                entry = json.loads(line)
                if entry.get("document_id") and entry.get("state") in VISIBLE:
                    self._ledger.acknowledge(entry["document_id"], texts[entry["index"]])


def documents(base_url: str) -> Iterator[dict[str, object]]:
    """Every document that the collection lists."""
    token = ""
    with httpx.Client(timeout=10) as http:
        for _ in range(10_000):
            query = {"page_size": "500", **({"page_token": token} if token else {})}
            page = http.get(f"{base_url}/api/v1/collections/{COLLECTION}/documents", params=query).json()
            yield from page["documents"]
            token = page.get("next_page_token") or ""
            if not token:
                return


def check(fleet: Fleet, ledger: Ledger) -> None:
    """What was acknowledged is there as a whole; what is seen was sent as a whole."""
    seen = {}
    for document in documents(fleet.base_url):
        if document["state"] in VISIBLE:
            seen[document["id"]] = document["extraction_sha256"]
            assert document["extraction_sha256"] in ledger.sent, f"partial or foreign: {document}"
            assert document["chunks"], f"without passages: {document}"
    lost = {key: sha for key, sha in ledger.acknowledged.items() if seen.get(key) != sha}
    assert not lost, f"{len(lost)} acknowledged documents are lost, for example {next(iter(lost.items()))}"


def strike(fleet: Fleet, rng: random.Random, tally: Counter[str]) -> None:
    """Kills one process somewhere in the next second and a half, and starts it again."""
    dice = rng.random()
    if dice < 0.4:
        point = rng.choice(POINTS)
        fleet.kill("vector")
        fleet.start("vector", MELD_CRASH_AT=f"{point}:{rng.randint(1, 3)}")
        end = time.monotonic() + 8
        while fleet.running("vector") and time.monotonic() < end:
            time.sleep(0.02)
        tally[point if not fleet.running("vector") else "vector by time"] += 1
        fleet.kill("vector")
        fleet.start("vector")
        return
    name = "vector" if dice < 0.75 else rng.choice(OTHERS)
    time.sleep(rng.uniform(0.05, 1.5))
    fleet.kill(name)
    tally[f"{name} by time"] += 1
    fleet.start(name)


def test_what_was_acknowledged_survives(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    ledger, tally, refused, slowest = Ledger(), Counter[str](), Counter[str](), 0.0
    with running_fleet(tmp_path, {"MELD_INDEX_SYNC_THRESHOLD": "40"}) as fleet:
        httpx.post(f"{fleet.base_url}/api/v1/collections", json={"name": COLLECTION}).raise_for_status()
        for number in range(ROUNDS):
            clients = [Client(fleet.base_url, f"r{number}c{index}", ledger) for index in range(CLIENTS)]
            for client in clients:
                client.start()
            strike(fleet, rng, tally)
            time.sleep(rng.uniform(0, 0.3))
            slowest = max(slowest, fleet.wait_ready(30))
            for client in clients:
                client.stop.set()
            for client in clients:
                client.join(30)
                refused.update(client.refused)
            fleet.wait_ready(30)
            check(fleet, ledger)
            if number % 20 == 19:
                print(
                    f"round {number + 1}: {len(ledger.acknowledged)} acknowledged, {dict(tally)}", flush=True
                )
        settle(fleet)
        check(fleet, ledger)
        self_hits(fleet, ledger, rng)
    print(
        json.dumps(
            {
                "rounds": ROUNDS,
                "seed": SEED,
                "acknowledged": len(ledger.acknowledged),
                "lost": 0,
                "slowest_recovery_seconds": round(slowest, 2),
                "kills": tally,
                "refused": refused,
            }
        )
    )
    assert len(ledger.acknowledged) >= 10 * ROUNDS


def settle(fleet: Fleet) -> None:
    """Waits until every visible document has its vectors, for as long as there is progress."""
    most, moved = -1, time.monotonic()
    with httpx.Client(timeout=10) as http:
        while True:
            counts = http.get(f"{fleet.base_url}/api/v1/collections/{COLLECTION}").json()
            if counts["vectors"] == counts["chunks"]:
                break
            if counts["vectors"] > most:
                most, moved = counts["vectors"], time.monotonic()
            assert time.monotonic() - moved < 120, f"no progress: {counts}\n{fleet.log_ends()}"
            time.sleep(1)
    waiting = [d["id"] for d in documents(fleet.base_url) if d["state"] == "EMBEDDING"]
    assert not waiting, f"{len(waiting)} documents have all vectors and are not READY"


def self_hits(fleet: Fleet, ledger: Ledger, rng: random.Random) -> None:
    """A document is found by its own words, by keyword and by vector."""
    markers = dict(ledger.sent)
    sample = rng.sample(sorted(ledger.acknowledged.items()), min(40, len(ledger.acknowledged)))
    found: Counter[str] = Counter()
    with httpx.Client(timeout=10) as http:
        for document_id, sha in sample:
            query = f"passage 0 of {markers[sha]}"
            for mode in ("lexical", "dense"):
                answer = http.post(
                    f"{fleet.base_url}/api/v1/collections/{COLLECTION}/search",
                    json={"query": query, "top_k": 5, "mode": mode},
                )
                answer.raise_for_status()
                own = [hit["text"] for hit in answer.json()["hits"] if hit["document_id"] == document_id]
                found[mode] += bool(own)
                # The passage that the keyword found must be nearest to itself.
                query = own[0] if own else query
    assert found["lexical"] == len(sample), f"by keyword: {found['lexical']} of {len(sample)}"
    assert found["dense"] == len(sample), f"by vector: {found['dense']} of {len(sample)}"
