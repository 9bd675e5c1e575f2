"""From an engine's sound to speech that is fit for a call: rate, silence around it, level.

Every voice passes here once, so no provider trims or levels by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import cast

from gateway.audio.converter import Converter, convert_once
from gateway.audio.format import AudioFormat
from gateway.audio.loudness import amplify, level_speech
from gateway.audio.speech import SpeechTrimmer, pause_after_ms
from gateway.providers.contracts import Delivery, Spoken, TextToSpeech


async def speech(
    engine: TextToSpeech,
    text: str,
    target: AudioFormat,
    speak: Callable[[str], AsyncIterator[Spoken]] | None = None,
) -> AsyncGenerator[Spoken, None]:
    """Yield what an engine says, in the target format, as it comes.

    Words come with their place in what this yields (`at_ms`), not before the first sound, and
    without a sound of their own where the engine reports them later.

    Args:
        engine: its `output_format` and `delivery` count.
        text: one sentence or clause, in words.
        target: format of the result.
        speak: `speak` of one of its sessions; None = its own.

    Raises:
        ProviderError: the engine failed.
    """
    delivery = getattr(engine, "delivery", Delivery(trims=False))
    finish = _Stream(engine.output_format, target, delivery, text)
    pieces = cast("AsyncGenerator[Spoken, None]", (speak or engine.speak)(text))
    done, waiting = 0, list[Spoken]()
    async with aclosing(pieces):
        async for piece in pieces:
            if delivery.has_whole_pieces:
                pcm = _whole(piece, engine.output_format, target, delivery, piece.text or text)
                found = [Spoken(b"", piece.text, _ms(done, target))] if piece.text else []
            else:
                began_ms = _ms(done, target)
                pcm = finish.process(piece.pcm)
                if piece.text:
                    waiting.append(Spoken(b"", piece.text, piece.at_ms))
                found = [
                    Spoken(b"", words.text, finish.place_ms(words.at_ms, began_ms))
                    for words in (waiting if done or pcm else ())
                ]
                waiting = [] if found else waiting
            done += len(pcm)
            first = found[0] if found else Spoken(b"")
            if pcm or found:
                yield Spoken(pcm, first.text, first.at_ms)
            for words in found[1:]:
                yield words
    if rest := finish.flush():
        yield Spoken(rest)
        for words in () if done else waiting:
            yield Spoken(b"", words.text, finish.place_ms(words.at_ms, 0))


def _ms(audio_bytes: int, form: AudioFormat) -> int:
    return audio_bytes * 1000 // (form.sample_bytes * form.sample_rate_hz)


def _whole(
    piece: Spoken, source: AudioFormat, target: AudioFormat, delivery: Delivery, text: str
) -> bytes:
    pcm = convert_once(piece.pcm, source, target)
    if delivery.trims:
        trimmer = SpeechTrimmer(target, tail_ms=pause_after_ms(text))
        pcm = trimmer.process(pcm) + trimmer.flush()
    if delivery.level_dbfs is None:
        return pcm
    if delivery.own_level_dbfs is not None:
        return amplify(pcm, delivery.level_dbfs - delivery.own_level_dbfs)
    return level_speech(pcm, target.sample_rate_hz, delivery.level_dbfs)


class _Stream:
    """One sentence as it comes; what was not said of its level cannot be measured in time."""

    def __init__(
        self, source: AudioFormat, target: AudioFormat, delivery: Delivery, text: str
    ) -> None:
        self._converter = Converter(source, target)
        tail_ms = pause_after_ms(text)
        self._trimmer = SpeechTrimmer(target, tail_ms=tail_ms) if delivery.trims else None
        self._target = target
        own, wanted = delivery.own_level_dbfs, delivery.level_dbfs
        self._sample_bytes, self._partial = source.sample_bytes, b""
        self._gain_db = 0.0 if own is None or wanted is None else wanted - own

    def process(self, audio: bytes) -> bytes:
        audio = self._partial + audio
        whole = len(audio) - len(audio) % self._sample_bytes
        self._partial = audio[whole:]
        pcm = self._converter.process(audio[:whole])
        return self._levelled(self._trimmer.process(pcm) if self._trimmer else pcm)

    def place_ms(self, at_ms: int | None, default_ms: int) -> int:
        """Return where in the finished sound a place in the engine's is."""
        if at_ms is None:
            return default_ms
        dropped = (self._trimmer.dropped_bytes or 0) if self._trimmer else 0
        delay_ms = round(self._converter.delay_s * 1000)
        return max(0, at_ms + delay_ms - _ms(dropped, self._target))

    def flush(self) -> bytes:
        pcm = self._converter.flush()
        if self._trimmer:
            pcm = self._trimmer.process(pcm) + self._trimmer.flush()
        return self._levelled(pcm)

    def _levelled(self, pcm: bytes) -> bytes:
        return amplify(pcm, self._gain_db) if pcm and self._gain_db else pcm
