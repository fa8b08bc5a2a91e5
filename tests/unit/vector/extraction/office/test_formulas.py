import pytest

from services.vector.extraction.office.formulas import MATH, formula
from services.vector.extraction.xml_tree import parse_xml


def m(name: str, *parts: str, **properties: str) -> str:
    values = "".join(f'<m:{key} m:val="{value}"/>' for key, value in properties.items())
    return f"<m:{name}><m:{name}Pr>{values}</m:{name}Pr>{''.join(parts)}</m:{name}>"


def part(name: str, text: str) -> str:
    """A part of a construct; text that is no XML is a run."""
    return f"<m:{name}>{text if text.startswith('<') else run(text)}</m:{name}>"


def run(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (m("f", part("num", "n"), part("den", "k"), type="noBar"), "n, k"),
        (m("sSubSup", part("e", "x"), part("sub", "i"), part("sup", "2")), "x_i²"),
        (m("sPre", part("sub", "6"), part("sup", "14"), part("e", "C")), "₆¹⁴C"),
        (m("sSup", part("e", "f"), part("sup", "′")), "f′"),
        (m("rad", part("deg", "3"), part("e", "x+1")), "³√(x+1)"),
        (m("d", part("e", "a"), part("e", "b"), begChr="[", endChr="", sepChr=";"), "[a;b"),
        (m("nary", part("sub", "i=1"), part("sup", "n"), part("e", "i"), chr="∑"), "∑_(i=1)ⁿ i"),
        (m("nary", part("e", "f")), "∫ f"),
        (m("func", part("fName", "sin"), part("e", "x")), "sin x"),
        (m("limLow", part("e", "lim"), part("lim", "x→0")), "lim_(x→0)"),
        (m("limUpp", part("e", "A"), part("lim", "*")), "A*"),
        (m("m", *2 * [f"<m:mr>{part('e', '1')}{part('e', '0')}</m:mr>"]), "1, 0; 1, 0"),
        (m("eqArr", part("e", "x=1"), part("e", "y=2")), "x=1; y=2"),
        (m("acc", part("e", "v")), "v"),
        (run("3") + m("f", part("num", "1"), part("den", "2")) + run("t"), "3 1/2t"),
        (m("f", part("num", m("f", part("num", "a"), part("den", "b"))), part("den", "c")), "(a/b)/c"),
        ("", ""),
    ],
)
def test_a_formula_in_one_line(xml: str, text: str) -> None:
    root = parse_xml(f'<m:oMath xmlns:m="{next(iter(MATH))}">{xml}</m:oMath>'.encode(), MATH)
    assert formula(root) == text
