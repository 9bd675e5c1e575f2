"""Replies of an engine that sends audio all the time: from a sound to a long silence.  Pure."""

from __future__ import annotations

from gateway.audio.format import AudioFormat
from gateway.audio.g711 import decode_alaw, decode_ulaw
from gateway.audio.level import has_sound
from gateway.providers.speech_to_speech import (
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
)

SpurtEvent = ReplyStarted | ReplyAudio | ReplyEnded

GAP_MS = 700
"""Silence that ends a reply: longer than the pauses between two sentences."""
CUT_GAP_MS = 240
"""Silence after a cut, behind which a new reply begins: the engine stops by itself, too."""
_SLICE_MS = 20
_BEFORE_MS = 60
"""Of what was silent goes before a reply: soft first consonants."""


class Spurts:
    """Splits a stream of sound; audio of a reply is passed on at once, pauses included."""

    def __init__(self, form: AudioFormat) -> None:
        self._form = form
        self._slice = form.sample_bytes * form.sample_rate_hz * _SLICE_MS // 1000
        self._byte_ms = 1000 / (form.sample_bytes * form.sample_rate_hz)
        self._odd = b""
        self._before = b""
        self._silent_ms = 0.0
        self._count = 0
        self.is_cut = False
        """What still comes of the current reply is dropped."""
        self.current = ""
        """Id of the reply that is heard now; empty = silence."""
        self.latest = ""
        """Id of the last reply that has begun."""
        self.position_ms = 0.0
        """Of the stream, received so far."""
        self.ended_at_ms = 0.0
        """Position at which the sound of the latest reply that is over ended."""

    def push(self, audio: bytes) -> list[SpurtEvent]:
        """Accept the next part of the stream, any length."""
        audio, events = self._odd + audio, list[SpurtEvent]()
        whole = len(audio) - len(audio) % self._form.sample_bytes
        audio, self._odd = audio[:whole], audio[whole:]
        passed = bytearray()
        for at in range(0, whole, self._slice):
            part = audio[at : at + self._slice]
            self.position_ms += len(part) * self._byte_ms
            if self._has_sound(part):
                self._silent_ms = 0.0
                if not self.current:
                    events.append(self._begin())
                    passed += self._before
            else:
                self._silent_ms += len(part) * self._byte_ms
            if self.current:
                passed += part
                if self._silent_ms >= (CUT_GAP_MS if self.is_cut else GAP_MS):
                    events += [*self._passed(passed), self._end()]
                    passed = bytearray()
            else:
                keep = int(_BEFORE_MS / self._byte_ms)
                keep -= keep % self._form.sample_bytes
                self._before = (self._before + part)[-keep:]
        return events + self._passed(passed)

    def cut(self, reply_id: str) -> None:
        """Drop what still comes of a reply."""
        self.is_cut |= bool(reply_id) and reply_id == self.current

    def _begin(self) -> ReplyStarted:
        self._count += 1
        self.current = self.latest = f"reply-{self._count}"
        return ReplyStarted(self.current)

    def _end(self) -> ReplyEnded:
        ended = ReplyEnded(self.current, "interrupted" if self.is_cut else "complete")
        self.ended_at_ms = self.position_ms - self._silent_ms
        self.current, self.is_cut, self._before = "", False, b""
        return ended

    def _passed(self, audio: bytearray) -> list[SpurtEvent]:
        if not audio or self.is_cut:
            return []
        return [ReplyAudio(self.current, bytes(audio))]

    def _has_sound(self, part: bytes) -> bool:
        match self._form.encoding:
            case "pcmu":
                part = decode_ulaw(part)
            case "pcma":
                part = decode_alaw(part)
        return has_sound(part)
