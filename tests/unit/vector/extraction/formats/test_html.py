import pytest

from tests.unit.vector.extraction import samples


def text_of(html: str) -> str:
    return samples.read("html", html.encode()).text


def test_structure_becomes_readable_text() -> None:
    extraction = samples.read(
        "html",
        b"""<!DOCTYPE html><html><head><title>All about
        trees</title><style>p {}</style></head><body>
        <h1>Trees</h1><p>A <b>tree</b> has<br>leaves.</p>
        <ul><li>Oak<ul><li>Red oak</li></ul></li><li><p>Beech</p><p>It is tall.</p></li></ul>
        <h2>Code</h2><pre>x = 1
    y</pre><dl><dt>Bark</dt><dd>The skin.</dd></dl></body></html>""",
    )
    assert extraction.title == "All about trees"
    assert extraction.text == (
        "All about trees\n\nTrees\n\nA tree has\nleaves.\n\n- Oak\n  - Red oak\n- Beech\n  It is tall.\n\n"
        "Code\n\nx = 1\n    y\n\nBark\n  The skin."
    )
    assert samples.blocks(extraction)[:2] == [
        ("heading", 1, "Trees"),
        ("list", 0, "- Oak\n  - Red oak\n- Beech\n  It is tall."),
    ]
    assert ("heading", 2, "Code") in samples.blocks(extraction)
    assert ("code", 0, "x = 1\n    y") in samples.blocks(extraction)


def test_a_title_that_is_the_heading_stands_once() -> None:
    assert text_of("<title>Trees</title><h1>Trees</h1>") == "Trees"


def test_table_rows_are_lines() -> None:
    extraction = samples.read(
        "html",
        b"<table><caption>Sizes</caption><tr><th>Tree<th>Part<th>Size</tr>"
        b"<tr><td rowspan=2>Oak<td><p>Trunk</p><td>20"
        b"<tr><td>Leaf<td></table><table><tr><td>a<td>b</table>",
    )
    assert extraction.text == "Sizes\n\nTree | Part | Size\nOak | Trunk | 20\nOak | Leaf |\n\na | b"
    assert [kind for kind, _, _ in samples.blocks(extraction)] == ["table", "table"]


def test_a_table_that_arranges_the_page_is_read_as_blocks() -> None:
    html = "<table><tr><td><h1>Menu</h1></td><td><table><tr><td>a<td>b</table></td></tr></table>"
    assert text_of(html) == "Menu\n\na | b"


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>x</script>",
        "<style>x</style>",
        "<template>x</template>",
        "<noscript>x</noscript>",
        "<p hidden>x</p>",
        "<p style='color:red; display : NONE'>x</p>",
        "<p style='visibility:hidden'>x</p>",
        "<!-- x -->",
        "<meta http-equiv=refresh content='0;url=x'>",
        "<svg><text>x</text></svg>",
        "<table><tr><td>a<td>b<td hidden>x</table>",
    ],
)
def test_what_is_hidden_is_left_out(hidden: str) -> None:
    assert "x" not in text_of(f"<p>Seen</p>{hidden}")


def test_hostile_markup_is_only_text() -> None:
    assert (
        text_of("<p>&lt;script&gt; <a href='javascript:x'>link</a><img src=x onerror=y>") == "<script> link"
    )


@pytest.mark.parametrize(
    "data",
    [
        "<meta charset='windows-1251'><p>Привет".encode("cp1251"),
        "<meta http-equiv='Content-Type' content='text/html; charset=windows-1251'><p>Привет".encode(
            "cp1251"
        ),
        "<?xml version='1.0' encoding='koi8-r'?><p>Привет".encode("koi8-r"),
        "\ufeff<meta charset=latin-1><p>Привет".encode("utf-16-le"),
        "<p>Привет".encode(),
    ],
)
def test_the_charset_is_found(data: bytes) -> None:
    assert samples.read("html", data).text.endswith("Привет")


def test_words_of_neighbouring_cells_and_blocks_stay_apart() -> None:
    assert text_of("<div>one</div><div>two</div><p>th<b>r</b>ee</p>four") == "one\n\ntwo\n\nthree\n\nfour"
