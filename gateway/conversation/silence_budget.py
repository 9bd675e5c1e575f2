"""SilenceBudget: what is said, and when, while the bot has the floor but nothing to say.  Pure.

Positions are samples of the call's audio time at 8 kHz, as in `turn/events.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.config.models import FillerConfig
from gateway.turn.events import samples


class FillerRotation:
    """The short words of a call's first waits, in turns: one of these per call."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._next = 0

    def __bool__(self) -> bool:
        """Return whether there is any filler."""
        return bool(self._texts)

    def next_text(self) -> str:
        """Return the next; never the same twice in a row where there is more than one."""
        text = self._texts[self._next % len(self._texts)]
        self._next += 1
        return text


class SilenceBudget:
    """The waits of one bot turn, from the caller's last word to the end of the reply.

    Ask `due_at` only while nothing is about to be heard: it knows of no reply on its way.
    """

    def __init__(self, config: FillerConfig, start: int, rotation: FillerRotation) -> None:
        """Begin a turn.

        Args:
            config: the agent's.
            start: end of the caller's last word; without one, when the bot took the floor.
            rotation: the call's, made of `config.first`.
        """
        self._config = config
        self._rotation = rotation
        self._since = start
        self._patient_until = start
        self._said = 0

    @property
    def gives_up_at(self) -> int:
        """When a reply that nothing was heard of, or nothing more, has failed."""
        since = max(self._since, self._patient_until)
        return since + samples(self._config.give_up_s * 1000)

    def not_given_up_before(self, now: int) -> None:
        """Count the time to give up from here: until now it waited for what has its own limit."""
        self._patient_until = now

    def due_at(self, silent_since: int) -> int | None:
        """When the next filler is due if the line stays as silent as it is.

        Args:
            silent_since: when the last sample of either side was heard.

        Returns:
            None when none is due any more before `gives_up_at`, or at all.
        """
        config = self._config
        if config.after_ms == 0 or not (self._rotation if self._said == 0 else config.later):
            return None
        wait_ms = config.after_ms if self._said == 0 else config.every_ms
        due = max(self._since, silent_since) + samples(wait_ms)
        return due if due < self.gives_up_at else None

    def next_text(self) -> str:
        """Return the filler that is due; it counts as said."""
        said, self._said = self._said, self._said + 1
        if said == 0:
            return self._rotation.next_text()
        return self._config.later[min(said, len(self._config.later)) - 1]

    def words_heard(self, until: int) -> None:
        """Real words of the reply were heard: a wait after them is a first wait again.

        Args:
            until: their last sample.
        """
        self._since = max(self._since, until)
        self._said = 0


def filler_texts(config: FillerConfig) -> tuple[str, ...]:
    """All that may be said: to be rendered ahead, for a filler must not wait for an engine."""
    return (*config.first, *config.later) if config.after_ms else ()
