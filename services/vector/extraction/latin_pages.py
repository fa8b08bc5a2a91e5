"""Which code page a text of a Latin script is written in (docs/adr/0134).

The pages give the same bytes different letters, so the letters tell: in the right page nearly all of them
belong to one language, and signs stand where signs do.
"""

import re
from typing import Final

_LETTER: Final = r"[^\W\d_ªºµ¹²³¼½¾]"
_ACCENTED: Final = rf"(?![\x00-\x7f]){_LETTER}"


def _letters(small: str) -> str:
    """A pattern of the letters, small and capital. Without regard to case "ı" would be "i" too."""
    return "[" + "".join(sorted({char for char in small + small.upper() if char > "\x7f"})) + "]"


# The letters beyond ASCII of a language each.
_WESTERN: Final = (
    _letters("éèêëàâçîïôùûüœæÿ"),
    _letters("áéíóúñü"),
    _letters("áéíóúâêôãàçü") + "|õ(?=e)|Õ(?=E)",
    _letters("àèéìíîòóùú"),
    _letters("äöüßéà"),
    _letters("éëïèóöüáê"),
    _letters("åäöé"),
    _letters("åæøéö"),
    _letters("àçéèíïóòúü"),
)
_CENTRAL: Final = (
    _letters("ąćęłńóśźż"),
    _letters("áčďéěíňóřšťúůýž"),
    _letters("áäčďéíĺľňóôŕšťúýž"),
    _letters("áéíóöőúüű"),
    _letters("ăâîşţ"),
    _letters("čćđšž"),
)
_TURKISH: Final = (_letters("çıİöşüâîû") + "|(?<=[aeıioöuüAEIİOÖUÜ])[ğĞ]",)
_ICELANDIC: Final = (_letters("áéíóúýþæöð"),)
_BALTIC: Final = (_letters("āčēģīķļņšūž"), _letters("ąčęėįšųūž"), _letters("äöõüšž"))
# The more usual first: of those that fit alike the first is taken. What is not of Windows is rare today, so
# it takes more bytes to believe it.
_PAGES: Final = tuple(
    (page, bytes_min, tuple(map(re.compile, languages)))
    for page, bytes_min, languages in (
        ("cp1252", 1, _WESTERN),
        ("cp1250", 1, _CENTRAL),
        ("cp1254", 1, _TURKISH),
        ("cp1252", 1, _ICELANDIC),
        ("cp1257", 1, _BALTIC),
        ("iso8859-15", 8, _WESTERN),
        ("iso8859-2", 8, _CENTRAL),
        ("cp850", 8, _WESTERN),
        ("cp852", 8, _CENTRAL),
        ("mac-roman", 8, _WESTERN),
    )
)
# Names of several languages side by side.
_SEVERAL: Final = (
    ("cp1252", (re.compile("|".join(_WESTERN)),)),
    ("cp1250", (re.compile("|".join((*_CENTRAL, _letters("äëçß")))),)),
)
_CAPITALS: Final = "".join(
    sorted({char for language in (*_WESTERN, *_CENTRAL, *_BALTIC) for char in language if char.isupper()})
)
# What no language does: a capital after a small letter, a letter alone before a digit, a sign that is none of
# the usual ones, or one within a word or on its wrong side. Raised digits follow a number or a unit, the
# signs of ordinals a number or "n". A name does not end in "iæ", as one in "ić" would read.
_ODD: Final = re.compile(
    rf"(?<=[a-zß-öø-ÿ])[{_CAPITALS}](?![{_CAPITALS}A-Z])"
    rf"|(?<!{_LETTER}){_ACCENTED}(?=\d)"
    r"|[^\w\x00-\x7f£€¥«»“”‘’‚„‹›–—…§°·•¿¡®©™¹²³¼½¾±×µ´ªº†‡‰\u00a0\u00ad]|[\x80-\x9f]"
    rf"|(?<={_LETTER})[€«»“”„‹›—§°•®©™×´ªº†‡‰](?={_LETTER})"
    rf"|(?<={_LETTER})[£¥¿¡±µ¼½¾]|[£¥±¹²³](?={_LETTER})"
    rf"|(?<={_LETTER})[¹²³](?<!\bm.)(?<!\b[ckdm]m.)"
    rf"|(?<=i)æ(?!{_LETTER})"
    rf"|(?<={_LETTER})[ªº](?<!\b[nN].)"
)
_ANY_ACCENTED: Final = re.compile(_ACCENTED)
_HIGH: Final = re.compile(rb"[\x80-\xff]+")
_ASCII_LETTER: Final = re.compile(rb"[A-Za-z]")
_WORDS_MAX: Final = 32 * 1024
_SHARE_MIN: Final = 0.6


def latin_page(sample: bytes) -> str | None:
    """The code page, or None when the bytes are of another script or fit no page well."""
    words = b" ".join(dict.fromkeys(word for word in sample.split() if not word.isascii()))[:_WORDS_MAX]
    runs = _HIGH.findall(words)
    high = sum(map(len, runs))
    # Letters with marks stand alone or two together among those without.
    if high > 1.5 * len(runs) + 2 or high > len(_ASCII_LETTER.findall(sample)):
        return None
    found, best = None, _SHARE_MIN
    for page, bytes_min, languages in _PAGES:
        share = _share(words.decode(page, errors="replace"), languages) if high >= bytes_min else 0
        if share > best:
            found, best = page, share
    if found is not None:
        return found
    return next(
        (page for page, letters in _SEVERAL if _share(words.decode(page, errors="replace"), letters) == 1),
        None,
    )


def _share(text: str, languages: tuple[re.Pattern[str], ...]) -> float:
    """The share of letters beyond ASCII that the best of the languages has, less what is odd."""
    odd = len(_ODD.findall(text))
    letters = len(_ANY_ACCENTED.findall(text))
    if not letters:
        return 0 if odd else 1
    return (max(len(language.findall(text)) for language in languages) - odd) / letters
