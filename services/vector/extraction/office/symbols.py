"""Characters of the symbol fonts of Office, which have no text of their own: their codes mean what the font
draws there.
"""

from typing import Final

# What stands for a character that only its font knows.
UNKNOWN: Final = "\ufffd"
_PRIVATE: Final = range(0xE000, 0xF900)
# Codes of a font lie here, too.
_SHIFTED: Final = range(0xF000, 0xF100)

# From 0x20 on, "\0" where there is none.
_SYMBOL: Final = (
    " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_\0αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼"
    + "\0" * 33
    + "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…\0\0↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑\0\0\0\0\0\0\0\0\0\0\0〉∫"
)
_FONTS: Final = {
    "symbol": {code: char for code, char in enumerate(_SYMBOL, 0x20) if char != "\0"},
    "wingdings": {
        0x28: "☎", 0x2A: "✉", 0x4A: "☺", 0x4C: "☹", 0x6C: "●", 0x6E: "■", 0x6F: "☐", 0x71: "☐", 0x72: "☐",
        0x76: "❖", 0x77: "◆", 0x78: "☒", 0x9F: "•", 0xA7: "▪", 0xA8: "☐", 0xD8: "➢", 0xDF: "←", 0xE0: "→",
        0xE1: "↑", 0xE2: "↓", 0xE8: "→", 0xF0: "⇨", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑",
    },
    "wingdings 2": {
        0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0xA3: "☐",
    },
    "wingdings 3": {0x66: "←", 0x67: "→", 0x68: "↑", 0x69: "↓", 0x7D: "▶"},
}  # fmt: skip


def symbol(font: str, code: int) -> str:
    """What the font draws for the code; UNKNOWN where only the font knows."""
    known = _FONTS.get(font.strip().lower())
    if known is not None:
        return known.get(code - _SHIFTED.start if code in _SHIFTED else code, UNKNOWN)
    return UNKNOWN if code in _PRIVATE or not 0x20 <= code < 0xD800 else chr(code)


def typed(font: str, data: bytes) -> str | None:
    """The bytes of a text in a symbol font as what it draws for them; None for other fonts."""
    known = _FONTS.get(font.strip().lower())
    if known is None:
        return None
    return "".join(known.get(code) or (chr(code) if code < 0x80 else UNKNOWN) for code in data)


def drawn(font: str, text: str) -> str:
    """The text with the codes of a symbol font as what it draws for them; those it has not stay."""
    known = _FONTS.get(font.strip().lower())
    if known is None or text.isascii():
        return text
    return "".join(
        known.get(ord(char) - _SHIFTED.start, char) if ord(char) in _SHIFTED else char for char in text
    )
