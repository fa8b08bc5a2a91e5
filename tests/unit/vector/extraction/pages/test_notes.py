"""Forms, text typed onto pages and notes."""

import pytest

from tests.unit.vector.extraction import samples


def noted(*notes: bytes, text: str = "Lease", more: tuple[bytes, ...] = ()) -> bytes:
    """A page of one line with these annotations; `more` are objects from 6 on."""
    objects = samples.pdf_page(
        samples.stream(b"BT /F1 12 Tf 72 720 Td (%s) Tj ET" % text.encode()), more=more
    )
    shown = b" ".join(note if note.endswith(b" R") else b"<< /Type /Annot %s >>" % note for note in notes)
    objects[2] = objects[2].replace(b"/Contents", b"/Annots [%s] /Contents" % shown)
    return samples.pdf_of(objects)


def lines(data: bytes) -> list[str]:
    extraction = samples.read("pdf", data)
    assert extraction.warnings == ()
    return extraction.text.split("\n")[2:]


def field(name: str, entries: bytes, *, top: int = 700, left: int = 100) -> bytes:
    return b"/Subtype /Widget /T (%s) /Rect [%d %d %d %d] %s" % (
        name.encode(), left, top - 20, left + 90, top, entries
    )  # fmt: skip


def typed(text: str, entries: bytes = b"", kind: str = "FreeText") -> bytes:
    return b"/Subtype /%s /Rect [100 500 200 520] /Contents (%s) %s" % (kind.encode(), text.encode(), entries)


def test_values_of_a_form_follow_their_page_from_the_top_down() -> None:
    form = noted(
        field("rent", b"/FT /Tx /V (640)", top=500),
        field("city", b"/FT /Tx /V (Elmsund)", left=300),
        field("tenant", b"/FT /Tx /V (Sunniva\\rHolm)"),
        field("t2", b"/FT /Tx /TU (Deposit paid) /V (yes)", top=400),
        field("empty", b"/FT /Tx /V ()", top=300),
        field("null", b"/FT /Btn /V null /F null", top=300),
    )
    extraction = samples.read("pdf", samples.joined_pdf([form, samples.pdf([["Next page."]])]))
    assert samples.page_texts(extraction) == [
        "Lease\n\ntenant: Sunniva Holm\ncity: Elmsund\nrent: 640\nDeposit paid: yes",
        "Next page.",
    ]


def test_boxes_and_choices_say_what_is_chosen() -> None:
    found = lines(
        noted(
            field("cat", b"/FT /Btn /V /Yes /AS /Yes", top=700),
            field("dog", b"/FT /Btn /V /Off /AS /Off", top=690),
            field("send", b"/FT /Btn /Ff 65536 /V /Now", top=680),
            field("month", b"/FT /Ch /Opt [[(05) (May)] [(06) (June)]] /V (05)", top=670),
            field("rooms", b"/FT /Ch /Opt [(Attic) (Cellar) (Hall)] /V [(Attic) (Hall)]", top=660),
            b"/Subtype /Widget /Parent 6 0 R /AS /Off /Rect [0 600 9 609]",
            b"/Subtype /Widget /Parent 6 0 R /AS /1 /Rect [0 590 9 599]",
            more=(b"<< /FT /Btn /Ff 32768 /T (term) /V /1 /Opt [(one year) (two years)] >>",),
        )
    )
    assert found == ["cat: Yes", "month: May", "rooms: Attic, Hall", "term: two years"]


def test_fields_have_the_name_and_value_of_those_above_them() -> None:
    found = lines(
        noted(
            b"/Subtype /Widget /Parent 7 0 R /Rect [0 690 9 700]",
            b"/Subtype /Widget /Parent 7 0 R /Rect [0 600 9 610]",
            b"/Subtype /Widget /Parent 9 0 R /T (f1_02[0]) /FT /Tx /V (Elm lane) /Rect [0 590 9 599]",
            more=(
                b"<< /T (tenant) /FT /Tx >>",
                b"<< /T (name) /Parent 6 0 R /V 8 0 R >>",
                b"(Ingmar Vall)",
                b"<< /T (Page1[0]) >>",
            ),
        )
    )
    assert found == ["tenant.name: Ingmar Vall", "f1_02: Elm lane"]


def test_notes_are_said_with_their_author_and_typed_text_without() -> None:
    found = lines(
        noted(
            typed("Oslo, 4 May", b"/T (Ann)"),
            typed("Is this right?", b"/T (Ann)", "Highlight"),
            typed("Ask Bo", b"", "Text"),
            typed("Accepted set by Bo", b"/StateModel /Review", "Text"),
            typed("Ask Bo", b"", "Popup"),
            typed("elsewhere", b"", "Link"),
        )
    )
    assert found == ["Oslo, 4 May", "Ann: Is this right?", "Ask Bo"]


def test_what_is_not_shown_is_left_out() -> None:
    hidden = field("a", b"/FT /Tx /V (hidden) /F 2")
    unseen = field("b", b"/FT /Tx /V (on no screen and no paper) /F 32")
    printed = field("c", b"/FT /Tx /V (on paper) /F 36")
    password = field("d", b"/Parent 6 0 R /V (sesame)")
    more = (b"<< /FT /Tx /Ff 8192 >>",)
    assert lines(noted(hidden, unseen, printed, password, more=more)) == ["c: on paper"]


def test_what_the_page_says_is_not_said_again() -> None:
    marked = typed("Rent is due on the first of May", b"/T (Ann)", "Highlight")
    twice = field("rent", b"/FT /Tx /V (640)")
    short = field("m", b"/FT /Tx /V (5)")
    page = "The rent is due on the first of May, m5"
    assert lines(noted(marked, twice, twice, short, text=page)) == ["rent: 640", "m: 5"]


@pytest.mark.parametrize(
    ("note", "more"),
    [
        (b"6 0 R", b"6 0 R"),
        (b"6 0 R", b"<< /Subtype /Widget /FT /Tx /T (again) /Parent 6 0 R /V 6 0 R /Rect [0 0 1 1] >>"),
        (b"99 0 R", b"null"),
        (b"6 0 R", b"(text)"),
        (field("a", b"/FT /Tx /V /Name /Parent (b) /Opt 7"), b"null"),
        (field("a", b"/FT /Btn /V [(a)] /AS 7 /Opt (b)"), b"null"),
        (field("a", b"/FT /Ch /V 5 /Opt [7 [] [(b)]]"), b"null"),
        (field("a", b"/FT /Tx /V (b) /Ff /F"), b"null"),
        (b"/Subtype /FreeText /Contents (b) /Rect [(a) 0 0 0]", b"null"),
        (b"/Subtype [/Text] /Contents (b)", b"null"),
    ],
    ids=["loop", "own parent", "none", "string", "types", "button", "choice", "flags", "corner", "kind"],
)
def test_broken_ones_cost_no_page(note: bytes, more: bytes) -> None:
    sound = field("rent", b"/FT /Tx /V (640)")
    assert "rent: 640" in samples.read("pdf", noted(note, sound, more=(more,))).text


def test_what_was_not_read_is_named() -> None:
    many = [field(f"f{number}", b"/FT /Tx /V (x)") for number in range(2_001)]
    for notes in (many, [typed("x" * 30_000)], [field("a", b"/FT /Tx /V (b) /Ff /F")]):
        extraction = samples.read("pdf", noted(*notes))
        assert extraction.warnings == ("some fields or notes of page 1 are missing",)
        assert len(extraction.text) < 25_000


def test_a_note_alone_is_a_document() -> None:
    assert samples.read("pdf", noted(typed("Only this."), text="")).text == "Only this."
