"""Files on their way in: which are meant, and the messages that they are sent as."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meldrag.vector.v1 import vector_pb2
from meldrag_client.errors import MeldError

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Ingested:
    """What became of a file: its document, or why there is none.

    existing: the collection held these bytes already; nothing was written.
    """

    path: Path
    document: vector_pb2.Document | None = None
    existing: bool = False
    error: MeldError | OSError | None = None


def files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """The files that paths mean: files as they are, directories with what is in them, by name.

    In directories names that begin with a dot are left out, and links to directories
    are not followed. Raises FileNotFoundError.
    """
    for given in paths:
        path = Path(given)
        if path.is_file():
            yield path
        elif not path.is_dir():
            raise FileNotFoundError(path)
        else:
            for folder, folders, names in os.walk(path):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                found = (Path(folder) / name for name in sorted(names) if not name.startswith("."))
                yield from (each for each in found if each.is_file())


def messages(
    collection: str,
    path: Path,
    *,
    external_id: str,
    title: str,
    metadata: Mapping[str, Any] | None,
    request_id: str,
    wait_ready: bool,
) -> Iterator[vector_pb2.IngestDocumentRequest]:
    """The header and the pieces of a file. Raises OSError; a file that changes meanwhile is refused."""
    with path.open("rb") as file:
        header = vector_pb2.IngestHeader(
            collection_id=collection,
            filename=path.name,
            external_id=external_id,
            title=title,
            request_id=request_id or uuid.uuid4().hex,
            bytes=os.fstat(file.fileno()).st_size,
            content_sha256=hashlib.file_digest(file, "sha256").hexdigest(),
            wait_ready=wait_ready,
        )
        if metadata is not None:
            header.metadata.update(dict(metadata))
        yield vector_pb2.IngestDocumentRequest(header=header)
        file.seek(0)
        while piece := file.read(PIECE_BYTES):
            yield vector_pb2.IngestDocumentRequest(data=piece)
