from __future__ import annotations

import base64
from typing import Any

import pytest

from services.gateway.openai import content
from services.gateway.problem import ProblemError

PNG = base64.b64encode(b"picture").decode()


def picture(url: str) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": url}}]


def recording(**audio: Any) -> list[dict[str, Any]]:
    return [{"type": "input_audio", "input_audio": audio}]


def test_texts_of_parts_stand_in_lines() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert content.read(parts, "c") == content.Content("one\ntwo")
    assert content.read("plain", "c") == content.Content("plain")
    assert content.read(None, "c") == content.Content("")


def test_a_picture_comes_out_of_its_data_url() -> None:
    (media,) = content.read(picture(f"data:image/PNG;base64,{PNG}"), "c").media
    assert media == content.Media("image", "image/png", b"picture")
    (jpeg,) = content.read(picture(f"data:image/jpeg;name=a.jpg;base64,{PNG}"), "c").media
    assert jpeg.suffix == "jpg"


def test_a_recording_comes_out_of_its_data() -> None:
    (media,) = content.read(recording(data=PNG, format="mp3"), "c").media
    assert (media.kind, media.media_type, media.suffix, media.data) == (
        "audio",
        "audio/mpeg",
        "mp3",
        b"picture",
    )


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (7, "c"),
        ("a\0b", "c"),
        (["text"], "c[0]"),
        ([{"type": "text"}], "c[0].text"),
        ([{"type": "video"}], "c[0].type"),
        ([{"type": "file", "file": {"file_data": "x"}}], "c[0]"),
        (picture("data:image/png,plain"), "c[0].image_url.url"),
        (picture("data:;base64,AAAA"), "c[0].image_url.url"),
        (picture("data:image/png;base64,???"), "c[0].image_url.url"),
        (picture("data:image/png;base64,"), "c[0].image_url.url"),
        ([{"type": "image_url", "image_url": "data:"}], "c[0].image_url"),
        (recording(data=PNG), "c[0].input_audio.format"),
        (recording(data=PNG, format="../x"), "c[0].input_audio.format"),
        (recording(data="not base64", format="wav"), "c[0].input_audio.data"),
        (recording(format="wav"), "c[0].input_audio"),
    ],
)
def test_what_cannot_be_read_is_named(value: Any, field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        content.read(value, "c")
    assert (caught.value.status, caught.value.metadata["field"]) == (400, field)


@pytest.mark.parametrize("url", ["http://127.0.0.1/x.png", "https://a.example/x.png", "file:///etc/passwd"])
def test_nothing_is_fetched_from_elsewhere(url: str) -> None:
    with pytest.raises(ProblemError) as caught:
        content.read(picture(url), "c")
    assert caught.value.reason == "URL_NOT_FETCHED"
    assert "data: URL" in caught.value.detail
