"""EchoPath: where in what we receive our own sound comes back, and how loud.  Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy import fft

from gateway.audio.format import ANALYSIS

Samples = npt.NDArray[np.float64]
"""float64[n], s16 range, mono."""

_BLOCK_SAMPLES = 800
"""100 ms of caller are compared with all that was sent in the time before."""
_PRE_EMPHASIS = 0.9
"""Speech is whitened by this difference: else every vowel resembles every other."""
_NOISE_ENERGY = 100.0
"""Per sample: what is weaker than this (about -70 dBFS) resembles nothing."""
_TRIAL_FRAMES = 100
"""Bot speech of 2 s in which every frame is searched."""
_SEARCH_EVERY_FRAMES = 10
_MEMORY = 0.5 ** (1 / 150)
"""Per frame of bot speech: half of the evidence is from the last 3 s."""
_FOUND_RATIO = 9.0
"""Peak of the evidence over its root mean square that is no coincidence."""
_LOST_RATIO = 5.0
_FOUND_LIKENESS = 0.25
_SAME_SAMPLES = 16
_QUIET_SHARE = 0.02
"""Level, relative to the bot's loudest, that its pauses count as: near-silence proves nothing."""
_FAINT_GAIN = 10 ** (-50 / 20)
_NEAR_SAMPLES = 24 * ANALYSIS.sample_rate_hz // 1000
"""A jitter buffer that slips by a packet moves the echo by less than this."""
_RECENT_SAMPLES = 480


class EchoPath:
    """Compares what is received with what was sent before.  Feed it while an echo may come."""

    def __init__(self, max_delay_ms: int) -> None:
        self._lags = max_delay_ms * ANALYSIS.sample_rate_hz // 1000 + 1
        self._sent = History(self._lags - 1 + _BLOCK_SAMPLES)
        self._received = History(_BLOCK_SAMPLES)
        self._before = (0.0, 0.0)
        self._product = np.zeros(self._lags)
        self._sent_energy = np.zeros(self._lags)
        self._received_energy = 0.0
        self._frames = 0
        self._since_search = 0
        self._candidate = 0
        self.delay_samples: int | None = None
        """From being sent to the echo's peak; None while no echo is found."""
        self.resemblance = 0.0
        """0..1: how much of the latest 100 ms is something that was sent, searched at any delay."""

    def note(self, received: Samples, sent: Samples) -> None:
        """Accept frames of both directions that prove nothing: too soft for an echo that counts."""
        self._received.push(_whiten(received, self._before[0]))
        self._sent.push(_whiten(sent, self._before[1]))
        self._before = (float(received[-1]), float(sent[-1]))
        frames = len(received) // ANALYSIS.frame_samples
        self._frames += frames
        self._since_search += frames

    def follow(self, received: Samples, sent: Samples) -> None:
        """Accept one frame of both directions."""
        self.note(received, sent)
        if self.is_trial or self._since_search >= _SEARCH_EVERY_FRAMES:
            self._search()
            self._since_search = 0

    @property
    def is_trial(self) -> bool:
        """True while nothing is known about the path and it is searched in every frame."""
        return self._frames <= _TRIAL_FRAMES and self.delay_samples is None

    @property
    def is_absent(self) -> bool:
        """True when no echo was found in all of the trial, or the one that was is gone."""
        return self._frames > _TRIAL_FRAMES and self.delay_samples is None

    def slip(self, samples: int) -> None:
        """Shift the echo: it comes later (negative: sooner) from now on."""
        if self.delay_samples is None:
            return
        last = self._lags - 1
        self.delay_samples = min(last, max(0, self.delay_samples + samples))
        self._candidate = min(last, max(0, self._candidate + samples))
        self._product = _moved(self._product, samples)
        self._sent_energy = _moved(self._sent_energy, samples)

    def likeness(self, heard: Samples) -> float:
        """Return how much of the latest 60 ms of `heard` is echo at the known delay, 0..1.

        Args:
            heard: received audio, or what a canceller left of it; not whitened, at least 60 ms.
        """
        if self.delay_samples is None:
            return 0.0
        y = _whiten(heard[-_RECENT_SAMPLES:], 0.0)
        first = max(0, self.delay_samples - _NEAR_SAMPLES)
        last = min(self._lags - 1, self.delay_samples + _NEAR_SAMPLES)
        x = self._sent.latest(_RECENT_SAMPLES + last)[: _RECENT_SAMPLES + last - first]
        products = np.correlate(x, y, "valid")
        energies = _window_energies(x, _RECENT_SAMPLES)
        floor = _NOISE_ENERGY * _RECENT_SAMPLES
        squares = products**2 / ((energies + floor) * (float(y @ y) + floor))
        return float(np.sqrt(squares.max()))

    def _search(self) -> None:
        x, y = self._sent.latest(), self._received.latest()
        received_energy = float(y @ y)
        floor = _NOISE_ENERGY * _BLOCK_SAMPLES
        self.resemblance = 0.0
        if received_energy < floor or float(x @ x) < floor:
            return
        # The circular correlation is the linear one: the block lies at the end of the window.
        padded = np.zeros(len(x))
        padded[-len(y) :] = y
        spectrum = fft.rfft(padded) * fft.rfft(x).conj()
        products = fft.irfft(spectrum, len(x))[: self._lags]
        energies = _window_energies(x, _BLOCK_SAMPLES)[::-1]
        self.resemblance = _peak(products, energies, received_energy)[1]
        keep = _MEMORY**self._since_search
        self._product = keep * self._product + products
        self._sent_energy = keep * self._sent_energy + energies
        self._received_energy = keep * self._received_energy + received_energy
        self._judge()

    def _judge(self) -> None:
        """Find the delay in the evidence so far."""
        at, likeness = _peak(self._product, self._sent_energy, self._received_energy)
        evidence = self._product**2 / (self._sent_energy + _QUIET_SHARE * self._sent_energy.max())
        ratio = float(np.sqrt(evidence[at] / np.mean(evidence)))
        gain = abs(self._product[at]) / max(self._sent_energy[at], 1e-9)  # nothing was sent there
        is_same = abs(at - self._candidate) <= _SAME_SAMPLES
        self._candidate = at
        if ratio >= _FOUND_RATIO and likeness >= _FOUND_LIKENESS and gain > _FAINT_GAIN:
            self.delay_samples = at if is_same else self.delay_samples
        elif ratio < _LOST_RATIO or gain < _FAINT_GAIN / 2:
            self.delay_samples = None


def _moved(evidence: Samples, samples: int) -> Samples:
    moved = np.roll(evidence, samples)
    # Nothing is known about the delays that come into reach.
    if samples > 0:
        moved[:samples] = 0.0
    elif samples < 0:
        moved[samples:] = 0.0
    return moved


def _peak(products: Samples, sent_energy: Samples, received_energy: float) -> tuple[int, float]:
    """Lag of the best match, and how much of what was received it explains (0..1)."""
    floored = sent_energy + _QUIET_SHARE * sent_energy.max()
    squares = products**2 / floored
    at = int(squares.argmax())
    return at, float(np.sqrt(squares[at] / received_energy))


class History:
    """The latest samples of a stream, contiguous."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._samples = np.zeros(2 * length + ANALYSIS.frame_samples)
        self._end = length

    def push(self, frame: Samples) -> None:
        """Append some samples, of which not more than the length is kept."""
        if len(frame) > ANALYSIS.frame_samples:
            self._push_long(frame[-self._length :])
            return
        if self._end + len(frame) > len(self._samples):
            self._samples[: self._length] = self.latest()
            self._end = self._length
        self._samples[self._end : self._end + len(frame)] = frame
        self._end += len(frame)

    def _push_long(self, samples: Samples) -> None:
        kept = self._length - len(samples)
        self._samples[:kept] = self.latest()[len(samples) :]
        self._samples[kept : self._length] = samples
        self._end = self._length

    def latest(self, count: int = 0) -> Samples:
        """A view of the last `count` samples, or of all; valid until the next `push`."""
        return self._samples[self._end - (count or self._length) : self._end]


def _whiten(samples: Samples, before: float) -> Samples:
    whitened = samples.copy()
    whitened[1:] -= _PRE_EMPHASIS * samples[:-1]
    whitened[0] -= _PRE_EMPHASIS * before
    return whitened


def _window_energies(samples: Samples, width: int) -> Samples:
    """Energy of every window of `width` samples, by its first sample."""
    sums = np.concatenate([[0.0], np.cumsum(samples**2)])
    energies: Samples = sums[width:] - sums[:-width]
    return energies
