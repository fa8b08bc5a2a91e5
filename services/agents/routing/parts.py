"""Splits a request into its parts and reads how urgent it is.

A request is cut at sentences, items of a list and joining words, where a demand follows: an imperative, a
question or a wish. What stands between belongs to the demand that it leads up to. Pasted and quoted text is
not cut. Pieces that one agent takes together are one part (`joined`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.agents.answering import sentences
from services.agents.routing.route import Route

_VERBS = (
    "write|find|fix|run|make|create|draw|plan|list|send|check|review|explain|summari[sz]e|sum up|tell"
    "|give|show|transcribe|translate|compare|decide|generate|test|debug|repair|mend|correct"
    "|analy[sz]e|measure|profile|search|look|teach|prepare|describe|read|extract|convert|update"
    "|deploy|quiz|record|recommend|sketch|plot|carry out|execute|start|stop|book|order|answer|add"
    "|sort|classify|route|forward|optimi[sz]e|speed up|benchmark|investigate|locate|rewrite|refactor"
    "|cover|help|coach|train|practi[sc]e|weigh|choose|rank|rate|assess|speak|say|turn|put|design"
    "|paint|visuali[sz]e|apply|patch|research|collect|count|crop|reply|notify|report|archive|save"
    "|upload|mail|e-?mail|call|pay|move|rename|zip|clean|cut|publish|post|invite|copy|delete|remove"
    "|set up|mark|estimate|calculate|compute|identify|detect|suggest|propose|draft|outline|verify"
    "|validate|produce|build|implement|migrate|upgrade|point out|pick|split|merge|narrate|schreibe?"
    "|finde?|behebe?|korrigiere|fasse?|erstelle?|zeichne|prüfe?|sage?|zeige?|übersetze|teste|führe"
    "|suche|erkläre?|mach[et]?|transkribiere|dis|écris|résume|fais|vérifie|corrige|traduis|cherche"
    "|explique|dessine|transcris|dime|escribe|resume|haz|revisa|traduce|busca|explica|dibuja"
)
_ASKING = (
    "what|why|how|who|whom|when|where|which|whether|is|are|does|do|did|was|were|can|could|would|will|should|may"
    "|has|have|was|wie|warum|wer|wann|wo|welche[rsnm]?|ist|sind|soll(?:en|ten)?|pourquoi|comment|qui|quand|quel"
    "(?:le)?|faut-il|est-ce|qué|cómo|quién|cuándo|cuál|por qué"
)
_POLITE = (
    r"(?:(?:please|pls|plz|bitte|also|then|now|first|finally|lastly|secondly|next|besides|afterwards"
    r"|danach|dann|zuerst|d'abord|ensuite|puis|luego|después|por favor|just|kindly|urgent"
    r"|asap|hello|hi|low priority|some ?day(?: also)?|could you|can you"
    r"|would you|will you|kannst du|können sie|peux-tu|puedes"
    r"|i want you to|i need you to|i'd like you to|and)\b[\s,:;–-]*)*"
)
_WISHES = (
    r"(?:i|we)(?:'d| would)? (?:need|want|like)\b|i(?:'m| am) looking for|ich (?:brauche|möchte)|necesito"
)
_DEMAND = re.compile(rf"\W*{_POLITE}(?:(?:{_VERBS})\b|{_WISHES})", re.IGNORECASE)
_QUESTION = re.compile(rf"\W*{_POLITE}(?:{_ASKING})\b|.*\?\W*\Z", re.IGNORECASE | re.DOTALL)

_JOINT_WORDS = (
    r"and then|and also|and afterwards|and after that|and while you are at it|and|then|after that"
    r"|besides that|afterwards|as well as|also|plus|besides|und danach|und dann|und|et ensuite|et puis|et"
    r"|puis|y luego|y después|y"
)
# Words that join two demands, where another one follows. Behind "plus" it may be a thing.
_JOINT = re.compile(
    rf"(?:;|,?\s+(?:{_JOINT_WORDS})[,:]?|,)\s+(?=(?:please\s+|bitte\s+)?(?:(?:{_VERBS})\b|(?:{_ASKING})\b))"
    r"|,?\s+plus\s+(?=(?:a|an|the|some|two|three)\b)",
    re.IGNORECASE,
)
_PLUS = re.compile(r"\bplus\s\Z", re.IGNORECASE)
_LEADING = re.compile(
    rf"\A\W*(?:(?:{_JOINT_WORDS}|after that|finally)\b[\s,:]*(?=\S))+|\A[\s,;*•-]+|\A\s*\d{{1,2}}[.)]\s+",
    re.IGNORECASE,
)
# "to read and write": one infinitive, not two demands.
_INFINITIVE_REACH = 24
_INFINITIVE = re.compile(rf"\bto (?:{_VERBS})\Z", re.IGNORECASE)
_ITEM = re.compile(r"^[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]+(?=\S)", re.MULTILINE)
_OPAQUE = re.compile(
    r"```.*?(?:```|\Z)|Traceback \(most recent call last\):.*?(?:\n\n|\Z)|[\"“„«][^\"”“»]{8,}[\"”“»]"
    r"|(?<!\w)'[^'\n]{12,}'(?!\w)|\b(?:def|class|function|func|SELECT) .*?(?:\n\n|\Z)|\{\s*\".{0,4000}\}"
    # What is to be worked on stands behind a colon.
    r"|\b(?:text|sentence|paragraph|message|letter|mail|email|words|speech|poem|complaint|ticket|draft"
    r"|following|aloud)[^:.?!\n]{0,24}:\s.*",
    re.DOTALL,
)
_MAX_PARTS = 8
# Behind so many it is no request of eight parts any more.
_MAX_CUTS = 64
_MIN_WORDS = 2
_MIN_PARTS = 2
# Chosen on thirty requests of their own (ADR 79): how sure a piece is to be, and how much of the whole
# request's confidence its agent has.
_SURE = 0.4
_VERY_SURE = 0.9
_SHOWN = 0.005
# The steps of a procedure are the executor's, unless one is clearly another's.
_STEPS_AGENT = "executor"
_SURE_OF_STEPS = 0.6
_SURE_BESIDE_STEPS = 0.6


@dataclass(frozen=True)
class Part:
    """A part of a request: its text, and where that begins and ends in the request."""

    text: str
    start: int
    end: int


def split(request: str) -> list[str]:
    """The texts of the pieces."""
    return [piece.text for piece in pieces(request)]


def pieces(request: str) -> list[Part]:
    """The pieces that could be parts, one when the request is simple; at most eight, the last of which
    has all the rest.
    """
    opaque = [found.span() for found in _OPAQUE.finditer(request)]
    cuts = [cut for cut in _cuts(request) if not any(start < cut < end for start, end in opaque)]
    cuts = cuts[:_MAX_CUTS]
    cut_out = [
        _part(request, start, end) for start, end in zip([0, *cuts], [*cuts, len(request)], strict=True)
    ]
    found: list[Part] = []
    waiting: int | None = None
    for piece in (piece for piece in cut_out if piece.text):
        start = piece.start if waiting is None else waiting
        if not (_demands(piece.text) or _PLUS.search(request, max(0, piece.start - 6), piece.start)):
            # It leads up to what follows.
            waiting = start
        elif found and waiting is None and len(piece.text.split()) <= _MIN_WORDS and "?" in piece.text:
            found[-1] = _part(request, found[-1].start, piece.end)
        else:
            found.append(_part(request, start, piece.end))
            waiting = None
    if waiting is not None:
        start = found.pop().start if found else waiting
        found.append(_part(request, start, len(request)))
    if len(found) > _MAX_PARTS:
        found[_MAX_PARTS - 1 :] = [_part(request, found[_MAX_PARTS - 1].start, len(request))]
    return found or [Part(request.strip(), 0, len(request))]


def joined(request: str, routed: Sequence[tuple[Part, Route]], whole: Route) -> list[tuple[Part, Route]]:
    """The parts: neighbouring pieces for one agent are one, and a piece that is not clearly another agent's
    belongs to its neighbour.

    routed: the pieces, each with its route. whole: the route of the request.
    """
    found: list[tuple[Part, Route]] = []
    begins: int | None = None
    for part, route in routed:
        last = found[-1] if found else None
        if last and (route.agent_id == last[1].agent_id or not _stands(route, whole)):
            found[-1] = (_part(request, last[0].start, part.end), last[1])
        elif _stands(route, whole):
            found.append((part if begins is None else _part(request, begins, part.end), route))
        elif begins is None:
            begins = part.start
    if len(found) < _MIN_PARTS:
        return [(Part(request.strip(), 0, len(request)), whole)]
    return found


def _stands(route: Route, whole: Route) -> bool:
    """Whether a piece may be a part: the whole request shows its agent too, or the piece is very sure."""
    if route.agent_id == whole.agent_id:
        return True
    if (
        whole.agent_id == _STEPS_AGENT
        and whole.confidence >= _SURE_OF_STEPS
        and route.confidence < _SURE_BESIDE_STEPS
    ):
        return False
    shown = max(
        (other.confidence for other in whole.alternatives if other.agent_id == route.agent_id), default=0.0
    )
    return route.confidence >= _VERY_SURE or (route.confidence >= _SURE and shown >= _SHOWN)


def _cuts(request: str) -> Iterator[int]:
    """Where a piece may begin, in order."""
    items = {found.start() for found in _ITEM.finditer(request)}
    begins = {start for start, _ in sentences.spans(request)}
    joints = {
        found.end() for found in _JOINT.finditer(request) if not _INFINITIVE.search(request[: found.start()])
    }
    yield from sorted((items | begins | joints) - {0})


def _part(request: str, start: int, end: int) -> Part:
    """The stretch without what joins it to others."""
    text = request[start:end]
    while found := _LEADING.match(text):
        start, text = start + found.end(), text[found.end() :]
    text = re.sub(rf"[\s,;]+(?:{_JOINT_WORDS})?[\s,;]*\Z", "", text, flags=re.IGNORECASE)
    text = text.strip(" ,;\n\t")
    begin = request.find(text, start) if text else start
    return Part(text, begin, begin + len(text))


def _demands(text: str) -> bool:
    return bool(_DEMAND.match(text) or _QUESTION.match(text))


_HIGH = re.compile(
    r"\b(?:urgent(?:ly)?|asap|as soon as possible|immediately|right (?:now|away)|emergency!|sos|at once"
    r"|(?:production|prod|site|shop|server|system|everything|service) is (?:down|offline|broken)"
    r"|cannot pay|every minute|blocker|blocking|before (?:the meeting|noon|lunch|tonight|tomorrow)"
    r"|(?:by|until|till|due) (?:today|tonight|tomorrow|noon)|in (?:\d+|five|ten|a few) min(?:ute)?s?"
    r"|within the hour|deadline is|dringend|sofort|eilt|so schnell wie möglich|c'est urgent|urgence"
    r"|au plus vite|immédiatement|urgente|cuanto antes|nobody can|being deleted|losing money)\b|!!",
    re.IGNORECASE,
)
_LOW = re.compile(
    r"\b(?:whenever|some ?day|no (?:hurry|rush)|low priority|when you (?:have|find) (?:time|a moment)"
    r"|when you get (?:round|around) to it|eventually|nice to have|not urgent|isn't urgent|take your time"
    r"|just curious|can wait|some ?time (?:next|this|later)|at your leisure|keine eile|eilt nicht"
    r"|hat zeit|irgendwann|pas urgent|rien ne presse|quand tu auras le temps|sin prisa|cuando puedas)\b",
    re.IGNORECASE,
)
# Who asks about urgency is not in a hurry.
_ABOUT = re.compile(r"\b(?:by|of|level of|how) urgen\w+|\burgency\b", re.IGNORECASE)


def priority(request: str) -> str:
    """ "low", "normal" or "high", by the words that say so outside of what is pasted or quoted."""
    said = _ABOUT.sub(" ", _OPAQUE.sub(" ", request))
    if _LOW.search(said):
        return "low"
    return "high" if _HIGH.search(said) else "normal"
