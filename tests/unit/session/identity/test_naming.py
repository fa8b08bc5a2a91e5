"""What names and passwords may be."""

from __future__ import annotations

import pytest

from services.chassis.errors import InvalidArgumentError
from services.session.identity import naming


@pytest.mark.parametrize(
    ("given", "kept", "compared"),
    [
        ("Ada", "Ada", "ada"),
        ("Ａｄａ", "Ada", "ada"),
        ("STRASSE", "STRASSE", "strasse"),
        ("Straße", "Straße", "strasse"),
        ("e\N{COMBINING ACUTE ACCENT}", "é", "é"),
        ("ada@example.org", "ada@example.org", "ada@example.org"),
        ("Ada Lovelace", "Ada Lovelace", "ada lovelace"),
        ("\N{LATIN SMALL LIGATURE FI}n", "fin", "fin"),
    ],
)
def test_names_are_kept_in_one_form_and_compared_without_case(given: str, kept: str, compared: str) -> None:
    assert naming.name("name", given) == kept
    assert naming.folded(kept) == compared
    # What is kept stays as it is when it is read again.
    assert naming.name("name", kept) == kept
    assert naming.folded(compared) == compared


@pytest.mark.parametrize(
    "given",
    [
        *("", " ", " a", "a ", "a\n", "a\r\nb", "\0", "a\x07", "\x1b[2J", "a\N{RIGHT-TO-LEFT OVERRIDE}b"),
        *("a\N{ZERO WIDTH SPACE}", "a\N{LINE SEPARATOR}b", "x" * 255, "x" * 10_000_000),
        # One sign that becomes eighteen.
        "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 20,
    ],
)
def test_names_that_would_harm_a_log_or_a_page_are_refused(given: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        naming.name("name", given)
    assert caught.value.metadata["field"] == "name"


@pytest.mark.parametrize("given", ["correct horse battery", "ﬁve wizards jump quick", "x" * 6 + "1729ab"])
def test_good_passwords_are_taken(given: str) -> None:
    assert naming.new_password("password", given, "ada") == given


@pytest.mark.parametrize(
    "given",
    ["", "elevenchars", "a\0b is twelve", "x" * 257, "aaaaaaaaaaaa", "abcabcabcabc", "password-password"],
)
def test_bad_passwords_are_refused_without_a_word_of_them(given: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        naming.new_password("password", given, "ada")
    assert caught.value.metadata == {"field": "password", "value": ""}
    assert not given or given not in caught.value.message


def test_the_name_is_no_password() -> None:
    with pytest.raises(InvalidArgumentError):
        naming.new_password("password", "ada lovelace 1815", "Ada Lovelace 1815")


def test_a_password_is_the_same_from_every_keyboard() -> None:
    assert (
        naming.shown_password("password", "cafe\N{COMBINING ACUTE ACCENT}")
        == "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    )


def test_groups_are_sorted_and_each_is_named_once() -> None:
    assert naming.groups("groups", ["b", "a", "b", "ｃ"]) == ("a", "b", "c")
    for wrong in (
        [""],
        ["a\nb"],
        ["x" * 65],
        [str(number) for number in range(51)],
        ["é" * 60 + str(number) for number in range(9)],
    ):
        with pytest.raises(InvalidArgumentError):
            naming.groups("groups", wrong)
