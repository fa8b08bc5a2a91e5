"""The formats that are read. A new format is one module in `formats` and one entry here."""

from dataclasses import dataclass
from importlib import import_module
from typing import BinaryIO, Final, Protocol, cast

from services.vector.extraction.writer import TextWriter


class Reader(Protocol):
    """What a format module looks like."""

    def read(self, source: BinaryIO, writer: TextWriter) -> None:
        """Writes the document at `source`, which is seekable, into `writer`. Raises ExtractionError."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    `binary` formats are known by their bytes alone (`detection` gives their media type); the others are
    text and told apart by extension. `media_types[0]` is the name it is stored under, the rest are names it
    is claimed by.
    """

    module: str
    media_types: tuple[str, ...]
    extensions: tuple[str, ...]
    binary: bool = False

    @property
    def media_type(self) -> str:
        return self.media_types[0]

    def reader(self) -> Reader:
        """Imports the module; only the child does this, for the one format it needs."""
        return cast(Reader, import_module(f"services.vector.extraction.formats.{self.module}"))


# Languages whose definitions the source reader knows.
SOURCE_EXTENSIONS: Final = (
    "py", "pyi", "js", "mjs", "cjs", "jsx", "ts", "tsx", "java", "kt", "kts", "scala", "groovy", "c", "h",
    "cc", "cpp", "cxx", "hpp", "hh", "cs", "go", "rs", "swift", "dart", "rb", "php", "lua", "pl", "pm", "r",
    "jl", "ex", "exs", "sh", "bash", "zsh", "ps1", "sql", "proto", "css", "scss",
)  # fmt: skip

FORMATS: Final = (
    Format(
        "plain",
        ("text/plain",),
        ("txt", "text", "log", "rst", "org", "yaml", "yml", "toml", "ini", "cfg", "conf"),
    ),
    Format("markdown", ("text/markdown", "text/x-markdown"), ("md", "markdown", "mdown", "mkd")),
    Format("html", ("text/html", "application/xhtml+xml"), ("html", "htm", "xhtml")),
    Format("hocr", ("text/vnd.hocr+html",), ("hocr",)),
    Format("vtt", ("text/vtt", "application/x-subrip", "text/srt"), ("vtt", "srt")),
    Format("pdf", ("application/pdf", "application/x-pdf"), ("pdf",), binary=True),
    Format(
        "docx",
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document",),
        ("docx",),
        binary=True,
    ),
    Format("csv", ("text/csv", "text/tab-separated-values", "application/csv"), ("csv", "tsv")),
    Format(
        "json",
        ("application/json", "application/x-ndjson", "application/jsonl", "text/json"),
        ("json", "ndjson", "jsonl"),
    ),
    Format(
        "pptx",
        ("application/vnd.openxmlformats-officedocument.presentationml.presentation",),
        ("pptx",),
        binary=True,
    ),
    Format(
        "xlsx", ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",), ("xlsx",), binary=True
    ),
    Format("odt", ("application/vnd.oasis.opendocument.text",), ("odt",), binary=True),
    Format("rtf", ("application/rtf", "text/rtf"), ("rtf",), binary=True),
    Format("epub", ("application/epub+zip",), ("epub",), binary=True),
    Format("eml", ("message/rfc822",), ("eml",)),
    Format("xml", ("application/xml", "text/xml"), ("xml",)),
    Format("source", ("text/x-source",), SOURCE_EXTENSIONS),
    Format("zip", ("application/zip", "application/x-zip-compressed"), ("zip",), binary=True),
)


def by_extension(filename: str) -> Format | None:
    """The format a file name points to."""
    extension = extension_of(filename)
    return next((entry for entry in FORMATS if extension in entry.extensions), None) if extension else None


def by_media_type(media_type: str) -> Format | None:
    """The format of a media type; parameters such as charset are ignored."""
    name = media_type.partition(";")[0].strip().lower()
    return next((entry for entry in FORMATS if name in entry.media_types), None)


def extension_of(filename: str) -> str:
    """The lower-case extension without its dot, or an empty string."""
    stem, _, extension = filename.rpartition(".")
    return extension.lower() if stem else ""


def supported() -> str:
    """The extensions that are read, for people."""
    return ", ".join(entry.extensions[0] for entry in FORMATS)
