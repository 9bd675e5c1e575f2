"""What is left out of a bundle while recording is off or paused, and until when.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from gateway.call.events import (
    AgentStarted,
    Answered,
    CallEnded,
    Held,
    MediaSourceChanged,
    RecordingPaused,
    RecordingResumed,
    Resumed,
)
from gateway.records.model import TurnRecord

Reason = Literal["agent", "request"]
"""agent = the agent is not recorded, request = paused in mid-call."""

STRUCTURE = frozenset(
    event.kind
    for event in (
        RecordingPaused, RecordingResumed, Answered, Held, Resumed, MediaSourceChanged,
        CallEnded, AgentStarted,
    )
)  # fmt: skip
"""Events that tell nothing of what is said, but for their `text`."""


class RecordingPause:
    """Sound is left out while there is a reason; texts also for the rest of that turn.

    What was said during a pause comes back after it: in the transcript, in the bot's answer, in
    the arguments of a tool.  So texts stay out until the bot has answered a whole turn.
    """

    def __init__(self, reasons: Iterable[Reason] = ()) -> None:
        self._reasons: set[Reason] = set(reasons)
        self._lingers = False

    @property
    def omits_sound(self) -> bool:
        """True when sound is left out."""
        return bool(self._reasons)

    @property
    def omits_texts(self) -> bool:
        """True when what is said, typed and answered is left out."""
        return self._lingers or self.omits_sound

    def begin(self, reason: Reason) -> bool:
        """Leave out from now on; False when it was so already."""
        is_new = reason not in self._reasons
        self._reasons.add(reason)
        return is_new

    def end(self, reason: Reason) -> bool:
        """Record again, unless there is another reason; False when it was so already."""
        if reason not in self._reasons:
            return False
        self._reasons.discard(reason)
        self._lingers = not self._reasons or self._lingers
        return True

    def turn_finished(self, turn: TurnRecord) -> bool:
        """Note a finished turn; return True when its texts are to be left out."""
        withheld = self.omits_texts
        is_whole = bool(turn.caller_text) and not (turn.interrupted or turn.reopened)
        if is_whole:
            self._lingers = False
        return withheld
