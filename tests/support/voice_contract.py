"""What a call relies on in every voice, heard, not assumed: a provider's tests inherit it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import numpy as np
import pytest

from gateway.audio.format import NARROWBAND
from gateway.audio.level import peak
from gateway.audio.loudness import active_dbfs
from gateway.errors import ProviderError
from gateway.providers.contracts import Delivery, Spoken, TextToSpeech, TtsSession
from gateway.providers.kit.speech import speech as finished
from tests.support.levels import first_sample_above
from tests.support.provider_contract import ProviderContract, Subject

SENTENCE = "Thanks for calling the front desk. How can I help?"
ODD_TEXTS = [
    *("", " ", "!!!", "...", ",", "\n", "\0", "a\0b", "😀👍🏽", "Привет, мир!", "日本語", "مرحبا"),
    *(
        "<speak>x</speak>",
        "[[h@'loU]]",
        "%s %n {}",
        "\ud7ff\u200b\ufeff",
        "x" * 150,
        "word " * 200,
    ),
]


async def speech(tts: TextToSpeech, text: str) -> bytes:
    return b"".join([part.pcm async for part in finished(tts, text, NARROWBAND)])


def voiced_share(pcm: bytes, rate_hz: int) -> float:
    """Part of the energy between 80 and 2000 Hz: most of speech, little of noise."""
    power = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2").astype(float))) ** 2
    hertz = np.fft.rfftfreq(len(pcm) // 2, 1 / rate_hz)
    return float(power[(hertz > 80) & (hertz < 2000)].sum() / power.sum())


async def cut(chunks: AsyncIterator[Spoken], moment: str) -> None:
    task = asyncio.ensure_future(anext(chunks))
    if moment == "at the first chunk":
        await task
    elif moment != "before it starts":
        await asyncio.sleep({"at once": 0, "soon": 0.01}[moment])
    task.cancel()
    await asyncio.wait([task])
    if task.done() and not task.cancelled():
        task.exception()
    await chunks.aclose()  # type: ignore[attr-defined]


class VoiceContract(ProviderContract):
    """The tests."""

    def test_it_speaks(self, provider: Subject):
        async def use(tts: TextToSpeech) -> None:
            rate_hz = NARROWBAND.sample_rate_hz
            pcm = await speech(tts, SENTENCE)
            assert len(pcm) % 2 == 0
            assert 1.5 < NARROWBAND.seconds(pcm) < 7
            level = active_dbfs(pcm, rate_hz)
            assert level == pytest.approx(-20, abs=2.5)
            assert peak(pcm) < 32767
            onset = first_sample_above(pcm, 500)
            assert onset is not None
            assert onset / rate_hz < 0.06
            assert voiced_share(pcm, rate_hz) > 0.6

        provider.using(use)

    def test_longer_texts_take_longer(self, provider: Subject):
        async def use(tts: TextToSpeech) -> None:
            lengths = [len(await speech(tts, text)) for text in ("Yes.", SENTENCE, SENTENCE * 2)]
            assert lengths[0] * 2 < lengths[1] < lengths[2] * 0.7

        provider.using(use)

    def test_a_sentence_ends_in_a_short_pause(self, provider: Subject):
        async def use(tts: TextToSpeech) -> None:
            rate_hz = NARROWBAND.sample_rate_hz
            pcm = await speech(tts, "Goodbye.")
            tail = np.abs(np.frombuffer(pcm, "<i2")[-rate_hz * 80 // 1000 :].astype(int))
            assert tail.max() < 1000

        provider.using(use)

    def test_no_piece_is_empty_and_all_are_whole_samples(self, provider: Subject):
        async def use(tts: TextToSpeech) -> None:
            is_whole = getattr(tts, "delivery", Delivery()).has_whole_pieces
            for text in (SENTENCE, "Yes.", SENTENCE):
                pieces = [piece async for piece in tts.speak(text)]
                assert all(piece.pcm or piece.text for piece in pieces)
                sizes = [len(piece.pcm) for piece in pieces]
                assert sum(sizes) % tts.output_format.sample_bytes == 0
                assert not is_whole or not any(size % 2 for size in sizes)

        provider.using(use)

    def test_the_words_that_it_reports_are_those_of_the_text(self, provider: Subject):
        async def use(tts: TextToSpeech) -> None:
            for text in (SENTENCE, "Yes.", "The house in the old city has 25 rooms; ask for Ann!"):
                parts = [part.text async for part in tts.speak(text)]
                reported = "".join("".join(parts).split())
                assert reported in ("", "".join(text.split()))
                said = [part async for part in finished(tts, text, NARROWBAND)]
                places = [part.at_ms or 0 for part in said if part.text]
                assert places == sorted(places)
                whole = b"".join(part.pcm for part in said)
                assert max(places, default=0) < NARROWBAND.seconds(whole) * 1000

        provider.using(use)

    def test_the_same_words_sound_the_same(self, provider: Subject):
        async def use(tts: TextToSpeech) -> None:
            first, second = await speech(tts, SENTENCE), await speech(tts, SENTENCE)
            assert len(first) == pytest.approx(len(second), rel=0.1)

        provider.using(use)

    @pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text)[:20])
    def test_odd_text_is_spoken_or_skipped(self, provider: Subject, text: str):
        async def use(tts: TextToSpeech) -> None:
            async with asyncio.timeout(20):
                with suppress(ProviderError):
                    await speech(tts, text)
                assert await speech(tts, "Still here.")

        provider.using(use)

    def test_calls_speak_at_the_same_time(self, provider: Subject):
        async def use(tts: TextToSpeech) -> None:
            texts = ["Yes.", SENTENCE, "One moment, please.", "Your table is ready now, sir."]
            alone = [len(await speech(tts, text)) for text in texts]
            together = await asyncio.gather(*[speech(tts, text) for text in texts * 3])
            assert [len(pcm) for pcm in together] == pytest.approx(alone * 3, rel=0.1)

        provider.using(use)

    @pytest.mark.parametrize(
        "moment", ["before it starts", "at once", "soon", "at the first chunk"]
    )
    def test_cancelled_in_mid_sentence_the_next_one_is_right(self, provider: Subject, moment: str):
        long_text = "This is a very long sentence that nobody will hear to its end. " * 12

        async def use(tts: TextToSpeech) -> None:
            expected = len(await speech(tts, "Next one, please."))
            for turn in range(3):
                await cut(tts.speak(f"{turn} {long_text}"), moment)
            began = time.monotonic()
            pcm = await speech(tts, "Next one, please! ")
            assert len(pcm) == pytest.approx(expected, rel=0.15)
            assert time.monotonic() - began < 5

        provider.using(use)

    def test_two_of_a_kind_do_not_disturb_each_other(self, provider: Subject):
        async def use(one: TextToSpeech) -> None:
            async def other(two: TextToSpeech) -> None:
                sizes = await asyncio.gather(*[speech(tts, SENTENCE) for tts in (one, two) * 3])
                assert sizes[0]
                assert [len(pcm) for pcm in sizes] == pytest.approx([len(sizes[0])] * 6, rel=0.1)

            two = provider.another()
            await two.warm_up()
            await other(two)
            await two.close()
            assert await speech(one, "Still here.")

        provider.using(use)

    def test_a_session_says_one_sentence_after_the_other(self, provider: Subject):
        async def use(tts: TextToSpeech) -> None:
            opening = getattr(tts, "open_session", None)
            if opening is None:
                return  # each sentence is for itself
            alone = len(await speech(tts, SENTENCE))
            async with opening("call-1") as session, opening("call-2") as other:
                for _ in range(3):
                    assert session.is_usable
                    both = (in_session(tts, session), in_session(tts, other))
                    sizes = [len(pcm) for pcm in await asyncio.gather(*both)]
                    assert sizes == pytest.approx([alone] * 2, rel=0.1)
                await cut(session.speak(SENTENCE), "at the first chunk")
                if session.is_usable:
                    assert len(await in_session(tts, session)) == pytest.approx(alone, rel=0.1)
            assert not session.is_usable

        provider.using(use)


async def in_session(tts: TextToSpeech, session: TtsSession) -> bytes:
    parts = finished(tts, SENTENCE, NARROWBAND, session.speak)
    return b"".join([part.pcm async for part in parts])
