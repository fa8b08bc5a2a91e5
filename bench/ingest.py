"""What an ingest makes of the machine: chunks a second beside the bare onnxruntime session on the same texts,
and what others' searches cost meanwhile.

    python -m bench.ingest [--rounds N] [--chunks N] [--searches N]     (0 leaves a part out)

The vector service runs as a process with its real model. In each round one set of texts, of 8 to 190 tokens,
each a document and a chunk, goes through all contenders, one after the other: the bare session in the order
of arrival and sorted by length (batches of 16, all cores), embed_passages alone, and the service, from the
first byte of the import to the last vector in the record: received, split, committed, indexed by keyword,
embedded, stored, and taken by Chroma meanwhile. Rates are medians; ratios are medians of the rounds' ratios.
CPU is that of the process, user and system, all cores: on a busy machine it says more than the wall clock.

The service's embedding threads have a niceness of 10, so this process takes the same.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

from bench.embedding import VOCABULARY, bare_session, run_bare, text_of, words_of_model
from meldrag.vector.v1 import vector_pb2 as pb
from meldrag.vector.v1 import vector_pb2_grpc
from services.vector.embedding.local import usable_cores
from services.vector.embedding.minilm import MiniLmEmbedder

ROOT = Path(__file__).resolve().parents[1]
NICENESS = 10
START_SECONDS = 180.0
ROUND_SECONDS = 1800.0
LOOK_SECONDS = 0.05
SEARCH_PAUSE = 0.03
FOREGROUND = 300


@dataclass
class Service:
    """The vector service as a process."""

    process: subprocess.Popen[bytes]
    stub: vector_pb2_grpc.VectorServiceStub

    def create(self, collection_id: str) -> None:
        self.stub.CreateCollection(pb.CreateCollectionRequest(collection_id=collection_id), timeout=30)

    def send(self, collection_id: str, texts: Sequence[str]) -> None:
        """Imports the texts; returns when all are committed."""
        requests = (pb.ImportDocumentsRequest(collection_id=collection_id, text=text) for text in texts)
        for answer in self.stub.ImportDocuments(requests, timeout=ROUND_SECONDS):
            if answer.HasField("error"):
                raise RuntimeError(f"a text was refused: {answer.error.reason}")

    def chunks_and_vectors(self, collection_id: str) -> tuple[int, int]:
        request = pb.GetCollectionRequest(collection_id=collection_id)
        collection = self.stub.GetCollection(request, timeout=30).collection
        return collection.chunks, collection.vectors

    def ingest(self, collection_id: str, texts: Sequence[str]) -> int:
        """Imports the texts and waits for their vectors; how many chunks they made."""
        before, _ = self.chunks_and_vectors(collection_id)
        self.send(collection_id, texts)
        end = time.monotonic() + ROUND_SECONDS
        while True:
            chunks, vectors = self.chunks_and_vectors(collection_id)
            if vectors == chunks:
                return chunks - before
            if time.monotonic() > end:
                raise TimeoutError(f"{vectors} of {chunks} vectors")
            time.sleep(LOOK_SECONDS)

    def cpu(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


@contextmanager
def service(folder: Path, **variables: str) -> Iterator[Service]:
    """variables: of the environment, besides where it keeps what it has and listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MELD_", "OPENAI_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "services.vector"],
        cwd=ROOT,
        env={**kept, "MELD_DATA_DIR": str(folder), "MELD_VECTOR_ADDRESS": address, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=START_SECONDS)
            yield Service(process, vector_pb2_grpc.VectorServiceStub(channel))
    finally:
        process.kill()
        process.wait()


def own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunks", type=int, default=256, help="chunks in a round")
    parser.add_argument("--searches", type=int, default=200, help="searches, idle and during an ingest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="meldrag-bench-") as name, service(Path(name)) as running:
        os.nice(NICENESS)
        print(f"{usable_cores()} cores, load {os.getloadavg()[0]:.1f} at the start")
        if options.rounds:
            throughput(running, Path(name) / "bare", options.rounds, options.chunks)
        if options.searches:
            search_latency(running, options.searches)
        print(f"\nload {os.getloadavg()[0]:.1f} at the end")


def throughput(running: Service, models: Path, rounds: int, chunks: int) -> None:
    embedder = MiniLmEmbedder(models)
    embedder.load()
    tokenizer, bare = words_of_model(), bare_session(models)
    draw = random.Random(3)
    running.create("throughput")
    made = 0

    def ours(texts: Sequence[str]) -> None:
        embedder.embed_passages(texts, deadline=time.monotonic() + ROUND_SECONDS)

    def whole(texts: Sequence[str]) -> None:
        nonlocal made
        made = running.ingest("throughput", texts)

    contenders: dict[str, tuple[Callable[[Sequence[str]], None], Callable[[], float]]] = {
        "bare session, order of arrival": (lambda texts: run_bare(bare, tokenizer, texts, None), own_cpu),
        "bare session, sorted by length": (
            lambda texts: run_bare(bare, tokenizer, sorted(texts, key=len), None),
            own_cpu,
        ),
        "embed_passages": (ours, own_cpu),
        "the service, whole ingest": (whole, running.cpu),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    # What loads at the first use is no part of it.
    for contend, _ in contenders.values():
        contend([text_of(tokenizer, draw, 30) for _ in range(8)])
    for number in range(rounds):
        texts = [text_of(tokenizer, draw, draw.randint(8, 190)) for _ in range(chunks)]
        # Whoever comes first in a round may meet another load than who comes last.
        names = list(contenders)
        for name in names if number % 2 else reversed(names):
            contend, cpu = contenders[name]
            used, begun = cpu(), time.perf_counter()
            contend(texts)
            taken[name].append((time.perf_counter() - begun, cpu() - used))
        shown = ", ".join(f"{chunks / taken[name][-1][0]:.1f}" for name in contenders)
        print(f"  round {number + 1}, load {os.getloadavg()[0]:.1f}: {shown} chunks a second", flush=True)
        if made != chunks:
            raise RuntimeError(f"{chunks} texts made {made} chunks; the rates would not compare")
    embedder.close()
    print(f"\nchunks a second of 8 to 190 tokens, {rounds} rounds of {chunks}; CPU in ms a chunk")
    for name, times in taken.items():
        rate = statistics.median(chunks / wall for wall, _ in times)
        spent = statistics.median(cpu / chunks * 1e3 for _, cpu in times)
        print(f"  {name:36} {rate:7.1f} {spent:8.1f}")
    service_name = names[-1]
    for below in names[:-1]:
        walls = ratio(taken[below], taken[service_name], 0)
        cpus = ratio(taken[below], taken[service_name], 1)
        print(f"  {service_name} / {below}: {walls:.2f} by the clock, {cpus:.2f} by CPU")


def ratio(others: Sequence[tuple[float, float]], own: Sequence[tuple[float, float]], which: int) -> float:
    return statistics.median(a[which] / b[which] for a, b in zip(others, own, strict=True))


def search_latency(running: Service, searches: int) -> None:
    """Searches of one collection, idle and while another is filled, in alternating blocks."""
    draw = random.Random(4)
    words = VOCABULARY.split()
    running.create("others")
    running.ingest("others", [" ".join(draw.choices(words, k=40)) for _ in range(FOREGROUND)])
    running.create("flood")
    times: dict[str, list[float]] = {"idle": [], "during an ingest": []}
    blocks = 4
    for block in range(blocks):
        measure(running, draw, searches // blocks, times["idle"])
        stop = threading.Event()
        flood = threading.Thread(target=pour, args=(running, random.Random(100 + block), stop))
        flood.start()
        while running.chunks_and_vectors("flood")[0] == running.chunks_and_vectors("flood")[1]:
            time.sleep(LOOK_SECONDS)
        measure(running, draw, searches // blocks, times["during an ingest"])
        stop.set()
        flood.join()
        # What is left of the flood is taken away, so that the next block is idle.
        running.stub.DeleteCollection(pb.DeleteCollectionRequest(collection_id="flood"), timeout=300)
        running.create("flood")
    print(f"\nanother's search, hybrid, ms: p50, p95 of {searches // blocks * blocks}")
    for name, taken in times.items():
        taken.sort()
        p50, p95 = statistics.median(taken), taken[int(len(taken) * 0.95)]
        print(f"  {name:36} {p50 * 1e3:7.1f} {p95 * 1e3:7.1f}")
    median = statistics.median(times["during an ingest"]) / statistics.median(times["idle"])
    tail = (
        times["during an ingest"][int(len(times["idle"]) * 0.95)]
        / times["idle"][int(len(times["idle"]) * 0.95)]
    )
    print(f"  during an ingest / idle: {median:.2f} at p50, {tail:.2f} at p95")


def pour(running: Service, draw: random.Random, stop: threading.Event) -> None:
    words = VOCABULARY.split()
    while not stop.is_set():
        running.send("flood", [" ".join(draw.choices(words, k=120)) for _ in range(64)])


def measure(running: Service, draw: random.Random, count: int, into: list[float]) -> None:
    words = VOCABULARY.split()
    for _ in range(count):
        query = " ".join(draw.choices(words, k=6))
        time.sleep(SEARCH_PAUSE)
        begun = time.perf_counter()
        running.stub.Search(pb.SearchRequest(collection_ids=["others"], query=query, top_k=10), timeout=60)
        into.append(time.perf_counter() - begun)


if __name__ == "__main__":
    main()
