"""SlipFinder: an echo that suddenly comes a little sooner or later, on an unchanged path.  Pure.

A jitter buffer that runs dry or full moves all that follows by some milliseconds.  The path itself
is still known: what it makes of the sent audio is compared with what came, at every delay near.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.audio.echo_path import Samples
from gateway.audio.format import LINE

REACH_SAMPLES = 40 * LINE.sample_rate_hz // 1000
"""So far may one slip go."""
_PACKET_SAMPLES = 10 * LINE.sample_rate_hz // 1000
"""Jitter buffers move by whole codec frames; another distance is believed when seen twice."""
_NEAR_SAMPLES = 2
_SHARE = 0.2
"""Of what is left so much may remain at the right delay (7 dB)."""
_GAINS = (0.3, 1.2)
"""What a jitter buffer repeats to fill a gap, it fades."""
_FULL_GAIN = 0.7
_AUDIBLE_ENERGY = 1000.0
"""Per sample (-60 dBFS)."""

_ANYWHERE = np.arange(2 * REACH_SAMPLES + 1)
_PACKETS = np.sort(
    (_ANYWHERE[::_PACKET_SAMPLES, None] + np.arange(-_NEAR_SAMPLES, _NEAR_SAMPLES + 1)).ravel()
)
_PACKETS = _PACKETS[(_PACKETS >= 0) & (_PACKETS <= 2 * REACH_SAMPLES)]


class Slip(NamedTuple):
    """The latest frame is an echo that came at another time than expected."""

    samples: int
    """So much later it comes from now on (negative: sooner); 0 = nothing to rely on."""
    left: Samples
    """float64[160]: the frame without the echo."""


class SlipFinder:
    """Knows the echo path as it was when all was well."""

    def __init__(self) -> None:
        self._response: Samples | None = None
        self._seen = 0

    def learn(self, response: Samples) -> None:
        """Take the path: convolved with the reference it gives the echo."""
        self._response = response

    def forget(self) -> None:
        """The path is another."""
        self._response = None

    def reference_samples(self, ahead: int) -> int:
        """How much of the reference `find` wants; 0 while no path is known."""
        if self._response is None:
            return 0
        return len(self._response) - 1 + REACH_SAMPLES + LINE.frame_samples + ahead

    def find(self, reference: Samples, left: Samples, ahead: int) -> Slip | None:
        """Look for the delay at which the path explains the latest frame.

        Args:
            reference: `reference_samples(ahead)` of what was sent, the last `ahead` of them newer
                than what the latest frame may be an echo of at the delay so far.
            left: float64[160], what the canceller left of the frame at that delay.
            ahead: 0..REACH_SAMPLES, how much sooner the echo may come.
        """
        if self._response is None:
            return None
        # Index i is the echo at REACH - i samples later.
        echoes = convolved(reference, self._response)
        came = left + echoes[REACH_SAMPLES : REACH_SAMPLES + LINE.frame_samples]
        allowed = _SHARE * float(left @ left)
        match = _match(echoes, came, _ANYWHERE[: len(echoes) - len(came) + 1])
        left_now = match.left
        if float(left_now @ left_now) > allowed:
            # It may have moved within the frame: jitter buffers work in 10 ms.
            half = _PACKET_SAMPLES
            lags = _PACKETS[: np.searchsorted(_PACKETS, len(echoes) - len(came) + 1)]
            first = _match(echoes[:-half], came[:half], lags)
            match = _match(echoes[half:], came[half:], lags)
            left_now = np.concatenate([first.left, match.left])
            if float(left_now @ left_now) > allowed:
                return None
        is_sure = match.gain > _FULL_GAIN
        return Slip(self._believed(REACH_SAMPLES - match.at) if is_sure else 0, left_now)

    def _believed(self, samples: int) -> int:
        """The slip that this looks like; 0 when it may be a coincidence."""
        whole = round(samples / _PACKET_SAMPLES) * _PACKET_SAMPLES
        if abs(samples - whole) <= _NEAR_SAMPLES:
            return whole
        seen, self._seen = self._seen, samples
        return samples if abs(samples - seen) <= _NEAR_SAMPLES else 0

    def echo(self, reference: Samples) -> Samples:
        """What the path makes of it: float64[len(reference) - n + 1] for a response of n."""
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
    """Where in `echoes`, of these places, is what explains most of `came`."""
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
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[len(response) - 1 : len(samples)]
