"""SlipFinder: an echo that suddenly comes a little sooner or later, on an unchanged path.  Pure.

A jitter buffer that runs dry or full moves all that follows by some milliseconds.  The path itself
is still known: what it makes of the sent audio is compared with what came, at every delay near.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy import fft

from gateway.audio.echo_path import Samples
from gateway.audio.format import ANALYSIS

REACH_SAMPLES = 120 * ANALYSIS.sample_rate_hz // 1000
"""So far may one slip go (a machine that stands still piles up packets) ..."""
_ANY_SAMPLES = 40 * ANALYSIS.sample_rate_hz // 1000
"""... and so far by any number of samples."""
_PACKET_SAMPLES = 10 * ANALYSIS.sample_rate_hz // 1000
"""Jitter buffers move by a few whole codec frames; anything else is believed when seen twice."""
_NEAR_SAMPLES = 2
_LEAST_SAMPLES = 8
_SHARE = 0.2
"""Share of the residual that may remain at the right delay (7 dB)."""
_GAINS = (0.3, 1.2)
"""What a jitter buffer repeats to fill a gap, it fades."""
_FULL_GAIN = 0.7
_AUDIBLE_ENERGY = 1000.0
"""Per sample (-60 dBFS)."""

_PLACES = np.arange(2 * REACH_SAMPLES + 1)
_OFF = np.abs((_PLACES + _NEAR_SAMPLES) % _PACKET_SAMPLES - _NEAR_SAMPLES)
_PACKETS = _PLACES[_OFF <= _NEAR_SAMPLES]
_ANYWHERE = _PLACES[(_OFF <= _NEAR_SAMPLES) | (np.abs(_PLACES - REACH_SAMPLES) <= _ANY_SAMPLES)]


class Slip(NamedTuple):
    """The latest frame is an echo that came at another time than expected."""

    samples: int
    """Delay of the echo from now on (negative: sooner); 0 = not reliable."""
    left: Samples
    """float64[160]: the frame without the echo."""


class SlipFinder:
    """Knows the echo path as it was when all was well."""

    def __init__(self) -> None:
        self._response: Samples | None = None
        self._seen = 0

    def learn(self, response: Samples) -> None:
        """Accept the path: convolved with the reference it gives the echo."""
        self._response = response

    def forget(self) -> None:
        """The path is another."""
        self._response = None

    def advance(self, samples: int) -> None:
        """Shift the echo: it comes sooner after the same reference."""
        if self._response is not None:
            self._response = np.concatenate([self._response[samples:], np.zeros(samples)])

    def path_samples(self) -> int:
        """Length of the path; 0 while none is known."""
        return 0 if self._response is None else len(self._response)

    def reference_samples(self) -> int:
        """Return how much of the reference `find` wants; 0 while no path is known."""
        if self._response is None:
            return 0
        return len(self._response) - 1 + ANALYSIS.frame_samples + 2 * REACH_SAMPLES

    def find(self, reference: Samples, came: Samples, left: Samples) -> Slip | None:
        """Look for the delay at which the path explains the latest frame.

        Args:
            reference: `reference_samples()` of what was sent, the last REACH_SAMPLES of them newer
                than what the latest frame may be an echo of at the delay so far.
            came: float64[160], the frame as received (as the path knows it: without its lows).
            left: float64[160], what the canceller left of it.
        """
        if self._response is None:
            return None
        # Index i is the echo at REACH - i samples later.
        echoes = convolved(reference, self._response)
        allowed = _SHARE * float(left @ left)
        match = _match(echoes, came, _ANYWHERE)
        left_now = match.left
        if float(left_now @ left_now) > allowed:
            # It may have moved within the frame: jitter buffers work in 10 ms.
            half = _PACKET_SAMPLES
            first = _match(echoes[:-half], came[:half], _PACKETS)
            match = _match(echoes[half:], came[half:], _PACKETS)
            left_now = np.concatenate([first.left, match.left])
            if float(left_now @ left_now) > allowed:
                return None
        is_sure = match.gain > _FULL_GAIN
        return Slip(self._believed(REACH_SAMPLES - match.at) if is_sure else 0, left_now)

    def _believed(self, samples: int) -> int:
        """The slip that this looks like; 0 when it may be a coincidence."""
        if abs(samples) < _LEAST_SAMPLES:
            return 0
        whole = round(samples / _PACKET_SAMPLES) * _PACKET_SAMPLES
        is_whole = abs(samples - whole) <= _NEAR_SAMPLES
        seen, self._seen = self._seen, samples
        is_usual = is_whole and abs(samples) <= _ANY_SAMPLES
        if is_usual or abs(samples - seen) <= _NEAR_SAMPLES:
            return whole if is_whole else samples
        return 0

    def echo(self, reference: Samples) -> Samples:
        """Return what the path makes of it: float64[len(reference) - n + 1] for a response of n."""
        if self._response is None:
            raise ValueError("no path is known")
        return convolved(reference, self._response)


def is_audible(frame: Samples) -> bool:
    """True for a frame loud enough to tell something."""
    return float(frame @ frame) > _AUDIBLE_ENERGY * len(frame)


class _Match(NamedTuple):
    at: int
    gain: float
    left: Samples


def _match(echoes: Samples, came: Samples, places: npt.NDArray[np.intp]) -> _Match:
    """Return where in `echoes`, of these places, is what explains most of `came`."""
    width = len(came)
    sums = np.concatenate([[0.0], np.cumsum(echoes**2)])
    energies = (sums[width:] - sums[:-width])[places] + 1.0
    products = np.correlate(echoes, came, "valid")[places]
    gains = np.clip(products / energies, *_GAINS)
    best = int((gains * (gains * energies - 2 * products)).argmin())
    at, gain = int(places[best]), float(gains[best])
    return _Match(at, gain, came - gain * echoes[at : at + width])


def convolved(samples: Samples, response: Samples) -> Samples:
    """The part of the convolution that needs nothing from outside `samples`."""
    size = 512 * -(-len(samples) // 512)
    spectrum = fft.rfft(samples, size) * fft.rfft(response, size)
    return fft.irfft(spectrum, size)[len(response) - 1 : len(samples)]
