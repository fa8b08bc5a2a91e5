"""XML parts of a package as an element tree, without any document type.

Expat reports a DOCTYPE in whatever encoding it stands, before one entity is declared; refusing it there
shuts out entity bombs and external entities at once.
"""

from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from services.vector.extraction.errors import DocumentUnreadableError

DEPTH_MAX: Final = 256


def parse_xml(data: bytes, prefixes: Mapping[str, str]) -> Element:
    """The root element. Names are ``prefix:local`` for the namespaces in `prefixes` and ``local`` for all
    others.

    Raises DocumentUnreadableError for a DOCTYPE, for XML that is not well formed and for nesting beyond
    DEPTH_MAX.
    """
    names: dict[str, str] = {}
    builder = TreeBuilder()
    depth = 0

    def name_of(raw: str) -> str:
        name = names.get(raw)
        if name is None:
            space, _, local = raw.rpartition("}")
            prefix = prefixes.get(space)
            name = names[raw] = f"{prefix}:{local}" if prefix else local
        return name

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_MAX:
            raise DocumentUnreadableError.because("XML is nested too deeply")
        builder.start(name_of(tag), {name_of(key): value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name_of(tag))

    def refuse(*_: object) -> None:
        raise DocumentUnreadableError.because("XML with a DOCTYPE is refused")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, AssertionError) as error:
        raise DocumentUnreadableError.because(f"broken XML: {error}") from error
