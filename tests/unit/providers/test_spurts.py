"""Sound that never ends becomes replies, whatever its coding and its pieces."""

import pytest

from gateway.audio.format import AudioFormat
from gateway.providers.kit.spurts import CUT_GAP_MS, GAP_MS, Spurts
from gateway.providers.speech_to_speech import ReplyAudio, ReplyEnded, ReplyStarted

FORMATS = [
    AudioFormat(8000, encoding="pcmu"),
    AudioFormat(8000, encoding="pcma"),
    AudioFormat(24_000),
]


def sound(form: AudioFormat, ms: int) -> bytes:
    one = {"pcmu": b"\x20", "pcma": b"\x20", "s16": b"\x00\x10"}[form.encoding]
    return one * (form.sample_rate_hz * ms // 1000)


def silence(form: AudioFormat, ms: int) -> bytes:
    one = {"pcmu": b"\xff", "pcma": b"\xd5", "s16": b"\0\0"}[form.encoding]
    return one * (form.sample_rate_hz * ms // 1000)


def audio(events: list[object]) -> bytes:
    return b"".join(event.audio for event in events if isinstance(event, ReplyAudio))


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("piece", [1, 7, 160, 100_000])
def test_a_reply_goes_from_a_sound_to_a_long_silence(form: AudioFormat, piece: int):
    spurts = Spurts(form)
    said = sound(form, 100) + silence(form, GAP_MS - 100) + sound(form, 100)
    stream = said + silence(form, GAP_MS + 100)
    events = [
        event
        for at in range(0, len(stream), piece)
        for event in spurts.push(stream[at : at + piece])
    ]
    assert isinstance(events[0], ReplyStarted)
    assert events[-1] == ReplyEnded("reply-1", "complete")
    assert sum(isinstance(event, ReplyStarted | ReplyEnded) for event in events) == 2
    assert audio(events).startswith(said)
    assert spurts.position_ms == pytest.approx(form.seconds(stream) * 1000)
    assert spurts.ended_at_ms == pytest.approx(form.seconds(said) * 1000, abs=20)


def test_a_soft_beginning_goes_before_a_reply():
    form = FORMATS[0]
    spurts = Spurts(form)
    assert spurts.push(silence(form, 500)) == []
    events = spurts.push(sound(form, 20))
    assert audio(events) == silence(form, 60) + sound(form, 20)


def test_after_a_cut_nothing_comes_and_a_short_silence_ends_the_reply():
    form = FORMATS[0]
    spurts = Spurts(form)
    spurts.push(sound(form, 100))
    spurts.cut("reply-0")
    assert audio(spurts.push(sound(form, 20)))
    spurts.cut("reply-1")
    assert spurts.push(sound(form, 200)) == []
    assert spurts.push(silence(form, CUT_GAP_MS)) == [ReplyEnded("reply-1", "interrupted")]
    assert spurts.push(sound(form, 20))[0] == ReplyStarted("reply-2")
