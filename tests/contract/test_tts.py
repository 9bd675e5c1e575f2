"""One suite over every file in providers/tts: what a call relies on, heard, not assumed."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gateway.audio.level import first_sample_above, peak
from gateway.audio.loudness import active_dbfs
from gateway.errors import ProviderError, ProviderRejected, ProviderTimeout, ProviderUnavailable
from gateway.providers import registry
from gateway.providers.contracts import TextToSpeech
from gateway.threads import BlockingEngine

NAMES = [
    info.name
    for info in registry.available("tts")
    if not info.summary or "base_url" not in registry.load("tts", info.name).Settings.model_fields
]
"""One that needs a server has its own test, as test_example_provider.py shows."""
NEEDED: dict[str, dict[str, Any]] = {}
"""Settings without which a provider cannot be made."""
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


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    if hint := registry.load("tts", request.param).probe():
        pytest.fail(f"{request.param} cannot be tested here: {hint}")
    return str(request.param)


def using(name: str, use: Callable[[TextToSpeech], Awaitable[None]], **settings: object) -> None:
    """Run `use` with a warm provider and close it in the same event loop."""

    async def run() -> None:
        tts = registry.create("tts", {"provider": name, **NEEDED.get(name, {}), **settings})
        try:
            await tts.warm_up()
            await use(tts)
        finally:
            await tts.close()
            await tts.close()

    asyncio.run(run())
    gc.collect()


async def speech(tts: TextToSpeech, text: str) -> bytes:
    return b"".join([chunk async for chunk in tts.synthesize(text)])


def test_the_module_says_what_it_is(name: str):
    module = registry.load("tts", name)
    assert module.__doc__
    assert module.SUMMARY
    assert "\n" not in module.SUMMARY


def test_settings_are_strict_and_frozen(name: str):
    settings = registry.load("tts", name).Settings
    with pytest.raises(ValidationError, match="no_such_key"):
        settings(**NEEDED.get(name, {}), no_such_key=1)
    made = settings(**NEEDED.get(name, {}))
    with pytest.raises(ValidationError):
        setattr(made, next(iter(settings.model_fields)), "x")


def test_it_speaks(name: str):
    async def use(tts: TextToSpeech) -> None:
        rate_hz = tts.output_format.sample_rate_hz
        pcm = await speech(tts, SENTENCE)
        assert len(pcm) % 2 == 0
        assert 1.5 < tts.output_format.seconds(pcm) < 7
        level = active_dbfs(pcm, rate_hz)
        assert level == pytest.approx(-20, abs=2.5)
        assert peak(pcm) < 32767
        onset = first_sample_above(pcm, 500)
        assert onset is not None
        assert onset / rate_hz < 0.06
        assert voiced_share(pcm, rate_hz) > 0.6

    using(name, use)


def voiced_share(pcm: bytes, rate_hz: int) -> float:
    """Part of the energy between 80 and 2000 Hz: most of speech, little of noise."""
    power = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2").astype(float))) ** 2
    hertz = np.fft.rfftfreq(len(pcm) // 2, 1 / rate_hz)
    return float(power[(hertz > 80) & (hertz < 2000)].sum() / power.sum())


def test_longer_texts_take_longer(name: str):
    async def use(tts: TextToSpeech) -> None:
        lengths = [len(await speech(tts, text)) for text in ("Yes.", SENTENCE, SENTENCE * 2)]
        assert lengths[0] * 2 < lengths[1] < lengths[2] * 0.7

    using(name, use)


def test_a_sentence_ends_in_a_short_pause(name: str):
    async def use(tts: TextToSpeech) -> None:
        rate_hz = tts.output_format.sample_rate_hz
        pcm = await speech(tts, "Goodbye.")
        tail = np.abs(np.frombuffer(pcm, "<i2")[-rate_hz * 80 // 1000 :].astype(int))
        assert tail.max() < 1000

    using(name, use)


def test_every_chunk_is_whole_samples_and_not_empty(name: str):
    async def use(tts: TextToSpeech) -> None:
        for text in (SENTENCE, "Yes.", SENTENCE):
            async for chunk in tts.synthesize(text):
                assert chunk
                assert len(chunk) % 2 == 0

    using(name, use)


def test_the_same_words_sound_the_same(name: str):
    async def use(tts: TextToSpeech) -> None:
        first, second = await speech(tts, SENTENCE), await speech(tts, SENTENCE)
        assert len(first) == pytest.approx(len(second), rel=0.1)

    using(name, use)


@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text)[:20])
def test_odd_text_is_spoken_or_skipped(name: str, text: str):
    async def use(tts: TextToSpeech) -> None:
        async with asyncio.timeout(20):
            with suppress(ProviderError):
                await speech(tts, text)
            assert await speech(tts, "Still here.")

    using(name, use)


def test_calls_speak_at_the_same_time(name: str):
    async def use(tts: TextToSpeech) -> None:
        texts = ["Yes.", SENTENCE, "One moment, please.", "Your table is ready now, sir."]
        alone = [len(await speech(tts, text)) for text in texts]
        together = await asyncio.gather(*[speech(tts, text) for text in texts * 3])
        assert [len(pcm) for pcm in together] == pytest.approx(alone * 3, rel=0.1)

    using(name, use)


@pytest.mark.parametrize("moment", ["before it starts", "at once", "soon", "at the first chunk"])
def test_cancelled_in_mid_sentence_the_next_one_is_right(name: str, moment: str):
    long_text = "This is a very long sentence that nobody will hear to its end. " * 12

    async def use(tts: TextToSpeech) -> None:
        expected = len(await speech(tts, "Next one, please."))
        for turn in range(3):
            await cut(tts.synthesize(f"{turn} {long_text}"), moment)
        began = time.monotonic()
        pcm = await speech(tts, "Next one, please! ")
        assert len(pcm) == pytest.approx(expected, rel=0.15)
        assert time.monotonic() - began < 5

    using(name, use)


async def cut(chunks: AsyncIterator[bytes], moment: str) -> None:
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


def test_it_can_be_opened_again_after_close(name: str):
    async def use(tts: TextToSpeech) -> None:
        assert await speech(tts, "Yes.")

    using(name, use)
    using(name, use)


def test_two_of_a_kind_do_not_disturb_each_other(name: str):
    async def use(one: TextToSpeech) -> None:
        async def other(two: TextToSpeech) -> None:
            sizes = await asyncio.gather(*[speech(tts, SENTENCE) for tts in (one, two) * 3])
            assert sizes[0]
            assert [len(pcm) for pcm in sizes] == pytest.approx([len(sizes[0])] * 6, rel=0.1)

        two = registry.create("tts", {"provider": name, **NEEDED.get(name, {})})
        await two.warm_up()
        await other(two)
        await two.close()
        assert await speech(one, "Still here.")

    using(name, use)


# --- what only one of them promises -----------------------------------------------------------


@pytest.mark.parametrize("voice", ["rms", "awb", "slt", "kal", "kal16"])
def test_every_flite_voice_speaks_at_the_same_level(voice: str):
    async def use(tts: TextToSpeech) -> None:
        pcm = await speech(tts, "How can I help? My name is Ann.")
        assert active_dbfs(pcm, 8000) == pytest.approx(-26, abs=1)
        assert (first_sample_above(pcm, 400) or 0) < 8 * 60

    using("flite", use, voice=voice, level_dbfs=-26.0)


def test_flite_speaks_faster_and_slower():
    lengths = {}
    for rate in (0.8, 1.0, 1.5):

        async def use(tts: TextToSpeech, rate: float = rate) -> None:
            lengths[rate] = len(await speech(tts, SENTENCE))

        using("flite", use, rate=rate)
    assert lengths[0.8] / lengths[1.0] == pytest.approx(1 / 0.8, rel=0.1)
    assert lengths[1.5] / lengths[1.0] == pytest.approx(1 / 1.5, rel=0.1)


@pytest.mark.parametrize("name", ["flite", "pyttsx3"])
def test_a_sentence_is_rendered_only_once(name: str):
    async def use(tts: TextToSpeech) -> None:
        first = await speech(tts, SENTENCE)
        began = time.perf_counter()
        assert await speech(tts, SENTENCE) == first
        assert time.perf_counter() - began < 0.005

    using(name, use)


@pytest.mark.parametrize("voice", ["en-us", "de", "fr", "es", "ru", "en-us+m7"])
def test_espeak_speaks_many_languages(voice: str):
    async def use(tts: TextToSpeech) -> None:
        assert active_dbfs(await speech(tts, "Hotel Central, 25."), 8000) == pytest.approx(
            -20, abs=2.5
        )

    using("espeak", use, voice=voice)


@pytest.mark.parametrize(
    ("name", "voice"), [("espeak", "no-such-voice"), ("pyttsx3", "no-such-voice")]
)
def test_a_wrong_voice_is_told_at_warm_up(name: str, voice: str):
    async def use(tts: TextToSpeech) -> None:
        pytest.fail("it warmed up")

    with pytest.raises(ProviderError, match="voice"):
        using(name, use, voice=voice)


def test_espeak_voices_are_not_mixed_up_between_calls():
    async def use(english: TextToSpeech) -> None:
        german = registry.create("tts", {"provider": "espeak", "voice": "de"})
        number = "1234567"
        alone = [len(await speech(tts, number)) for tts in (english, german)]
        mixed = await asyncio.gather(*[speech(tts, number) for tts in (english, german) * 4])
        assert alone[0] != pytest.approx(alone[1], rel=0.1)
        assert [len(pcm) for pcm in mixed] == pytest.approx(alone * 4, rel=0.02)
        await german.close()

    using("espeak", use)


def test_espeak_streams():
    async def use(tts: TextToSpeech) -> None:
        chunks = [chunk async for chunk in tts.synthesize(SENTENCE)]
        assert len(chunks) > 20
        assert max(map(len, chunks)) < 16_000

    using("espeak", use)


def test_a_pyttsx3_process_that_died_is_replaced():
    async def use(tts: TextToSpeech) -> None:
        process = tts._child._process  # type: ignore[attr-defined]
        process.kill()
        await process.wait()
        assert await speech(tts, "I am back.")
        assert tts._child._process is not process  # type: ignore[attr-defined]

    using("pyttsx3", use)


def test_nobody_listens_and_the_engine_stops():
    """`BlockingEngine.stream`: the producer learns that its consumer is gone."""

    async def use() -> None:
        engine = BlockingEngine("counting")
        said_no = []

        def count(emit: Callable[[int], bool]) -> None:
            number = 0
            while emit(number):
                number += 1
            said_no.append(number)

        async with aclosing(engine.stream(count)) as numbers:
            async for number in numbers:
                if number == 3:
                    break
        assert await engine.call(len, said_no) == 1

        def fail(emit: Callable[[int], bool]) -> None:
            emit(1)
            raise ProviderRejected("counting", "enough")

        failing = engine.stream(fail)
        assert await anext(failing) == 1
        with pytest.raises(ProviderRejected, match="enough"):
            await anext(failing)
        engine.close()

    asyncio.run(use())


def test_a_library_that_is_missing_is_named_with_its_package():
    with pytest.raises(ProviderUnavailable, match=r"apt-get install libflite1 .*libflite_no"):
        registry.load("tts", "flite")._load("libflite_no_such.so.1")


def test_a_pyttsx3_process_that_hangs_is_ended():
    async def use() -> None:
        tts = registry.create("tts", {"provider": "pyttsx3", "timeout_s": 0.001})
        with pytest.raises(ProviderTimeout, match=r"0\.001 s"):
            await tts.warm_up()
        assert tts._child is None  # type: ignore[attr-defined]
        await tts.close()

    asyncio.run(use())
    gc.collect()
