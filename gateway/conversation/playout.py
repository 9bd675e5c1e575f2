"""Playout: the audio of one reply on its way to the caller, and what was heard of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gateway.audio.format import ANALYSIS
from gateway.audio.framer import Framer
from gateway.audio.level import has_sound
from gateway.call.live_call import LiveCall
from gateway.call.media import Lane
from gateway.conversation.figures import TurnFigures
from gateway.conversation.heard import Begun, Piece, Reading, SpokenPieces
from gateway.conversation.stretch import Stretch
from gateway.providers.contracts import Spoken


class Playout:
    """Queues frames with the words that they carry; a caller hears them from `release` on."""

    def __init__(
        self,
        call: LiveCall,
        reading: Reading,
        figures: TurnFigures,
        on_first_audio: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            call: whose line plays it.
            reading: what is read aloud of a text.
            figures: keep when its first audio was queued.
            on_first_audio: called once, when the first of it is queued for the line.
        """
        self._call = call
        self._figures = figures
        self._on_first_audio = on_first_audio
        self._spoken = SpokenPieces(reading)
        self._lane = Lane()
        self._framer = Framer(call.line.media_format.frame_bytes)
        self._stretch: Stretch | None = None
        self._is_speech_broken = False
        """A filler was said within a stretch."""
        self._words_ahead = ""
        """Words of a stretch that a filler has broken off before their sound came."""
        self._speech: list[list[int]] = []
        """[first frame, frames] of each stretch."""
        self._most_played = 0
        """Frames; what is repeated after a pause was heard nevertheless."""
        self.is_released = False

    def release(self) -> None:
        """Let it be heard from now on."""
        self.is_released = True
        if not self._lane.closed:
            self._call.line.outlet.open(self._lane)
        if self._lane.queued:
            self._becomes_audible()

    def cut(self) -> None:
        """Play not a sample more of it, however long its tasks take to end."""
        self._lane.closed = True

    async def played_out(self) -> None:
        """Wait until all that is queued was sent, or the reply was cut."""
        await self._lane.played_out()

    # --- what is queued ---

    def put_first(self, filler: str, frames: Sequence[bytes]) -> None:
        """Let the rest of a filler that is being heard go before; call it before `release`."""
        if frames:
            self._lane.put_first(frames)
            self._spoken.put_first(filler, len(frames))

    def say_filler(self, text: str, frames: Sequence[bytes]) -> None:
        """Queue a filler, which is no part of the reply."""
        stretch, self._stretch = self._stretch, None
        if stretch is not None:  # its engine has come to a halt in mid-speech
            self._words_ahead = stretch.break_off()
            self._is_speech_broken = stretch.has_words
        piece = self._spoken.begin(text, self._lane.queued, is_filler=True)
        for frame in frames:
            self._lane.put_nowait(frame)
        piece.frames, piece.is_whole = len(frames), True
        self._becomes_audible()

    def begin(self, text: str) -> Piece:
        """Begin a piece of text; `write` queues its frames."""
        return self._spoken.begin(text, self._lane.queued)

    def grow(self, piece: Piece, rest: str) -> None:
        """Add the rest of a piece that was begun before it was written."""
        self._spoken.append_words(piece, f" {rest}" if rest else "")
        piece.is_open = False

    async def write(self, piece: Piece, frame: bytes, is_void: Callable[[], bool]) -> bool:
        """Queue a frame of a piece; wait while the line is far behind.

        Returns:
            False when the piece was taken back meanwhile (`is_void`): the frame is dropped.
        """
        await self._lane.write(frame)
        if is_void():
            self._lane.take_back(piece.first_frame + piece.frames)
            return False
        self._queued_one()
        piece.frames += 1
        return True

    async def speak(self, spoken: Spoken) -> None:
        """Queue speech that comes with its words; wait while the line is far behind.

        Args:
            spoken: s16 at the line's format. Words without sound belong to the sound around them.
        """
        stretch = self._stretch or self._begin_stretch()
        if spoken.text:
            stretch.add_words(spoken.text, begin_here=bool(spoken.pcm))
        await self._queue(stretch, self._framer.push(spoken.pcm))

    def _begin_stretch(self) -> Stretch:
        queued = self._lane.queued
        stretch = Stretch(self._spoken, queued, is_resumed=self._is_speech_broken)
        words, self._words_ahead = self._words_ahead, ""
        if words:
            stretch.add_words(words, begin_here=False)
        self._speech.append([queued, 0])
        self._stretch = stretch
        return stretch

    async def end_speech(self) -> None:
        """End a stretch of such speech, if there is one."""
        if self._words_ahead:  # without any sound to it
            self._begin_stretch()
        stretch, self._stretch = self._stretch, None
        self._is_speech_broken = False
        if stretch is not None:
            await self._queue(stretch, self._framer.flush())
            stretch.end()

    async def _queue(self, stretch: Stretch, frames: Sequence[bytes]) -> None:
        loud = [n for n, frame in enumerate(frames, 1) if has_sound(frame)]
        stretch.add_frames(len(frames), loud[-1] if loud else 0)
        for frame in frames:
            await self._lane.write(frame)
            self._speech[-1][1] += 1
            self._queued_one()

    def take_back(self, kept: int) -> None:
        """Speak nothing more of the pieces of text behind the first `kept`."""
        own = [piece for piece in self._spoken.pieces if not piece.is_filler]
        if len(own) > kept:
            first = own[kept]
            self._spoken.take_back(first, self._lane.take_back(first.first_frame))

    def _queued_one(self) -> None:
        if self._figures.first_audio_s is None:
            self._figures.first_audio_s = asyncio.get_running_loop().time()
        if self.is_released:
            self._becomes_audible()

    def _becomes_audible(self) -> None:
        if self._figures.queued is None and not self._lane.closed:
            self._figures.queued = self._call.audio.meter.await_bot(self._call.audio.now)
            self._figures.queued_s = asyncio.get_running_loop().time()
            self._on_first_audio()

    # --- what was heard ---

    @property
    def is_waiting(self) -> bool:
        """True while something is queued that was not played yet."""
        return self._lane.played < self._lane.queued

    @property
    def ends_in_filler(self) -> bool:
        """True when the newest piece is a filler."""
        pieces = self._spoken.pieces
        return bool(pieces) and pieces[-1].is_filler

    @property
    def is_mute(self) -> bool:
        """True when something was to be read aloud and nothing of it gave a sound."""
        return self._spoken.is_mute

    @property
    def played_ms(self) -> int:
        """How much of it was sent."""
        return self.heard_frames * ANALYSIS.ptime_ms

    @property
    def heard_frames(self) -> int:
        """Frames that were sent, what is repeated after a pause included."""
        return max(self._most_played, self._lane.played)

    @property
    def speech_played_ms(self) -> int:
        """How much was sent of speech that came as such: neither fillers nor our voice."""
        played = self.heard_frames - self._spoken.frames_before
        heard = sum(min(max(played - first, 0), count) for first, count in self._speech)
        return heard * ANALYSIS.ptime_ms

    def heard_text(self) -> str:
        """Return the words that the caller has really been sent so far."""
        return self._spoken.heard_text(self.heard_frames)

    def is_end_heard(self, generated: int) -> bool:
        """Return whether the last of `generated` pieces was heard for the most part."""
        return self._spoken.is_end_heard(self.heard_frames, generated)

    def unheard(self, generated: Sequence[str]) -> tuple[str, ...]:
        """Return the pieces that the caller has not heard to their end."""
        return self._spoken.unheard(self.heard_frames, generated)

    def newly_heard(self) -> list[Begun]:
        """Return the pieces that have begun to be heard since the last call; once per frame."""
        self._most_played = self.heard_frames
        return self._spoken.newly_heard(self._lane.played)
