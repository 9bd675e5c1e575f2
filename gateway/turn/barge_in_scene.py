"""BotSide: the state of the bot while the caller speaks over it.  Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gateway.config.models import TurnConfig
from gateway.turn.barge_in_words import words_of
from gateway.turn.events import samples

_SAID_LATELY = samples(3000)
_SAMPLES_PER_LETTER = samples(1000) // 14
"""The bot says about 14 letters per second."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The bot's state at an utterance over its voice."""

    is_audible: bool = True
    """The caller hears the reply."""
    is_fresh: bool = False
    """The reply has only just begun, or not yet: the caller may go on with the turn before."""
    asks: bool = False
    """The bot has just asked, or expects something: "yes" and its own words are an answer."""
    bot_words: tuple[str, ...] = ()
    """What the bot has just said."""


class BotSide:
    """Tracks the floor, what the bot said lately and whether it may be interrupted."""

    def __init__(self, config: TurnConfig) -> None:
        self._config = config
        self.is_interruptible = config.barge_in.interruptible
        """The caller may take the floor from it by speaking."""
        self.is_busy = False
        """It thinks or talks."""
        self._follows_turn = False
        self._audible_since: int | None = None
        self._first_words: int | None = None
        self._is_protected = config.barge_in.protect_s > 0
        self._pieces: deque[tuple[int, str]] = deque()
        """(until when it is heard, words)."""
        self._last_piece = ""

    def change(self, config: TurnConfig) -> None:
        """Go by other settings; what protects the first speech was decided at its beginning."""
        if config.barge_in.interruptible != self._config.barge_in.interruptible:
            self.is_interruptible = config.barge_in.interruptible
        self._config = config

    def takes_floor(self) -> None:
        """It begins to think about a reply."""
        if not self.is_busy:
            self._audible_since = None
        self.is_busy = True

    def gives_floor(self) -> None:
        """It is done, or was interrupted."""
        self.is_busy = False
        self._follows_turn = False
        if self._first_words is not None:
            self._is_protected = False  # only the first speech is

    def says(self, text: str, now: int) -> None:
        """It begins to be heard with these words."""
        if self._audible_since is None:
            self._audible_since = now
        if self._first_words is None:
            self._first_words = now
        self._pieces.append((now + len(text) * _SAMPLES_PER_LETTER, text))
        self._last_piece = text

    def hears_turn(self) -> None:
        """A caller turn has ended: the next reply answers it."""
        self._follows_turn = True

    def may_be_interrupted(self, now: int) -> bool:
        """Return whether it has the floor and has to yield it to a caller that speaks."""
        if self._is_protected and self._first_words is not None:
            lasts = samples(self._config.barge_in.protect_s * 1000)
            self._is_protected = now - self._first_words < lasts
        return self.is_busy and self.is_interruptible and not self._is_protected

    def scene(self, now: int, expected: str) -> Scene:
        """Describe the moment.

        Args:
            now: audio time.
            expected: kind of the dialogue's expectation.
        """
        while self._pieces and self._pieces[0][0] + _SAID_LATELY < now:
            self._pieces.popleft()
        since = self._audible_since
        is_young = since is None or now - since < samples(self._config.reopen_ms)
        asks = expected != "free" or self._last_piece.rstrip().endswith("?")
        return Scene(
            is_audible=since is not None,
            is_fresh=self._follows_turn and is_young,
            asks=asks and since is not None,
            bot_words=tuple(word for _, text in self._pieces for word in words_of(text)),
        )
