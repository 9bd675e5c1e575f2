"""Cover: a filler over slow recognition, while neither side has the floor."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.call import events
from gateway.call.audibility import FirstSound
from gateway.call.live_call import LiveCall
from gateway.call.media import Lane
from gateway.config.models import FillerConfig
from gateway.conversation.reply import Reply
from gateway.conversation.silence_budget import FillerRotation
from gateway.conversation.voice import Voice
from gateway.turn.events import samples


@dataclass(frozen=True, slots=True)
class _Filler:
    since: int
    """When the caller fell silent."""
    sound: FirstSound
    text: str
    lane: Lane


class Cover:
    """Bridges the silence until the text of a turn is known: it is not dead."""

    def __init__(
        self, call: LiveCall, voice: Voice, config: FillerConfig, fillers: FillerRotation
    ) -> None:
        self._call = call
        self._voice = voice
        self.config = config
        self._fillers = fillers
        self._said: _Filler | None = None

    def advance(self, since: int | None, now: int, *, is_caller_speaking: bool) -> None:
        """Let 20 ms pass in which the floor is free.

        Args:
            since: when the caller fell silent, while recognition owes the text; None = it does not.
            now: audio time.
            is_caller_speaking: the caller goes on.
        """
        if self._said is not None and is_caller_speaking:
            self._said = None
            self._call.line.outlet.clear()
        if since is None or not self._is_due(since, now):
            return
        text = self._fillers.next_text()
        lane = Lane()
        for frame in self._voice.rendered(text):
            lane.put_nowait(frame)
        self._call.line.outlet.open(lane)
        self._said = _Filler(since, self._call.audio.meter.await_bot(now), text, lane)
        self._call.metrics.fillers.inc()
        self._call.note(events.BotSays(text=text, is_filler=True))

    def drop(self) -> None:
        """Forget it: there was no turn."""
        self._said = None

    def give_to(self, reply: Reply) -> bool:
        """Let it be heard to its end, and count, in the reply that begins now.

        Returns:
            True when there was one.
        """
        said, self._said = self._said, None
        if said is None:
            return False
        figures = reply.figures
        figures.fillers.insert(0, said.text)
        figures.filler_starts.insert(0, said.sound.since)
        figures.covered = said.sound
        reply.follow(said.text, said.lane.drain())
        return True

    def _is_due(self, since: int, now: int) -> bool:
        after_ms = self.config.after_ms
        if after_ms == 0 or (self._said is not None and self._said.since == since):
            return False
        return now - since >= samples(after_ms) and bool(self._fillers)
