"""An answer written by a model, streamed while its citations are put in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from services.agents.answering.citations import CitationBook, MarkRewriter, PassageCiter
from services.agents.answering.prompt import NO_ANSWER
from services.agents.model import Passage
from services.agents.ports import ChatModel, Meter, ModelDone, ModelError, Prompt, TextPiece, ToolRequest

# Beyond this a model is out of control.
_MAX_CHARACTERS = 400_000


@dataclass(frozen=True)
class Draft:
    """What a model wrote. Its citations are not verified yet; `declined` says that it saw no answer.

    requests: the tools that it asks for instead, or besides. unfounded: statements that had a mark and are
    not carried by what they cited.
    """

    text: str
    book: CitationBook
    done: ModelDone
    declined: bool
    requests: tuple[ToolRequest, ...] = ()
    unfounded: frozenset[str] = frozenset()


async def draft(
    model: ChatModel,
    prompt: Prompt,
    passages: Sequence[Passage],
    *,
    carries: Callable[[str, str], bool],
    seconds: float,
    meter: Meter,
    say: Callable[[str], None],
) -> Draft:
    """Lets the model write; each piece of text goes to `say` as soon as its marks are decided.

    passages: as numbered in the prompt. carries: whether a quote carries a statement. Raises ModelError; when
    its `truncated` is set, text was said before.
    """
    book = CitationBook()
    citer = PassageCiter(book, passages, carries)
    rewriter = MarkRewriter(citer)
    opening = _Opening()
    said: list[str] = []
    length = 0
    requests: list[ToolRequest] = []
    done: ModelDone | None = None

    def show(text: str) -> None:
        if text:
            said.append(text)
            say(text)

    async with aclosing(model.stream(prompt, seconds, meter)) as pieces:
        async for piece in pieces:
            if isinstance(piece, TextPiece):
                length += len(piece.text)
                if length > _MAX_CHARACTERS:
                    raise ModelError("the model does not end", model="", ill=True, truncated=bool(said))
                show(rewriter.feed(opening.feed(piece.text)))
            elif isinstance(piece, ToolRequest):
                requests.append(piece)
            else:
                done = piece
    if done is None:
        raise ModelError("the model's answer broke off", model="", ill=True, truncated=bool(said))
    if opening.declined:
        return Draft("", book, done, declined=True, requests=tuple(requests))
    show(rewriter.feed(opening.rest()))
    show(rewriter.finish())
    return Draft(
        "".join(said),
        book,
        done,
        declined=False,
        requests=tuple(requests),
        unfounded=frozenset(citer.unfounded),
    )


class _Opening:
    """Holds the first characters back for as long as they may be the word by which a model declines."""

    def __init__(self) -> None:
        self._held: str | None = ""

    @property
    def declined(self) -> bool:
        """Whether that word was all there was."""
        return self._held is not None and self._held.strip(" .\n*`\"'") == NO_ANSWER

    def feed(self, text: str) -> str:
        """What can be shown now."""
        if self._held is None:
            return text
        self._held += text
        start = self._held.lstrip(" \n*`\"'")
        if NO_ANSWER.startswith(start) or (start.startswith(NO_ANSWER) and len(start) < len(NO_ANSWER) + 8):
            return ""
        return self.rest()

    def rest(self) -> str:
        """What was held back."""
        text, self._held = self._held or "", None
        return text
