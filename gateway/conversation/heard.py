"""What of a reply the caller has heard: only this enters the chat history.  Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audio.format import LINE
from gateway.audio.speech import LEAD_MS, pause_after_ms

_WORD = re.compile(r"\S+")
_LETTERS_OF_DIGIT = 4
"""A digit takes as long as so many letters."""
_FRAMES_PER_LETTER = 1000 / 14 / LINE.ptime_ms
"""Of speech whose length is not known yet, at about 14 letters per second."""


@dataclass(slots=True)
class Piece:
    """One piece of text on its way to the caller."""

    text: str
    first_frame: int
    """How many frames of the reply were queued before it."""
    frames: int = 0
    is_filler: bool = False
    """Said to bridge a wait; no part of the reply."""
    is_whole: bool = False
    """All of its frames are queued."""

    @property
    def likely_frames(self) -> int:
        """Its length; as long as synthesis has not come to its end, at least a usual one."""
        if self.is_whole:
            return self.frames
        return max(self.frames, round(_duration(self.text) * _FRAMES_PER_LETTER))


class SpokenPieces:
    """The pieces of one reply in the order in which they were queued."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._announced = 0

    def begin(self, text: str, queued_frames: int, *, is_filler: bool = False) -> Piece:
        """Add a piece; count its frames in what this returns."""
        piece = Piece(text, queued_frames, is_filler=is_filler)
        self.pieces.append(piece)
        return piece

    def newly_heard(self, played_frames: int) -> list[Piece]:
        """Give the pieces that have begun to be heard since the last call."""
        found = []
        while self._announced < len(self.pieces):
            piece = self.pieces[self._announced]
            if piece.first_frame >= played_frames:
                break
            self._announced += 1
            found.append(piece)
        return found

    def heard_text(self, played_frames: int) -> str:
        """Give the words that were played, without fillers."""
        spoken = [
            ("" if p.is_filler else p.text, p.likely_frames * LINE.frame_samples)
            for p in self.pieces
        ]
        return heard_prefix(spoken, played_frames * LINE.frame_samples)

    def unheard(self, played_frames: int, generated: Sequence[str]) -> tuple[str, ...]:
        """Give the pieces that were not heard to their end, those not yet spoken included.

        Args:
            played_frames: how much of the reply was played.
            generated: all pieces of the reply so far.
        """
        own = [piece for piece in self.pieces if not piece.is_filler]
        heard = sum(p.is_whole and p.first_frame + p.frames <= played_frames for p in own)
        return tuple(generated[heard:])


def heard_prefix(pieces: Sequence[tuple[str, int]], played_samples: int) -> str:
    """Give the text whose audio was really sent, in whole words; rather a word less than more.

    Args:
        pieces: text and length in `LINE` samples of each piece, in the order they were spoken.
        played_samples: how much of all that the clock thread took.
    """
    heard = []
    left = played_samples
    for text, samples in pieces:
        if left <= 0:
            break
        heard.append(_heard_part(text, samples, left))
        left -= samples
    return " ".join(part for part in heard if part)


def _heard_part(text: str, samples: int, played: int) -> str:
    """Words of one piece that were over, as if every letter took the same time."""
    lead = LEAD_MS * LINE.sample_rate_hz // 1000
    speech = samples - lead - pause_after_ms(text) * LINE.sample_rate_hz // 1000
    share = (played - lead) / speech if speech > 0 else played / max(samples, 1)
    if share >= 1:
        return text.strip()
    end = 0
    for word in _WORD.finditer(text):
        if _duration(text[: word.end()]) > share * _duration(text):
            break
        end = word.end()
    return text[:end].strip()


def _duration(text: str) -> int:
    return sum(_LETTERS_OF_DIGIT if letter.isdigit() else 1 for letter in text)
