"""Plain text, as it is."""

from typing import BinaryIO

from services.vector.extraction.decoding import decode, normalise
from services.vector.extraction.writer import TextWriter


def read(source: BinaryIO, writer: TextWriter) -> None:
    writer.verbatim(normalise(decode(source.read())))
