"""What it costs to keep the files of documents: uploads, the size of the record, snapshots, others' searches.

    python -m bench.originals [--rounds N] [--files N] [--megabytes N]

The vector service runs as a process with its real model, over gRPC. A file is a PDF of two pages of text and
a stream of noise beside them. First files go up in turns to a service that keeps them and to one that does
not, until they are found by keyword; then there are so many of them that a snapshot, a check, a delete and a
purge have something to do. Searches are hybrid, one after the other with a pause of 30 ms. On a disk: where
the temporary folder is memory, name another (TMPDIR).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from bench.ingest import SEARCH_PAUSE, Service, service
from meldrag.vector.v1 import vector_pb2 as pb
from tests.unit.vector.extraction import samples

PIECE = 256 * 1024
SECONDS = 1800.0
WORDS = [
    "harbour",
    "lamp",
    "pier",
    "tide",
    "granite",
    "ferry",
    "well",
    "cliff",
    "gull",
    "rope",
    "mast",
    "anchor",
    "sail",
    "chart",
    "depth",
]


def pdf(size: int, number: int) -> bytes:
    """A PDF of about `size` bytes; each number has other bytes and other words."""
    lines = [" ".join(WORDS[(number * 7 + n * k) % len(WORDS)] for k in range(1, 9)) for n in range(1, 40)]
    shown = [b"BT /F1 9 Tf 40 760 Td 11 TL " + b"".join(f"({line}) Tj T* ".encode() for line in part) + b"ET"
             for part in (lines[:20], lines[20:])]  # fmt: skip
    page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {} 0 R"
    page += " /Resources << /Font << /F1 3 0 R >> >> >>"
    return samples.pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [4 0 R 6 0 R] /Count 2 >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            page.format(5).encode(),
            samples.stream(shown[0]),
            page.format(7).encode(),
            samples.stream(shown[1]),
            samples.stream(os.urandom(size)),
        ]
    )


def send(house: Service, data: bytes, number: int) -> float:
    """Seconds until the file was committed."""
    began = time.monotonic()

    def parts() -> Iterator[pb.IngestDocumentRequest]:
        header = pb.IngestHeader(collection_id="files", filename=f"{number}.pdf", bytes=len(data))
        yield pb.IngestDocumentRequest(header=header)
        for at in range(0, len(data), PIECE):
            yield pb.IngestDocumentRequest(data=data[at : at + PIECE])

    for _ in house.stub.IngestDocument(parts(), timeout=SECONDS):
        pass
    return time.monotonic() - began


@contextmanager
def searched(house: Service) -> Iterator[list[float]]:
    """Seconds of each search while the block runs."""
    took: list[float] = []
    stop = threading.Event()

    def search() -> None:
        while not stop.wait(SEARCH_PAUSE):
            began = time.monotonic()
            request = pb.SearchRequest(collection_ids=["files"], query="a harbour with a lamp at its pier")
            house.stub.Search(request, timeout=30)
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=search)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


def told(took: list[float]) -> str:
    cuts = statistics.quantiles(took, n=20)
    times = f"median {cuts[9] * 1e3:.0f} ms, p95 {cuts[18] * 1e3:.0f} ms, most {max(took) * 1e3:.0f} ms"
    return f"{len(took)} searches, {times}"


def size(folder: Path) -> float:
    """Megabytes of the record with its log."""
    return sum(file.stat().st_size for file in (folder / "vector").glob("record.sqlite3*")) / 1e6


def memory(house: Service) -> float:
    """Megabytes that the service has in use."""
    return float(psutil.Process(house.process.pid).memory_info().rss / 1e6)


def timed(what: str, work: Callable[[], object], house: Service, folder: Path) -> None:
    with searched(house) as took:
        began = time.monotonic()
        work()
        seconds = time.monotonic() - began
    print(f"{what}: {seconds:.1f} s, record {size(folder):.0f} MB afterwards; meanwhile {told(took)}")


def export(house: Service) -> None:
    first, total, began = 0.0, 0, time.monotonic()
    for piece in house.stub.ExportSnapshot(pb.ExportSnapshotRequest(), timeout=SECONDS):
        first = first or time.monotonic() - began
        total += len(piece.data)
    print(f"  the first byte of the snapshot after {first:.1f} s, {total / 1e6:.0f} MB")


def read(house: Service) -> None:
    request = pb.ListDocumentsRequest(collection_id="files", page_size=1)
    document = house.stub.ListDocuments(request, timeout=30).documents[0]
    asked = pb.ReadDocumentOriginalRequest(collection_id="files", document_id=document.document_id)
    total = sum(len(piece.data) for piece in house.stub.ReadDocumentOriginal(asked, timeout=SECONDS))
    assert total == document.bytes


def check(house: Service) -> None:
    token = ""
    for _ in range(10_000):
        said = house.stub.CheckIndex(pb.CheckIndexRequest(page_token=token), timeout=SECONDS)
        assert not said.faults, said.faults
        token = said.next_page_token
        if not token:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--files", type=int, default=25)
    parser.add_argument("--megabytes", type=int, default=20)
    given = parser.parse_args()
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        houses = [
            stack.enter_context(service(folder, MELD_KEEP_ORIGINALS=keep))
            for folder, keep in zip(folders, ("true", "false"), strict=True)
        ]
        for house in houses:
            house.create("files")
            send(house, pdf(10_000, 0), 0)
        took: list[list[float]] = [[], []]
        used: list[list[float]] = [[], []]
        for number in range(1, given.rounds + 1):
            data = pdf(given.megabytes * 1_000_000, number)
            for one in (0, 1) if number % 2 else (1, 0):
                before = houses[one].cpu()
                took[one].append(send(houses[one], data, number))
                used[one].append(houses[one].cpu() - before)
        for one, words in enumerate(("kept", "not kept")):
            print(
                f"upload of {given.megabytes} MB, {words}: median {statistics.median(took[one]):.2f} s,"
                f" CPU of the service {statistics.median(used[one]):.2f} s;"
                f" record {size(folders[one]):.0f} MB and memory {memory(houses[one]):.0f} MB after"
                f" {given.rounds}"
            )
        house, folder = houses[0], folders[0]
        with searched(house) as quiet:
            time.sleep(20)
        print(f"nothing else: {told(quiet)}")
        rest = range(given.rounds + 1, given.files + 1)
        files = [pdf(given.megabytes * 1_000_000, number) for number in rest]

        def fill() -> None:
            for number, data in zip(rest, files, strict=True):
                send(house, data, number)

        timed(f"{len(files)} uploads one after the other", fill, house, folder)
        timed("one file read", lambda: read(house), house, folder)
        timed("a snapshot", lambda: export(house), house, folder)
        timed("a check", lambda: check(house), house, folder)
        print(f"memory of the service: {memory(house):.0f} MB")
        # Searches need something to search in.
        house.create("other")
        house.send("other", ["A harbour with a lamp."])
        request = pb.DeleteCollectionRequest(collection_id="files")
        began = time.monotonic()
        house.stub.DeleteCollection(request, timeout=SECONDS)
        print(f"a delete of all: {time.monotonic() - began:.1f} s, record {size(folder):.0f} MB afterwards")
        began = time.monotonic()
        house.stub.PurgeDeleted(pb.PurgeDeletedRequest(), timeout=SECONDS)
        print(f"a purge: {time.monotonic() - began:.1f} s, record {size(folder):.0f} MB afterwards")


if __name__ == "__main__":
    main()
