"""Pausing a reply while a caller perhaps speaks, and going on after a false interruption."""

from __future__ import annotations

from gateway.call.live_call import LiveCall
from gateway.records.model import FalseInterruption
from gateway.turn.barge_in import LASTS
from gateway.turn.events import BargeInRejected, BargeInSuspected, milliseconds
from gateway.turn.taker import TurnTaker

MAY_GO_ON = frozenset({"backchannel", "no_words", "echo"})
"""Rejected, but more of it may tell: an echo ends soon after the bot has."""


class ReversiblePause:
    """The pause of a bot turn until it is known whether the caller wants the floor."""

    def __init__(self, call: LiveCall, taker: TurnTaker) -> None:
        self._call = call
        self._taker = taker
        self._suspected: BargeInSuspected | None = None
        self._resumes: tuple[int, str] | None = None
        """(when, why): the bot lets the caller finish."""

    def begin(self, event: BargeInSuspected) -> None:
        """Fall silent within a frame, and keep what is still to be said."""
        self._call.line.outlet.pause()
        self._suspected, self._resumes = event, None

    def rejected(self, event: BargeInRejected) -> str | None:
        """Note the verdict.

        Returns:
            The evidence with which to go on now; None when the caller has not finished the nod or
            sound yet: then `advance` returns it later.
        """
        if event.evidence in MAY_GO_ON and self._taker.is_caller_speaking:
            self._resumes = (event.now + LASTS, event.evidence)
            return None
        return event.evidence

    def advance(self, now: int) -> str | None:
        """Return the evidence with which to go on, once it is time."""
        if self._resumes is not None and now >= self._resumes[0]:
            return self._resumes[1]
        return None

    def end(self, evidence: str) -> FalseInterruption | None:
        """Go on as if nothing had been.  Idempotent.

        Returns:
            For the record of the turn, if it had paused.
        """
        event = self._suspected
        self.forget()
        self._call.line.outlet.resume()
        if event is None:
            return None
        silent_ms = milliseconds(self._call.audio.now - event.now)
        return FalseInterruption(
            at_s=milliseconds(event.now) / 1000, evidence=evidence, silent_ms=silent_ms
        )

    @property
    def onset(self) -> int | None:
        """Return the audio time of the sound that it waits for a verdict on."""
        return self._suspected.onset if self._suspected is not None else None

    def forget(self) -> None:
        """Note that the bot turn is over."""
        self._suspected = self._resumes = None
