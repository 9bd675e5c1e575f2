"""AudibilityMeter: what really passed the RTP edge, in blocks of 5 ms.  Pure.

What is audible is said in `gateway.audio.audible`, relative to each speaker's own voice.  So where
a word begins is known only once some of it was heard: it is looked for backwards, when a figure is
taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.audio.audible import (
    BLOCK_SAMPLES,
    LEAST,
    Powers,
    audible_from,
    block_powers,
    over_noise,
)
from gateway.audio.format import ANALYSIS, SAMPLE_BYTES

_PER_FRAME = ANALYSIS.frame_samples // BLOCK_SAMPLES
_SECOND = ANALYSIS.sample_rate_hz // BLOCK_SAMPLES
_MEMORY = 1024 * _PER_FRAME
"""Blocks: 20 s."""
_SLACK = _SECOND // 10
"""Precision, in blocks, of where the voice detector reports that speech begins and ends."""
_WITHIN_WORD = _SECOND * 12 // 100
"""A closure within a word is shorter (120 ms): what is audible before it belongs to the word."""
_WITHIN_WORD_IN_NOISE = _SECOND * 4 // 100
"""Where the noise hides a part of the word, it also has sounds of its own."""
_SOUND, _SHORT_BREAK = 3, 4
"""What is apart from the word and shorter than 15 ms is a crack in the noise."""
_NEARLY = 0.5
"""Share of the power that holds a sound together: an even "s" that is just audible has gaps."""
_REACH = _SECOND * 6 // 10
"""A word does not begin longer before its detection: the bot may have paused and come back."""
_NOISE = 2 * _SECOND
_NOT_YET_NOISE = _SECOND // 5
"""Just before its detection it may be speech."""
_LOUDEST = 4 * _SECOND
"""How long a speaker's loudest is looked for."""
_TOGETHER = 5
"""Number of ticks that are measured at once (100 ms), while no figure is asked for."""
_SETTLES = _SECOND * 3 // 10
"""Number of blocks of a voice after which its loudness is known."""


@dataclass(slots=True, eq=False)
class FirstSound:
    """The bot's first audible sample from a moment on, taken when it passes.

    A figure that were looked up when a turn is written would be lost with long replies, for the
    meter does not remember for ever.
    """

    since: int
    at: int | None = None
    """None until it was heard."""
    begun: int | None = None
    """Block in which something was sent, perhaps too soft."""


class _Track:
    """The latest blocks of one direction."""

    def __init__(self) -> None:
        self._powers = np.zeros(_MEMORY, np.float32)
        self._is_speech = np.zeros(_MEMORY, np.bool_)
        self.blocks = 0
        """Ever fed; numbers of blocks count from the first of the call."""

    def feed(self, pcm: bytes, *, is_speech: bool) -> Powers:
        """Take whole frames; return the power of the loudest block of each."""
        count = len(pcm) // ANALYSIS.frame_bytes
        places = self._places(count * _PER_FRAME)
        self._is_speech[places] = is_speech
        if pcm.count(0) == len(pcm):  # a bot that listens sends nothing else
            self._powers[places] = 0.0
            return np.zeros(count, np.float32)
        powers = block_powers(np.frombuffer(pcm, "<i2"))
        self._powers[places] = powers
        loudest: Powers = powers.reshape(count, _PER_FRAME).max(axis=1)
        return loudest

    def _places(self, count: int) -> slice | npt.NDArray[np.int64]:
        """Return where the next blocks belong."""
        first = self.blocks
        self.blocks += count
        place = first % _MEMORY
        if place + count <= _MEMORY:  # much cheaper
            return slice(place, place + count)
        return np.arange(first, first + count) % _MEMORY

    def between(self, first: int, end: int) -> tuple[Powers, int]:
        """Return the blocks that are remembered, and the number of the first of them."""
        numbers = self._numbers(first, end)
        return self._powers[numbers % _MEMORY], int(numbers[0]) if len(numbers) else end

    def noise(self, before: int) -> Powers:
        """Return the latest blocks without speech."""
        numbers = self._numbers(before - 2 * _NOISE, before - _NOT_YET_NOISE) % _MEMORY
        return self._powers[numbers[~self._is_speech[numbers]][-_NOISE:]]

    def _numbers(self, first: int, end: int) -> npt.NDArray[np.int64]:
        first = max(first, self.blocks - _MEMORY, 0)
        return np.arange(first, max(first, min(end, self.blocks)))


class AudibilityMeter:
    """Remembers where caller and bot were audible, in audio time of the call."""

    def __init__(self) -> None:
        self._caller = _Track()
        self._bot = _Track()
        self._loudest = deque([0.0], maxlen=_LOUDEST // _PER_FRAME)
        """Of each of the bot's latest frames that were not silent."""
        self._awaited: list[FirstSound] = []
        self._waiting: list[tuple[bytes, bytes, bool]] = []
        """What was fed and is not measured yet."""
        self._latest = 0.0
        """Power of the loudest block of the bot's latest frame."""
        self.now = 0
        """Samples since the call's first frame."""

    def begin(self, now: int) -> None:
        """Take nothing of what was before this audio time.  Only before anything was fed."""
        self.now = now
        self._caller.blocks = self._bot.blocks = now // BLOCK_SAMPLES

    def feed(self, received: bytes, sent: bytes, *, is_speech: bool = False) -> None:
        """Take one tick or more of both directions.

        Args:
            received: whole frames, without echo.
            sent: as many frames.
            is_speech: the caller speaks: this is not the noise behind the voice.
        """
        waiting = self._waiting
        if waiting and waiting[-1][2] is not is_speech:
            self._measure()
        waiting.append((received, sent, is_speech))
        self.now += len(sent) // SAMPLE_BYTES
        if self._awaited or len(waiting) >= _TOGETHER:
            self._measure()

    def _measure(self) -> None:
        """Measure what was fed."""
        waiting = self._waiting
        if not waiting:
            return
        received, sent, is_speech = waiting[0]
        if len(waiting) > 1:
            received = b"".join([tick[0] for tick in waiting])
            sent = b"".join([tick[1] for tick in waiting])
        waiting.clear()
        self._caller.feed(received, is_speech=is_speech)
        loudest = self._bot.feed(sent, is_speech=True)
        self._loudest.extend(loudest[loudest >= LEAST].tolist())
        self._latest = float(loudest[-1])
        if self._awaited:
            self._tell_who_waits(is_silent=bool((loudest < LEAST).all()))

    @property
    def is_bot_audible(self) -> bool:
        """True when something audible of the bot was in the latest tick."""
        self._measure()
        return self._latest >= LEAST and self._latest >= self._bot_is_audible_from

    def last_caller_sample(self, onset: int, speech_end: int) -> int:
        """End of the last audible sound of speech that the VAD saw begin and end."""
        self._measure()
        first = onset // BLOCK_SAMPLES - _SLACK
        powers, first = self._caller.between(first, speech_end // BLOCK_SAMPLES + _SLACK)
        found = (powers >= audible_from(_loudest(powers), self._over_noise(onset))).nonzero()[0]
        return (first + int(found[-1]) + 1) * BLOCK_SAMPLES if len(found) else speech_end

    def first_caller_sample(self, onset: int) -> int:
        """First audible sample of the word that the VAD saw begin at `onset`."""
        self._measure()
        detected = onset // BLOCK_SAMPLES
        powers, first = self._caller.between(detected - _REACH, detected + _LOUDEST)
        voice, _ = self._caller.between(detected, detected + _LOUDEST)
        over = self._over_noise(onset)
        power = audible_from(_loudest(voice), over)
        sounds = _sounds(powers, power)
        if not sounds:
            return onset
        is_noisy = power == over > LEAST
        closure = _WITHIN_WORD_IN_NOISE if is_noisy else _WITHIN_WORD
        begins = _word_begins(sounds, detected - _SLACK // 2 - first, closure)
        return (first + begins) * BLOCK_SAMPLES

    def await_bot(self, since: int) -> FirstSound:
        """Take down the first audible bot sample handed to RTP at or after `since`.

        Args:
            since: now, or some seconds ago.
        """
        self._measure()
        sound = FirstSound(since)
        self._awaited.append(sound)
        self._tell_who_waits(is_silent=False)
        return sound

    def forget(self, sound: FirstSound) -> None:
        """Settle a sound whose outcome is not awaited any more.  Idempotent."""
        if sound in self._awaited:
            self._measure()
        if sound in self._awaited:  # it was not settled by that
            self._awaited.remove(sound)
            self._settle(sound)

    def first_bot_sample(self, since: int) -> int | None:
        """First audible bot sample handed to RTP at or after `since`, some seconds ago at most."""
        self._measure()
        powers, first = self._bot.between(since // BLOCK_SAMPLES, self._bot.blocks)
        found = (powers >= self._bot_is_audible_from).nonzero()[0]
        return max(since, (first + int(found[0])) * BLOCK_SAMPLES) if len(found) else None

    def last_bot_sample(self) -> int | None:
        """End of the last audible sound of the bot; None where it was not heard for seconds."""
        self._measure()
        powers, first = self._bot.between(self._bot.blocks - _LOUDEST, self._bot.blocks)
        found = (powers >= self._bot_is_audible_from).nonzero()[0]
        return (first + int(found[-1]) + 1) * BLOCK_SAMPLES if len(found) else None

    @property
    def _bot_is_audible_from(self) -> float:
        return audible_from(max(self._loudest))

    def _over_noise(self, onset: int) -> float:
        return over_noise(self._caller.noise(onset // BLOCK_SAMPLES))

    def _tell_who_waits(self, *, is_silent: bool) -> None:
        for sound in self._awaited:
            if sound.begun is None and not is_silent:
                self._begin(sound)
            if sound.begun is not None and self._bot.blocks - sound.begun >= _SETTLES:
                self._settle(sound)
        self._awaited = [sound for sound in self._awaited if sound.at is None]

    def _begin(self, sound: FirstSound) -> None:
        """Note that something was sent that may turn out to be audible."""
        powers, first = self._bot.between(sound.since // BLOCK_SAMPLES, self._bot.blocks)
        found = (powers >= LEAST).nonzero()[0]
        if len(found):
            sound.begun = first + int(found[0])

    def _settle(self, sound: FirstSound) -> None:
        if sound.begun is not None:
            sound.at = self.first_bot_sample(max(sound.since, sound.begun * BLOCK_SAMPLES))


def _sounds(powers: Powers, power: float) -> list[tuple[int, int]]:
    """Return the first and the last audible block of each sound; cracks only if all are that."""
    near = np.flatnonzero(powers >= power * _NEARLY)
    found: dict[bool, list[tuple[int, int]]] = {False: [], True: []}
    for blocks in np.split(near, np.flatnonzero(np.diff(near) > _SHORT_BREAK) + 1):
        audible = blocks[powers[blocks] >= power]
        if len(audible):
            found[len(blocks) >= _SOUND].append((int(audible[0]), int(audible[-1])))
    return found[True] or found[False]


def _word_begins(sounds: Sequence[tuple[int, int]], detected: int, closure: int) -> int:
    """Return the first block of the word that is heard at `detected` or soon after it.

    Args:
        sounds: first and last block of each, at least one.
        detected: where a voice detector was sure.
        closure: longest silence within a word.
    """
    later = next((n for n, sound in enumerate(sounds) if sound[1] >= detected), len(sounds) - 1)
    begins = sounds[later][0]
    for first, last in reversed(sounds[:later]):
        if begins - last > closure:
            break
        begins = first
    return begins


def _loudest(powers: Powers) -> float:
    return float(powers.max(initial=0.0))
