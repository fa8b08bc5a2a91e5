"""What it costs to read documents again from their files, and what others notice of it.

    python -m bench.reprocess [--files N] [--megabytes N] [--texts N]

The vector service runs as a process with its real model, over gRPC. Large files are PDFs of two pages of text
and a stream of noise beside them (bench.originals), small ones Markdown of a page. They are sent, read again
with the settings of before, which changes nothing, and read again by a second service that makes smaller
passages, until they are found by keyword; one after the other. Searches are hybrid, one at a time with a
pause of 30 ms. On a disk: where the temporary folder is memory, name another (TMPDIR).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.ingest import Service, service
from bench.originals import SECONDS, WORDS, pdf, searched, send, size, told
from meldrag.vector.v1 import vector_pb2 as pb

PASSAGES = {"MELD_CHUNK_TOKENS": "80", "MELD_CHUNK_MAX_TOKENS": "120"}


def small(number: int) -> bytes:
    """A page of Markdown; each number has other words."""
    lines = [" ".join(WORDS[(number * 7 + n * k) % len(WORDS)] for k in range(1, 13)) for n in range(1, 40)]
    return f"# Page {number}\n\n".encode() + "\n\n".join(lines).encode()


def send_small(house: Service, data: bytes, number: int) -> float:
    """Seconds until it was committed."""
    began = time.monotonic()

    def parts() -> Iterator[pb.IngestDocumentRequest]:
        header = pb.IngestHeader(collection_id="files", filename=f"{number}.md", bytes=len(data))
        yield pb.IngestDocumentRequest(header=header)
        yield pb.IngestDocumentRequest(data=data)

    for _ in house.stub.IngestDocument(parts(), timeout=SECONDS):
        pass
    return time.monotonic() - began


def ready(house: Service) -> None:
    """Waits until nothing waits for vectors."""
    while True:
        request = pb.GetCollectionRequest(collection_id="files")
        found = house.stub.GetCollection(request, timeout=30).collection
        if found.vectors == found.chunks:
            return
        time.sleep(0.2)


def known(house: Service) -> list[pb.Document]:
    request = pb.ListDocumentsRequest(collection_id="files", page_size=1000)
    return list(house.stub.ListDocuments(request, timeout=30).documents)


def read_again(house: Service, documents: list[pb.Document], *, existing: bool) -> list[float]:
    """Seconds of each until it was committed."""
    took = []
    for document in documents:
        began = time.monotonic()
        asked = pb.ReprocessDocumentRequest(collection_id="files", document_id=document.document_id)
        *_, last = house.stub.ReprocessDocument(asked, timeout=SECONDS)
        assert last.existing is existing
        took.append(time.monotonic() - began)
    return took


def told_of(what: str, took: list[float], searches: list[float], folder: Path) -> None:
    median = statistics.median(took)
    print(f"{what}: median {median:.3f} s, most {max(took):.3f} s, together {sum(took):.1f} s;"
          f" record {size(folder):.0f} MB; meanwhile {told(searches)}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--texts", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with service(folder) as house:
            house.create("files")
            with searched(house) as searches:
                large = [send(house, pdf(given.megabytes * 1_000_000, n), n) for n in range(given.files)]
            told_of(f"{given.files} PDFs of {given.megabytes} MB sent", large, searches, folder)
            with searched(house) as searches:
                texts = [send_small(house, small(n), n) for n in range(given.texts)]
            told_of(f"{given.texts} texts sent", texts, searches, folder)
            ready(house)
            documents = known(house)
            pdfs = [one for one in documents if one.filename.endswith(".pdf")]
            pages = [one for one in documents if one.filename.endswith(".md")]
            for what, some in (("PDFs", pdfs), ("texts", pages)):
                with searched(house) as searches:
                    took = read_again(house, some, existing=True)
                told_of(f"{len(some)} {what} read again, as before", took, searches, folder)
        with service(folder, **PASSAGES) as house:
            for what, some in (("PDFs", pdfs), ("texts", pages)):
                with searched(house) as searches:
                    took = read_again(house, some, existing=False)
                told_of(f"{len(some)} {what} read again, in smaller passages", took, searches, folder)
                began = time.monotonic()
                ready(house)
                print(f"  all vectors {time.monotonic() - began:.1f} s later")


if __name__ == "__main__":
    main()
