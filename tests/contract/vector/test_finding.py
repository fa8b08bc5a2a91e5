"""Search in every script, exact names, and what must not be there."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from meldrag.vector.v1 import vector_pb2 as pb
from services.vector.embedding.ports import EmbedderUnavailableError, Vector, Vectors
from services.vector.record.lexicon import Shelf
from tests.contract.vector.world import Client, WordEmbedder, all_ready, eventually, running

FROZEN = Path(__file__).resolve().parents[2] / "fixtures" / "record-2.sql"

# Six subjects in one order, by language.
SUBJECTS = {
    "zh": [
        "海港的灯塔自一八七一年起发光",
        "图书馆在星期天关闭",
        "火车站位于城市北部",
        "医生建议每天喝水",
        "博物馆收藏古代陶器",
        "农民在春天播种小麦",
    ],
    "ja": [
        "港の灯台は一八七一年から光っています",
        "図書館は日曜日に閉まります",
        "駅は町の北にあります",
        "医者は毎日水を飲むことを勧めます",
        "博物館には古い陶器があります",
        "農家は春に小麦をまきます",
    ],
    "th": [
        "ประภาคารของท่าเรือส่องแสงตั้งแต่ปี",
        "ห้องสมุดปิดวันอาทิตย์",
        "สถานีรถไฟอยู่ทางเหนือของเมือง",
        "แพทย์แนะนำให้ดื่มน้ำทุกวัน",
        "พิพิธภัณฑ์เก็บเครื่องปั้นดินเผาโบราณ",
        "ชาวนาปลูกข้าวสาลีในฤดูใบไม้ผลิ",
    ],
    "ar": [
        "تضيء منارة الميناء منذ قرن",
        "تغلق المكتبة يوم الأحد",
        "تقع محطة القطار شمال المدينة",
        "ينصح الطبيب بشرب الماء كل يوم",
        "يحفظ المتحف الفخار القديم",
        "يزرع الفلاح القمح في الربيع",
    ],
    "hi": [
        "बंदरगाह का प्रकाशस्तंभ पुराना है",
        "पुस्तकालय रविवार को बंद रहता है",
        "रेलवे स्टेशन शहर के उत्तर में है",
        "डॉक्टर रोज पानी पीने की सलाह देते हैं",
        "संग्रहालय में प्राचीन बर्तन हैं",
        "किसान वसंत में गेहूँ बोते हैं",
    ],
    "ko": [
        "항구의 등대는 오래전부터 빛난다",
        "도서관은 일요일에 문을 닫는다",
        "기차역은 도시 북쪽에 있다",
        "의사는 매일 물을 마시라고 권한다",
        "박물관에는 고대 도자기가 있다",
        "농부는 봄에 밀을 심는다",
    ],
}
QUESTIONS = {
    "zh": ["灯塔", "哪天图书馆关闭？", "火车站在哪里", "喝水", "古代陶器", "小麦"],
    "ja": ["灯台はいつから", "図書館", "町の北", "水を飲む", "古い陶器", "春の小麦"],
    "th": ["ประภาคาร", "ห้องสมุด", "สถานีรถไฟ", "ดื่มน้ำ", "พิพิธภัณฑ์", "ข้าวสาลี"],
    "ar": ["مَنارة", "متى تغلق مكتبة", "المحطة", "الطبيب والماء", "متحف", "قمح"],
    "hi": ["प्रकाशस्तंभ", "पुस्तकालय", "स्टेशन", "पानी", "बर्तन", "गेहूँ"],
    "ko": ["등대", "도서관", "기차역이", "의사가", "도자기", "밀을"],
}


async def settled(client: Client) -> bool:
    got = (await client.call("GetCollection", pb.GetCollectionRequest(collection_id="books"))).collection
    return got.vectors == got.chunks > 0


async def _found(
    client: Client, query: str, mode: int = pb.SEARCH_MODE_LEXICAL, **fields: object
) -> list[str]:
    found = await client.search(query, mode=mode, **fields)
    return [hit.external_id for hit in found.hits]


@pytest.mark.parametrize("language", sorted(SUBJECTS))
async def test_words_of_every_script_are_found(client: Client, language: str) -> None:
    await client.import_all(
        [{"external_id": str(at), "text": text} for at, text in enumerate(SUBJECTS[language])]
    )
    firsts = [(await _found(client, question) or ["none"])[0] for question in QUESTIONS[language]]
    assert firsts == ["0", "1", "2", "3", "4", "5"]


async def test_one_character_is_found_wherever_it_stands_in_a_run(client: Client) -> None:
    await client.import_all(
        [
            {"external_id": "first", "text": "猫は黒い"},
            {"external_id": "last", "text": "黒い猫"},
            {"external_id": "no", "text": "犬は白い"},
        ]
    )
    assert sorted(await _found(client, "猫")) == ["first", "last"]


CODE = [
    # Repeats the parts of what is asked, so that BM25 alone would like it best.
    {"external_id": "parts", "text": "Get the user name: user, name, user name, err conn 42, conn err."},
    {"external_id": "camel", "text": "Call getUserName before anything else happens in this long text."},
    {
        "external_id": "snake",
        "text": "The log showed ERR_CONN_42 once, among a great many other lines of it.",
    },
    {
        "external_id": "file",
        "title": "Yearly",
        "text": "See annual-report.v2.pdf for the figures of the year.",
    },
    {"external_id": "words", "text": "The annual report of the second year is a pdf of many figures."},
]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("what does getUserName do", "camel"),
        ("err_conn_42", "snake"),
        ("ERR_CONN_42 in the log", "snake"),
        ("annual-report.v2.pdf", "file"),
        ('"user name" please', "parts"),
        ("user name", "parts"),
    ],
)
@pytest.mark.parametrize("mode", [pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_HYBRID])
async def test_identifiers_and_phrases_come_first(client: Client, query: str, first: str, mode: int) -> None:
    await client.import_all(CODE)
    found = await client.search(query, mode=mode)
    assert found.hits[0].external_id == first
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)


async def test_parts_of_an_identifier_find_it_too(client: Client) -> None:
    await client.import_all(CODE)
    assert "camel" in await _found(client, "user")
    assert "snake" in await _found(client, "conn")


async def test_a_file_is_found_by_its_name(client: Client) -> None:
    await client.ingest(b"Nothing of the kind is said in here.", filename="budget_2031_final.txt")
    await client.import_all([{"external_id": "other", "text": "The final budget of the year 2031."}])
    found = await client.search("budget_2031_final.txt", mode=pb.SEARCH_MODE_LEXICAL)
    assert "Nothing of the kind" in found.hits[0].text


@pytest.mark.parametrize("mode", [pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_HYBRID, pb.SEARCH_MODE_DENSE])
@pytest.mark.parametrize(
    "query", ["harbour NOT storm", 'harbour -"winter storm"', 'harbour NOT "winter storm"']
)
async def test_what_must_not_be_there_is_not(client: Client, query: str, mode: int) -> None:
    await client.import_all(
        [
            {"external_id": "calm", "text": "The harbour is calm."},
            {"external_id": "storm", "text": "The harbour in a winter storm."},
        ]
    )
    await eventually(lambda: settled(client))
    found = await client.search(query, mode=mode, explain=True)
    assert [hit.external_id for hit in found.hits] == ["calm"]
    assert [dropped.cause for dropped in found.dropped] == [pb.DROP_CAUSE_FILTER]


async def test_a_record_of_the_release_before_finds_by_the_new_words(
    tmp_path: Path, embedder: WordEmbedder
) -> None:
    path = tmp_path / "vector" / "record.sqlite3"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as record:
        record.executescript(FROZEN.read_text())
    async with running(tmp_path, embedder) as client:
        # The name of a file was in no index of that release.
        assert set(await _found(client, "harbourtxt")) == {"harbour"}


class _Astray(WordEmbedder):
    """Takes every question for one about the garden. knows: whether it reads it; None: it cannot tell."""

    def __init__(self, *, knows: bool | None) -> None:
        super().__init__()
        self.knows = knows

    def reads(self, text: str) -> bool:
        if self.knows is None:
            raise EmbedderUnavailableError("its words are not there")
        return self.knows

    def embed_queries(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        return super().embed_queries(
            ["garden\nApple trees stand in the garden."] * len(texts), deadline=deadline
        )


@pytest.mark.parametrize(("knows", "first"), [(True, "garden"), (False, "harbour"), (None, "garden")])
async def test_a_model_that_does_not_read_the_question_does_not_outvote_its_words(
    tmp_path: Path, knows: bool | None, first: str
) -> None:
    """What it finds is known to mean little only where it says so."""
    async with running(tmp_path, _Astray(knows=knows)) as client:
        await client.create()
        await client.import_all(
            [
                {"external_id": "harbour", "title": "harbour", "text": "Ships moor at the eastern quay."},
                {"external_id": "garden", "title": "garden", "text": "Apple trees stand in the garden."},
                *(
                    {"external_id": f"{n}", "title": f"{n}", "text": f"Entry {n} of the list."}
                    for n in range(30)
                ),
            ]
        )
        await eventually(lambda: settled(client))
        found = await client.search("ships moor quay")
        assert [hit.external_id for hit in found.hits[:2]] == [first, *{"harbour", "garden"} - {first}]


class _Near(WordEmbedder):
    """Knows which questions it was asked for a vector that may come near."""

    def __init__(self) -> None:
        super().__init__()
        self.near: list[str] = []

    def embed_question(self, text: str, *, deadline: float) -> Vector:
        self.near.append(text)
        return super().embed_question(text, deadline=deadline)


@pytest.mark.parametrize(("mode", "near"), [(pb.SEARCH_MODE_HYBRID, 1), (pb.SEARCH_MODE_DENSE, 0)])
async def test_only_where_words_decide_as_well_a_vector_may_come_near(
    tmp_path: Path, mode: pb.SearchMode, near: int
) -> None:
    embedder = _Near()
    async with running(tmp_path, embedder) as client:
        await client.create()
        await client.import_all([{"external_id": "harbour", "text": "Ships moor at the eastern quay."}])
        await eventually(lambda: settled(client))
        found = await client.search("ships moor", mode=mode)
        assert [hit.external_id for hit in found.hits] == ["harbour"]
        assert embedder.near == ["ships moor"] * near


async def test_an_explained_search_with_a_filter_embeds_its_question_once(tmp_path: Path) -> None:
    embedder = _Near()
    async with running(tmp_path, embedder) as client:
        await client.create()
        await client.import_all(
            [
                {"external_id": "harbour", "text": "Ships moor at the eastern quay."},
                {"external_id": "garden", "text": "Ships of flowers moor in the garden."},
            ]
        )
        await eventually(lambda: settled(client))
        found = await client.search("ships moor", filter={"external_ids": ["harbour"]}, explain=True)
        assert [hit.external_id for hit in found.hits] == ["harbour"]
        assert [dropped.cause for dropped in found.dropped] == [pb.DROP_CAUSE_FILTER]
        assert embedder.near == ["ships moor"]


async def test_among_many_the_best_are_the_same_with_an_explanation(tmp_path: Path) -> None:
    words = ["crane", "harbour", "winter", "storm", "lamp", "pier", "rope", "sail"]
    texts = [
        f"{words[number % 8]} {words[number // 8 % 8]} {'storm ' * (number % 5)}{number}"
        for number in range(200)
    ]
    async with running(tmp_path, embedder=WordEmbedder()) as client:
        await client.create()
        await client.import_all(
            [{"external_id": str(number), "text": text} for number, text in enumerate(texts)]
        )
        await eventually(lambda: all_ready(client))
        plain = await client.search("winter storm harbour", top_k=10)
        told = await client.search("winter storm harbour", top_k=10, explain=True)
        assert [hit.external_id for hit in plain.hits] == [hit.external_id for hit in told.hits]
        assert [hit.lexical_score for hit in plain.hits] == [hit.lexical_score for hit in told.hits]
        assert len(told.dropped) > 100
        assert all(one.lexical_score > 0 for one in told.dropped if one.vector_score > 0)


async def test_one_index_speaks_for_both_where_each_document_is_one_passage(tmp_path: Path) -> None:
    texts = [
        f"The {word} stands in the {place}." for word in ("crane", "lamp", "pier") for place in "abcdefgh"
    ]
    async with running(tmp_path, embedder=WordEmbedder()) as client:
        await client.create()
        await client.import_all([{"text": text} for text in texts])
        postings = client.application.record.postings
        keys = range(1, len(texts) + 1)
        for parts in (['"crane"'], ['"lamp"', '"stands"']):
            passages = (await postings.rank(Shelf(1), parts)).of(keys)
            documents = (await postings.rank(Shelf(1, of_documents=True), parts)).of(keys)
            assert any(passages)
            assert passages == pytest.approx(documents, rel=0.05)
