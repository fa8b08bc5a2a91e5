"""100,000 passages in one collection: search beside `chroma run`, recall, memory, disk, ingest.

    python -m bench.scale [--chunks N] [--questions N] [--top-k K] [--folder F]

The vector service runs as a process and is asked through gRPC. Its texts are made from a seed (see
bench/scale_texts.py): about 120 words each, by Zipf's law, in 200 topics. Embedding so many with the local
model takes hours on two cores, so the service is set to an OpenAI-compatible endpoint, as an operator would
set it: a small server of this bench that answers vectors of 384 dimensions which follow from the words. The
way of the vectors through the service is the real one. "Embedding included, local model" is measured at a
second service with default settings, over a copy of the same data in which the vectors bear the name of the
local model, and bits by chance for their words. It finds by chance then, and takes its time as ever.

"Embedding excluded" is a search without what the service's own client needs for the question's vector at that
endpoint, measured right before it from here, question by question. Two Chroma servers have the same vectors
and cosine, and are asked for ids and distances of ten, over HTTP with their own client: one with its default
settings, and one that looks at so many neighbours (ef_search) that it finds 0.99 of the ten nearest. All
contenders take turns question by question. Recall is against a product over all vectors in numpy.

Filling takes most of the time. A folder that is named is kept (some 1.7 GB), and a run that finds it filled
only asks; what memory the passages take is then not said.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import multiprocessing
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import chromadb
import grpc
import numpy as np
import psutil

from bench.scale_texts import DIMENSION, Corpus, Matrix
from meldrag.vector.v1 import vector_pb2 as pb
from meldrag.vector.v1 import vector_pb2_grpc
from services.vector.embedding import minilm_files
from services.vector.embedding.local import usable_cores
from services.vector.embedding.minilm import MODEL as LOCAL_MODEL
from services.vector.embedding.openai import OpenAiEmbedder

ROOT = Path(__file__).resolve().parents[1]
SEED = 8
MODEL = "topics"
COLLECTION = "many"
START_SECONDS = 120.0
# On two cores the service reads the common words of 100,000 passages in 6 s.
AHEAD_SECONDS = 15.0
# Nothing waits longer than this for a whole collection.
LOAD_SECONDS = 4 * 3600.0
LOOK_SECONDS = 0.2
CALL_SECONDS = 60.0
_BATCH = 1_000
SEARCHES = {
    "dense": pb.SEARCH_MODE_DENSE,
    "hybrid": pb.SEARCH_MODE_HYBRID,
    "lexical": pb.SEARCH_MODE_LEXICAL,
}
# Of what Chroma is set to by default, and of what finds 0.99 of the ten nearest among 100,000 of this bench
# (3,200: 0.986, 6,400: 0.996).
PEERS = {"chroma run": 100, "chroma run, ef_search 5,000": 5_000}
# Of a passage of 120 words, so many are more than function words.
TELLING_WORDS = 75
PEER, ENDPOINT = "chroma run", "embedding, endpoint"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--top-k", type=int, default=10)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="meldrag-bench-"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / f"filled-{options.chunks}"
        filled = mark.exists()
        corpus = Corpus(SEED)
        url = stack.enter_context(endpoint())
        print(f"{usable_cores()} cores, load {os.getloadavg()[0]:.1f} at the start", flush=True)
        stub, process, metrics = stack.enter_context(service(folder / "data", at_endpoint(url)))
        if not filled:
            warm_up(stub)
        before = memory(process)
        if not filled:
            ingest(stub, metrics, corpus, options.chunks)
        vectors = np.concatenate(
            [corpus.vectors(list(part)) for part in parts(corpus.texts(options.chunks), _BATCH)]
        )
        loaded = memory(process)
        peers = {
            name: stack.enter_context(chroma(folder / f"peer-{width}", width))
            for name, width in PEERS.items()
        }
        server = peers[PEER][1]
        empty = memory(server)
        if not filled:
            for peer, _ in peers.values():
                fill(peer, vectors)
            mark.touch()
        relabelled = folder / f"relabelled-{options.chunks}-{minilm_files.REVISION}"
        if not filled:
            shutil.rmtree(relabelled, ignore_errors=True)
        if not relabelled.exists():
            relabel(folder / "data", relabelled)
        local, _, _ = stack.enter_context(service(relabelled, {}))
        remote = stack.enter_context(
            closing(OpenAiEmbedder(model=MODEL, dimension=DIMENSION, base_url=url, api_key="bench"))
        )
        contest = Contest(
            {"endpoint": stub, "local model": local},
            {name: peer for name, (peer, _) in peers.items()},
            remote,
            options.top_k,
        )
        contest.run(corpus.questions(options.questions), vectors)
        searched, asked = memory(process), memory(server)
        per = 100_000 / options.chunks
        print("\nmemory, MB: RSS and PSS")
        for name, (rss, pss) in (
            ("the service, before", before),
            ("the service, all indexed", loaded),
            ("the service, after the searches", searched),
            ("chroma run, empty", empty),
            ("chroma run, after the searches", asked),
        ):
            print(f"  {name:44} {rss:8.0f} {pss:8.0f}")
        if not filled:
            more = [(after - ahead) * per for after, ahead in zip(searched, before, strict=True)]
            print(f"  {'the service, per 100,000 passages':44} {more[0]:8.0f} {more[1]:8.0f}")
        print("\ndisk, MB")
        for name, place in (
            ("record", folder / "data" / "vector"),
            ("vector index", folder / "data" / "vector" / "chroma"),
            ("chroma run", folder / f"peer-{PEERS[PEER]}"),
        ):
            size = bytes_of(place) - (bytes_of(place / "chroma") if name == "record" else 0)
            print(f"  {name:44} {size / 1e6:8.0f}  ({size / options.chunks:.0f} bytes a passage)")
        print(f"\nload {os.getloadavg()[0]:.1f} at the end")


# -- the processes ---------------------------------------------------------------------------------------


@contextmanager
def endpoint() -> Iterator[str]:
    """An OpenAI-compatible endpoint in a process of its own; its base URL."""
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_answer, args=(there,), daemon=True)
    child.start()
    try:
        if not here.poll(START_SECONDS):
            raise TimeoutError("the endpoint of this bench does not start")
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        child.kill()
        child.join()


def _answer(parent: Connection) -> None:
    corpus = Corpus(SEED)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Heads and bodies are two writes; without this the second waits for an acknowledgement.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            rows = corpus.vectors(asked["input"])
            data = [
                {
                    "object": "embedding",
                    "index": number,
                    "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode(),
                }
                for number, row in enumerate(rows)
            ]
            usage = {"prompt_tokens": 0, "total_tokens": 0}
            self._send({"object": "list", "model": MODEL, "data": data, "usage": usage})

        def do_GET(self) -> None:
            self._send({"object": "list", "data": []})

        def log_message(self, *_: object) -> None:
            return

        def _send(self, answer: object) -> None:
            body = json.dumps(answer).encode()
            # Who asked may have given up.
            with suppress(ConnectionError):
                self._write(body)

        def _write(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    parent.send(server.server_port)
    server.serve_forever()


@contextmanager
def service(
    data: Path, more: Mapping[str, str]
) -> Iterator[tuple[vector_pb2_grpc.VectorServiceStub, subprocess.Popen[bytes], str]]:
    """The vector service over a data directory; its stub, its process and the address of its metrics.

    more: settings beside those of this bench.
    """
    port, metrics = free_port(), free_port()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MELD_", "OPENAI_", "VECTOR_"))
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.vector"],
        cwd=ROOT,
        env={
            **kept,
            **more,
            "MELD_DATA_DIR": str(data),
            "MELD_VECTOR_ADDRESS": f"127.0.0.1:{port}",
            "MELD_METRICS_PORT": str(metrics),
            # A text is one passage, whatever the local tokenizer makes of its words.
            "MELD_CHUNK_TOKENS": "800",
            "MELD_CHUNK_MAX_TOKENS": "1000",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=START_SECONDS)
            yield vector_pb2_grpc.VectorServiceStub(channel), process, f"http://127.0.0.1:{metrics}/metrics"
    finally:
        process.kill()
        process.wait()


def at_endpoint(url: str) -> dict[str, str]:
    """The settings for vectors from there."""
    return {
        "MELD_EMBEDDING_MODEL": MODEL,
        "VECTOR_DIMENSION": str(DIMENSION),
        "OPENAI_API_KEY": "bench",
        "OPENAI_BASE_URL": url,
    }


@contextmanager
def chroma(folder: Path, ef_search: int) -> Iterator[tuple[Any, subprocess.Popen[bytes]]]:
    """A collection of a Chroma server, and the server's process."""
    port = free_port()
    program = Path(sys.executable).with_name("chroma")
    process = subprocess.Popen(
        [str(program), "run", "--host", "127.0.0.1", "--port", str(port), "--path", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + START_SECONDS
        while not listens(port):
            if time.monotonic() > end:
                raise TimeoutError("chroma run does not start")
            time.sleep(LOOK_SECONDS)
        client = chromadb.HttpClient(
            host="127.0.0.1", port=port, settings=chromadb.Settings(anonymized_telemetry=False)
        )
        yield (
            client.get_or_create_collection(
                COLLECTION,
                configuration={"hnsw": {"space": "cosine", "ef_search": ef_search}},
                embedding_function=None,
            ),
            process,
        )
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# -- what goes in ----------------------------------------------------------------------------------------


def warm_up(stub: Any) -> None:
    """Lets the service load all that it loads at the first use, so that it is no memory of the passages."""
    name = "few"
    stub.CreateCollection(pb.CreateCollectionRequest(collection_id=name), timeout=CALL_SECONDS)
    request = pb.ImportDocumentsRequest(collection_id=name, text="Water finds a way.")
    for _ in stub.ImportDocuments(iter([request]), timeout=START_SECONDS):
        pass
    wanted = pb.GetCollectionRequest(collection_id=name)
    until(lambda: stub.GetCollection(wanted, timeout=CALL_SECONDS).collection.vectors == 1)
    for mode in SEARCHES.values():
        stub.Search(pb.SearchRequest(collection_ids=[name], query="water", mode=mode), timeout=CALL_SECONDS)


def ingest(stub: Any, metrics: str, corpus: Corpus, count: int) -> None:
    """Imports the texts, and prints how fast they got into record, vectors and vector index."""
    stub.CreateCollection(pb.CreateCollectionRequest(collection_id=COLLECTION), timeout=CALL_SECONDS)
    requests = (
        pb.ImportDocumentsRequest(collection_id=COLLECTION, external_id=str(number), text=text)
        for number, text in enumerate(corpus.texts(count))
    )
    begun = time.monotonic()
    for answer in stub.ImportDocuments(requests, timeout=LOAD_SECONDS):
        if answer.HasField("error"):
            raise RuntimeError(f"a text was refused: {answer.error.reason}")
    print(f"\n{count} passages, passages a second from the first on")
    print(f"  {'committed and found by keyword':44} {count / (time.monotonic() - begun):8.0f}", flush=True)
    request = pb.GetCollectionRequest(collection_id=COLLECTION)

    def embedded() -> bool:
        collection = stub.GetCollection(request, timeout=CALL_SECONDS).collection
        if collection.chunks != count:
            raise RuntimeError(f"{count} texts made {collection.chunks} passages; nothing would compare")
        return bool(collection.vectors == count)

    until(embedded)
    print(f"  {'with their vectors in the record':44} {count / (time.monotonic() - begun):8.0f}", flush=True)
    until(lambda: waiting_for_index(metrics) == 0)
    print(f"  {'in the vector index':44} {count / (time.monotonic() - begun):8.0f}", flush=True)


def waiting_for_index(metrics: str) -> float:
    with urllib.request.urlopen(metrics, timeout=CALL_SECONDS) as answer:
        said = answer.read().decode()
    found = re.findall(r"^meldrag_index_queue\S* (\S+)", said, re.MULTILINE)
    if not found:
        raise RuntimeError("the service does not say what waits for its index")
    return sum(map(float, found))


def relabel(data: Path, copy: Path) -> None:
    """A copy of the data directory of a service that is idle, in which the local model made the vectors."""
    unfinished = copy.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(data, unfinished, ignore=shutil.ignore_patterns("record.sqlite3*"))
    place = Path("vector") / "record.sqlite3"
    with closing(sqlite3.connect(data / place)) as of, closing(sqlite3.connect(unfinished / place)) as to:
        of.backup(to)
        to.execute(
            "UPDATE generations SET embedding_model = ?, revision = ?", (LOCAL_MODEL, minilm_files.REVISION)
        )
        to.execute(
            "INSERT OR IGNORE INTO word_codes SELECT seq, randomblob(?) FROM vectors",
            (TELLING_WORDS * DIMENSION // 8,),
        )
        to.commit()
    unfinished.rename(copy)


def until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + LOAD_SECONDS
    while not met():
        if time.monotonic() > end:
            raise TimeoutError("the collection is not done in time")
        time.sleep(LOOK_SECONDS)


def fill(peer: Any, vectors: Matrix) -> None:
    begun = time.monotonic()
    for start in range(0, len(vectors), _BATCH):
        part = vectors[start : start + _BATCH]
        peer.add(ids=[str(start + row) for row in range(len(part))], embeddings=part)
    print(f"  {'chroma run':44} {len(vectors) / (time.monotonic() - begun):8.0f}", flush=True)


def parts(texts: Iterator[str], size: int) -> Iterator[tuple[str, ...]]:
    while part := tuple(itertools.islice(texts, size)):
        yield part


# -- what comes out --------------------------------------------------------------------------------------


class Contest:
    """Everybody who is asked, what they needed (seconds a question) and what two of them found."""

    def __init__(
        self,
        stubs: Mapping[str, Any],
        peers: Mapping[str, Any],
        remote: OpenAiEmbedder,
        top_k: int,
    ) -> None:
        self._stubs, self._peers, self._top_k, self._remote = stubs, peers, top_k, remote
        self.times: dict[str, list[float]] = {}
        self.found: dict[str, list[list[str]]] = {"dense": [], **{name: [] for name in peers}}

    def run(self, questions: Sequence[str], vectors: Matrix) -> None:
        """Asks every question of everybody in turn, and prints the times and what was found."""
        # What loads at the first use is no part of it, nor the words that the service then reads ahead.
        self._ask(questions[0])
        time.sleep(AHEAD_SECONDS)
        self.times.clear()
        for answers in self.found.values():
            answers.clear()
        truth = []
        for question in questions:
            scores = vectors @ self._ask(question)
            truth.append({str(row) for row in np.argsort(-scores, kind="stable")[: self._top_k]})
        report({name: np.array(taken) for name, taken in self.times.items()})
        print(f"\nrecall@{self._top_k} against all vectors in numpy, {len(questions)} questions")
        for name, answers in self.found.items():
            shares = [
                len(wanted.intersection(got)) / len(wanted)
                for wanted, got in zip(truth, answers, strict=True)
            ]
            print(f"  {name:44} {np.mean(shares):8.4f}")

    def _ask(self, question: str) -> Matrix:
        """Asks one question of everybody; its vector."""
        deadline = time.monotonic() + CALL_SECONDS
        texts = [question]
        vector: Matrix = self._timed(ENDPOINT, lambda: self._remote.embed_queries(texts, deadline=deadline))
        for name, mode in SEARCHES.items():
            for model, stub in self._stubs.items():
                if model == "local model" and name == "lexical":
                    continue
                hits = self._timed(f"{name}, {model}", partial(self._search, stub, question, mode))
                if model == "endpoint" and name in self.found:
                    self.found[name].append(hits)
        for name, peer in self._peers.items():
            ask = partial(peer.query, query_embeddings=vector, n_results=self._top_k, include=["distances"])
            self.found[name].append(self._timed(name, ask)["ids"][0])
        return vector[0]

    def _search(self, stub: Any, question: str, mode: pb.SearchMode) -> list[str]:
        request = pb.SearchRequest(
            collection_ids=[COLLECTION],
            query=question,
            top_k=self._top_k,
            mode=mode,
            similarity_threshold=-1.0,
        )
        answer = stub.Search(request, timeout=CALL_SECONDS)
        if answer.degraded_reason:
            raise RuntimeError(f"a search went without vectors: {answer.degraded_reason}")
        return [hit.external_id for hit in answer.hits]

    def _timed(self, name: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        answer = work()
        self.times.setdefault(name, []).append(time.perf_counter() - begun)
        return answer


def report(times: Mapping[str, Any]) -> None:
    """Prints milliseconds and ratios."""
    rows = {name: times[name] for name in (*PEERS, ENDPOINT)}
    for name in SEARCHES:
        # A search by keyword embeds nothing.
        embedded = name != "lexical"
        rows[f"{name}, embedding excluded"] = times[f"{name}, endpoint"] - times[ENDPOINT] * embedded
        if embedded:
            rows[f"{name}, embedding included, endpoint"] = times[f"{name}, endpoint"]
            rows[f"{name}, embedding included, local model"] = times[f"{name}, local model"]
    print("\nms: p50, p95")
    for name, taken in rows.items():
        p50, p95 = np.quantile(taken, [0.5, 0.95]) * 1e3
        print(f"  {name:44} {p50:8.2f} {p95:8.2f}")
    for peer in PEERS:
        needed = np.quantile(times[peer], [0.5, 0.95])
        for name in SEARCHES:
            p50, p95 = np.quantile(rows[f"{name}, embedding excluded"], [0.5, 0.95]) / needed
            print(f"  {f'{name}, embedding excluded / {peer}':54} {p50:8.2f} {p95:8.2f}")


def memory(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """RSS and PSS of a process and its children, MB; Linux only."""
    whole = psutil.Process(process.pid)
    used = [one.memory_full_info() for one in (whole, *whole.children(recursive=True))]
    return sum(one.rss for one in used) / 1e6, sum(one.pss for one in used) / 1e6


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
