"""The image agent over files in memory: without a model, and with what a model says."""

from __future__ import annotations

import io
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from PIL import Image

from meldrag.agents.v1 import results_pb2
from services.agents.ports import JsonObject, ModelDone, ModelError, Painted
from services.agents.seeing import hocr
from services.chassis.errors import (
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
)
from services.sandbox.model import Job, Outcome
from tests.support.kept_files import KeptDocuments, KeptFiles
from tests.support.pictures import camera_exif, page, photo, saved, whole_png
from tests.unit.agents.roster.coding import Bench

Inputs = results_pb2.ImageInputs
PRINT = ("The harbour of Elmsund is", "fourteen metres deep.")
tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
SALES = results_pb2.ChartInputs(csv="month,sales\nJan,3\nFeb,5")


class Easel(Bench):
    """The image agent with files and documents that can be looked at."""

    def __init__(self, files: dict[str, bytes] | None = None, **options: Any) -> None:
        super().__init__("image", **options)
        given = {name.partition(".")[0]: (name, "image/png", data) for name, data in (files or {}).items()}
        self.files = KeptFiles(given)
        self.knowledge = KeptDocuments()


async def test_pictures_are_measured_and_told() -> None:
    data = saved(photo(), "JPEG", dpi=(240, 240), exif=camera_exif(position=True))
    bench = Easel({"pier.jpg": data, "blank.png": whole_png(300, 200)})
    result = await bench.work(Inputs(attachment_ids=["pier", "blank"], skip_text=True))

    assert result.verdict == results_pb2.VERDICT_VERIFIED
    pier, blank = result.pictures
    assert (pier.format, pier.width, pier.height, pier.bytes) == ("JPEG", 320, 240, len(data))
    assert (pier.camera.model, pier.dpi_x) == ("EO-7", 240)
    assert blank.blank
    assert "inputs say so" in pier.text_reason
    told = bench.definition.tell(result)
    assert "pier.jpg: JPEG, 320 × 240 pixels" in told
    assert "Elmsund Optics EO-7" in told
    assert "nothing is to be seen" in told
    assert {metric.name for metric in result.facts} >= {"pier.jpg sharpness", "blank.png width"}
    assert [name for name, _ in bench.tools.used] == ["look", "look"]


async def test_where_a_picture_was_taken_is_in_the_result_when_asked_for_and_never_in_the_answer() -> None:
    data = saved(photo(), "JPEG", exif=camera_exif(position=True))
    silent = await Easel({"p.jpg": data}).work(Inputs(attachment_ids=["p"], skip_text=True))
    assert silent.pictures[0].position_present
    assert "59.4" not in str(silent)

    bench = Easel({"p.jpg": data})
    asked = await bench.work(Inputs(attachment_ids=["p"], skip_text=True, show_position=True))
    assert asked.pictures[0].position.latitude == pytest.approx(59.4375)
    assert "59.4" not in bench.definition.tell(asked)
    assert "tells where it was taken" in bench.definition.tell(asked)


async def test_one_that_is_too_much_keeps_no_other_from_being_measured() -> None:
    bench = Easel({"bomb.png": whole_png(20_000, 20_000), "p.png": saved(photo()), "t.txt": b"text"})
    result = await bench.work(Inputs(attachment_ids=["bomb", "p", "t"], skip_text=True))
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    bomb, good, text = result.pictures
    assert "more pixels" in bomb.reason
    assert (good.reason, good.width) == ("", 320)
    assert "no picture that can be read here" in text.reason


async def test_when_none_can_be_decoded_the_verdict_says_why() -> None:
    result = await Easel({"t.txt": b"text"}).work(Inputs(attachment_ids=["t"]))
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert "t.txt: It is no picture" in result.verdict_reason


async def test_a_file_that_is_too_large_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.agents.roster.image.MAX_BYTES", 1_000)
    result = await Easel({"p.png": saved(photo())}).work(Inputs(attachment_ids=["p"]))
    assert "1,000 are read" in result.pictures[0].reason


async def test_an_attachment_that_is_not_there_is_the_callers_error() -> None:
    with pytest.raises(NotFoundError):
        await Easel().work(Inputs(attachment_ids=["nobody"]))


async def test_the_same_picture_twice_is_noticed() -> None:
    bench = Easel({"a.png": saved(photo()), "b.jpg": saved(photo(), "JPEG")})
    result = await bench.work(Inputs(attachment_ids=["a", "b"], skip_text=True))
    assert [list(p.duplicate_ids) for p in result.pictures] == [["b"], ["a"]]


async def test_a_clean_copy_is_kept() -> None:
    bench = Easel({"pier.jpg": saved(photo(), "JPEG", exif=camera_exif(position=True))})
    result = await bench.work(Inputs(attachment_ids=["pier"], skip_text=True, clean_copy=True))
    (file,) = result.files
    assert (file.filename, file.media_type) == ("pier-clean.jpeg", "image/jpeg")
    with Image.open(io.BytesIO(bench.files.files[file.attachment_id][2])) as copy:
        assert not copy.getexif()


@tesseract
async def test_text_is_read_kept_with_its_places_and_made_a_document() -> None:
    bench = Easel({"scan.png": saved(page(*PRINT))})
    result = await bench.work(Inputs(attachment_ids=["scan"], ingest_collection_id="notes"))
    assert result.text == "\n".join(PRINT)
    assert [line.text for line in result.pictures[0].lines] == list(PRINT)
    assert abs(result.pictures[0].lines[0].box.left - 40) < 5
    (file,) = result.files
    assert (file.filename, file.media_type) == ("scan.hocr", "text/vnd.hocr+html")
    kept = bench.files.files[file.attachment_id][2].decode()
    assert [line.text for line in hocr.read(kept)] == list(PRINT)
    (document,) = result.documents
    assert (document.collection_id, document.title) == ("notes", "scan.png")
    ingested = bench.knowledge.documents["attachment-scan"]
    assert ingested.data.decode() == kept
    assert (ingested.media_type, ingested.title) == ("text/vnd.hocr+html", "scan.png")
    assert [name for name, _ in bench.tools.used] == ["look", "ingest"]


@tesseract
async def test_a_picture_without_text_gives_no_document_and_says_so() -> None:
    bench = Easel({"p.png": whole_png(300, 200)})
    result = await bench.work(Inputs(attachment_ids=["p"], ingest_collection_id="notes"))
    assert not result.documents
    assert "p.png gave no document" in result.notes[0]


async def test_a_chart_and_a_diagram_are_drawn_and_kept_without_a_sandbox() -> None:
    bench = Easel(sandbox=None)
    diagram = results_pb2.DiagramInputs(text="a -> b", title="The way")
    result = await bench.work(Inputs(chart=SALES, diagram=diagram))
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    assert [drawing.title for drawing in result.drawings] == ["sales by month", "The way"]
    assert [file.filename for file in result.files] == ["drawing-1.svg", "drawing-2.svg"]
    assert bench.files.files[result.files[0].attachment_id][2].decode() == result.drawings[0].svg
    assert "Drawn: The way." in bench.definition.tell(result)


async def test_a_drawing_stands_also_where_no_file_can_be_kept() -> None:
    bench = Easel()

    async def full(*_: object) -> Any:
        raise ResourceExhaustedError("there is no room", reason="STORAGE_FULL")

    bench.files.keep = full  # type: ignore[method-assign]
    result = await bench.work(Inputs(chart=SALES))
    assert (len(result.drawings), len(result.files)) == (1, 0)
    assert result.notes == ["drawing-1.svg was not kept: there is no room"]


async def test_without_a_sandbox_no_picture_is_decoded() -> None:
    result = await Easel({"p.png": saved(photo())}, sandbox=None).work(Inputs(attachment_ids=["p"]))
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert "no sandbox" in result.verdict_reason


async def test_a_sandbox_that_is_none_is_told_beside_what_was_drawn() -> None:
    class Nowhere:
        async def run(self, job: Job) -> Outcome:
            raise FailedPreconditionError("code cannot be run here: no layer", reason="TOOL_UNAVAILABLE")

    bench = Easel({"p.png": saved(photo())}, sandbox=Nowhere())
    result = await bench.work(Inputs(attachment_ids=["p"], chart=SALES))
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    assert "No picture was looked at. code cannot be run here" in result.notes[0]
    alone = await Easel({"p.png": b"x"}, sandbox=Nowhere()).work(Inputs(attachment_ids=["p"]))
    assert "code cannot be run here" in alone.verdict_reason


async def test_with_nothing_to_look_at_the_reason_says_so() -> None:
    bench = Easel()
    result = await bench.work(Inputs())
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert "no picture among the inputs" in bench.definition.tell(result)


async def test_what_a_model_sees_stands_apart_and_it_is_shown_copies_without_metadata() -> None:
    read = results_pb2.ImageReading(
        answer="A pier.", pictures=[results_pb2.PictureReading(description="A pier at dusk.")]
    )
    data = saved(photo(), "JPEG", exif=camera_exif(position=True))
    bench = Easel({"pier.jpg": data}, model=read)
    result = await bench.work(
        Inputs(attachment_ids=["pier"], skip_text=True, show_position=True), "What is to be seen?"
    )
    assert result.reading == read
    assert "A model sees: A pier." in bench.definition.tell(result)
    (shown,) = bench.model.attachments
    sent = await shown.load()
    assert shown.media_type == "image/png"
    assert b"Elmsund Optics" in data
    assert b"Elmsund Optics" not in sent
    assert "59.4" not in str(bench.model.data)
    with pytest.raises(ValueError, match="1 pictures were shown, 0 are told"):
        bench.model.check(results_pb2.ImageReading())


async def test_a_resumed_run_makes_the_copy_for_the_model_again_and_it_is_the_same() -> None:
    bench = Easel({"pier.png": saved(photo())}, model=results_pb2.ImageReading())
    done: list[JsonObject] = []
    use = bench.tools.use

    async def recorded(tool: str, arguments: JsonObject, action: Any, summary: Any) -> JsonObject:
        if not done:
            done.append(await use(tool, arguments, action, summary))
        return done[0]

    bench.tools.use = recorded  # type: ignore[method-assign]
    inputs = Inputs(attachment_ids=["pier"], skip_text=True)
    await bench.work(inputs)
    first = bench.model.attachments[0]
    await bench.work(inputs)
    again = bench.model.attachments[0]
    assert again.sha256 == first.sha256
    assert await again.load() == await first.load()


class Painting:
    """Is ports.Painting: makes a picture, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[tuple[str, str, str]] = []

    async def paint(
        self, tool: str, prompt: str, size: str, keep: Callable[[Painted], Awaitable[JsonObject]]
    ) -> JsonObject:
        self.asked.append((tool, prompt, size))
        if self.error is not None:
            raise self.error
        return await keep(Painted("image/png", saved(photo()), ModelDone("brush", 7, 90), "a pier, oil"))


def generation(prompt: str = "A pier", size: str = "") -> results_pb2.ImageInputs:
    return Inputs(generation=results_pb2.GenerationInputs(prompt=prompt, size=size))


async def test_a_picture_is_made_when_it_is_asked_for() -> None:
    painting = Painting()
    bench = Easel(painting=painting)
    result = await bench.work(generation("A pier", "512x512"))
    assert painting.asked == [("generate", "A pier", "512x512")]
    assert "generate" in bench.definition.effects
    assert (result.generated.model, result.generated.output_tokens) == ("brush", 90)
    assert result.generated.revised_prompt == "a pier, oil"
    assert result.files == [result.generated.file]
    assert bench.files.files[result.generated.file.attachment_id][2] == saved(photo())
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    assert "A picture was made by brush: picture.png." in bench.definition.tell(result)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FailedPreconditionError("no model that makes pictures", reason="TOOL_UNAVAILABLE"), "no model that"),
        (InternalError("nobody knows whether it did", reason="TOOL_OUTCOME_UNKNOWN"), "nobody knows"),
        (ModelError("the model answered with HTTP status 400", model="brush"), "brush: the model answered"),
    ],
)
async def test_why_none_was_made_is_told(error: Exception, said: str) -> None:
    bench = Easel(painting=Painting(error))
    result = await bench.work(generation())
    assert said in result.generated.reason
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert said in result.verdict_reason
    assert said in bench.definition.tell(result)


async def test_a_budget_that_is_used_up_ends_the_run() -> None:
    spent = ResourceExhaustedError("the run used its calls", reason="BUDGET_EXHAUSTED")
    with pytest.raises(ResourceExhaustedError):
        await Easel(painting=Painting(spent)).work(generation())


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        (Inputs(attachment_ids=["a"] * 2), "$.attachment_ids"),
        (Inputs(attachment_ids=[f"a{i}" for i in range(9)]), "$.attachment_ids"),
        (Inputs(attachment_ids=[""]), "$.attachment_ids"),
        (Inputs(ingest_collection_id="notes"), "$.ingest_collection_id"),
        (Inputs(attachment_ids=["a"], ingest_collection_id="n", skip_text=True), "$.ingest_collection_id"),
        (Inputs(attachment_ids=["a"], languages=["../eng"]), "$.languages"),
        (Inputs(attachment_ids=["a"], languages=["eng"] * 5), "$.languages"),
        (generation(" "), "$.generation.prompt"),
        (generation("x" * 4_001), "$.generation.prompt"),
        (generation("x", "big"), "$.generation.size"),
        (Inputs(attachment_ids=["a"], chart=results_pb2.ChartInputs()), "$.chart.csv"),
        (Inputs(attachment_ids=["a"], diagram=results_pb2.DiagramInputs()), "$.diagram.nodes"),
    ],
)
async def test_inputs_that_do_not_fit_are_refused_before_anything_is_done(inputs: Any, path: str) -> None:
    bench = Easel({"a.png": saved(photo())})
    with pytest.raises(InvalidArgumentError) as caught:
        await bench.work(inputs)
    assert caught.value.metadata["path"] == path
    assert bench.tools.used == []
