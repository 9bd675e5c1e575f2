"""The one place where audio of one format becomes audio of another: encoding and sample rate."""

from __future__ import annotations

from collections.abc import Callable

from gateway.audio import g711
from gateway.audio.format import AudioFormat, Encoding
from gateway.audio.resample import Resampler, resample_once

_DECODE: dict[Encoding, Callable[[bytes], bytes]] = {
    "s16": lambda audio: audio,
    "pcmu": g711.decode_ulaw,
    "pcma": g711.decode_alaw,
}
_ENCODE: dict[Encoding, Callable[[bytes], bytes]] = {
    "s16": lambda pcm: pcm,
    "pcmu": g711.encode_ulaw,
    "pcma": g711.encode_alaw,
}


class Converter:
    """Convert a live stream; the output does not depend on how the input is cut.

    Audio whose encoding and rate are those of the target passes untouched, mu-law included.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        """Prepare for one stream.

        Raises:
            UnsupportedFormat: no live conversion between these rates.
        """
        self._source, self._target = source, target
        self._is_same = _is_same(source, target)
        has_one_rate = source.sample_rate_hz == target.sample_rate_hz
        self._resampler = (
            None if has_one_rate else Resampler(source.sample_rate_hz, target.sample_rate_hz)
        )
        self._partial = b""
        self.delay_s = self._resampler.delay_s if self._resampler else 0.0
        """How late the signal is within what `process` returns."""

    def process(self, audio: bytes) -> bytes:
        """Convert a chunk of any length; a sample that is split between two calls is joined."""
        if self._is_same:
            return audio
        if self._partial:
            audio = self._partial + audio
        whole = len(audio) - len(audio) % self._source.sample_bytes
        self._partial = audio[whole:]
        pcm = _DECODE[self._source.encoding](audio[:whole])
        if self._resampler is not None:
            pcm = self._resampler.process(pcm)
        return _ENCODE[self._target.encoding](pcm)

    def flush(self) -> bytes:
        """Return the last `delay_s` of signal and start afresh."""
        self._partial = b""
        if self._resampler is None:
            return b""
        return _ENCODE[self._target.encoding](self._resampler.flush())


def convert_once(audio: bytes, source: AudioFormat, target: AudioFormat) -> bytes:
    """Convert a whole segment or sentence in one shot, without delay."""
    if _is_same(source, target):
        return audio
    pcm = _DECODE[source.encoding](audio)
    pcm = resample_once(pcm, source.sample_rate_hz, target.sample_rate_hz)
    return _ENCODE[target.encoding](pcm)


def _is_same(source: AudioFormat, target: AudioFormat) -> bool:
    return (source.encoding, source.sample_rate_hz) == (target.encoding, target.sample_rate_hz)
