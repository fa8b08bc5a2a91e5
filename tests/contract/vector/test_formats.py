"""Every format in, and a fact in it found and cited with its page, slide, cell or line."""

from __future__ import annotations

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import ServiceError
from tests.contract.vector.world import Client, refused
from tests.unit.vector.extraction import samples

FILLER = "Nothing of interest stands on this line of the log.\n"
CODE = "import os\n\n\nclass Lamp:\n    def oil(self):\n        return 'whale'\n"
RTF = (
    rb"{\rtf1\ansi Of the lamp.\par\trowd\intbl Oil\cell Price\cell\row"
    rb"\intbl whale\cell 42\cell\row}"
)
XML = "<lamps>\n<lamp>\n<oil>whale</oil>\n</lamp>\n</lamps>"
SLIDES = samples.presentation(
    [
        samples.slide(samples.shape("title", "Of the lamp")),
        samples.slide(samples.slide_table([["Oil", "Price"], ["whale", "42"]])),
    ]
)
BOOK = samples.book({"Lamps": [["Oil", "Price"], ["rape", 12], ["whale", 42]]})
PDF = samples.pdf([["Of the lamp."], ["It burns whale oil."]])
WORD = samples.word(lambda word: word.add_paragraph("It burns whale oil."))
TALK = (
    b"WEBVTT\n\n00:12.000 --> 00:16.100\n<v Ann>It\n\n00:16.100 --> 00:19.000\n<v Ann>burns whale oil.\n\n"
    b"00:30.000 --> 00:31.000\n<v Bob>Does it?\n"
)
SCAN = samples.recognised_page(
    [[("0 0 90 20", "Of the lamp")]],
    [[("60 70 90 95", "It"), ("60 110 560 140", "burns whale oil.")]],
)
EPUB = samples.epub(["<p>Of the lamp</p>", "<p>It burns whale oil.</p>"])
ATTACHED = samples.mail("See.", [("b.pdf", "application/pdf", PDF)])
TABLE = (
    "<table:table><table:table-row><table:table-cell><text:p>whale</text:p></table:table-cell>"
    "<table:table-cell><text:p>42</text:p></table:table-cell></table:table-row></table:table>"
)

# file name, bytes, what is quoted, where it stands, its page
FORMATS = [
    ("a.txt", FILLER.encode() * 600 + b"It burns whale oil.\n", "burns whale oil", "line 601", 0),
    ("a.md", b"# Of the lamp\n\nIt burns whale oil.", "burns whale oil", "line 3", 0),
    ("a.html", b"<h1>Of the lamp</h1><p>It burns whale oil.", "burns whale oil", "", 0),
    ("a.pdf", PDF, "burns whale oil", "page 2", 2),
    ("a.csv", b"oil,price\nrape,12\nwhale,42\n", "oil: whale; price: 42", "line 3", 0),
    ("a.json", b'[{"oil": "whale"}]', "oil: whale", "", 0),
    ("a.docx", WORD, "burns whale oil", "", 0),
    ("a.pptx", SLIDES, "whale | 42", "slide 2", 2),
    ("a.xlsx", BOOK, "Oil: whale", "Lamps!A3", 0),
    ("b.xlsx", BOOK, "Price: 42", "Lamps!B3", 0),
    ("c.xlsx", BOOK, "Oil: whale; Price: 42", "Lamps!A3:B3", 0),
    ("a.odt", samples.open_document(TABLE), "whale | 42", "", 0),
    ("a.rtf", RTF, "whale | 42", "", 0),
    ("a.epub", EPUB, "burns whale oil", "chapter 2", 0),
    ("a.eml", samples.mail("It burns whale oil."), "burns whale oil", "mail", 0),
    ("b.eml", ATTACHED, "burns whale oil", "b.pdf, page 2", 2),
    ("a.vtt", TALK, "burns whale oil", "00:16–00:19", 0),
    ("b.vtt", TALK, "It\nburns whale oil", "00:12–00:19", 0),
    ("a.srt", b"1\n00:00:01,000 --> 00:00:02,500\nwhale oil\n", "whale oil", "00:01–00:03", 0),
    ("a.hocr", SCAN, "burns whale oil", "page 2, region 60,110 500×30", 2),
    ("b.hocr", SCAN, "It\nburns whale oil", "page 2, region 60,70 500×70", 2),
    ("a.xml", XML.encode(), "oil: whale", "line 3", 0),
    ("a.py", CODE.encode(), "def oil(self):\n        return 'whale'", "line 5-6", 0),
    ("a.zip", samples.package({"lamp.md": b"# Lamp\n\nwhale oil"}), "whale oil", "lamp.md, line 3", 0),
    ("b.zip", samples.package({"x/lamps.xlsx": BOOK}), "Price: 42", "x/lamps.xlsx, Lamps!B3", 0),
]  # fmt: skip


@pytest.mark.parametrize("sample", FORMATS, ids=[name for name, *_ in FORMATS])
async def test_a_fact_is_found_and_cited_with_its_place(
    client: Client, sample: tuple[str, bytes, str, str, int]
) -> None:
    filename, data, quote, location, page = sample
    document = await client.ready(data, filename=filename)
    assert document.state == pb.DOCUMENT_STATE_READY
    assert list(document.warnings) == []
    found = await client.search("whale")
    hit = next(hit for hit in found.hits if quote in hit.text)
    text = (await client.text(document.document_id)).decode()
    assert text.encode()[hit.span.byte_start : hit.span.byte_end].decode() == hit.text
    if location:
        assert hit.location
    start = len(text[: text.index(quote)].encode())
    citation = pb.Citation(
        document_id=document.document_id,
        extraction_sha256=document.extraction_sha256,
        span=pb.Span(byte_start=start, byte_end=start + len(quote.encode())),
        quote=quote,
    )
    answer = await client.call("VerifyCitations", pb.VerifyCitationsRequest(citations=[citation]))
    verdict = answer.verdicts[0]
    assert (verdict.verified, verdict.location, verdict.page) == (True, location, page)


async def test_a_passage_over_several_places_says_from_where_to_where(client: Client) -> None:
    await client.ready(samples.pdf([["One lamp,"], ["two lamps,"], ["three lamps."]]), filename="a.pdf")
    await client.ready(BOOK, filename="b.xlsx")
    hits = (await client.search("lamps")).hits
    assert {(hit.location, hit.page) for hit in hits} == {("page 1-3", 1), ("Lamps!A1:B3", 0)}


async def test_a_wrong_citation_has_no_place(client: Client) -> None:
    document = await client.ready(PDF, filename="a.pdf")
    citation = pb.Citation(
        document_id=document.document_id,
        extraction_sha256=document.extraction_sha256,
        span=pb.Span(byte_start=0, byte_end=3),
        quote="xyz",
    )
    answer = await client.call("VerifyCitations", pb.VerifyCitationsRequest(citations=[citation]))
    assert answer.verdicts[0] == pb.CitationVerdict(fault=pb.CITATION_FAULT_QUOTE_DIFFERS)


async def test_missing_text_is_said_with_the_document(client: Client) -> None:
    data = samples.package({"good.txt": b"whale oil", "photo.png": b"\x89PNG\r\n\x1a\n" + bytes(20)})
    document = await client.ready(data, filename="a.zip")
    assert list(document.warnings) == ["photo.png was not read: image/png is not read here"]
    assert list((await client.get(document.document_id)).warnings) == list(document.warnings)


HOSTILE = {
    "bomb.pptx": (samples.package({"ppt/presentation.xml": bytes(20 << 20)}), "DOCUMENT_TOO_LARGE"),
    "many.zip": (samples.package({f"{n}.txt": b"" for n in range(2001)}), "DOCUMENT_TOO_LARGE"),
    "nested.zip": (samples.package({"a.zip": samples.package({"a.txt": b"a"})}), "DOCUMENT_UNREADABLE"),
    "out.zip": (samples.package({"../a.txt": b"a"}), "DOCUMENT_UNREADABLE"),
    "entity.xml": (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "DOCUMENT_UNREADABLE"),
    "lie.xlsx": (b"MZ\x90\x00" + bytes(200), "FORMAT_UNSUPPORTED"),
    "empty.eml": (b" \n", "DOCUMENT_EMPTY"),
}


@pytest.mark.parametrize("filename", HOSTILE)
async def test_hostile_files_get_their_answers_and_the_service_goes_on(client: Client, filename: str) -> None:
    data, reason = HOSTILE[filename]
    with pytest.raises(ServiceError) as caught:
        await client.ingest(data, filename=filename)
    code = "RESOURCE_EXHAUSTED" if reason == "DOCUMENT_TOO_LARGE" else "INVALID_ARGUMENT"
    assert refused(caught.value) == (code, reason)
    assert (await client.ready("whale oil")).state == pb.DOCUMENT_STATE_READY


async def test_a_delete_takes_the_places_along(client: Client) -> None:
    document = await client.ready(BOOK, filename="a.xlsx")
    await client.delete(document.document_id)
    record = client.application.record
    left = await record._database.read(lambda c: c.execute("SELECT count(*) FROM places").fetchone()[0])
    assert left == 0
