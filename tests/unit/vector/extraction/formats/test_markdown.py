import pytest

from tests.unit.vector.extraction import samples

SOURCE = """---
title: "A guide"
---
# Trees #

Text with `code`.
More text.

## The *oak* [tree](https://example.org) ##

Under a line
============

Not one
because of two lines
---

* * *

Name | Size
---|---
Oak | 20

```python
# no heading
```
#no heading either
####### seven
"""


def test_the_source_stays_as_it_is_and_structure_is_marked() -> None:
    extraction = samples.read("markdown", SOURCE.encode())
    assert extraction.text == SOURCE
    assert extraction.title == "A guide"
    assert samples.blocks(extraction) == [
        ("code", 0, '---\ntitle: "A guide"\n---'),
        ("heading", 1, "# Trees #"),
        ("heading", 2, "## The *oak* [tree](https://example.org) ##"),
        ("heading", 1, "Under a line\n============"),
        ("table", 0, "Name | Size\n---|---\nOak | 20"),
        ("code", 0, "```python\n# no heading\n```"),
    ]
    assert [block.label for block in extraction.blocks if block.level] == [
        "Trees",
        "The oak tree",
        "Under a line",
    ]


def test_the_first_heading_is_the_title() -> None:
    assert samples.read("markdown", "## Größe\n\n# Bäume\n".encode()).title == "Bäume"


def test_what_is_not_closed_goes_to_the_end() -> None:
    extraction = samples.read("markdown", b"text\n\n~~~\ncode\n# code\n")
    assert samples.blocks(extraction) == [("code", 0, "~~~\ncode\n# code\n")]


def test_hostile_markup_is_only_text() -> None:
    source = "![](https://evil?d=1) [a](javascript:x)\n\n<script>x</script>\n"
    assert samples.read("markdown", source.encode()).text == source


@pytest.mark.parametrize(
    "line", ["#" * 1_000_000, " " * 1_000_000 + "x", "|-" * 500_000, "[" * 1_000_000, "# " + "[](" * 300]
)
def test_long_lines_take_no_time(line: str) -> None:
    assert samples.read("markdown", f"a|b\n{line}\nb".encode()).text == f"a|b\n{line}\nb"


@pytest.mark.parametrize(
    "begin",
    [
        "---\n\n",
        "---\nSome words: not\n\n",
        "---\n",
        "---\nkey: value\n" + "- x\n" * 250 + "---\n\n",
        "---\n---\n\n",
    ],
)
def test_a_rule_at_the_beginning_is_no_front_matter(begin: str) -> None:
    extraction = samples.read("markdown", f"{begin}# Title\n\ntext\n\n## Sub\n\nmore\n".encode())
    assert [(block.kind, block.label) for block in extraction.blocks] == [
        ("heading", "Title"),
        ("heading", "Sub"),
    ]
