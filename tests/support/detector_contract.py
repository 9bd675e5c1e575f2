"""What a call relies on in every voice detector; a provider's tests inherit it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from gateway.audio.voice_chunk import Chunk, VoiceDetector
from gateway.providers.contracts import VoiceDetection
from gateway.turn.vad import SpeechDetector, SpeechStarted, SpeechStopped
from tests.support.provider_contract import ProviderContract, Subject
from tests.support.speech import speak

RATE = 8000


def chunks_of(detector: VoiceDetector, pcm: bytes, size: int = 320) -> list[Chunk]:
    return [
        chunk for at in range(0, len(pcm), size) for chunk in detector.push(pcm[at : at + size])
    ]


def edges(detection: VoiceDetection, pcm: bytes) -> list[SpeechStarted | SpeechStopped]:
    edge = SpeechDetector(0.5, 2, 0.35, 96)
    found = [edge.update(c.probability, c.end) for c in chunks_of(detection.open(), pcm)]
    return [each for each in found if each is not None]


class DetectorContract(ProviderContract):
    """The tests: a voice, silence, any chunking."""

    @pytest.fixture
    def detection(self, provider: Subject) -> Iterator[VoiceDetection]:
        provider.table = {"provider": provider.name, **provider.settings}
        found = provider.another()
        asyncio.run(found.warm_up())
        yield found
        asyncio.run(found.close())

    @pytest.mark.parametrize("voice", ["awb", "rms"])
    def test_speech_starts_and_stops_where_it_is_heard(self, detection: VoiceDetection, voice: str):
        speech = speak("Hello, I would like to order a coffee.", voice)
        loud = np.flatnonzero(np.abs(np.frombuffer(speech, dtype="<i2").astype(int)) > 800)
        found = edges(detection, bytes(2 * RATE) + speech + bytes(2 * RATE))
        assert isinstance(found[0], SpeechStarted)
        assert abs(found[0].at_sample - (RATE + loud[0])) < 0.10 * RATE
        assert isinstance(found[-1], SpeechStopped)
        assert abs(found[-1].at_sample - (RATE + loud[-1])) < 0.25 * RATE

    def test_silence_is_no_speech(self, detection: VoiceDetection):
        assert edges(detection, bytes(6 * RATE)) == []

    def test_faint_hiss_is_no_speech(self, detection: VoiceDetection):
        hiss = np.random.default_rng(7).normal(0, 15, 3 * RATE)
        assert edges(detection, hiss.astype("<i2").tobytes()) == []

    def test_probabilities_levels_and_times_are_as_promised(self, detection: VoiceDetection):
        speech = bytes(2 * RATE) + speak("One two three.", "rms")
        chunks = chunks_of(detection.open(), speech)
        assert [chunk.end for chunk in chunks] == [256 * n for n in range(1, len(chunks) + 1)]
        assert all(0 <= chunk.probability <= 1 for chunk in chunks)
        assert not any(chunk.is_provisional for chunk in chunks)
        assert chunks[2].level_dbfs == -100.0
        assert -30 < max(chunk.level_dbfs for chunk in chunks) < 0
        assert max(chunk.probability for chunk in chunks) > 0.7

    def test_no_chunking_changes_anything_and_calls_do_not_mix(self, detection: VoiceDetection):
        speech = speak("One two three.", "rms")
        whole = chunks_of(detection.open(), speech, len(speech))
        assert chunks_of(detection.open(), speech) == whole
        assert chunks_of(detection.open(), speech, 46) == whole
        first, second = detection.open(), detection.open()
        mixed = []
        for at in range(0, len(speech), 320):
            mixed += first.push(speech[at : at + 320])
            second.push(bytes(320))
        assert mixed == whole

    def test_a_look_ahead_changes_nothing_and_ends_in_time(self, detection: VoiceDetection):
        speech = bytes(2 * RATE) + speak("Stop.", "awb") + bytes(RATE)
        looking, other = detection.open(), detection.open()
        for at in range(0, len(speech) - 319, 320):
            frame = speech[at : at + 320]
            assert looking.push(frame) == other.push(frame)
            peeked = looking.peek()
            if peeked is not None:
                assert (peeked.is_provisional, peeked.end) == (True, at // 2 + 160)
                assert 0 <= peeked.probability <= 1
