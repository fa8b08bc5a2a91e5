"""Why a file did not become text.

`reason` is the name of a value of meldrag.vector.v1.ErrorReason without its prefix; `metadata` has the keys
named there. Values are shortened, since they end in a status.
"""

from typing import ClassVar, Final, Self

VALUE_MAX: Final = 300


class ExtractionError(Exception):
    """Base of all; never raised itself."""

    reason: ClassVar[str]

    def __init__(self, message: str, metadata: dict[str, str]) -> None:
        super().__init__(message)
        self.message = message[: 2 * VALUE_MAX]
        self.metadata = {key: value[:VALUE_MAX] for key, value in metadata.items()}


class DocumentEmptyError(ExtractionError):
    """The file has no text: no bytes, only blanks, or only pictures."""

    reason = "DOCUMENT_EMPTY"

    @classmethod
    def because(cls, message: str) -> "DocumentEmptyError":
        return cls(message, {})


class DocumentUnreadableError(ExtractionError):
    """The bytes cannot be read as the format they claim."""

    reason = "DOCUMENT_UNREADABLE"

    @classmethod
    def because(cls, cause: str) -> Self:
        return cls(f"the document cannot be read: {cause}", {"cause": cause})

    @property
    def cause(self) -> str:
        return self.metadata.get("cause", self.message)


class DoctypeError(DocumentUnreadableError):
    """XML declares a document type. Nothing in a document may do that, however little it matters."""


class FormatUnsupportedError(ExtractionError):
    """The format is not one that is read here, or the name and the bytes disagree."""

    reason = "FORMAT_UNSUPPORTED"


class DocumentTooLargeError(ExtractionError):
    """More bytes, pages, entries or text than the limit."""

    reason = "DOCUMENT_TOO_LARGE"

    @classmethod
    def over(cls, limit: float, unit: str) -> "DocumentTooLargeError":
        return cls(
            f"the document has more than {limit:.12g} {unit}", {"limit": f"{limit:.12g}", "unit": unit}
        )


class ParserLimitError(ExtractionError):
    """The parser passed its time or memory limit."""

    reason = "PARSER_LIMIT"

    @classmethod
    def over(cls, limit: float, unit: str) -> "ParserLimitError":
        return cls(
            f"reading the document took more than {limit:.12g} {unit}",
            {"limit": f"{limit:.12g}", "unit": unit},
        )


class InvalidFilenameError(ExtractionError):
    """Nothing is left of the file name once it is cleaned."""

    reason = "INVALID_FIELD"


BY_REASON: Final[dict[str, type[ExtractionError]]] = {
    error.reason: error
    for error in (
        DocumentEmptyError,
        DocumentUnreadableError,
        FormatUnsupportedError,
        DocumentTooLargeError,
        ParserLimitError,
        InvalidFilenameError,
    )
}
