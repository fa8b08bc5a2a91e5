"""What a model's cosines are worth beside words.

Models use ranges of their own: a question and its answer have 0.6 by one and 0.9 by another, where a question
and any other text have 0.0 and 0.8. Fusion adds cosines to what words say, by a weight that was chosen with
the built-in model (ADR 125). For another model that is told by questions whose answers are known: how much
nearer a question is to its own answer than to those of others, the gap, and how often its own is the nearest,
which is how well the model finds. docs/adr/0133 has what that finds.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)

Embeds = Callable[[list[str]], NDArray[np.float32]]

# Of many kinds: facts, instructions, code, notes, science, law.
_PAIRS = (
    ("How deep is the lake?", "At its deepest point the water reaches 74 metres."),
    ("Who has to approve travel costs?", "Expenses for journeys are signed off by the head of department."),
    ("what does a fever come from", "Body temperature rises when the immune system fights an infection."),
    ("how do I reset my password", "Choose Forgot login on the first screen and open the link in the mail."),
    ("When was the bridge built?", "Construction across the river was completed in the spring of 1931."),
    (
        "function that reads lines of a file",
        "def lines(path):\n    with open(path) as f:\n        yield from f",
    ),
    ("Can I keep a dog in the flat?", "Tenants may have pets with the landlord's written consent."),
    ("why is the sky blue", "Short wavelengths of sunlight are scattered more by air than long ones."),
    ("connection refused by the database", "Check that PostgreSQL is running and listens on this port."),
    ("How long does the warranty last?", "We repair defects free of charge for 24 months after purchase."),
    ("which metal conducts electricity best", "Silver has the lowest resistance of all, before copper."),
    ("Effect of sleep on memory", "Participants who rested for a night recalled more of the learnt words."),
    ("What do bees live on?", "The colony feeds on nectar and pollen gathered from flowers."),
    ("notice period for employees", "Either side may end the contract four weeks before the end of a month."),
    ("how to bake bread without yeast", "A sourdough made of flour and water raises the loaf by itself."),
    ("Where does the train to the airport leave?", "Airport services depart from platform 3 twice an hour."),
    ("painter of the night sky with stars", "Van Gogh made the canvas in the asylum of Saint-Rémy in 1889."),
    ("speed up a slow query", "An index on the column that is filtered by spares the scan of the table."),
    ("Is the medicine safe in pregnancy?", "Women who expect a child should not take these tablets."),
    ("minutes of the budget meeting", "The board agreed to spend 40,000 less on marketing next year."),
    ("How many players are in a team?", "Each side has eleven on the field, one of them the goalkeeper."),
    ("cause of the dinosaurs' extinction", "An asteroid struck 66 million years ago and darkened the sun."),
    ("encrypt data on a laptop", "Turn on full disk protection: a stolen device then reveals nothing."),
    ("Who pays for goods damaged in transport?", "The carrier is liable for loss until delivery."),
)

# Of the built-in model, with these pairs: the mean cosine of a question and the answers of the others, how
# much nearer its own is, and the standard deviation of the others of one question.
_MIDDLE, _GAP, _NOISE = 0.0252, 0.4094, 0.0690
_LEAST_WORTH, _MOST_WORTH = 1 / 16, 16.0
_LEAST_NOISE = 1e-6
# Of the questions must have their own answer as the nearest. A model that finds fewer does not read English,
# and how well it finds cannot be told from these; how far apart its cosines lie still can.
_KNOWN_SHARE = 0.5
# Of models that find well 22 to 24 of 24 questions have it: two are chance. One that finds fewer counts less,
# by this power of the share.
_SURE_SHARE, _UNSURE_POWER = 22 / 24, 4


@dataclass(frozen=True, slots=True)
class Scale:
    """middle: cosine of texts that have nothing to do with each other. worth: of a difference of cosines."""

    middle: float
    worth: float

    @property
    def offset(self) -> float:
        """What is added to a cosine times its worth."""
        return _MIDDLE - self.middle * self.worth

    def comparable(self, cosine: float) -> float:
        """What the built-in model would say for a cosine of this one."""
        return cosine * self.worth + self.offset


BUILT_IN = Scale(_MIDDLE, 1.0)


def measured(questions: Embeds, passages: Embeds) -> Scale:
    """The scale of a model. Both turn n texts into vectors of length 1, (n, dimension). Raises as they do."""
    return scale_of(questions([one for one, _ in _PAIRS]) @ passages([one for _, one in _PAIRS]).T)


def scale_of(cosines: NDArray[np.float32]) -> Scale:
    """cosines: (n, n), of questions and answers, each question's own on the diagonal."""
    count = len(cosines)
    own = np.eye(count, dtype=bool)
    others = cosines[~own].reshape(count, count - 1)
    middle = float(others.mean())
    known = float((cosines.argmax(axis=1) == np.arange(count)).mean())
    if known < _KNOWN_SHARE:
        worth = _NOISE / max(_LEAST_NOISE, float(others.std(axis=1).mean()))
    elif (gap := float(cosines[own].mean()) - middle) <= 0:
        worth = _LEAST_WORTH
    else:
        worth = _GAP / gap * min(1.0, known / _SURE_SHARE) ** _UNSURE_POWER
    return Scale(middle, min(_MOST_WORTH, max(_LEAST_WORTH, worth)))


# To be raised by one with every change of what is measured, or of how.
_VERSION = 2


def kept_scale(path: Path, model: str, measure: Callable[[], Scale]) -> Scale:
    """The scale in a file, measured and written when it is not that of `model`. Raises as `measure` does."""
    model = f"{_VERSION} {model}"
    try:
        kept = json.loads(path.read_bytes())
        if kept["model"] == model:
            return Scale(float(kept["middle"]), float(kept["worth"]))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning(
            "the scale of a model is unreadable, to be measured again",
            extra={"fields": {"error": str(error)}},
        )
    scale = measure()
    try:
        # A cut file is measured again.
        path.write_text(json.dumps({"model": model, "middle": scale.middle, "worth": scale.worth}))
    except OSError as error:
        _log.warning("the scale of a model is not kept", extra={"fields": {"error": str(error)}})
    return scale
