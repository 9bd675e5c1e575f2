"""Watchdog: a line that is dead for longer than the agent's settings allow is stuck.  Pure.

Knows nothing of why: a bug, a hung engine or a lost event all look alike from the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gateway.config.models import AgentConfig
from gateway.turn.events import samples

_ENGINES_S = 6.0
"""For what no setting bounds: recognition (4 s, see `endpointing`) and the first synthesized audio
of a sentence on a busy machine."""
_DELAY_FACTOR = 2.0
"""How much a low eagerness, or a slow talker, may stretch the configured silences at most."""


class Finding(Enum):
    """What to do about a dead line, harder from one to the next until the caller speaks."""

    SAY_FALLBACK = "say_fallback"
    """Drop whatever holds the floor and say that something went wrong."""
    GIVE_UP = "give_up"
    """Speak the goodbye and hang up."""
    HANG_UP = "hang_up"
    """Not even that was heard: hang up at once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest dead lines that an agent's settings can lead to."""

    bot_s: float
    """While the bot has the floor."""
    caller_s: float
    """While it has not."""

    @property
    def total_s(self) -> float:
        """However often the floor changes hands."""
        return self.bot_s + self.caller_s


def limits_of(config: AgentConfig) -> Limits:
    """Derive the limits of an agent.

    With the floor the bot fills a silence, or its reply fails.  Without it the caller's turn ends
    after some silence, or the caller is asked again.
    """
    filler, turn = config.filler, config.turn
    fills = filler.after_ms > 0 and filler.first and filler.later
    fill_s = max(filler.after_ms, filler.every_ms) / 1000 if fills else filler.give_up_s
    delay_ms = max(turn.whole_ms, turn.expected_ms, turn.unfinished_ms, turn.dictation_ms)
    return Limits(
        bot_s=min(fill_s, filler.give_up_s) + _ENGINES_S,
        # A tool that has begun is brought to its end even when the caller has cut the reply.
        caller_s=max(config.silence.reprompt_after_s, config.tool_timeout_s)
        + _DELAY_FACTOR * max(delay_ms, turn.sure_ms) / 1000
        + _ENGINES_S,
    )


class Watchdog:
    """Watches one conversation; fed ten times a second or more."""

    def __init__(self, limits: Limits, now: int) -> None:
        self._bot = samples(limits.bot_s * 1000)
        self._caller = samples(limits.caller_s * 1000)
        self._total = samples(limits.total_s * 1000)
        self._dead_since = now
        self._floor_since = now
        self._was_bots = False
        self._steps = iter(Finding)

    def caller_is_there(self, now: int) -> None:
        """The caller gave a sign of life other than speech: a key."""
        self._steps = iter(Finding)
        self._dead_since = self._floor_since = now

    def advance(
        self,
        now: int,
        *,
        bot_audible: bool,
        caller_speaking: bool,
        bot_has_floor: bool,
        is_held: bool,
    ) -> Finding | None:
        """Let some audio time pass.

        Args:
            now: audio time at its end, in samples.
            bot_audible: something of the bot was sent in its last frame.
            caller_speaking: the caller speaks (the sound itself: an open turn may be stuck).
            bot_has_floor: the bot thinks or talks.
            is_held: silence is expected: hold, a transfer, keys being sent.
        """
        if caller_speaking:
            self.caller_is_there(now)
        if bot_audible or is_held:
            self._dead_since = self._floor_since = now
        if bot_has_floor is not self._was_bots:
            self._was_bots = bot_has_floor
            self._floor_since = now
        limit = self._bot if bot_has_floor else self._caller
        if now - self._floor_since < limit and now - self._dead_since < self._total:
            return None
        self._dead_since = self._floor_since = now
        return next(self._steps, Finding.HANG_UP)
