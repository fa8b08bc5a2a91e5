"""Formulas of Office documents (ECMA-376 part 1, 22.1, Office Math) in one line: (a+b)/2, x², √(2).

Where a formula has a sign that plain text has not, its parts still stand in order.
"""

from typing import Final
from xml.etree.ElementTree import Element

from services.vector.extraction.scripts import fraction, lowered, raised, root
from services.vector.extraction.xml_tree import within

MATH: Final = {
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m",
}
_DELETED: Final = frozenset({"w:del", "w:moveFrom"})


def formula(node: Element) -> str:
    """The text of an m:oMath, or of a part of one."""
    parts: list[str] = []
    for child in node:
        text = _part(child)
        # 2 1/2 is not 21/2.
        if child.tag == "m:f" and text[:1].isdecimal() and parts and parts[-1][-1:].isdecimal():
            text = f" {text}"
        if text:
            parts.append(text)
    return "".join(parts)


def _part(node: Element) -> str:
    tag = node.tag
    if tag == "m:t":
        return node.text or ""
    if tag.endswith("Pr") or tag in _DELETED:
        return ""
    if tag == "m:f":
        return _fraction(node)
    if tag in ("m:sSup", "m:sSub", "m:sSubSup"):
        return _of(node, "m:e") + lowered(_of(node, "m:sub")) + raised(_of(node, "m:sup"))
    if tag == "m:sPre":
        return lowered(_of(node, "m:sub")) + raised(_of(node, "m:sup")) + _of(node, "m:e")
    if tag == "m:rad":
        return root(_of(node, "m:e"), _of(node, "m:deg"))
    if tag == "m:d":
        return _delimited(node)
    if tag == "m:nary":
        sign = _property(node, "m:naryPr", "m:chr", "∫")
        return f"{sign}{lowered(_of(node, 'm:sub'))}{raised(_of(node, 'm:sup'))} {_of(node, 'm:e')}"
    if tag == "m:func":
        return f"{_of(node, 'm:fName')} {_of(node, 'm:e')}".strip()
    if tag in ("m:limLow", "m:limUpp"):
        limit = _of(node, "m:lim")
        return _of(node, "m:e") + (lowered(limit) if tag == "m:limLow" else raised(limit))
    if tag == "m:m":
        return "; ".join(", ".join(map(formula, row.findall("m:e"))) for row in node.findall("m:mr"))
    if tag == "m:eqArr":
        return "; ".join(map(formula, node.findall("m:e")))
    return formula(node)


def _fraction(node: Element) -> str:
    numerator, denominator = _of(node, "m:num"), _of(node, "m:den")
    # What stands one above the other without a line, as in binomials.
    if _property(node, "m:fPr", "m:type", "bar") == "noBar":
        return f"{numerator}, {denominator}"
    return fraction(numerator, denominator)


def _delimited(node: Element) -> str:
    begin = _property(node, "m:dPr", "m:begChr", "(")
    end = _property(node, "m:dPr", "m:endChr", ")")
    separator = _property(node, "m:dPr", "m:sepChr", "|")
    return begin + separator.join(map(formula, node.findall("m:e"))) + end


def _of(node: Element, name: str) -> str:
    found = node.find(name)
    return formula(found) if found is not None else ""


def _property(node: Element, properties: str, name: str, usual: str) -> str:
    """A value that is there and empty is meant to be empty."""
    found = within(node, properties, name)
    return usual if found is None else found.get("m:val", usual)
