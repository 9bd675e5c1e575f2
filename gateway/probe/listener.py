"""Follows the bot's voice while the call goes on: is it speaking, since when, until when."""

from __future__ import annotations

from collections.abc import Callable

from gateway.probe.timeline import Audio, loud_instants

_LOUD = 400.0**2
"""Power (-38 dBFS) from which it is taken to speak while the call goes on."""
_QUIET_NS = 300_000_000


class BotListener:
    """Audio packets in; edges of the bot's speech out, and state to ask for."""

    def __init__(
        self, on_started: Callable[[int], None], on_stopped: Callable[[int], None]
    ) -> None:
        """Report the instant of each first and last loud sample.

        `on_stopped` comes when 300 ms of quiet have made sure of it.
        """
        self.first_ns: int | None = None
        """The very first loud sample of the call."""
        self.last_ns: int | None = None
        """The latest loud sample so far."""
        self.spurt_start_ns: int | None = None
        """Since when it speaks; None while it is quiet."""
        self._on_started, self._on_stopped = on_started, on_stopped

    def push(self, audio: Audio) -> None:
        """Accept one packet."""
        loud = loud_instants([audio], _LOUD)
        if not len(loud):
            self.advance(audio.at_ns)
            return
        start, end = int(loud[0]), int(loud[-1])
        self.advance(start)
        if self.spurt_start_ns is None:
            self.spurt_start_ns = start
            self.first_ns = self.first_ns or start
            self._on_started(start)
        self.last_ns = end

    def advance(self, now_ns: int) -> None:
        """Let time pass: a spurt ends when it has been quiet for long enough."""
        if self.spurt_start_ns is None or self.last_ns is None:
            return
        if now_ns - self.last_ns >= _QUIET_NS:
            self.spurt_start_ns = None
            self._on_stopped(self.last_ns)

    def has_spoken_since(self, instant_ns: int) -> bool:
        """Has there been a loud sample after this instant?"""
        return self.last_ns is not None and self.last_ns > instant_ns

    def is_quiet_for(self, now_ns: int, silence_ms: int) -> bool:
        """Return whether the bot has been silent this long (or has never spoken)."""
        return self.last_ns is None or now_ns - self.last_ns >= silence_ms * 1_000_000
