"""The file name of a document."""

from services.chassis import filename
from services.vector.extraction.errors import InvalidFilenameError


def clean_filename(name: str) -> str:
    """The name as it is safe to keep. Raises InvalidFilenameError when nothing is left of it."""
    kept = filename.clean(name)
    if not kept:
        raise InvalidFilenameError("the file name is empty", {"field": "filename", "value": kept})
    return kept
