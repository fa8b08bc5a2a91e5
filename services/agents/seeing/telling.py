"""What was seen and drawn, in words."""

from __future__ import annotations

from collections.abc import Iterator

from meldrag.agents.v1 import results_pb2
from services.agents.measuring.charts import number

Result = results_pb2.ImageResult
Picture = results_pb2.Picture

_MAX_LINES = 40


def facts(pictures: list[Picture]) -> Iterator[results_pb2.Metric]:
    """The numbers of each picture that was measured, under its name."""
    for picture in pictures:
        if picture.reason:
            continue
        values = {
            "width": (picture.width, "pixels"),
            "height": (picture.height, "pixels"),
            "size": (picture.bytes, "bytes"),
            "frames": (picture.frames, ""),
            "mean luma": (picture.mean_luma, ""),
            "RMS contrast": (picture.rms_contrast, ""),
            "sharpness": (picture.sharpness, ""),
        }
        for name, (value, unit) in values.items():
            yield results_pb2.Metric(name=f"{picture.filename} {name}", value=value, unit=unit)


def tell(result: Result, *, nothing: str) -> str:
    """The outcome; empty when the documents answer and no picture was meant. nothing: the reason then."""
    if result.verdict_reason == nothing and result.evidence:
        return ""
    lines = [line for picture in result.pictures for line in told(picture)]
    lines += [f"Drawn: {drawing.title}." for drawing in result.drawings]
    if result.HasField("generated"):
        made = result.generated
        lines.append(
            f"No picture was made: {made.reason}"
            if made.reason
            else f"A picture was made by {made.model}: {made.file.filename}."
        )
    if result.verdict_reason and not result.pictures:
        lines.insert(0, f"No picture was looked at. {result.verdict_reason}")
    lines += [
        f"The text became the document {document.document_id} of {document.collection_id}."
        for document in result.documents
    ]
    if result.HasField("reading"):
        lines.append(f"A model sees: {result.reading.answer}")
        lines += [f"- {picture.description}" for picture in result.reading.pictures if picture.description]
    return "\n".join([*lines, *result.notes])


def told(picture: Picture) -> Iterator[str]:
    """A picture in a few lines; never where it was taken: an answer is passed on sooner than a result."""
    if picture.reason:
        yield f"{picture.filename} was not measured. {picture.reason}"
        return
    size = f"{picture.width} × {picture.height} pixels, {picture.bytes:,} bytes"
    frames = f", {picture.frames} frames" if picture.frames > 1 else ""
    dpi = f", {picture.dpi_x:.0f} dots an inch" if picture.HasField("dpi_x") else ""
    yield f"{picture.filename}: {picture.format}, {size}{frames}{dpi}."
    contrast = ""
    if picture.HasField("background_contrast"):
        contrast = f", contrast to the background {picture.background_contrast:.1f} to 1"
    yield (
        f"- sharpness {number(picture.sharpness)}, mean luma {picture.mean_luma:.0f} of 255, RMS contrast "
        f"{picture.rms_contrast:.2f}{contrast}"
    )
    if picture.palette:
        yield "- colours: " + ", ".join(f"{s.name} {s.hex} {s.share:.0%}" for s in picture.palette[:5])
    if picture.blank:
        yield "- nothing is to be seen in it"
    yield from _camera(picture)
    if picture.position_present:
        yield "- its file tells where it was taken"
    if picture.duplicate_ids:
        yield f"- the same as, or very much like, {', '.join(picture.duplicate_ids)}"
    if picture.lines:
        yield "- text:"
        yield from (f"  {line.text}" for line in picture.lines[:_MAX_LINES])
        if len(picture.lines) > _MAX_LINES:
            yield f"  and {len(picture.lines) - _MAX_LINES} more lines in the result"
    elif picture.text_reason:
        yield f"- {picture.text_reason}"
    yield from (f"- {note}" for note in picture.notes)


def _camera(picture: Picture) -> Iterator[str]:
    camera = picture.camera
    device = " ".join(filter(None, (camera.make, camera.model)))
    shot = ", ".join(filter(None, (device, camera.lens, camera.taken and f"taken {camera.taken}")))
    if shot:
        yield f"- by its file: {shot}"
