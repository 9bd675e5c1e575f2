"""One voice on lines of two bands."""

from __future__ import annotations

import asyncio

import numpy as np

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.conversation.voice import Voice
from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import Spoken
from tests.support.fake_line import ScriptedVoice

GREETING = "Good morning."


class WideVoice(ScriptedVoice):
    """Half a second at 16 kHz for each text."""

    output_format = WIDEBAND
    is_down = False

    async def speak(self, text):
        self.texts.append(text)
        if self.is_down:
            raise ProviderUnavailable("voice", "is down")
        yield Spoken(np.full(WIDEBAND.sample_rate_hz // 2, 5000, "<i2").tobytes())


def said(voice, text):
    async def frames():
        return [frame.pcm async for frame in voice.frames(text)]

    return asyncio.run(frames())


def sizes(frames):
    return {len(frame) for frame in frames}


def ahead(voice, *texts):
    asyncio.run(voice.render_ahead(texts))


def test_a_voice_of_the_telephone_band_is_the_same_on_every_line():
    voice = Voice(ScriptedVoice())
    assert voice.for_line(WIDEBAND) is voice
    wide = Voice(WideVoice())
    assert wide.for_line(NARROWBAND) is wide
    assert wide.for_line(WIDEBAND) is wide.for_line(AudioFormat(48_000)) is not wide


def test_what_is_said_has_the_rate_of_the_line():
    voice = Voice(WideVoice())
    assert sizes(said(voice, "One.")) == {NARROWBAND.frame_bytes}
    assert sizes(said(voice.for_line(WIDEBAND), "One.")) == {WIDEBAND.frame_bytes}


def test_texts_that_are_rendered_ahead_are_said_once_and_ready_for_both_bands():
    engine = WideVoice()
    voice = Voice(engine)
    ahead(voice, GREETING)
    engine.is_down = True
    wide = voice.for_line(WIDEBAND)
    for one, line_format in ((voice, NARROWBAND), (wide, WIDEBAND)):
        frames = said(one, GREETING)
        assert sizes(frames) == {line_format.frame_bytes}
        assert len(frames) in {25, 26}
        assert one.rendered(GREETING) == tuple(frames)
    assert engine.texts == [GREETING]
