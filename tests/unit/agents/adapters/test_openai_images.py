"""Answers of endpoints that make pictures, as servers write them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import SecretStr

from services.agents.adapters import openai_images
from services.agents.adapters.openai_images import open_images
from services.agents.chat.providers import Provider
from services.agents.ports import ModelDone, ModelError, Painted
from tests.support.model_server import Drawing, Failure, Hang, ModelServer, Raw
from tests.support.pictures import photo, saved

PNG = saved(photo())


async def painted(
    server: ModelServer, *, model: str = "brush", size: str = "", seconds: float = 10
) -> Painted:
    provider = Provider("openai", server.base_url, model, SecretStr(""))
    async with open_images(provider) as painter:
        return await painter.paint("A pier", size, seconds)


def answer(**first: Any) -> Raw:
    return Raw(json.dumps({"created": 1, "data": [first]}).encode(), "application/json")


@pytest.mark.parametrize(
    ("form", "kind"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
async def test_the_picture_comes_with_its_kind_and_its_tokens(form: str, kind: str) -> None:
    data = saved(photo(), form)
    with ModelServer(Drawing(data, "a pier in oil", (5, 70))) as server:
        made = await painted(server, size="512x512")
    assert made == Painted(kind, data, ModelDone("brush", 5, 70), "a pier in oil")
    assert server.drawings[0].body["size"] == "512x512"


@pytest.mark.parametrize(
    ("model", "wants"), [("brush", "b64_json"), ("dall-e-3", "b64_json"), ("gpt-image-1", None)]
)
async def test_models_that_give_bytes_anyway_are_not_asked_for_them(model: str, wants: str | None) -> None:
    with ModelServer(Drawing(PNG)) as server:
        await painted(server, model=model)
    body = server.drawings[0].body
    assert body.get("response_format") == wants
    assert "size" not in body


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (answer(url="http://127.0.0.1:9/secret.png"), "holds no picture"),
        (answer(b64_json="no base64!"), "holds no picture"),
        (answer(b64_json=base64.b64encode(b"<html>").decode()), "no PNG, JPEG or WebP"),
        (answer(b64_json=None), "holds no picture"),
        (Raw(b'{"data": []}', "application/json"), "holds no picture"),
        (Raw(b"[1]", "application/json"), "holds no picture"),
        (Raw(b"<html>It works!</html>", "text/html"), "cannot be read"),
        (Failure(400), "HTTP status 400"),
        (Failure(500), "HTTP status 500"),
    ],
)
async def test_an_answer_without_a_picture_is_an_error_and_asked_for_once(step: Any, said: str) -> None:
    with ModelServer(step) as server, pytest.raises(ModelError, match=said):
        await painted(server)
    assert len(server.drawings) == 1


async def test_one_that_does_not_answer_is_left_in_time() -> None:
    with ModelServer(Hang()) as server, pytest.raises(ModelError, match="does not answer in time"):
        await painted(server, seconds=0.3)


async def test_an_answer_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_images, "_MAX_ANSWER_BYTES", 1_000)
    with ModelServer(Drawing(PNG)) as server, pytest.raises(ModelError, match="does not end"):
        await painted(server)
