import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vector.sentences import sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["Trees grow.", "They are tall!", "Are they?", "Yes."],
        ["Dr. Smith met Mr. J. R. Jones of St. Mary in Washington.", "It rained."],
        ["See Fig. 3 and No. 5 on p. 12, Sec. 4.", "The rest is in vol. 2 of it."],
        ["It costs 3.50 in the U.S. market, e.g. in Ohio, i.e. there.", "The U.K. differs."],
        ["He moved to the U.S.", "The house was small."],
        ["The answer is no.", "Another one is yes."],
        ["He said: “Go.”", "She went (at last.)", "Good."],
        ["Wait… what is this, version 2.0 of it?", "Well."],
        ["Siehe z.B. Nr. 5, d.h. die Bäume am 3. Oktober, bzw. Dr. Müller.", "Ende."],
        ["M. Dupont et Mme. Durand, cf. p. 3, sont partis.", "Où?"],
        ["El Sr. García llegó el 5 de mayo.", "¿Quién?", "¡Él!"],
        ["吾輩は猫である。", "名前は「まだ無い。」", "そう！"],
        ["यह एक वाक्य है।", "यह दूसरा है।"],
        ["هل هذا سؤال؟", "نعم."],
        ["A line\nthat goes on here.", "Next."],
        ["Trees grow.[1][12]", "They are “tall.”[3]", "So it is."],
    ],
)
def test_sentences_are_found(parts: list[str]) -> None:
    joiner = "" if parts[0].endswith("。") else " "
    assert split(joiner.join(parts)) == parts


def test_blank_lines_and_list_markers_end_a_sentence() -> None:
    assert split("A title\n\nText without end\n \nMore:\n- one\n  * two\n3. three\n") == [
        "A title",
        "Text without end",
        "More:",
        "- one",
        "* two",
        "3. three",
    ]


def test_nothing_has_no_sentences() -> None:
    assert sentences("") == sentences(" \n\t\n ") == []


@given(st.text(alphabet=st.sampled_from("aB1 .!?。\n-\"')\u0301漢"), max_size=200) | st.text(max_size=200))
def test_spans_hold_everything_but_blanks(text: str) -> None:
    at = 0
    for start, end in sentences(text):
        assert at <= start < end <= len(text)
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()


@pytest.mark.parametrize(
    "unit", [".", "a. ", "A. ", '."', "1. ", "\n", "\n ", " ", "- \n", "。", "x", "'", "U.S"]
)
def test_time_is_linear(unit: str) -> None:
    began = time.process_time()
    sentences("x" + unit * (300_000 // len(unit)) + "x")
    assert time.process_time() - began < 2
