"""EchoControl: what the caller says, without what the bot says.  One per call, loop thread."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from gateway.audio.echo import NOTCH, EchoCanceller
from gateway.audio.echo_figures import WORTH_ENERGY, EchoFigures, EchoTally
from gateway.audio.echo_gate import (
    BEFORE_SAMPLES,
    WENT_SAMPLES,
    WINDOW_SAMPLES,
    EchoGate,
)
from gateway.audio.echo_noise import LineNoise
from gateway.audio.echo_path import EchoPath, History, Samples
from gateway.audio.echo_slip import REACH_SAMPLES, SlipFinder, is_audible
from gateway.audio.format import ANALYSIS
from gateway.audio.level import has_sound, peak

_MARGIN_SAMPLES = 40 * ANALYSIS.sample_rate_hz // 1000
"""Part of the canceller's tail before the echo's peak."""
_SLIP_SAMPLES = 48 * ANALYSIS.sample_rate_hz // 1000
"""How far the peak may move in before the reference is laid anew."""
_AUDIBLE_PEAK = 64
"""Sent frames that stay below this (-54 dBFS) have no echo worth cancelling."""
_LESSON_FRAMES = 50
_LESSON_EVERY_FRAMES = 2
_LESSONS = 25
"""After the path is found the canceller hears the last second again, every 40 ms for 1 s: it
cancels 20-30 dB after one second of bot speech, without that 3-5 dB."""
_DOUBT_FRAMES = 6
"""How long finding the path may take: the call's first sounds are held back until then."""
_MIMICRY = 0.6
"""Audio so like the bot's is the bot's ..."""
_HOLD_FRAMES = 5
"""... and so is what follows within 100 ms."""
_MOVED_FRAMES = 3
_GOOD_SHARE, _BAD_SHARE = 0.1, 0.3
"""Of a frame's energy: the canceller knows the path when it leaves less, has lost it with more."""
_NOTE_EVERY_FRAMES = 10
_SLIP_HOLD_FRAMES = 4
"""What came while the echo moved is hidden."""


class Dry(NamedTuple):
    """One frame of the caller without the bot's echo."""

    audio: bytes
    """For recognition."""
    evidence: bytes
    """For voice detection: the same, with noise in place of what is still echo."""
    is_echo: bool = False
    """True when `evidence` or the frame before is such noise: a detection is no speech."""


class EchoControl:
    """Finds the echo path, cancels, and passes audio untouched where there is no echo."""

    def __init__(self, tail_ms: int = 256, max_delay_ms: int = 800) -> None:
        """Make one for a call.  Raises MediaError without libspeexdsp."""
        self.tail_ms, self.max_delay_ms = tail_ms, max_delay_ms
        self._canceller = EchoCanceller(tail_ms)
        self._path = EchoPath(max_delay_ms)
        self._tail_samples = tail_ms * ANALYSIS.sample_rate_hz // 1000
        delay_frames = max_delay_ms // ANALYSIS.ptime_ms
        self._reach_frames = delay_frames + tail_ms // ANALYSIS.ptime_ms + 1
        self._max_shift = delay_frames * ANALYSIS.frame_samples
        length = (self._reach_frames + _LESSON_FRAMES + 1) * ANALYSIS.frame_samples
        self._sent = History(length + 2 * REACH_SAMPLES)
        self._received = History(_LESSON_FRAMES * ANALYSIS.frame_samples)
        self._cancelled = History(_LESSON_FRAMES * ANALYSIS.frame_samples)
        self._frames_left = 0
        self._shift = 0
        self._frames_until_lesson = 0
        self._lessons_left = 0
        self._lesson_frames = 0
        self._mimicry_frames = 0
        self._hold_frames = 0
        self._was_echo = False
        self._tally = EchoTally()
        self._gate = EchoGate()
        self._noise = LineNoise()
        self._slips = SlipFinder()
        self._frames_until_note = 0
        most = (length + 2 * REACH_SAMPLES) // ANALYSIS.frame_samples
        self._put_off: deque[bytes] = deque(maxlen=most)
        """Frames, received and sent in one, in which there can be no echo that counts."""

    def push(self, received: bytes, sent: bytes, *, is_speech: bool = False) -> Dry:
        """Accept one tick.

        Args:
            received: 160 samples from the caller.
            sent: the 160 samples handed to RTP in the same tick.
            is_speech: whether speech was heard in the frames before (for the figures only).

        Returns:
            The caller's frame without echo; in both parts `received` itself while the bot is
            silent and in calls without echo.
        """
        if _is_audible(sent):
            self._frames_left = self._reach_frames
        elif self._frames_left == 0:
            return Dry(received, received)
        self._frames_left -= 1
        if self._path.is_absent and not has_sound(received):
            self._put_off.append(received + sent)
            return Dry(received, received)
        if self._put_off:
            self._catch_up()
        mine = _samples(received)
        self._received.push(mine)
        self._sent.push(_samples(sent))
        self._noise.hear(mine)
        self._path.follow(mine, _samples(sent))
        delay = self._path.delay_samples
        if delay is None:
            if self._is_suspect():
                return Dry(received, self._noise.frame(), is_echo=True)
            return Dry(received, received)
        self._align(delay)
        if self._has_died_away():
            return Dry(received, received)
        cancelled = self._canceller.process(received, self._reference(0))
        self._cancelled.push(_samples(cancelled))
        self._learn()
        is_echo = self._is_echo(delay)
        self._tally.add(self._received, self._cancelled, self._sent, delay, is_speech=is_speech)
        audio = _pcm(self._cancelled.latest(ANALYSIS.frame_samples))
        was_echo, self._was_echo = self._was_echo, is_echo
        return Dry(audio, self._noise.frame() if is_echo else audio, is_echo or was_echo)

    def figures(self) -> EchoFigures | None:
        """Return what was measured; None when no echo was found."""
        if self._tally.delay_samples is None:
            return None
        return self._tally.figures()

    def close(self) -> None:
        """Release the canceller's memory."""
        self._canceller.close()

    def _catch_up(self) -> None:
        """Note what was put off: an echo may come now."""
        both = _samples(b"".join(self._put_off)).reshape(-1, 2, ANALYSIS.frame_samples)
        self._put_off.clear()
        received, sent = both[:, 0].ravel(), both[:, 1].ravel()
        self._received.push(received)
        self._sent.push(sent)
        self._path.note(received, sent)
        for frame in both[:, 0]:
            self._noise.hear(frame)

    def _has_died_away(self) -> bool:
        """True when the bot has been silent for longer than its echo lasts."""
        silent_frames = self._reach_frames - self._frames_left
        return silent_frames * ANALYSIS.frame_samples > self._shift + self._tail_samples

    def _align(self, delay: int) -> None:
        """Lay the reference so that the echo falls into the beginning of the tail."""
        is_new = self._tally.delay_samples is None
        if not is_new and 0 <= delay - self._shift <= _MARGIN_SAMPLES + _SLIP_SAMPLES:
            return
        self._shift = max(0, delay - _MARGIN_SAMPLES)
        self._slips.forget()
        self._start_over(_LESSON_FRAMES)

    def _start_over(self, frames: int) -> None:
        """Learn the path anew, from the last `frames` frames on."""
        self._canceller.reset()
        self._gate = EchoGate()
        self._lessons_left = _LESSONS
        self._lesson_frames = frames
        self._frames_until_lesson = 0

    def _learn(self) -> None:
        if not self._lessons_left:
            return
        self._lesson_frames = min(_LESSON_FRAMES, self._lesson_frames + 1)
        self._frames_until_lesson -= 1
        if self._frames_until_lesson > 0:
            return
        self._frames_until_lesson = _LESSON_EVERY_FRAMES
        self._lessons_left -= 1
        received = self._received.latest().astype("<i2").tobytes()
        size = ANALYSIS.frame_bytes
        for age in range(self._lesson_frames - 1, -1, -1):
            at = len(received) - (age + 1) * size
            self._canceller.process(received[at : at + size], self._reference(age))

    def _has_slipped(self, *, is_hidden: bool) -> bool:
        """True when the frame is echo at another delay; follow it there."""
        count = ANALYSIS.frame_samples
        came, left = self._received.latest(count), self._cancelled.latest(count)
        if not is_audible(came):
            return False
        left_share = float(left @ left) / float(came @ came)
        if left_share < _GOOD_SHARE and is_hidden and not self._lessons_left:
            self._note_path()
        if not is_audible(left) or (is_hidden and left_share < _BAD_SHARE):
            return False
        length = self._slips.reference_samples()
        if not length:
            return False
        ahead = min(REACH_SAMPLES, self._shift)
        end = self._shift - ahead
        # An echo that comes sooner than its sound has no use for what is not yet sent.
        unsent = np.zeros(REACH_SAMPLES - ahead)
        known = length - len(unsent)
        reference = np.concatenate([self._sent.latest(end + known)[:known], unsent])
        came = np.convolve(self._received.latest(count + len(NOTCH) - 1), NOTCH, "valid")
        slip = self._slips.find(reference, came, left)
        if slip is None:
            return False
        left[:] = slip.left
        self._hold_frames = max(self._hold_frames, _SLIP_HOLD_FRAMES)
        if slip.samples:
            self._move(slip.samples)
        return True

    def _note_path(self) -> None:
        """Remember the path while it is right, now and then."""
        self._frames_until_note -= 1
        if self._frames_until_note <= 0:
            self._frames_until_note = _NOTE_EVERY_FRAMES
            self._slips.learn(self._canceller.response())

    def _move(self, samples: int) -> None:
        """Move the reference earlier, and reset the canceller.

        It hears its tail's length of the reference at the new place, with the echo that the path
        makes of it: so nothing that it has learned is lost.
        """
        shift = self._shift + samples
        if shift > self._max_shift:
            return
        self._path.slip(samples)
        # What came before is no lesson any more.
        self._lesson_frames = 0
        if shift < 0:
            self._relearn_sooner(-shift)
            return
        tail_frames = self._tail_samples // ANALYSIS.frame_samples + 1
        length = tail_frames * ANALYSIS.frame_samples
        before = self._sent.latest(self._shift + length)[:length]
        self._shift = shift
        after = self._sent.latest(shift + length)[:length]
        fed = np.concatenate([before, after])
        echo = self._slips.echo(fed)[1:]
        size = ANALYSIS.frame_bytes
        echo_pcm, after_pcm = _pcm(echo), _pcm(after)
        for at in range(0, len(after_pcm), size):
            self._canceller.process(echo_pcm[at : at + size], after_pcm[at : at + size])

    def _relearn_sooner(self, samples: int) -> None:
        """The reference cannot be laid any later: teach what the path will make of it from now."""
        self._slips.advance(samples)
        self._shift = 0
        past = self._received.latest()[: -ANALYSIS.frame_samples]
        known = self._slips.path_samples() - 1 + len(past)
        sent = self._sent.latest(known + ANALYSIS.frame_samples)[:known]
        past[:] = self._slips.echo(sent)
        self._start_over(_LESSON_FRAMES)

    def _reference(self, age_frames: int) -> bytes:
        """The frame whose echo came `age_frames` ago."""
        end = age_frames * ANALYSIS.frame_samples + self._shift
        recent = self._sent.latest(end + ANALYSIS.frame_samples)[: ANALYSIS.frame_samples]
        return recent.astype("<i2").tobytes()

    def _is_suspect(self) -> bool:
        """True for what may be the first echo of the call, until it is found or is none."""
        if not self._path.is_trial:
            return False
        is_new_sound = 0 < self._noise.sound_frames < _DOUBT_FRAMES
        return is_new_sound or self._path.resemblance > _MIMICRY

    def _is_echo(self, delay: int) -> bool:
        """True when what the canceller leaves is still the bot."""
        came, left = self._received.latest(WINDOW_SAMPLES), self._cancelled.latest(WINDOW_SAMPLES)
        went = self._sent.latest(max(0, delay - BEFORE_SAMPLES) + WENT_SAMPLES)[:WENT_SAMPLES]
        is_hidden = self._gate.hides(came, left, went)
        if self._has_slipped(is_hidden=is_hidden) or is_hidden:
            return True
        if self._is_mimicry(came, left):
            self._notice_mimicry()
        else:
            self._mimicry_frames = 0
            self._hold_frames -= 1
        return self._hold_frames > 0

    def _is_mimicry(self, came: Samples, left: Samples) -> bool:
        """True when the bot's voice is in what is left: the canceller does not know this path."""
        left_energy = float(left @ left)
        if left_energy < 3 * WORTH_ENERGY:
            return False
        if self._path.likeness(left) > _MIMICRY:
            return True
        return left_energy > 0.5 * float(came @ came) and self._path.likeness(came) > _MIMICRY

    def _notice_mimicry(self) -> None:
        """The path has moved: most likely a jitter buffer slipped."""
        self._hold_frames = _HOLD_FRAMES
        self._mimicry_frames += 1
        if self._mimicry_frames == _MOVED_FRAMES and not self._lessons_left:
            self._start_over(_MOVED_FRAMES)


def _is_audible(sent: bytes) -> bool:
    return sent.count(0) != len(sent) and peak(sent) > _AUDIBLE_PEAK


def _pcm(samples: Samples) -> bytes:
    return bytes(np.clip(np.round(samples), -32768, 32767).astype("<i2"))


def _samples(frame: bytes) -> Samples:
    return np.frombuffer(frame, dtype="<i2").astype(np.float64)
