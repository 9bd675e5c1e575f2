"""Turn events of a recognizer with turn detection of its own, on their way to the endpointer.

Pure.  `turn.by` decides which of the two counts: with "recognizer" the marks start and end turns,
with "both" the first that is sure of an end, and a mark has to be confirmed by the caller's quiet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from gateway.turn.events import samples

MarkKind = Literal["start", "eager_end", "resumed", "end"]
"""As Deepgram Flux and Cartesia Ink name them; vendors with less have `start` and `end`."""
QUIET_FOLLOWS = samples(300)
"""With "both": how long an end waits for the quiet that the voice detector reports later."""
NO_END_MS = 8000
"""Quiet after which a turn with words ends without its recognizer; Flux ends turns after 5 s."""
NO_WORDS_MS = 4000
"""Quiet after which a turn is given up for which the recognizer has no words."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the recognizer has found."""

    kind: MarkKind
    text: str
    """Of the turn so far; may be empty for `start` and `resumed`."""
    at: int
    """Audio time of the call, in samples: where the turn started, or up to where it was heard."""


class Marks:
    """Marks that arrived between two frames, in order."""

    def __init__(self) -> None:
        self._waiting: deque[Mark] = deque()

    def add(self, mark: Mark) -> None:
        """Keep one for the next frame."""
        self._waiting.append(mark)

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()

    def take(self) -> list[Mark]:
        """Return what counts in this frame: nothing beyond the first end of a turn."""
        found: list[Mark] = []
        while self._waiting and not (found and found[-1].kind == "end"):
            found.append(self._waiting.popleft())
        return found
