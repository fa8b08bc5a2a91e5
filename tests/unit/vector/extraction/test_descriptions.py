import pytest

from services.vector.extraction.descriptions import described


@pytest.mark.parametrize("text", ["Chart: sales rose 12%", "Logo of the depot", "Plan 2024 of depot.east"])
def test_what_a_person_wrote(text: str) -> None:
    assert described(f" {text}\n") == f"[{text}]"


@pytest.mark.parametrize(
    "text",
    [
        None,
        " ",
        "Picture 4",
        "IMG_2041",
        "Bild1",
        "photo of 3.5.2024 (2).JPG",
        "C:\\Users\\ada\\map.png",
        "https://example.org/a?b=c",
        "A picture containing text, sky\n\nDescription automatically generated",
        "A screenshot of a computer\n\nAI-generated content may be incorrect.",
        "Ein Bild, das Text enthält.\n\nAutomatisch generierte Beschreibung",
        "Une image contenant texte\n\nDescription générée automatiquement",
        "Immagine che contiene testo Descrizione generata automaticamente",
        "Uma imagem Descrição gerada automaticamente",
        "En bild som visar text Automatiskt genererad beskrivning",
        "Imagen que contiene texto\n\nDescripción generada automáticamente",
    ],
)
def test_names_and_generated_texts_are_none(text: str | None) -> None:
    assert described(text) == ""
