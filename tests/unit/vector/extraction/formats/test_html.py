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


def test_lists_in_the_cells_of_a_table_with_heads_are_joined() -> None:
    rows = "<tr><td>1.2<td>Fixes:<ul><li>lamp <b>off</b></li><li>door</ul><pre>run x</pre><h3>Note</h3>new"
    extraction = samples.read("html", f"<table><tr><th>Release<th>Changes{rows}</table>".encode())
    assert extraction.text == "Release | Changes\n1.2 | Fixes: lamp off; door; run x; Note; new"
    assert [kind for kind, _, _ in samples.blocks(extraction)] == ["table"]
    assert samples.read("html", f"<table>{rows}</table>".encode()).text == (
        "1.2\n\nFixes:\n\n- lamp off\n- door\n\nrun x\n\nNote\n\nnew"
    )


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


def test_items_of_numbered_lists_have_their_numbers() -> None:
    assert text_of("<ol><li>one<ul><li>dot</ul><li>two<p>more</ol>") == "1. one\n  - dot\n2. two\n  more"
    assert (
        text_of("<ol start=4><li>four<li value=9>nine<li hidden>x<li>ten</ol>") == "4. four\n9. nine\n10. ten"
    )
    assert text_of("<ol reversed><li>two<li>one</ol>") == "2. two\n1. one"
    assert text_of("<ol type=a start=26><li>z<li>aa</ol>") == "z. z\naa. aa"
    assert text_of("<ol type=I start=4><li>four<ol><li>inner</ol><li>five</ol>") == (
        "IV. four\n  1. inner\nV. five"
    )
    assert text_of("<ol type=i start=-1 style='list-style: none'><li>bare</ol>") == "- bare"
    assert text_of("<ol start=99999999999999999999><li>far</ol>") == "1. far"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("10<sup>6</sup> units, 5 m<sup>-2</sup>, CO<sub>2</sub>", "10⁶ units, 5 m⁻², CO₂"),
        ("e<sup>x+1</sup>, V<sub>max</sub>", "e^(x+1), V_max"),
        ("the 3<sup>rd</sup>, le XX<sup>e</sup> siècle", "the 3rd, le XXe siècle"),
        ("so<sup><a href='#n'>1</a></sup>, thus<sup>[2]</sup>", "so1, thus[2]"),
        ("<sup>1</sup> A note. 10<sup><b>6</b></sup>", "1 A note. 10⁶"),
        ("x<sup>2<p>y<sup>3</sup></p></sup>z<sup>4</sup>", "x²\n\ny³\n\nz⁴"),
        ("<math><mn>2</mn><mfrac><mn>1</mn><mn>2</mn></mfrac><mi>x</mi></math>", "2 1/2 x"),
        (
            "<math><semantics><msup><mi>x</mi> <mn>2</mn></msup><annotation>x^{2}</annotation></semantics>",
            "x²",
        ),
        ("<math><msub><mi>a</mi><mi>i</mi></msub><mo>=</mo><msqrt><mi>b</mi></msqrt></math>", "a_i=√(b)"),
    ],
)
def test_what_is_raised_lowered_or_a_fraction_stays_one(html: str, text: str) -> None:
    assert text_of(f"<p>{html}") == text
    assert "<p>" in html or text in text_of(f"<table><tr><td>cell<td>{html}</table>")


def test_cells_that_span_columns_are_repeated_in_each() -> None:
    html = (
        "<table><tr><th>Region<th colspan=2>2023<th>2024</tr><tr><td>North<td>1<td>2<td>3</tr>"
        "<tr><td colspan=2 rowspan=2>Both<td>5<td>6</tr><tr><td>7<td>8</tr>"
        "<tr><td colspan=4>Prices are net.</tr></table>"
    )
    assert text_of(html) == (
        "Region | 2023 | 2023 | 2024\nNorth | 1 | 2 | 3\nBoth | Both | 5 | 6\nBoth | Both | 7 | 8\n"
        "Prices are net."
    )


def test_the_text_that_stands_for_a_picture_is_read() -> None:
    assert text_of("<p>See<img src=b alt='Chart: sales rose 12%'>here") == "See Chart: sales rose 12% here"
    assert text_of("<table><tr><td>a<td><img alt='a lamp'></table>") == "a | a lamp"
    assert text_of("<p>See<img alt><img alt='Plan 2.PNG'><img alt=Logo>") == "See"


def test_words_are_whole_without_their_soft_hyphens() -> None:
    html = "<title>Donau&shy;dampf</title><h1>Donau&shy;dampf</h1><p>Schiff&#173;fahrt"
    html += "<table><tr><td>a<td>b&shy;c"
    assert text_of(html) == "Donaudampf\n\nSchifffahrt\n\na | bc"


@pytest.mark.parametrize(
    "head", ["<?xml version='1.0'?><html>", "<html xmlns='http://www.w3.org/1999/xhtml'>"]
)
def test_what_xhtml_closes_where_it_opens_it_holds_no_text(head: str) -> None:
    html = (
        f"{head}<head><title/><script src='x.js'/></head><body><!-- <script/> --><p>one</p><iframe src='x'/>"
        "<p>two</p><script>y('<iframe/>')</script><p><![CDATA[a < b]]></p><h1/><p>three</p></body></html>"
    )
    extraction = samples.read("html", html.encode())
    assert extraction.text == "one\n\ntwo\n\na < b\n\nthree"
    assert samples.blocks(extraction) == []


@pytest.mark.parametrize(
    "piece",
    [
        "<title ", "<!-- ", "<![CDATA[", "<script ", "<script>", "<sup>a", "<sup>", "x<sup>2</sup>",
        "<ol reversed><li>a</ol>", "<math><mfrac>", "<img alt='a b'>",
        "<table><tr><td colspan=1000>a<td rowspan=1000 colspan=1000>b",
    ],
)  # fmt: skip
def test_hostile_markup_takes_no_time(piece: str) -> None:
    data = f"<?xml version='1.0'?><p>Seen</p>{piece * 20_000}"
    assert "Seen" in text_of(data)


def test_a_table_of_nothing_but_spans_stays_small() -> None:
    row = "<tr><td colspan=1000>a<td rowspan=1000 colspan=1000>b"
    assert len(text_of(f"<table>{row * 5_000}</table>")) < 2_000_000
