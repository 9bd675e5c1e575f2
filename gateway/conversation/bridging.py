"""Bridging: what is said while a reply has the floor and nothing to play."""

from __future__ import annotations

import asyncio

from gateway.call.live_call import LiveCall
from gateway.conversation.figures import TurnFigures
from gateway.conversation.playout import Playout
from gateway.conversation.silence_budget import SilenceBudget
from gateway.conversation.voice import Voice


class Bridging:
    """Speaks fillers within one reply, and reports when its silence has lasted too long."""

    def __init__(
        self, call: LiveCall, voice: Voice, playout: Playout, figures: TurnFigures
    ) -> None:
        """Prepare; nothing is said before `begin`.

        Args:
            call: whose audio time counts.
            voice: has rendered the fillers ahead.
            playout: of the reply.
            figures: of the reply; keep what was said.
        """
        self._call = call
        self._voice = voice
        self._playout = playout
        self._figures = figures
        self._budget: SilenceBudget | None = None
        self._silent_since = 0
        self.stalled = asyncio.Event()
        """Set once the reply has been silent for longer than it may be."""

    def begin(self, budget: SilenceBudget | None, silent_since: int) -> None:
        """Count silence from an audio time on; without a budget nothing is bridged."""
        self._budget, self._silent_since = budget, silent_since

    def advance(
        self, now: int, *, may_talk: bool, is_in_piece: bool, waits_for_tools: bool
    ) -> None:
        """Let 20 ms pass in which the reply is not complete.

        Args:
            now: audio time at their end.
            may_talk: no one else is heard, so that silence is silence.
            is_in_piece: the voice is in the midst of a piece.
            waits_for_tools: these have limits of their own: the reply does not fail meanwhile.
        """
        budget = self._budget
        if budget is None:
            return
        if self._playout.is_waiting:
            self._silent_since = now
            if not self._playout.ends_in_filler:
                budget.words_heard(now)
            return
        if waits_for_tools:
            budget.not_given_up_before(now)
        if now >= budget.gives_up_at:
            self.stalled.set()
            return
        if not may_talk:
            self._silent_since = now
            return
        if is_in_piece:
            return
        due = budget.due_at(self._silent_since)
        if due is not None and now >= due:
            self._say(budget.next_text())
            self._silent_since = now

    def _say(self, text: str) -> None:
        frames = self._voice.rendered(text)
        if not frames:
            return  # it could not be rendered: rather no filler than one that hangs
        self._figures.fillers.append(text)
        self._figures.filler_starts.append(self._call.audio.now)
        self._call.metrics.fillers.inc()
        self._playout.say_filler(text, frames)
