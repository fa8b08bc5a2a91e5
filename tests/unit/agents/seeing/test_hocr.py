"""Text with its places."""

from __future__ import annotations

from xml.etree import ElementTree

from services.agents.seeing.hocr import Box, Line, Word, read, write

TESSERACT = """<?xml version="1.0" encoding="UTF-8"?>
<html xmlns="http://www.w3.org/1999/xhtml"><head><title></title></head><body>
 <div class='ocr_page' id='page_1' title='image "p.png"; bbox 0 0 900 200; ppageno 0; scan_res 300 300'>
  <div class='ocr_carea' title="bbox 20 68 676 108">
   <p class='ocr_par' lang='eng' title="bbox 20 68 676 108">
    <span class='ocr_line' title="bbox 20 68 676 108; baseline 0.002 -8; x_size 38">
     <span class='ocrx_word' title='bbox 20 68 88 100; x_wconf 96'>The</span>
     <span class='ocrx_word' title='bbox 102 68 242 100; x_wconf 90'><strong>R&amp;D</strong></span>
    </span>
    <span class='ocr_header' title="bbox 20 120 80 140"><span class='ocrx_word' title='bbox 20 120 80 140;
 x_wconf 50'>pier</span> <span class='ocrx_word' title='bbox 90 120 95 140; x_wconf 9'> </span></span>
   </p>
   <p class='ocr_par' title="bbox 1 1 2 2"><span class='ocr_line' title='bbox 1 1 2 2'></span></p>
   <p class='ocr_par'>
    <span class='ocr_line'><span class='ocrx_word' title='bbox 4 6 8 10'>end</span></span></p>
  </div></div></body></html>"""


def test_lines_words_places_and_paragraphs_are_read() -> None:
    lines = read(TESSERACT)
    assert [(line.text, line.paragraph) for line in lines] == [("The R&D", 0), ("pier", 0), ("end", 2)]
    assert lines[0].box == Box(20, 68, 222, 32)
    assert lines[0].confidence == (0.96 + 0.9) / 2
    assert lines[2].words == (Word("end", Box(4, 6, 4, 4), 0.0),)


def test_places_are_those_of_the_picture_that_the_page_was_made_of() -> None:
    assert read(TESSERACT, 2)[0].words[0].box == Box(10, 34, 34, 16)


def test_what_is_written_is_read_again() -> None:
    lines = read(TESSERACT)
    text = write('the "pier" <1>\x00', 900, 200, lines)
    assert [(line.text, line.box, line.words) for line in read(text)] == [
        (line.text, line.box, line.words) for line in lines
    ]
    root = ElementTree.fromstring(text)
    (page,) = [e for e in root.iter() if e.get("class") == "ocr_page"]
    assert page.get("title") == "bbox 0 0 900 200; ppageno 0"
    assert len([e for e in root.iter() if e.get("class") == "ocr_par"]) == 2


def test_markup_in_a_word_stays_text() -> None:
    line = Line((Word("<script>x</script>", Box(1, 2, 3, 4), 0.5),))
    text = write("p", 10, 10, [line])
    assert "<script" not in text
    assert read(text)[0].text == "<script>x</script>"


def test_rubbish_gives_no_lines() -> None:
    for text in ("", "<", "<span class='ocrx_word' title='bbox 1 2 3'>x</span>", "\x00" * 99, "<p " * 999):
        assert read(text) == []
