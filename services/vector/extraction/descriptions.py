"""Alternative texts of pictures and shapes, where a person wrote them."""

import re
from typing import Final

from services.vector.extraction.writer import one_line

# What programs write by themselves, in the languages they are used in most.
_GENERATED: Final = re.compile(
    "automatically generated|AI-generated|automatisch (?:generiert|erstellt|erzeugt|gegenereerd)|KI-generiert"
    r"|(?:générée?|generad[ao]|generat[ao]|gerad[ao]) (?:autom[aá]ti|par l.IA|por (?:la )?IA|dall.IA)"
    r"|automatis[kt]{1,2} genere|自動的に生成|自动生成|自動產生",
    re.I,
)
_FILE: Final = re.compile(
    r"(?:\S+[/\\])?[^/\\]{1,150}\.(?:png|jpe?g|gif|bmp|tiff?|[ew]mf|svg|webp|heic|ico|avif)", re.I
)
_ADDRESS: Final = re.compile(r"(?:https?|file|data|cid|blob):\S+", re.I)
_NAME: Final = re.compile(
    r"(?:picture|image|img|photo|graphic|chart|diagram|shape|logo|icon|spacer|bild|grafik|abbildung|imagen?|imagem"
    r"|immagine|afbeelding|obrázek|obraz|図|图片|рисунок)?[\s_#-]*\d*",
    re.I,
)


def alternative(text: str | None) -> str:
    """The alternative text on one line; "" for none, a generated one and a mere name."""
    line = one_line(text or "")
    if any(pattern.fullmatch(line) for pattern in (_NAME, _FILE, _ADDRESS)) or _GENERATED.search(line):
        return ""
    return line


def described(text: str | None) -> str:
    """The same in brackets, to stand between other text."""
    line = alternative(text)
    return line and f"[{line}]"
