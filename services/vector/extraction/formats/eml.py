"""A mail (RFC 5322, MIME): who, when and what about, the text, then each attachment under its name.

The plain text is read where there is one, else the HTML; a calendar beside them is attached. Mails inside the
mail are read as parts. Pictures that belong to the HTML are not named. Of a mail that is itself a part of
another document the attachments are named alone.
"""

import email
import email.errors
import email.header
import email.policy
from email.message import Message
from typing import BinaryIO, Final, cast

from services.vector.extraction.decoding import decode, normalise
from services.vector.extraction.errors import (
    DocumentEmptyError,
    DocumentTooLargeError,
    DocumentUnreadableError,
    ExtractionError,
)
from services.vector.extraction.formats import html
from services.vector.extraction.parts import Parts
from services.vector.extraction.writer import TextWriter, one_line

PARTS_MAX: Final = 1_000
_DEPTH_MAX: Final = 8
_MARK: Final = b"\xef\xbb\xbf"
_BODIES: Final = ("text/plain", "text/html")
# What an alternative says besides, in no other's words.
_BESIDE: Final = ("text/calendar", "message/rfc822")
_NAMES: Final = {"text/calendar": "calendar"}
_HEADERS: Final = ("From", "To", "Cc", "Date")
# Marks that stand in the header of every mail; one of them must.
_NEEDED: Final = ("from", "to", "date", "subject", "received", "message-id", "mime-version", "return-path")
_HEADER_MAX: Final = 2_000
# Any message may declare any structure; the standard library walks it to any depth.
_BOUNDARIES_MAX: Final = 2_000


def read(source: BinaryIO, writer: TextWriter) -> None:
    data = source.read().removeprefix(_MARK)
    if data.count(b"boundary=") + data.lower().count(b"message/rfc822") > _BOUNDARIES_MAX:
        raise DocumentTooLargeError.over(_BOUNDARIES_MAX, "parts in a mail")
    try:
        # The policy "compat32" never raises for a broken header; headers are decoded below.
        mail = email.message_from_bytes(data, policy=email.policy.compat32)
    except RecursionError as error:
        raise DocumentUnreadableError.because("the mail is nested too deeply") from error
    if not any(name.lower() in _NEEDED for name in mail):
        raise (
            DocumentUnreadableError.because("not a mail: it has no header")
            if data.strip()
            else (DocumentEmptyError.because("the mail is empty"))
        )
    _Mail(writer).read(mail, 0)


class _Mail:
    def __init__(self, writer: TextWriter) -> None:
        self._writer = writer
        self._parts = Parts(writer)
        self._count = 0

    def read(self, mail: Message, depth: int) -> None:
        writer = self._writer
        subject = _header(mail, "Subject")
        if depth == 0:
            writer.title = subject
        writer.place("mail" if depth == 0 else f"attached mail {subject}")
        if subject:
            writer.heading(subject, min(depth + 1, 6))
        lines = [f"{name}: {text}" for name in _HEADERS if (text := _header(mail, name))]
        writer.paragraph("\n".join(lines))
        bodies, attachments = self._sorted(mail)
        if not bodies and not attachments:
            writer.warn("the mail has no text")
        for body in bodies:
            self._body(body)
        for attachment in attachments:
            self._attachment(attachment, depth)

    def _sorted(self, mail: Message) -> tuple[list[Message], list[Message]]:
        """The parts that are the mail's own text, of alternatives the best one that is read here, and those
        that are attached to it.
        """
        self._count += 1
        if self._count > PARTS_MAX:
            raise DocumentTooLargeError.over(PARTS_MAX, "parts in a mail")
        if not mail.is_multipart() or mail.get_content_maintype() == "message":
            kind = mail.get_content_type()
            if kind in _BODIES and not _is_named(mail):
                return [mail], []
            return [], ([] if kind.startswith("image/") and mail.get("Content-ID") else [mail])
        children = [child for child in cast(list[object], mail.get_payload()) if isinstance(child, Message)]
        found: list[tuple[list[Message], list[Message]]] = []
        for child in children:
            found.append(self._sorted(child))
        if mail.get_content_subtype() == "alternative" and found:
            chosen = _best(children, [bodies for bodies, _ in found])
            for place, (bodies, attachments) in enumerate(found):
                if place != chosen:
                    bodies.clear()
                    attachments[:] = [part for part in attachments if _stands_beside(part)]
        return (
            [part for bodies, _ in found for part in bodies],
            [part for _, attachments in found for part in attachments],
        )

    def _body(self, part: Message) -> None:
        text = _text(part)
        if part.get_content_type() == "text/html":
            title = self._writer.title
            html.read_text(text, self._writer)
            self._writer.title = title
        else:
            self._writer.paragraph(normalise(text))

    def _attachment(self, part: Message, depth: int) -> None:
        kind = part.get_content_type()
        name = one_line(_decoded(part.get_filename() or "")) or _NAMES.get(kind, "attachment")
        if kind == "message/rfc822":
            inner = part.get_payload(0) if part.is_multipart() else None
            if not isinstance(inner, Message) or depth >= _DEPTH_MAX:
                self._writer.warn(f"{name} was not read: a mail that is broken or nested too deeply")
                return
            self.read(inner, depth + 1)
            return
        if part.is_multipart():
            # A report, such as what became of a delivery: groups of fields (RFC 3464).
            for group in cast(list[Message], part.get_payload()):
                fields = [f"{field}: {text}" for field, value in group.items() if (text := _shown(value))]
                self._writer.paragraph("\n".join(fields))
            return
        if self._writer.is_part:
            self._writer.warn(f"{name} was not read: it is attached to a mail inside another document")
            return
        self._parts.read(name, kind, lambda: _bytes(part), charset=_charset(part))


def _best(children: list[Message], bodies: list[list[Message]]) -> int:
    """Which alternative is read: the plain text, else the last one with HTML, else the last."""
    for place, child in enumerate(children):
        if child.get_content_type() == "text/plain" and bodies[place] and _text(child).strip():
            return place
    for place in reversed(range(len(children))):
        if any(part.get_content_type() == "text/html" for part in bodies[place]):
            return place
    return len(children) - 1


def _is_named(part: Message) -> bool:
    return bool(part.get_filename()) or part.get_content_disposition() == "attachment"


def _stands_beside(part: Message) -> bool:
    """Whether a part of an alternative that is not read is attached all the same."""
    return _is_named(part) or part.get_content_type() in _BESIDE


def _charset(part: Message) -> str | None:
    """What is said of a text. ASCII is said of what the sender does not know, and needs no word."""
    charset = part.get_content_charset()
    return None if charset == "us-ascii" else charset


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    return _readable(_bytes(part), part.get_content_charset())


def _readable(data: bytes, charset: str | None) -> str:
    """The text in the charset that is named, or in the one that fits."""
    try:
        return decode(data, charset)
    except ExtractionError:
        return data.decode("utf-8", "replace")


def _header(mail: Message, name: str) -> str:
    return _shown(mail.get(name, ""))


def _shown(value: str | email.header.Header) -> str:
    if isinstance(value, email.header.Header):
        # Bytes beyond ASCII that stand there as they are.
        value = _readable(b"".join(raw for raw, _ in email.header.decode_header(value)), None)
    return one_line(normalise(_decoded(value[:_HEADER_MAX])))


def _decoded(value: str) -> str:
    """Encoded words (RFC 2047) written out; as it stands where they are broken."""
    try:
        return str(email.header.make_header(email.header.decode_header(value)))
    except (LookupError, ValueError, email.errors.HeaderParseError):
        return value.encode("utf-8", "replace").decode("utf-8")
