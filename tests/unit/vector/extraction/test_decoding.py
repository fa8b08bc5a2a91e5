import codecs
import random
import time

import pytest

from services.vector.extraction.decoding import decode, is_blank, normalise
from services.vector.extraction.errors import DocumentUnreadableError

GERMAN = "Die Größe der Bäume überrascht die Gäste aus München, die schöne Straßen mögen. " * 4
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 6
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 6


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_decides(mark: bytes, encoding: str) -> None:
    assert decode(mark + GERMAN.encode(encoding), "koi8-r") == GERMAN


def test_utf_8_needs_no_mark() -> None:
    assert decode(JAPANESE.encode()) == JAPANESE


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(encoding: str) -> None:
    assert decode(GERMAN.encode(encoding)) == GERMAN


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(GERMAN, "cp1252"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "cp932"), (JAPANESE, "euc_jp")],
)
def test_other_encodings_are_recognised(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Le règlement précise les horaires d’été : la piscine de Benoît Château ferme tôt.", "cp1252"),
        ("¡Atención! El plazo del señor Ibáñez vence el miércoles, según la cláusula nº 5.", "cp1252"),
        ("Försäkringen gäller skador på gården. Åke Sjögren ringer växeln före fredag.", "cp1252"),
        ("Forsikringen dækker skader på gården på Ærø. Højden er otte meter.", "cp1252"),
        ("Forsikringen dekker skader på gården. Høyden på Ålesund brygge er åtte meter.", "cp1252"),
        ("Vakuutus kattaa myrskyn vahingot. Yhteyshenkilö: Åke Hämäläinen, Jyväskylä.", "cp1252"),
        ("Tryggingin nær til tjóns á bænum. Hæðin er átta metrar og þakið þarf að bæta.", "cp1252"),
        ("Die Größe der Räume beträgt 30 m²; für Schäden haftet der Eigentümer – § 4.", "cp1252"),
        ("La scadenza è venerdì; l’altezza supererà gli otto metri. Perché? Così è.", "cp1252"),
        ("João não aceitará reclamações após o prazo: condições à vista do leitor.", "cp1252"),
        ("Bel vóór vrijdag: de coördinator, Loïs Daniëls, heeft één exemplaar.", "cp1252"),
        ("The café’s fee is £50 – payable in advance.", "cp1252"),
        ("Each boat costs £1,200 a year; the tank holds 30 m³.", "cp1252"),
        ("Termin upływa w piątek; później zgłoszeń się nie przyjmuje. Żółkiewska, Łódź.", "cp1250"),
        ("Lhůta končí v pátek; poté se žádosti nepřijímají. Ondřej Dvořák, Plzeň.", "cp1250"),
        ("A határidő péntek; a tetőt jövőre cserélik. Kovács Győző, Nyíregyháza.", "cp1250"),
        ("Poliţa acoperă pagubele. Înălţimea este de opt metri şi acoperişul va fi schimbat.", "cp1250"),
        ("Poliçe suyun açtığı zararları kapsar. İsmail Işık, Eskişehir, çatı değişecek.", "cp1254"),
        ("Terminas baigiasi penktadienį; vėliau prašymai nepriimami. Žukauskas.", "cp1257"),
        ("Nombre,Año\nMuñoz,1990\nPeña,1985\n", "cp1252"),
        ("Navn,By\nSøren Ærø,København\nÅse,Ålborg\n", "cp1252"),
        ("Imię;Nazwisko\nŁukasz;Wójcik\nMichał;Dąbrowski\n", "cp1250"),
        ("Player,Club\nØdegaard,London\nMüller,München\nNúñez,Madrid\nFrançois,Besançon\n", "cp1252"),
        ("Player,Club\nModrić,Zagreb\nÖzil,Köln\nIbrahimović,Malmö\nFrançois,Besançon\n", "cp1250"),
        ("Jürgen Größler prüft die Heizung jährlich; die Schlüssel liegen über der Tür.", "cp850"),
        ("Termin upływa w piątek; proszę zgłaszać usterki przed ósmą, najlepiej też na piśmie.", "iso8859-2"),
        ("Лодка «Чайка» стоит у причала 4, ключи лежат на кухне.", "cp1251"),
        ("The boat 'Чайка' is moored at pier 4. Its owner is Иван Петров.", "cp1251"),
        ("Η σύμβαση ισχύει μέχρι το τέλος του έτους.", "cp1253"),
        ("契約は年末まで有効です。船は秋に洗い、鍵は台所に置いてあります。", "cp932"),
        ("合同有效期至年底。船在秋天清洗，钥匙放在厨房里。", "gb18030"),
        ("계약은 연말까지 유효합니다. 배는 가을에 씻고 열쇠는 부엌에 둡니다.", "cp949"),
    ],
)
def test_the_code_page_is_the_one_whose_letters_are_of_one_language(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text
    assert decode((text + " ").encode(encoding) * 50) == (text + " ") * 50


def test_a_page_is_found_in_time_where_nothing_parts_the_words() -> None:
    data = random.Random(3).choices(b"abcdef\xe9\xe8\xf1", k=2**20)
    before = time.monotonic()
    decode(bytes(data))
    assert time.monotonic() - before < 10


def test_a_declared_charset_is_used() -> None:
    assert decode("cena: 5 zł, żółw".encode("iso-8859-2"), "ISO-8859-2") == "cena: 5 zł, żółw"
    # What calls itself Latin-1 is read as the web reads it.
    assert decode(b"\x93quoted\x94", "iso-8859-1") == "“quoted”"


@pytest.mark.parametrize("label", ["utf-16", "rot13", "unicode_escape", "zip", "no such", "idna"])
def test_a_declared_charset_that_cannot_be_is_passed_over(label: str) -> None:
    assert decode(GERMAN.encode("cp1252"), label) == GERMAN


def test_one_broken_byte_does_not_make_utf_8_something_else() -> None:
    data = GERMAN.encode() + b"\xff" + GERMAN.encode()
    assert decode(data) == GERMAN + "\ufffd" + GERMAN


@pytest.mark.parametrize("data", [bytes(range(1, 9)) * 100, codecs.BOM_UTF16_LE + b"\x00\xd8a\x00"])
def test_refuses_what_is_no_text(data: bytes) -> None:
    with pytest.raises(DocumentUnreadableError):
        decode(data)


def test_normalise() -> None:
    assert normalise("\ufeffa\r\nb\rc\u2028d\x00e\x07f\x0cg\x85h\ti") == "a\nb\nc\ndef\ng\nh\ti"
    with pytest.raises(DocumentUnreadableError, match="surrogate"):
        normalise("a\ud800b")


def test_blank_is_what_shows_nothing() -> None:
    assert is_blank(" \n\t\u00a0\u3000\u200b\ufeff\u2060\u00ad")
    assert not is_blank(" \u200b. ")


@pytest.mark.parametrize(("text", "encoding"), [(JAPANESE, "iso-2022-jp"), ("中文 text", "hz")])
def test_what_hides_in_ascii_is_read_by_its_label(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding), encoding) == text
    assert decode(GERMAN.encode(), encoding) == GERMAN
