"""What embedding costs, beside the bare onnxruntime session: `python -m bench.embedding`.

All rates are measured in one run, in interleaved rounds, and given as medians, because the speed of a
machine drifts. The texts are drawn with a fixed seed. Chroma's own embedding function fetches its model over
the network and cannot run here; what costs it most, the padding of every text to 256 tokens, is measured on
our graph.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from services.vector.embedding import kept_graphs, minilm_files
from services.vector.embedding.local import usable_cores
from services.vector.embedding.minilm import MiniLmEmbedder

CHUNK_TOKENS = 200
QUERY_TOKENS = 12
BARE_BATCH = 16

VOCABULARY = (
    "the of and a to in is was for on that with as by it from archive ledger clerk machine quarter figure "
    "signature registry pressure valve temperature contract paragraph employee leave tenant river bridge "
    "protein receptor infection cohort trial significant temporal gradient matrix kernel scheduler latency "
    "throughput replication unauthorised misconfiguration electromagnetic jurisdiction"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunks", type=int, default=48, help="chunks in a round")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="meldrag-bench-") as folder:
        models = Path(folder)
        print(f"{usable_cores()} cores, onnxruntime {onnxruntime.__version__}")
        print(f"resident before loading               {resident():8.0f} MB")
        print(f"first start: build and load           {seconds(lambda: load(models)):8.2f} s")
        embedder = MiniLmEmbedder(models)
        print(f"later start: check and load           {seconds(embedder.load):8.2f} s")
        print(f"resident, loaded                      {resident():8.0f} MB")
        throughput(embedder, models, options.rounds, options.chunks)
        query_latency(embedder)
        print(f"resident at the end, bare one included{resident():8.0f} MB")
        embedder.close()


def load(models: Path) -> None:
    embedder = MiniLmEmbedder(models)
    embedder.load()
    embedder.close()


def throughput(embedder: MiniLmEmbedder, models: Path, rounds: int, chunks: int) -> None:
    draw = random.Random(1)
    tokenizer = words_of_model()
    even = [text_of(tokenizer, draw, CHUNK_TOKENS) for _ in range(chunks)]
    mixed = [text_of(tokenizer, draw, draw.randint(8, 250)) for _ in range(chunks)]
    bare = bare_session(models)

    def ours(texts: Sequence[str]) -> None:
        embedder.embed_passages(texts, deadline=time.monotonic() + 600)

    contenders: dict[str, Callable[[], None]] = {
        f"bare session, batches of {BARE_BATCH}": lambda: run_bare(bare, tokenizer, even, None),
        "embed_passages": lambda: ours(even),
        "padded to 256, batches of 32": lambda: run_bare(bare, tokenizer, even, 256, batch=32),
        f"mixed lengths: bare, batches of {BARE_BATCH}": lambda: run_bare(bare, tokenizer, mixed, None),
        "mixed lengths: padded to 256, batches of 32": lambda: run_bare(
            bare, tokenizer, mixed, 256, batch=32
        ),
        "mixed lengths: embed_passages": lambda: ours(mixed),
    }
    for contender in contenders.values():
        contender()
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            taken[name].append(seconds(contender))

    print(
        f"\nchunks a second ({CHUNK_TOKENS} tokens; mixed: 8 to 250), median (lowest to highest) of {rounds}"
    )
    for name, times in taken.items():
        rates = sorted(chunks / each for each in times)
        print(f"  {name:44} {statistics.median(rates):6.1f}   ({rates[0]:.1f} to {rates[-1]:.1f})")
    names = list(contenders)
    for above, below in ((1, 0), (1, 2), (5, 3), (5, 4)):
        ratio = statistics.median(
            b / a for a, b in zip(taken[names[above]], taken[names[below]], strict=True)
        )
        print(f"  {names[above]} / {names[below]}: {ratio:.2f}")


def query_latency(embedder: MiniLmEmbedder) -> None:
    draw = random.Random(2)
    tokenizer = words_of_model()
    chunks = [text_of(tokenizer, draw, CHUNK_TOKENS) for _ in range(16)]
    questions = [text_of(tokenizer, draw, QUERY_TOKENS) for _ in range(150)]
    print(f"\none text of {QUERY_TOKENS} tokens, ms: p50, p95, highest of {len(questions)}")
    report_latency("idle, one after the other", embedder, questions, pause=0)
    report_latency("idle, one every 30 ms", embedder, questions, pause=0.03)

    stop = threading.Event()
    embedded = 0

    def ingest() -> None:
        nonlocal embedded
        while not stop.is_set():
            embedder.embed_passages(chunks, deadline=time.monotonic() + 600)
            embedded += len(chunks)

    worker = threading.Thread(target=ingest)
    worker.start()
    started = time.monotonic()
    report_latency("during ingest, one every 30 ms", embedder, questions, pause=0.03)
    stop.set()
    worker.join()
    print(f"  ingest went on at {embedded / (time.monotonic() - started):.1f} chunks a second")


def report_latency(name: str, embedder: MiniLmEmbedder, questions: Sequence[str], *, pause: float) -> None:
    """As a question is searched, and as a text that somebody waits for gets its exact vector, in turns."""
    ways: dict[str, Callable[[str, float], object]] = {
        "question": lambda text, deadline: embedder.embed_question(text, deadline=deadline),
        "exact": lambda text, deadline: embedder.embed_queries([text], deadline=deadline),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for question in questions:
        for way, embed in ways.items():
            time.sleep(pause)
            times[way].append(1e3 * seconds(lambda e=embed, q=question: e(q, time.monotonic() + 60)))
    for way, taken in times.items():
        p50, p95 = np.quantile(taken, [0.5, 0.95])
        print(f"  {f'{name}, {way}':44} {p50:6.1f} {p95:6.1f} {max(taken):6.1f}")


def bare_session(models: Path) -> onnxruntime.InferenceSession:
    home = minilm_files.ensure_graph(models, minilm_files.installed_files().weights)
    graph = str(home / kept_graphs.MODEL)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def words_of_model() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(minilm_files.installed_files().tokenizer))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def run_bare(
    session: onnxruntime.InferenceSession,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    width: int | None,
    *,
    batch: int = BARE_BATCH,
) -> None:
    for start in range(0, len(texts), batch):
        encoded = [e.ids[:256] for e in tokenizer.encode_batch(list(texts[start : start + batch]))]
        longest = width or max(map(len, encoded))
        ids = np.zeros((len(encoded), longest), np.int32)
        mask = np.zeros_like(ids)
        for row, each in enumerate(encoded):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1
        session.run(None, {"ids": ids, "mask": mask})


def text_of(tokenizer: Tokenizer, draw: random.Random, tokens: int) -> str:
    """Words whose pieces, with both markers, are `tokens`, or one word more."""
    vocabulary = VOCABULARY.split()
    words: list[str] = []
    count = 2
    while count < tokens:
        words.append(draw.choice(vocabulary))
        count += len(tokenizer.encode(words[-1], add_special_tokens=False).ids)
    return " ".join(words)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def resident() -> float:
    """Megabytes of this process in memory, mapped weights included; Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS in /proc/self/status")


if __name__ == "__main__":
    main()
