"""The relations between the parts of an Office package (ECMA-376 part 2)."""

import posixpath
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from services.vector.extraction.archive import read_member
from services.vector.extraction.xml_tree import parse_xml

RELATIONSHIPS: Final = {
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships": "r",
    "http://purl.oclc.org/ooxml/officeDocument/relationships": "r",
    "http://purl.org/dc/elements/1.1/": "dc",
}
_SIZE_MAX: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Relation:
    """kind: the last word of its type, such as "slide"; target: the name of a part."""

    kind: str
    target: str


class Parts:
    """The parts of a package. `prefixes` names the namespaces, see xml_tree."""

    def __init__(self, package: zipfile.ZipFile, prefixes: Mapping[str, str], size_max: int) -> None:
        self._package = package
        self._names = frozenset(package.namelist())
        self._prefixes = prefixes
        self._size_max = size_max

    def has(self, name: str) -> bool:
        return name in self._names

    def data(self, name: str) -> bytes:
        """Raises what read_member raises."""
        return read_member(self._package, name, self._size_max)

    def root(self, name: str) -> Element:
        """Raises what read_member and parse_xml raise."""
        return parse_xml(self.data(name), self._prefixes)

    def relations(self, name: str) -> dict[str, Relation]:
        """Id -> relation of a part ("" is the package); those that lead outside or nowhere are left out."""
        folder, base = posixpath.split(name)
        part = posixpath.join(folder, "_rels", f"{base}.rels")
        if part not in self._names:
            return {}
        found: dict[str, Relation] = {}
        for node in parse_xml(read_member(self._package, part, _SIZE_MAX), {}):
            target = node.get("Target", "")
            full = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            if node.get("TargetMode") != "External" and full in self._names:
                found[node.get("Id", "")] = Relation(node.get("Type", "").rpartition("/")[2], full)
        return found

    def main(self, usual: str) -> str:
        """The part that the package calls its office document."""
        named = [relation.target for relation in self.relations("").values() if _is_main(relation)]
        return named[0] if named else usual

    def title(self) -> str | None:
        """The title in the core properties."""
        name = "docProps/core.xml"
        return self.root(name).findtext("dc:title") if name in self._names else None


def _is_main(relation: Relation) -> bool:
    return relation.kind == "officeDocument"
