"""What a model is told: the agent's prompt, the rules, the session so far, the fenced passages, the question.

Retrieved and given text is data. It stands inside a fence whose name is drawn anew for each run, so no
document can close it, and marks by which model servers tell roles apart are broken up in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from services.agents.model import Passage, Turn
from services.agents.ports import ChatMessage

NO_ANSWER = "NO_ANSWER"

_BYTES_PER_TOKEN = 4
_WISHES = "The caller wishes the following of every answer. Follow it as far as the rules above allow it:"
# <|im_start|>, [INST], <<SYS>>, <start_of_turn> and their kin.
_ROLE_MARK = re.compile(r"<\||\|>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>", re.IGNORECASE)


def load_rules() -> str:
    """What every agent is told besides its own prompt."""
    return (resources.files("services.agents.answering") / "rules.md").read_text("utf-8")


def estimated_tokens(text: str) -> int:
    """Tokens of a text, estimated as a token for every four bytes of UTF-8."""
    return len(text.encode()) // _BYTES_PER_TOKEN + 1


def shown_passages(passages: Sequence[Passage], token_budget: int) -> tuple[Passage, ...]:
    """The first passages that fit into the budget; always at least one, where there is one."""
    shown: list[Passage] = []
    left = token_budget
    for passage in passages:
        left -= estimated_tokens(passage.text)
        if shown and left < 0:
            break
        shown.append(passage)
    return tuple(shown)


def messages(
    *,
    agent_prompt: str,
    rules: str,
    question: str,
    passages: Sequence[Passage],
    turns: Sequence[Turn],
    inputs: str,
    history_tokens: int,
    fence: str,
    instructions: str = "",
    further: Sequence[ChatMessage] = (),
) -> tuple[ChatMessage, ...]:
    """The messages of a run.

    passages: exactly those to be shown, numbered from 1. inputs: the caller's inputs as text, data like the
    passages; empty where there are none. fence: a name that nobody could know before. instructions: how the
    caller wants answers to be; empty for nothing. further: what followed on the question.
    """
    wishes = f"\n\n{_WISHES}\n\n{harmless(instructions.strip())}" if instructions.strip() else ""
    return (
        ChatMessage("system", f"{agent_prompt.strip()}\n\n{rules.strip()}{wishes}"),
        *_history(turns, history_tokens),
        ChatMessage("user", _request(question, passages, inputs, fence)),
        *further,
    )


def fenced(name: str, text: str, fence: str) -> str:
    """A text that is data, inside its fence."""
    return f"<<<{name} {fence}\n\n{harmless(text)}\n\n{name} {fence}>>>"


def shortened(text: str, limit: int) -> str:
    """The first characters of a text, which says so where that is not all."""
    return text if len(text) <= limit else f"{text[:limit]}\n(the rest of {len(text)} characters is left out)"


def shown_inputs(inputs: Mapping[str, Any], token_budget: int) -> str:
    """A caller's inputs as text; long texts in them are cut, each alike, so that the others are seen too.

    Sorted: a Struct has no order of its own, and a run that is repeated has to ask in the same words.
    """
    limit = _BYTES_PER_TOKEN * token_budget
    whole = json.dumps(inputs, ensure_ascii=False, indent=1, sort_keys=True) if inputs else ""
    if len(whole) <= limit:
        return whole
    share = limit // max(1, sum(1 for _ in _texts(inputs)))
    return shortened(json.dumps(_cut(inputs, share), ensure_ascii=False, indent=1, sort_keys=True), limit)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _cut(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return shortened(value, limit)
    if isinstance(value, Mapping):
        return {key: _cut(item, limit) for key, item in value.items()}
    return [_cut(item, limit) for item in value] if isinstance(value, list) else value


def _history(turns: Sequence[Turn], token_budget: int) -> list[ChatMessage]:
    """The newest turns that fit, oldest first, beginning with the user's."""
    kept: list[ChatMessage] = []
    left = token_budget
    for turn in reversed(turns):
        text = harmless(turn.text)
        left -= estimated_tokens(text)
        if left < 0:
            break
        kept.insert(0, ChatMessage("user" if turn.from_user else "assistant", text))
    while kept and kept[0].role != "user":
        kept.pop(0)
    return kept


def _request(question: str, passages: Sequence[Passage], inputs: str, fence: str) -> str:
    parts = [f"<<<passages {fence}"]
    for number, passage in enumerate(passages, 1):
        page = f", page {passage.page}" if passage.page else ""
        title = harmless(" ".join(passage.title.split()))[:200]
        parts.append(f"[{number}] {title}{page}\n{harmless(passage.text)}")
    if not passages:
        parts.append("(none were found)")
    parts.append(f"passages {fence}>>>")
    if inputs:
        parts.append(fenced("inputs", inputs, fence))
    parts.append(question)
    return "\n\n".join(parts)


def harmless(text: str) -> str:
    """The text, with a character that is not seen in the marks by which model servers tell roles apart."""
    return _ROLE_MARK.sub(lambda match: "\u200b".join(match.group()), text)
