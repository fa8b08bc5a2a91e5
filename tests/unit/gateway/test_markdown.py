"""What a model writes becomes HTML that is safe to show, or stays as it was written."""

from __future__ import annotations

import re
import threading

import pytest

from services.gateway import markdown
from services.gateway.markdown import MAX_CHARACTERS, MAX_DEPTH, Renderer
from tests.browser.test_hostile import PAYLOADS

# Tags with their attributes, exactly as they may stand in an answer.
_ALLOWED = re.compile(
    r"</?(?:p|br|h[3-6]|em|strong|s|code|pre|blockquote|ul|ol|li|hr|table|thead|tbody|tr|th|td)>"
    r'|<ol start="[0-9]+">|</a>'
    r'|<a href="(?:https?|mailto):[^"<>]*" target="_blank" rel="noopener noreferrer">'
)


def html(text: str) -> str:
    made = Renderer(60).html(text)
    assert made is not None
    return made


def line(text: str) -> str:
    """Of a text that is one paragraph."""
    return html(text).strip().removeprefix("<p>").removesuffix("</p>")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("*a* **b** ~~c~~ `d`", "<em>a</em> <strong>b</strong> <s>c</s> <code>d</code>"),
        ("one\ntwo", "one<br>\ntwo"),
        ("deep [1][2].", "deep [1][2]."),
        ("`[1]`", "<code>[1]</code>"),
        ("[1]: https://example.org\nsee [1]", "[1]: https://example.org<br>\nsee [1]"),
        ("see [the chart][1]", "see [the chart][1]"),
        ("www.example.org", "www.example.org"),
        ("<b>x</b> <!-- y -->", "&lt;b&gt;x&lt;/b&gt; &lt;!-- y --&gt;"),
        ("[a](/relative) [b](javascript:x)", "[a](/relative) [b](javascript:x)"),
        ("[a](JAVASCRIPT:x) [b](data:text/html,x)", "[a](JAVASCRIPT:x) [b](data:text/html,x)"),
        (
            '[a](https://example.org/?b=c&d "t")',
            '<a href="https://example.org/?b=c&amp;d" target="_blank" rel="noopener noreferrer">a</a>',
        ),
    ],
)
def test_words_are_rendered(text: str, made: str) -> None:
    assert line(text) == made


def test_blocks_are_rendered() -> None:
    text = "> q\n\n3. x\n4. y\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n```python\nx = [1] < 2\n```\n\n---\n"
    assert re.sub(r"\n+", "", html(text)) == (
        '<blockquote><p>q</p></blockquote><ol start="3"><li>x</li><li>y</li></ol>'
        "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>"
        "<pre><code>x = [1] &lt; 2</code></pre><hr>"
    )


def test_a_line_below_a_list_is_no_part_of_its_last_item() -> None:
    made = html("Decision: a.\n- one\n- two\n  of two\nPlan: b.\n- three")
    assert re.sub(r"\n+", "", made) == (
        "<p>Decision: a.</p><ul><li>one</li><li>two<br>of two</li></ul><p>Plan: b.</p><ul><li>three</li></ul>"
    )


@pytest.mark.parametrize(
    ("text", "levels"),
    [("# a\n\n## b\n\n# c", "343"), ("#### a\n\n# b\n\n###### c", "334"), ("x\n===\n\ny\n---", "34")],
)
def test_headings_stand_below_those_of_the_page_without_a_gap(text: str, levels: str) -> None:
    assert "".join(re.findall(r"<h([1-6])>", html(text))) == levels


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_but_what_is_allowed_comes_out(payload: str) -> None:
    for text in (payload, f"- {payload}", f"> {payload}", f"| a |\n|---|\n| {payload} |", f"# {payload}"):
        assert _ALLOWED.sub("", html(text)).count("<") == 0


def test_each_library_alone_would_stop_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "<script>window.hit=1</script> [x](javascript:1) <img src=x onerror=y>"
    monkeypatch.setattr(markdown._PARSER.renderer, "render", lambda *_: text + "<a href='javascript:1'>x</a>")
    cleaned = html(text)
    assert "<script" not in cleaned
    assert "<img" not in cleaned
    assert "href" not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "a" * (MAX_CHARACTERS + 1),
        ">" * 1000,
        "- " * 30 + "a",
        "\n".join("  " * depth + "- a" for depth in range(MAX_DEPTH)),
    ],
    ids=["long", "quotes", "a list in a line", "lists"],
)
def test_what_is_too_long_or_too_deep_is_left_as_it_is(text: str) -> None:
    assert Renderer(60).html(text) is None


def test_no_word_is_lost_short_of_the_limit_of_depth() -> None:
    depth = (MAX_DEPTH - 1) // 2
    text = "\n".join("  " * level + f"- word{level}" for level in range(depth))
    assert [f"word{level}" in html(text) for level in range(depth)] == [True] * depth


@pytest.mark.parametrize(
    "pattern", ["**a", "*a_ ", "[a](", "|-|\n", "x\n", "a**b_c*", "[[x]](", "*[a](b)*", "&#", "`a``b"]
)
def test_time_is_bounded_whatever_the_text(pattern: str) -> None:
    text = (pattern * MAX_CHARACTERS)[:MAX_CHARACTERS]
    made: list[str | None] = []
    thread = threading.Thread(target=lambda: made.append(Renderer(0.05).html(text)), daemon=True)
    thread.start()
    thread.join(20)
    # A fast machine may be through in time.
    assert len(made) == 1, "neither ended nor given up"


def test_the_answers_of_one_response_share_its_time() -> None:
    spent = Renderer(0)
    assert spent.html("short") is None
