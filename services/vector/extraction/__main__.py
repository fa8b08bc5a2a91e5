"""The child: one request on stdin, one answer on stdout, nothing else.

It confines itself before any parser is imported. Whatever a parser raises becomes an answer; what kills the
process is seen by the parent.
"""

import os
import sys
from pathlib import Path

from services.vector.extraction import detection, framing, sandbox
from services.vector.extraction.errors import DocumentUnreadableError, ExtractionError, ParserLimitError
from services.vector.extraction.model import Extraction
from services.vector.extraction.needs import PicturesNeededError
from services.vector.extraction.writer import TextWriter

# Freed when memory runs out, so that there is some to say so.
_BALLAST = 1024 * 1024


def _extract(request: framing.Request) -> Extraction:
    with Path(request.path).open("rb") as source:
        document_format = detection.detect(
            source, request.filename, request.claimed_media_type, request.limits
        )
        source.seek(0)
        writer = TextWriter(
            request.limits, recognised=dict(request.recognised), recognises=request.recognises
        )
        document_format.reader().read(source, writer)
        return writer.finish(document_format.media_type)


def _answer(request: framing.Request) -> list[bytes]:
    ballast: bytearray | None = bytearray(_BALLAST)
    try:
        return framing.encode_extraction(_extract(request))
    except PicturesNeededError as needed:
        return framing.encode_pictures(needed.pictures)
    except MemoryError:
        ballast = None
        return framing.encode_error(ParserLimitError.over(request.limits.memory_bytes, "bytes of memory"))
    except ExtractionError as error:
        return framing.encode_error(error)
    # A parser given hostile bytes may raise anything, and the reader of the answer wants the kind of it.
    except Exception as error:
        return framing.encode_error(
            DocumentUnreadableError.because(f"the parser failed: {type(error).__name__}: {error}")
        )
    finally:
        del ballast


def main() -> None:
    request = framing.decode_request(sys.stdin.buffer.readline(framing.REQUEST_MAX))
    # What a library prints must not reach the answer.
    answer_to = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    sandbox.confine(request.limits)
    with os.fdopen(answer_to, "wb") as out:
        for piece in _answer(request):
            out.write(piece)


if __name__ == "__main__":
    main()
