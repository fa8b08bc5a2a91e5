"""From extracted text to a draft that the record can commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.vector.chunking import chunk
from services.vector.documents import Draft, Passage, Scalar
from services.vector.extraction.model import Extraction

TokenCounter = Callable[[Sequence[str]], Sequence[int]]

# A title takes room in what the model reads; a passage gets at least half of it.
_TITLE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a document besides its text."""

    document_id: str
    external_id: str
    title: str
    filename: str
    size: int
    content_sha256: str
    metadata: Mapping[str, Scalar]
    create_time: datetime


class Drafter:
    """Splits text into passages. Blocks, for up to seconds on a long text: call it in an executor.

    read_tokens: how many of a passage the model reads, with its title; None where that is no limit.
    """

    def __init__(
        self,
        target_tokens: int,
        max_tokens: int,
        count_tokens: TokenCounter,
        read_tokens: Callable[[], int] | None = None,
    ) -> None:
        self._target = target_tokens
        self._max = max_tokens
        self._count = count_tokens
        self._read = read_tokens

    def draft(self, arrival: Arrival, extraction: Extraction) -> Draft:
        """The whole document, ready to be committed."""
        title = arrival.title or extraction.title or arrival.filename
        text = extraction.text.encode()
        most = self._max if self._read is None else min(self._max, self._read())
        most -= min(self._count([title])[0], int(most * _TITLE_SHARE)) if title else 0
        chunks = chunk(
            extraction, target_tokens=min(self._target, most), max_tokens=most, count_tokens=self._count
        )
        return Draft(
            document_id=arrival.document_id,
            external_id=arrival.external_id,
            title=title,
            filename=arrival.filename,
            size=arrival.size,
            media_type=extraction.media_type,
            content_sha256=arrival.content_sha256,
            extraction_sha256=extraction.sha256,
            text=text,
            pages=len(extraction.pages),
            metadata=arrival.metadata,
            create_time=arrival.create_time,
            passages=[
                Passage(
                    one.byte_start,
                    one.byte_end,
                    one.page or 0,
                    one.headings,
                    text[one.byte_start : one.byte_end].decode(),
                )
                for one in chunks
            ],
            places=extraction.places,
            warnings=extraction.warnings,
        )


def unparsed(arrival: Arrival) -> Draft:
    """A draft of which only what is known before parsing may be looked at."""
    return Draft(
        document_id=arrival.document_id,
        external_id=arrival.external_id,
        title=arrival.title,
        filename=arrival.filename,
        size=arrival.size,
        media_type="",
        content_sha256=arrival.content_sha256,
        extraction_sha256="",
        text=b"",
        pages=0,
        metadata=arrival.metadata,
        create_time=arrival.create_time,
        passages=(),
    )
