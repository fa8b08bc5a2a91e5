"""Which sentences answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.agents.answering.extractive import Evidence
from services.agents.model import Passage, Quote
from services.agents.ports import Embeddings, Likeness, Nearness

TEXTS = [
    "The tram runs every ten minutes. A day ticket costs six francs. Dogs ride free.",
    "Day tickets cost six francs. Bicycles need a ticket of their own.",
    "The museum shows steam engines. It opens at ten.",
]


SENTENCES = [f"{part}." for text in TEXTS for part in text.removesuffix(".").split(". ")]
NO_OTHER = Likeness()


def passages(texts: Sequence[str] = TEXTS) -> list[Passage]:
    """A passage per text."""
    return [
        Passage(f"d{i}", "t", f"c{i}", "k", text, 0, len(text.encode()), f"x{i}")
        for i, text in enumerate(texts)
    ]


class Embedder:
    """Vectors whose first component is what `meaning` says of a text."""

    def __init__(
        self, meaning: dict[str, float], available: bool = True, likeness: Likeness = NO_OTHER
    ) -> None:
        self.meaning = meaning
        self.available = available
        self.likeness = likeness
        self.asked: list[str] = []

    async def __call__(self, texts: Sequence[str]) -> Embeddings | None:
        self.asked += texts
        if not self.available:
            return None
        first = np.array([self.meaning.get(text, 0.0) for text in texts], dtype=np.float32)
        return Embeddings(np.stack([first, np.sqrt(1 - first**2)], axis=1), self.likeness)


async def test_the_sentence_that_shares_the_rare_words_comes_first() -> None:
    chosen = await Evidence(passages(), None).answer("What does a day ticket cost?")
    assert chosen[0].text in {"A day ticket costs six francs.", "Day tickets cost six francs."}
    assert len(chosen) <= 5


async def test_nothing_is_chosen_when_nothing_fits() -> None:
    assert await Evidence(passages(), None).answer("Who painted the ceiling of the chapel?") == []


async def test_no_passages_no_answer() -> None:
    assert await Evidence([], None).answer("Anything?") == []


async def test_meaning_finds_what_words_do_not() -> None:
    question = "Are pets charged?"
    embed = Embedder({question: 1.0, "Dogs ride free.": 0.95})
    chosen = await Evidence(passages(), embed).answer(question)
    assert [quote.text for quote in chosen] == ["Dogs ride free."]


async def test_a_model_that_finds_all_texts_alike_answers_no_more_for_that() -> None:
    question = "Are pets charged?"
    # A question and any text have 0.8, and an answer 0.95, as by e5.
    meaning = {question: 1.0, **dict.fromkeys(SENTENCES, 0.8)}
    as_it_is = Embedder(meaning)
    assert await Evidence(passages(), as_it_is).answer(question)
    scaled = Embedder(meaning, likeness=Likeness(4.0, -3.2))
    assert await Evidence(passages(), scaled).answer(question) == []
    scaled.meaning["Dogs ride free."] = 0.99
    chosen = await Evidence(passages(), scaled).answer(question)
    assert [quote.text for quote in chosen] == ["Dogs ride free."]


async def test_the_same_said_twice_is_quoted_once() -> None:
    twice = ["Rye bread costs four crowns.", "Rye bread costs four crowns."]
    chosen = await Evidence(passages(twice), None).answer("What does rye bread cost?")
    assert len(chosen) == 1


async def test_words_decide_when_there_are_no_embeddings() -> None:
    embed = Embedder({}, available=False)
    evidence = Evidence(passages(), embed)
    chosen = await evidence.answer("What does a day ticket cost?")
    assert chosen
    asked = len(embed.asked)
    await evidence.answer("Do dogs ride free?")
    assert len(embed.asked) == asked


async def test_a_sentence_is_embedded_once_for_several_questions() -> None:
    embed = Embedder({})
    evidence = Evidence(passages(), embed)
    await evidence.answer("What does a day ticket cost?")
    await evidence.related("museum", 3)
    assert len(embed.asked) == len(set(embed.asked))


async def test_related_sentences_hold_the_topic_when_asked_to() -> None:
    quotes = await Evidence(passages(), None).related("museum", 3)
    assert [quote.text for quote in quotes] == ["The museum shows steam engines."]


async def test_what_no_passage_mentions_is_missing() -> None:
    evidence = Evidence(passages(), None)
    assert evidence.missing("What does a helicopter ticket cost?") == ["helicopter"]
    assert evidence.coverage("tram minutes") == 1.0
    assert evidence.coverage("helicopter") == 0.0


STONES = (
    "The ledger of the quarry is kept by hand.\n\n"
    "Stone | Density | Foreman\nBasalt | 2.91 | Odalric Venn\nGneiss | 2.65 | Perpetua Strand"
)


async def test_a_row_answers_what_its_column_is_asked_for() -> None:
    evidence = Evidence(passages([STONES]), None)
    for question in ("Who is the foreman for gneiss?", "What is the density of gneiss?"):
        chosen = await evidence.answer(question)
        assert [quote.text for quote in chosen] == ["Gneiss | 2.65 | Perpetua Strand"]


async def test_a_row_is_compared_by_what_it_says_with_its_columns() -> None:
    question = "Who is the foreman for gneiss?"
    embed = Embedder({question: 1.0, "Stone: Gneiss; Density: 2.65; Foreman: Perpetua Strand": 0.6})
    chosen = await Evidence(passages([STONES]), embed).answer(question)
    assert [quote.text for quote in chosen] == ["Gneiss | 2.65 | Perpetua Strand"]


async def test_names_of_columns_alone_answer_nothing() -> None:
    evidence = Evidence(passages([STONES]), None)
    assert await evidence.answer("Who is the foreman?") == []
    assert await evidence.answer("What is the density of slate?") == []
    assert evidence.missing("What is the density of slate?") == ["slate"]


async def test_one_row_of_many_is_quoted() -> None:
    rows = [f"Orchard: Field {i}; Kilos: {i * 13}; Variety: Cox" for i in range(12)]
    rows[7] = "Orchard: Thistledown; Kilos: 9917; Variety: Ashmead"
    chosen = await Evidence(passages(["\n".join(rows)]), None).answer("What are the kilos of Thistledown?")
    assert [quote.text for quote in chosen] == [rows[7]]


MANUAL = """# Coffee machine manual

## Descaling

Descale every three months. Fill the tank with vinegar and press the left button twice. Rinse it. Dry it.

## Storage

## Warranty

- Parts: two years
- Labour: one year

## Transport
"""


async def test_a_heading_stands_for_the_sentences_below_it() -> None:
    evidence = Evidence(passages([MANUAL]), None)
    assert [quote.text for quote in await evidence.answer("Explain descaling")] == [
        "Descale every three months.",
        "Fill the tank with vinegar and press the left button twice.",
        "Rinse it.",
    ]
    assert [quote.text for quote in await evidence.answer("Tell me about the warranty")] == [
        "- Parts: two years",
        "- Labour: one year",
    ]


async def test_a_title_stands_for_what_comes_first_and_an_empty_section_for_nothing() -> None:
    evidence = Evidence(passages([MANUAL]), None)
    quotes = await evidence.answer("Tell me about the coffee machine manual")
    assert quotes[0].text == "Descale every three months."
    assert await evidence.answer("transport") == []
    assert await evidence.answer("storage") == []
    data = MANUAL.encode()
    assert all(data[quote.byte_start : quote.byte_end].decode() == quote.text for quote in quotes)


async def test_no_section_reaches_into_the_next_passage() -> None:
    evidence = Evidence(passages(["Birds sing.\n\n## Storage", "The lamp is red."]), None)
    assert await evidence.answer("storage") == []


async def test_the_words_of_a_heading_count_for_a_sentence_below_it_that_holds_another() -> None:
    rules = (
        "# Rules\n\n## Travel\n\nHotels cost 140 euros at most. Trains go first.\n\n## Leave\n\nAsk early."
    )
    evidence = Evidence(passages([rules]), None)
    chosen = await evidence.answer("What do the travel rules say about hotels?")
    assert [quote.text for quote in chosen] == ["Hotels cost 140 euros at most."]
    assert await evidence.answer("What do the travel rules say about helicopters and yachts?") == []


async def test_what_is_nearest_is_shown_once_a_passage_and_only_where_something_is() -> None:
    evidence = Evidence(passages(), None)
    question = "Is there a ticket for an elephant?"
    assert await evidence.answer(question) == []
    near = await evidence.nearest(question)
    assert len(near) == len({quote.passage.document_id for quote in near}) == 2
    assert all("ticket" in quote.text for quote in near)
    assert await evidence.nearest("Who painted the ceiling of the chapel?") == []


async def test_a_sentence_that_says_no_more_than_its_headings_brings_its_section() -> None:
    evidence = Evidence(passages([MANUAL]), None)
    chosen = [quote.text for quote in await evidence.answer("How do I descale the coffee machine?")]
    assert chosen[:2] == [
        "Descale every three months.",
        "Fill the tank with vinegar and press the left button twice.",
    ]
    assert [quote.text for quote in await evidence.answer("Which button for descaling?")] == [
        "Fill the tank with vinegar and press the left button twice."
    ]


class Comparer:
    """How near the words of a question come, by what `near` says of a sentence; far where it says nothing."""

    def __init__(
        self, words: Sequence[str], near: dict[str, Sequence[float]], likeness: Likeness = NO_OTHER
    ) -> None:
        self.words, self.near, self.likeness = tuple(words), near, likeness
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, question: str, quotes: Sequence[Quote]) -> Nearness | None:
        self.asked.append((question, len(quotes)))
        rows = [self.near.get(quote.text, [0.0] * len(self.words)) for quote in quotes]
        return Nearness(
            self.words, np.ones(len(self.words), np.float32), np.array(rows, np.float32), self.likeness
        )


async def not_known(question: str, quotes: Sequence[Quote]) -> Nearness | None:
    return None


async def embeds_nothing(texts: Sequence[str]) -> Embeddings | None:
    raise AssertionError(f"embedded: {texts}")


async def test_words_that_come_near_answer_and_nothing_is_embedded() -> None:
    near = {"It opens at ten.": [0.9, 0.8], "The museum shows steam engines.": [0.2, 0.3]}
    compare = Comparer(["doors", "morning"], near)
    evidence = Evidence(passages(), embeds_nothing, compare)
    question = "When do they unlock the doors in the morning?"
    assert [quote.text for quote in await evidence.answer(question)] == ["It opens at ten."]
    assert [quote.text for quote in await evidence.all_fitting(question)] == ["It opens at ten."]
    # All sentences at once, and once for each question.
    assert compare.asked == [(question, len(SENTENCES))]
    assert await evidence.over(passages()[:2]).answer(question) == []
    assert compare.asked[1:] == [(question, 5)]


async def test_a_rare_word_of_the_question_counts_more_than_a_common_one() -> None:
    # "ticket" stands in three sentences and "dogs" in one; by the words alone all fit alike.
    near = {"Bicycles need a ticket of their own.": [0.9, 0.2], "It opens at ten.": [0.2, 0.9]}
    ranked = await Evidence(passages(), None, Comparer(["ticket", "dogs"], near)).ranked("pooch fare")
    assert [item.quote.text for item in ranked[:2]] == [
        "It opens at ten.",
        "Bicycles need a ticket of their own.",
    ]


async def test_a_function_word_of_the_question_counts_little() -> None:
    near = {"It opens at ten.": [0.9, 0.1], "Dogs ride free.": [0.1, 0.9]}
    ranked = await Evidence(passages(), None, Comparer(["when", "pooch"], near)).ranked("when pooch")
    assert ranked[0].quote.text == "Dogs ride free."


async def test_of_what_fits_alike_the_passage_that_was_found_first_answers() -> None:
    texts = ["The ferry leaves at nine.", "The ferry leaves at ten.", "The ferry leaves at eight."]
    for order in ([0, 1, 2], [2, 0, 1]):
        some = [texts[at] for at in order]
        compare = Comparer(["ferry"], {text: [0.9] for text in texts})
        for evidence in (
            Evidence(passages(some), None, compare),
            Evidence(passages(some), Embedder(dict.fromkeys([*texts, "When does the ferry leave?"], 1.0))),
        ):
            assert (await evidence.answer("When does the ferry leave?"))[0].text == some[0]


async def test_what_another_model_says_is_brought_to_one_scale() -> None:
    near = {"It opens at ten.": [0.85], "Dogs ride free.": [0.80]}
    usual = Evidence(passages(), None, Comparer(["doors"], near))
    assert await usual.answer("doors?")
    scaled = Evidence(passages(), None, Comparer(["doors"], near, Likeness(4.0, -3.0)))
    # 0.85 is 0.4 by that model, and 0.8 is 0.2: neither answers.
    assert await scaled.answer("doors?") == []
    assert scaled.likeness == Likeness(4.0, -3.0)


async def test_where_nearness_is_not_known_sentences_are_embedded() -> None:
    embedder = Embedder({"A day ticket costs six francs.": 0.9, "fare?": 1.0})
    evidence = Evidence(passages(), embedder, not_known)
    assert (await evidence.ranked("fare?"))[0].quote.text == "A day ticket costs six francs."
    assert embedder.asked
    many = Evidence(passages(TEXTS * 34), embedder, Comparer(["fare"], {}))
    assert (await many.ranked("fare?"))[0].quote.text == "A day ticket costs six francs."
    # What is enough to answer follows from how it was found.
    close = Embedder({"A day ticket costs six francs.": 0.71, "fare?": 1.0})
    assert await Evidence(passages(), close, not_known).answer("fare?")
    assert await Evidence(passages(TEXTS * 34), close, Comparer(["fare"], {})).answer("fare?")


TABLE = (
    "# Pumps\n\n| Model | Price |\n|---|---|\n| A12 | 340 EUR |\n| B7 | 510 EUR |\n\n"
    "Delivery takes five days.\n"
)


async def test_a_row_is_read_with_the_names_of_its_columns_and_the_headings_above_it() -> None:
    near = {
        "| B7 | 510 EUR |": [0.1, 0.1, 0.9],
        "| A12 | 340 EUR |": [0.1, 0.1, 0.2],
        "| Model | Price |": [0.1, 0.9, 0.1],
        "# Pumps": [0.9, 0.1, 0.1],
        "Delivery takes five days.": [0.3, 0.3, 0.1],
    }
    evidence = Evidence(passages([TABLE]), None, Comparer(["pump", "costs", "B7"], near))
    quotes = await evidence.answer("What does the pump B7 cost?")
    assert [quote.text for quote in quotes] == ["| B7 | 510 EUR |"]
    # Of a row that nobody asks for they say nothing.
    scores = {item.quote.text: item.score for item in await evidence.ranked("What does the pump B7 cost?")}
    assert scores["| A12 | 340 EUR |"] < scores["Delivery takes five days."] < 0.43


async def test_what_is_nearest_is_found_by_embeddings_all_the_same() -> None:
    meaning = {"closing time?": 1.0, "It opens at ten.": 0.6}
    compare = Comparer(["closing", "time"], {"Dogs ride free.": [0.4, 0.3]})
    evidence = Evidence(passages(), Embedder(meaning), compare)
    assert await evidence.answer("closing time?") == []
    assert [quote.text for quote in await evidence.nearest("closing time?")] == ["It opens at ten."]
