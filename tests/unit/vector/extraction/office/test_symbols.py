import pytest

from services.vector.extraction.office.symbols import UNKNOWN, drawn, symbol


@pytest.mark.parametrize(
    ("font", "code", "shown"),
    [
        ("Symbol", 0xF0B3, "≥"),
        ("Symbol", 0xB3, "≥"),
        ("Symbol", 0xF0D6, "√"),
        ("Symbol", 0xF0E5, "∑"),
        ("Symbol", 0xF0F2, "∫"),
        ("Symbol", 0xF06D, "μ"),
        ("Symbol", 0xF0B0, "°"),
        ("Symbol", 0xF0B7, "•"),
        ("Symbol", 0xF0A3, "≤"),
        ("Symbol", 0xF0AE, "→"),
        ("Symbol", 0xF0C5, "⊕"),
        ("Symbol", 0xF07F, UNKNOWN),
        ("Wingdings", 0xF0FC, "✓"),
        ("Wingdings 2", 0xF052, "☑"),
        ("Arial", 0x2713, "✓"),
        ("Arial", 0xF0B3, UNKNOWN),
        ("Arial", 0xD800, UNKNOWN),
    ],
)
def test_what_a_font_draws(font: str, code: int, shown: str) -> None:
    assert symbol(font, code) == shown


def test_text_in_a_symbol_font() -> None:
    assert drawn("Symbol", "\uf06d = 5 m\uf0ff") == "μ = 5 m\uf0ff"
    assert drawn("Arial", "\uf06d") == "\uf06d"
