"""Stretch: speech that comes with its words, cut into sentences by what is known of both.  Pure.

Engines that speak by themselves deliver sound and words at different paces.  Where they report with
which sound a word begins, that counts; otherwise the words are spread over the sound as if every
letter took the same time.
"""

from __future__ import annotations

import re

from gateway.audio.format import ANALYSIS
from gateway.audio.speech import pause_after_ms
from gateway.conversation.heard import Piece, SpokenPieces

_SENTENCE_ENDS = re.compile(r"[.!?\N{HORIZONTAL ELLIPSIS}][\"')\]]*\s*$")

_PAUSE_FRAMES = pause_after_ms(".") // ANALYSIS.ptime_ms


class Stretch:
    """One run of such speech within a reply."""

    def __init__(self, pieces: SpokenPieces, first_frame: int, *, is_resumed: bool = False) -> None:
        """Begin.

        Args:
            pieces: of the reply; its sentences are added to them.
            first_frame: of the reply, with which it begins.
            is_resumed: it goes on with one that a filler has broken.
        """
        self._pieces = pieces
        self._first = first_frame - pieces.frames_before
        self._is_resumed = is_resumed
        self._frames = 0
        self._sounding = 0
        """Frames up to the last with something to hear: words take no time behind it."""
        self._is_over = False
        self._sentences: list[Piece] = []

    def add_words(self, text: str, *, begin_here: bool) -> None:
        """Accept further words.

        Args:
            text: to be appended as it is.
            begin_here: their sound is the next that is added; False = it is not known which.
        """
        latest = self._sentences[-1] if self._sentences else None
        if latest is None or (text[:1].isspace() and _SENTENCE_ENDS.search(latest.text)):
            continues = latest is not None or self._is_resumed
            first = self._first_frame + (self._frames if begin_here else 0)
            latest = self._pieces.add_sentence("", first, continues=continues)
            self._sentences.append(latest)
        if begin_here:
            at = self._first_frame + self._frames - latest.first_frame
            latest.marks.append((at, len(latest.text)))
        self._pieces.append_words(latest, text)
        self._spread()

    def add_frames(self, count: int, sounding: int | None = None) -> None:
        """Accept further sound.

        Args:
            count: number of frames.
            sounding: up to which of them there is something to hear; None = all.
        """
        last = count if sounding is None else sounding
        if last:
            self._sounding = self._frames + last
        self._frames += count
        self._spread()

    @property
    def has_words(self) -> bool:
        """Return whether something is said in it, or in what it goes on with."""
        return self._is_resumed or bool(self._sentences)

    def break_off(self) -> str:
        """End it, for a filler follows; return the sentences whose sound has not come yet."""
        end = self._first_frame + self._frames
        later = [sentence for sentence in self._sentences if sentence.first_frame >= end]
        for sentence in later:
            self._sentences.remove(sentence)
            self._pieces.remove(sentence)
        self.end()
        return "".join(sentence.text for sentence in later)

    def end(self) -> None:
        """Note that nothing more comes of it."""
        self._is_over = True
        self._spread()
        if self._sentences:
            self._sentences[-1].is_whole, self._sentences[-1].is_open = True, False

    @property
    def _first_frame(self) -> int:
        return self._first + self._pieces.frames_before

    def _spread(self) -> None:
        """Set where each sentence begins and how long it is."""
        if not self._sentences:
            return
        end = self._first_frame + self._length
        if not any(sentence.marks for sentence in self._sentences):
            self._estimate()
        for sentence, following in zip(self._sentences, self._sentences[1:], strict=False):
            sentence.frames = max(0, following.first_frame - sentence.first_frame)
            sentence.is_whole, sentence.is_open = True, False
        latest = self._sentences[-1]
        latest.frames = max(0, end - latest.first_frame)

    @property
    def _length(self) -> int:
        """Return its length in frames, with no more silence at its end than belongs to speech."""
        return min(self._frames, self._sounding + _PAUSE_FRAMES)

    def _estimate(self) -> None:
        usual = [sentence.usual_frames for sentence in self._sentences]
        scale = self._length / max(sum(usual), 1)
        if not self._is_over:  # more sound may follow
            scale = max(scale, 1.0)
        before = 0.0
        for sentence, frames in zip(self._sentences, usual, strict=True):
            sentence.first_frame = self._first_frame + round(before)
            before += frames * scale
