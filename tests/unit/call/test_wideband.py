"""A line wider than 8 kHz: analysis in its band, the caller in the line's."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from gateway.audio.converter import Converter
from gateway.audio.format import ANALYSIS, NARROWBAND, SAMPLE_BYTES, WIDEBAND, AudioFormat
from gateway.audio.voice_chunk import Chunk
from gateway.call.call_audio import CallAudio
from gateway.call.inlet import FrameInlet
from gateway.call.media import SILENCE, FrameOutlet, Tick
from gateway.call.wideband import Wideband

HIGH_HZ = 5600
"""Above the telephone band, as much of an "s" is."""
LOW_HZ = 440


def tone(hz: float, audio_format: AudioFormat, frames: int) -> list[bytes]:
    count = frames * audio_format.frame_samples
    pcm = 8000 * np.sin(2 * np.pi * hz * np.arange(count) / audio_format.sample_rate_hz)
    data, size = pcm.astype("<i2").tobytes(), audio_format.frame_bytes
    return [data[at : at + size] for at in range(0, len(data), size)]


def rms(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(np.frombuffer(pcm, "<i2").astype(np.float64) ** 2)))


def steepest(pcm: bytes) -> int:
    return int(np.abs(np.diff(np.frombuffer(pcm, "<i2").astype(np.int64))).max())


def ticks(frames: list[bytes], sent: list[bytes] | None = None) -> list[Tick]:
    sent = sent or [bytes(len(frame)) for frame in frames]
    pairs = zip(frames, sent, strict=True)
    return [Tick(r, s, n, has_media=True) for n, (r, s) in enumerate(pairs, 1)]


def both_ways_s() -> float:
    """Return the delay of a conversion to 8 kHz and back."""
    return Converter(WIDEBAND, ANALYSIS).delay_s + Converter(ANALYSIS, WIDEBAND).delay_s


class Ear:
    """Sink, record and detector of one call."""

    def __init__(self) -> None:
        self.delivered: list[bytes] = []
        self.recorded: list[tuple[bytes, bytes]] = []
        self.judged: list[bytes] = []
        self.now = 0

    def push(self, frame: bytes) -> list[Chunk]:
        self.judged.append(frame)
        return []

    def peek(self) -> None:
        """It does not look ahead."""

    def hear(self, pcm: bytes, _chunks: list[Chunk], now: int) -> None:
        self.delivered.append(pcm)
        self.now = now


def call(
    line_format: AudioFormat, *parts: list[Tick], opened_after: int = 0
) -> tuple[CallAudio, Ear]:
    """A call whose conversation begins behind the first parts."""
    ear = Ear()

    async def run() -> CallAudio:
        inlet = FrameInlet(asyncio.get_running_loop(), line_format=line_format)
        audio = CallAudio(inlet, lambda r, s: ear.recorded.append((r, s)), lambda _: None)
        audio.sink = ear.hear
        for number, part in enumerate(parts):
            if number == opened_after:
                inlet.format = line_format
                audio.open(lambda: ear)
            for tick in part:
                inlet.format = AudioFormat(len(tick.received) * 25)  # as a line sets it
                inlet.put(tick)
            audio.settle()
        return audio

    return asyncio.run(run()), ear


def test_the_recognizer_gets_the_whole_band_and_analysis_the_telephone_band():
    both = [tone(HIGH_HZ, WIDEBAND, 50), tone(LOW_HZ, WIDEBAND, 50)]
    audio, ear = call(WIDEBAND, *map(ticks, both))
    assert audio.format == WIDEBAND
    assert {len(frame) for frame in ear.delivered} == {WIDEBAND.frame_bytes}
    high, low = b"".join(ear.delivered[1:50]), b"".join(ear.delivered[51:])
    assert rms(high) == pytest.approx(rms(low), rel=0.01)
    for heard in (ear.judged, [received for received, _ in ear.recorded]):
        assert {len(frame) for frame in heard} == {ANALYSIS.frame_bytes}
        assert rms(b"".join(heard[2:50])) < 0.001 * rms(b"".join(heard[52:]))
    assert ear.now == audio.now == 100 * ANALYSIS.frame_samples


def test_what_was_sent_is_recorded_in_the_telephone_band():
    sent = tone(LOW_HZ, WIDEBAND, 50)
    _, ear = call(WIDEBAND, ticks(sent, sent))
    assert all(r == s for r, s in ear.recorded)  # both directions are equally late


def test_pauses_of_the_bot_are_converted_like_its_speech():
    silence = [bytes(WIDEBAND.frame_bytes)] * 3
    sent = [*silence, *tone(LOW_HZ, WIDEBAND, 3), *silence, *tone(LOW_HZ, WIDEBAND, 3), *silence]
    _, ear = call(WIDEBAND, ticks(sent, sent))
    assert all(r == s for r, s in ear.recorded)
    assert ear.recorded[-1] == (SILENCE, SILENCE)


def test_the_sound_before_the_first_word_is_kept_in_the_same_band():
    frames = tone(HIGH_HZ, WIDEBAND, 40)
    audio, ear = call(WIDEBAND, ticks(frames[:20]), ticks(frames[20:]), opened_after=1)
    pcm, begins = audio.recent(30 * ANALYSIS.frame_samples)
    assert begins == 10 * ANALYSIS.frame_samples
    assert len(pcm) == 30 * WIDEBAND.frame_bytes
    assert pcm.endswith(b"".join(ear.delivered))  # recognized again: the same samples
    assert steepest(pcm) <= steepest(b"".join(frames))  # nothing was cut out or repeated


def test_a_codec_that_changes_leaves_the_format_of_the_call_as_it_is():
    wide, narrow = ticks(tone(LOW_HZ, WIDEBAND, 25)), ticks(tone(LOW_HZ, NARROWBAND, 25))
    for line_format, parts in ((WIDEBAND, (wide, narrow, wide)), (ANALYSIS, (narrow, wide))):
        audio, ear = call(line_format, *parts)
        assert {len(frame) for frame in ear.delivered} == {audio.format.frame_bytes}
        assert len(ear.delivered) == 25 * len(parts)
        assert {len(received) for received, _ in ear.recorded} == {ANALYSIS.frame_bytes}


def test_after_a_hold_nothing_is_left_of_the_sound_before_it():
    loud, quiet = tone(HIGH_HZ, WIDEBAND, 5), [bytes(WIDEBAND.frame_bytes)] * 5
    held = [SILENCE] * 5
    _, ear = call(WIDEBAND, ticks(loud, loud), ticks(held), ticks(quiet))
    assert not any(map(any, ear.delivered[6:]))  # one: the filter of the conversion runs out
    assert not any(any(received) or any(sent) for received, sent in ear.recorded[6:])


def test_what_came_at_another_rate_before_the_conversation_counts_as_silence():
    narrow, wide = tone(LOW_HZ, NARROWBAND, 3), tone(LOW_HZ, WIDEBAND, 2)
    audio, _ = call(WIDEBAND, ticks(narrow), [], ticks(wide), opened_after=1)
    pcm, _ = audio.recent(5 * ANALYSIS.frame_samples)
    assert len(pcm) == 5 * WIDEBAND.frame_bytes


def test_frames_without_the_echo_fit_between_those_that_are_untouched():
    bands, out = Wideband(WIDEBAND), []
    source = tone(LOW_HZ, WIDEBAND, 60)
    for number, tick in enumerate(ticks(source)):
        narrow = bands.narrow(tick)
        is_echo = 20 <= number < 40
        cancelled = bytes(bytearray(narrow.received)) if is_echo else narrow.received
        out.append(bands.caller(narrow.received, cancelled))
    late = b"".join(out)
    delay = round(both_ways_s() * WIDEBAND.sample_rate_hz) * SAMPLE_BYTES
    whole = np.frombuffer(b"".join(source)[:-delay], "<i2").astype(int)
    heard = np.frombuffer(late[delay:], "<i2").astype(int)
    assert np.abs(heard - whole).max() < 80  # of 8000: 40 dB below it, at the borders, too
    assert not any(late[:delay])


def test_above_the_telephone_band_nothing_is_passed_on_while_the_echo_is_there():
    bands, out = Wideband(WIDEBAND), []
    for tick in ticks(tone(HIGH_HZ, WIDEBAND, 20)):
        narrow = bands.narrow(tick)
        out.append(bands.caller(narrow.received, bytes(ANALYSIS.frame_bytes)))
    assert not any(b"".join(out[1:]))


def pulled(outlet: FrameOutlet, count: int, line_format: AudioFormat) -> list[bytes]:
    return [outlet.pull(line_format) for _ in range(count)]


def test_the_voice_goes_out_at_the_rate_of_the_line_untouched():
    outlet, frames = FrameOutlet(), tone(HIGH_HZ, WIDEBAND, 5)
    lane = outlet.open()
    for frame in frames:
        lane.put_nowait(frame)
    assert pulled(outlet, 6, WIDEBAND) == [*frames, bytes(WIDEBAND.frame_bytes)]
    assert lane.played == 5


@pytest.mark.parametrize(("voice", "line"), [(NARROWBAND, WIDEBAND), (WIDEBAND, NARROWBAND)])
def test_sounds_of_another_rate_are_converted_as_they_are_sent(voice, line):
    outlet = FrameOutlet()
    lane = outlet.open()
    for frame in tone(LOW_HZ, voice, 25):
        lane.put_nowait(frame)
    sent = pulled(outlet, 30, line)
    assert {len(frame) for frame in sent} == {line.frame_bytes}
    assert rms(b"".join(sent[1:25])) == pytest.approx(8000 / 2**0.5, rel=0.01)
    assert any(sent[25])  # the end of it, which the conversion held back
    assert not any(b"".join(sent[26:]))
    limit = steepest(b"".join(tone(LOW_HZ, line, 25)))
    assert steepest(b"".join(sent[1:25])) <= 1.02 * limit


def test_a_wide_cut_and_a_wide_pause_are_no_clicks():
    for stop, goes_on in ((FrameOutlet.clear, 0), (FrameOutlet.pause, 1)):
        outlet, frames = FrameOutlet(), tone(LOW_HZ, WIDEBAND, 40)
        lane = outlet.open()
        for frame in frames:
            lane.put_nowait(frame)
        heard = pulled(outlet, 20, WIDEBAND)
        stop(outlet)
        heard += pulled(outlet, 5, WIDEBAND)
        assert not any(b"".join(heard[21:]))
        outlet.resume()
        again = pulled(outlet, 15, WIDEBAND)
        assert bool(any(b"".join(again))) == bool(goes_on)
        limit = 1.2 * steepest(b"".join(frames))
        assert steepest(b"".join([*heard, *again])) <= limit
        assert {len(frame) for frame in again} == {WIDEBAND.frame_bytes}


def test_silence_before_a_call_has_a_codec_fits_any_line():
    assert FrameOutlet().pull() is SILENCE
    frames = pulled(FrameOutlet(), 2, WIDEBAND)
    assert all(a == b == bytes(WIDEBAND.frame_bytes) for a, b in pairwise(frames))
