"""How texts are built."""

from __future__ import annotations

from services.agents.coaching.structure import layout, remarks

WORDS = "word " * 99 + "end."


def told(text: str) -> list[tuple[str, str]]:
    return [(remark.kind, text[remark.start : remark.end][:40]) for remark in remarks(text, layout(text))]


def test_headings_are_found_however_they_are_marked() -> None:
    text = "Title\n===\n\nOne.\n\nPart\n---\nTwo.\n\n## Three ##\nBelow.\n\nA line alone\n\nFour.\n\n- one"
    found = layout(text)
    assert [(heading.title, heading.level) for heading in found.headings] == [
        ("Title", 1),
        ("Part", 2),
        ("Three", 2),
        ("A line alone", 0),
    ]
    assert [text[start:end] for start, end in found.paragraphs] == [
        "One.",
        "Two.",
        "Below.",
        "Four.",
        "- one",
    ]


def test_lines_that_head_nothing_are_text() -> None:
    assert layout("Come home soon").headings == ()
    assert len(layout("Come home soon").paragraphs) == 1


def test_a_long_paragraph_and_a_long_text_without_headings_are_remarked() -> None:
    text = f"{WORDS} {WORDS}\n\n{WORDS}\n\n{WORDS}"
    assert [kind for kind, _ in told(text)] == ["paragraph", "heading"]
    assert "heading" not in [kind for kind, _ in told(f"# One\n\n{text}")]


def test_a_long_text_without_a_summary_is_remarked() -> None:
    body = "\n\n".join([WORDS] * 7)
    assert ("summary", WORDS[:40]) in told(f"# One\n\n{body}")
    assert "summary" not in [kind for kind, _ in told(f"# Summary\n\n{body}")]
    assert "summary" not in [kind for kind, _ in told(f"# One\n\nIn short, it works.\n\n{body}")]


def test_the_order_of_parts_is_remarked_where_names_tell_it() -> None:
    text = (
        "# Method\n\nA.\n\n# Introduction\n\nB.\n\n# Conclusion\n\nC.\n\n# Results\n\nD.\n\n# Sources\n\nE."
    )
    assert told(text) == [("order", "# Introduction"), ("order", "# Conclusion")]
    assert told("# Introduction\n\nA.\n\n# Conclusions\n\nB.\n\n# References\n\nC.") == []


def test_empty_headings_and_skipped_levels_are_remarked() -> None:
    assert told("# One\n\n# Two\n\nText.\n\n### Three\n\nText.") == [
        ("heading", "# One"),
        ("heading", "### Three"),
    ]
