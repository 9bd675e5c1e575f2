"""What of a reply the caller has heard: only this enters the chat history.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.audio.format import ANALYSIS
from gateway.audio.speech import LEAD_MS, pause_after_ms

Reading = Callable[[str], str]
"""What is read aloud of a text."""
_WORD = re.compile(r"\S+")
_LETTERS_OF_DIGIT = 4
"""A digit lasts as long as this number of letters."""
_FRAMES_PER_LETTER = 1000 / 14 / ANALYSIS.ptime_ms
"""For speech whose length is not known yet: about 14 letters per second."""


@dataclass(slots=True)
class Piece:
    """One piece of text on its way to the caller."""

    text: str
    """As the model wrote it."""
    said: str
    """As it is read aloud."""
    first_frame: int
    """How many frames of the reply were queued before it."""
    frames: int = 0
    is_filler: bool = False
    """Said to bridge a wait; no part of the reply."""
    is_whole: bool = False
    """All of its frames are queued."""
    continues: bool = False
    """It is a further sentence of one stretch of speech that came with its words."""
    is_open: bool = False
    """Further words of it may follow."""
    announced: int = 0
    """Length of the text that was announced."""
    marks: list[tuple[int, int]] = field(default_factory=list)
    """(frame, length of the text before): where words begin, for speech that came with that."""
    said_marks: list[tuple[int, int]] = field(default_factory=list)
    """(frame, letters of `said` before): where words begin, for a voice that reports it."""
    said_letters: int = 0
    """How many letters of it the voice has reported."""

    @property
    def likely_frames(self) -> int:
        """Its length; as long as synthesis has not come to its end, at least a usual one."""
        if self.is_whole:
            return self.frames
        return max(self.frames, self.usual_frames)

    @property
    def usual_frames(self) -> int:
        """Return how long speech of these words usually is."""
        return round(_duration(self.said) * _FRAMES_PER_LETTER)

    def begin_words(self, text: str, at_ms: int | None) -> None:
        """Note where words begin that are said of it, in their order.

        Args:
            text: as the voice reports it: a part of `said`.
            at_ms: in the sound of the piece; None = with its next frame.
        """
        frame = self.frames if at_ms is None else at_ms // ANALYSIS.ptime_ms
        latest = self.said_marks[-1][0] if self.said_marks else 0
        self.said_marks.append((max(frame, latest), self.said_letters))
        self.said_letters += _letters(text)

    def read_before(self, frame: int, reading: Reading) -> str:
        """Return the words that were over at a frame of it, by what the voice has reported."""
        pause = pause_after_ms(self.said) // ANALYSIS.ptime_ms
        if self.is_whole and frame >= self.frames - pause:
            return self.text
        over = max((letters for at, letters in self.said_marks if at <= frame), default=0)
        end = 0
        for word in _WORD.finditer(self.text):
            if _letters(reading(self.text[: word.end()])) > over:
                break
            end = word.end()
        return self.text[:end]

    def said_before(self, frame: int) -> str:
        """Return the words that were over at a frame of it, by its marks."""
        if frame >= self.frames and self.is_whole:
            return self.text
        begun = [length for at, length in self.marks if at <= frame]
        return self.text[: begun[-1]] if begun else ""


@dataclass(frozen=True, slots=True)
class Begun:
    """Words that begin to be heard."""

    text: str
    is_filler: bool


class SpokenPieces:
    """The pieces of one reply in the order in which they were queued."""

    def __init__(self, reading: Reading = str) -> None:
        """Start without any.

        Args:
            reading: what is read aloud of a text.
        """
        self._reading = reading
        self.pieces: list[Piece] = []
        self.frames_before = 0
        """Frames of fillers that were put before all pieces."""
        self._announced = 0

    def begin(self, text: str, queued_frames: int, *, is_filler: bool = False) -> Piece:
        """Add a piece; count its frames in what this returns."""
        piece = Piece(text, self._reading(text), queued_frames, is_filler=is_filler)
        self.pieces.append(piece)
        return piece

    def add_sentence(self, text: str, first_frame: int, *, continues: bool) -> Piece:
        """Add a sentence of speech that comes with its words; its length follows.

        Args:
            text: as far as it is known.
            first_frame: of the reply, from which on it is said.
            continues: it is not the first of its stretch of speech.
        """
        piece = Piece(text, self._reading(text), first_frame, continues=continues, is_open=True)
        self.pieces.append(piece)
        return piece

    def append_words(self, piece: Piece, text: str) -> None:
        """Add further words to a sentence of `add_sentence`."""
        piece.text += text
        piece.said = self._reading(piece.text)

    def remove(self, piece: Piece) -> None:
        """Forget a piece of which nothing was queued."""
        self.pieces = [other for other in self.pieces if other is not piece]

    def put_first(self, text: str, frames: int) -> None:
        """Put the rest of a filler, which is being heard, before all other pieces."""
        self.frames_before += frames
        for piece in self.pieces:
            piece.first_frame += frames
        filler = Piece(text, self._reading(text), 0, frames, is_filler=True, is_whole=True)
        self.pieces.insert(0, filler)
        self._announced += 1

    def take_back(self, first: Piece, queued_frames: int) -> None:
        """Forget a piece and all after it, but for what of them was queued and cannot be undone."""
        for piece in self.pieces[self.pieces.index(first) :]:
            kept = max(0, min(piece.frames, queued_frames - piece.first_frame))
            if kept < piece.frames or not piece.is_whole:
                text = self._text_before(piece, kept) if kept else ""
                piece.text, piece.said = text, self._reading(text)
            piece.frames, piece.is_whole, piece.is_open = kept, True, False
        self.pieces[self._announced :] = [p for p in self.pieces[self._announced :] if p.frames]

    def newly_heard(self, played_frames: int) -> list[Begun]:
        """Return the pieces that have begun to be heard since the last call.

        Of a sentence that grows while it is said, the rest is returned when it is complete.
        """
        found = []
        while self._announced < len(self.pieces):
            piece = self.pieces[self._announced]
            if piece.first_frame >= played_frames:
                break
            if not (piece.is_open and piece.announced):
                found.append(Begun(piece.text[piece.announced :].strip(), piece.is_filler))
                piece.announced = len(piece.text)
            if piece.is_open:
                break
            self._announced += 1
        return [begun for begun in found if begun.text]

    def is_end_heard(self, played_frames: int, generated: int) -> bool:
        """Return whether the last piece, which holds the question, was heard for the most part.

        Args:
            played_frames: how much of the reply was played.
            generated: number of pieces that the whole reply has.
        """
        own = [piece for piece in self.pieces if not piece.is_filler]
        if sum(not piece.continues for piece in own) < generated:
            return False
        return not own or 2 * (played_frames - own[-1].first_frame) >= own[-1].likely_frames

    @property
    def is_mute(self) -> bool:
        """True when something was to be read aloud and nothing of it gave a sound."""
        own = [piece for piece in self.pieces if not piece.is_filler and piece.said]
        return bool(own) and not any(piece.frames for piece in own)

    def heard_text(self, played_frames: int) -> str:
        """Return the words that were played, without fillers."""
        spoken = []
        for piece in self.pieces:
            text, frames = "" if piece.is_filler else piece.text, piece.likely_frames
            played = played_frames - piece.first_frame
            if text and (piece.marks or piece.said_marks):
                by_marks = (
                    piece.said_before(played)
                    if piece.marks
                    else piece.read_before(played, self._reading)
                )
                text, frames = by_marks, min(piece.frames, max(played, 1))
            spoken.append((text, frames * ANALYSIS.frame_samples))
        return heard_prefix(spoken, played_frames * ANALYSIS.frame_samples, self._reading)

    def _text_before(self, piece: Piece, frame: int) -> str:
        if piece.said_marks:
            return piece.read_before(frame, self._reading)
        played = frame * ANALYSIS.frame_samples
        return _heard_part(
            piece.text, piece.likely_frames * ANALYSIS.frame_samples, played, self._reading
        )

    def unheard(self, played_frames: int, generated: Sequence[str]) -> tuple[str, ...]:
        """Return the pieces that were not heard to their end, those not yet spoken included.

        Args:
            played_frames: how much of the reply was played.
            generated: all pieces of the reply so far.
        """
        heard: list[bool] = []
        for piece in self.pieces:
            is_over = piece.is_whole and piece.first_frame + piece.frames <= played_frames
            if piece.continues:
                heard[-1] &= is_over
            elif not piece.is_filler:
                heard.append(is_over)
        return tuple(generated[sum(heard) :])


def heard_prefix(
    pieces: Sequence[tuple[str, int]], played_samples: int, reading: Reading = str
) -> str:
    """Return the text whose audio was really sent, in whole words; rather a word less than more.

    Args:
        pieces: text and length in `ANALYSIS` samples of each piece, in the order they were spoken.
        played_samples: how much of all that the clock thread took.
        reading: what is read aloud of a text: "$3.50" takes as long as its words.
    """
    heard = []
    left = played_samples
    for text, samples in pieces:
        if left < 0 or (left == 0 and (samples or not played_samples)):
            break
        heard.append(_heard_part(text, samples, left, reading))
        left -= samples
    return " ".join(part for part in heard if part)


def _heard_part(text: str, samples: int, played: int, reading: Reading) -> str:
    """Words of one piece that were over, as if every letter took the same time."""
    said = reading(text)
    lead = LEAD_MS * ANALYSIS.sample_rate_hz // 1000
    speech = samples - lead - pause_after_ms(said) * ANALYSIS.sample_rate_hz // 1000
    share = (played - lead) / speech if speech > 0 else played / max(samples, 1)
    if share >= 1:
        return text.strip()
    end, whole = 0, _duration(said)
    for word in _WORD.finditer(text):
        if _duration(reading(text[: word.end()])) > share * whole:
            break
        end = word.end()
    return text[:end].strip()


def _letters(text: str) -> int:
    return sum(not character.isspace() for character in text)


def _duration(text: str) -> int:
    return sum(_LETTERS_OF_DIGIT if letter.isdigit() else 1 for letter in text)
