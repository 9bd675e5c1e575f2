"""Profiling: measures the caller's voice after each turn, beside the audio path."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import cache

from gateway.audio.voice_measures import measure
from gateway.call import events
from gateway.conversation.talk import Talk
from gateway.providers.contracts import Trait
from gateway.threads import BlockingEngine
from gateway.turn.events import TurnEnded, samples

_BEFORE_MS = 200
"""Sound from before the turn: it has the line's noise."""


class Profiling:
    """Of one conversation whose agent has `profile`.  Loop thread only."""

    def __init__(self, talk: Talk) -> None:
        """Prepare; `talk` is the conversation."""
        self._talk = talk
        self._tasks: set[asyncio.Task[None]] = set()
        talk.on_traits = self.reported
        self._tell()

    def turn_ended(self, turn: TurnEnded) -> None:
        """Measure a turn of the caller in a thread of its own."""
        call = self._talk.call
        since = max(0, call.audio.now - turn.onset) + samples(_BEFORE_MS)
        pcm, _ = call.audio.recent(since)
        behind = max(0, call.audio.now - turn.speech_end) * call.audio.format.sample_rate_hz // 8000
        pcm = pcm[: len(pcm) - 2 * behind]
        task = call.group.create_task(
            self._measure(pcm, call.audio.format.sample_rate_hz, turn.text, call.is_recorded)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reported(self, traits: tuple[Trait, ...]) -> None:
        """Take what a recognizer or engine says of the voice."""
        call = self._talk.call
        call.voice.reported(traits, is_recorded=call.is_recorded)
        call.note(events.VoiceReported(traits={trait.kind: trait.value for trait in traits}))
        self._tell()

    def close(self) -> None:
        """Measure nothing more."""
        for task in self._tasks:
            task.cancel()

    async def _measure(self, pcm: bytes, rate_hz: int, text: str, is_recorded: bool) -> None:  # noqa: FBT001
        found = await _thread().call(measure, pcm, rate_hz, text)
        call = self._talk.call
        call.voice.measured(found, is_recorded=is_recorded)
        call.note(events.VoiceMeasured(**asdict(found)))
        self._tell()

    def _tell(self) -> None:
        """Give the language model the line, if its words have changed."""
        self._talk.instruct(aside=self._talk.call.voice.line())


@cache
def _thread() -> BlockingEngine:
    """Return the thread that measures for all calls of this process."""
    return BlockingEngine("voice-profile", nice=10)
