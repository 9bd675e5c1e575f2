"""CallerTurns: the caller's words as an engine reports them, perhaps after its own answer."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.call import events
from gateway.conversation.exchange import Asked
from gateway.conversation.figures import TurnFigures
from gateway.conversation.talk import Talk
from gateway.providers.contracts import Message, UserMessage
from gateway.providers.speech_to_speech import CallerText

UNKNOWN = "(not transcribed)"
"""Stands in the history for a turn until the engine reports its words, if it ever does."""


def is_answerable(messages: Sequence[Message]) -> bool:
    """Return whether a history ends with words of the caller that are known, or asks for none."""
    latest = messages[-1] if messages else None
    return not (isinstance(latest, UserMessage) and UNKNOWN in latest.text)


class CallerTurns:
    """Assigns texts to the turn that is answered, or to the one in progress."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._text = ""
        self._text_id = ""
        self._typed = ""
        """Keys that belong to the turn in progress."""
        self._keys: Asked | None = None
        """Keys alone that the next answer is for, where that begins by itself."""
        self._has_spoken = False
        """Since the latest answer began."""
        self._answered_id: str | None = None
        self._figures: TurnFigures | None = None

    def speaks(self) -> None:
        """The caller speaks, by our turn taker or the engine: further words are of a new turn."""
        self._has_spoken = True

    def types(self, digits: str) -> None:
        """Keys were pressed within a spoken turn."""
        self._typed = f"{self._typed} (The caller typed {digits}.)".strip()
        self._has_spoken = True

    def types_alone(self, keys: Asked) -> None:
        """Keys were pressed without a spoken turn; the engine answers when it likes."""
        self._keys = keys

    def take(self, onset: int | None = None) -> Asked | None:
        """Return what is answered now; None where the engine speaks of its own accord."""
        keys, self._keys = self._keys, None
        if not (self._has_spoken or self._text):
            return keys
        text = f"{self._text or UNKNOWN} {self._typed}".strip()
        self._answered_id = self._text_id if self._text else None
        self._text = self._text_id = self._typed = ""
        self._has_spoken = False
        return Asked(text, None, self._talk.expected, onset, may_go_on=False)

    def is_answered_by(self, figures: TurnFigures) -> None:
        """Keep late words of the turn that was taken in these figures."""
        self._figures = figures

    def text(self, event: CallerText) -> None:
        """Accept words."""
        call = self._talk.call
        kind = events.FinalTranscript if event.is_final else events.PartialTranscript
        call.note(kind(text=event.text, covers=call.audio.now))
        if self._is_late(event):
            self._answered_id = event.turn_id or self._answered_id
            if event.text.strip():
                self._talk.context.correct_user(event.text.strip())
                if self._figures is not None:
                    self._figures.caller_text = event.text.strip()
        else:
            self._text, self._text_id = event.text.strip(), event.turn_id

    def _is_late(self, event: CallerText) -> bool:
        if self._figures is None:
            return False
        if event.turn_id and event.turn_id == self._answered_id:
            return True
        if event.turn_id and event.turn_id == self._text_id:
            return False
        is_open = self._answered_id is None and not self._text
        return is_open if event.turn_id else not self._has_spoken
