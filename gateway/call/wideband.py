"""Wideband: the two bands of a line that carries more than is analysed."""

from __future__ import annotations

from gateway.audio.converter import Converter
from gateway.audio.format import ANALYSIS, SAMPLE_BYTES, AudioFormat
from gateway.call.media import SILENCE, Tick


class Wideband:
    """Gives analysis its 8 kHz and keeps the caller's whole band.  One per call, loop thread.

    Analysis hears everything by the delay of one conversion late (2.5 ms at 16 kHz), in both
    directions alike.  The whole band is kept back by that of a conversion there and back (5 ms), so
    that audio from which the bot's echo was taken out, at 8 kHz, fits between untouched frames.
    """

    def __init__(self, line_format: AudioFormat) -> None:
        """Prepare for one call.  Raises UnsupportedFormat."""
        self._line_format = line_format
        self._widening: Converter | None = None
        """While frames of 8 kHz are passed on."""
        self._whole: bytes | None = None
        """The frame of the present tick in the whole band; None where the tick has none."""
        self._before = bytes(ANALYSIS.frame_bytes)
        """The caller's frame before, at 8 kHz."""
        self._begin()

    def _begin(self) -> None:
        """Forget what came in the whole band: what will come is of another stream."""
        self._received = Converter(self._line_format, ANALYSIS)
        self._sent = Converter(self._line_format, ANALYSIS)
        self._is_silent = False
        """What was sent in the tick before was silence: so is all that the conversion remembers."""
        delay_s = self._received.delay_s + Converter(ANALYSIS, self._line_format).delay_s
        self._late = bytes(round(delay_s * self._line_format.sample_rate_hz) * SAMPLE_BYTES)
        """What was received and is not passed on yet."""

    def narrow(self, tick: Tick) -> Tick:
        """Return the tick at 8 kHz; one that has that rate already as it is."""
        if len(tick.received) != self._line_format.frame_bytes:
            if self._whole is not None:
                self._begin()
            self._whole = None
            return tick
        line = self._late + tick.received
        size = self._line_format.frame_bytes
        self._whole, self._late = line[:size], line[size:]
        was_silent, self._is_silent = self._is_silent, tick.sent.count(0) == size
        is_silent = was_silent and self._is_silent
        sent = SILENCE if is_silent else self._sent.process(tick.sent)
        return tick._replace(received=self._received.process(tick.received), sent=sent)

    def caller(self, received: bytes, without_echo: bytes) -> bytes:
        """Return the caller's frame of the present tick in the line's format.

        Args:
            received: what `narrow` returned of it.
            without_echo: the same after echo control.  If that is another object, something was
                taken out of it: the band above 4 kHz, where the echo still is, is left out.
        """
        if self._whole is not None and without_echo is received:
            self._widening = None
            frame = self._whole
        else:
            if self._widening is None:
                self._widening = Converter(ANALYSIS, self._line_format)
                self._widening.process(self._before)  # the filter begins where the signal is
            frame = self._widening.process(without_echo)
        self._before = without_echo
        return frame
