"""Every file in providers/tts keeps the contract of voices, and what it alone promises."""

import asyncio
import gc
import importlib.util
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.format import NARROWBAND
from gateway.audio.loudness import active_dbfs
from gateway.conversation.voice import Voice
from gateway.errors import ProviderError, ProviderRejected, ProviderTimeout, ProviderUnavailable
from gateway.providers import registry
from gateway.providers.contracts import TextToSpeech
from gateway.providers.kit.speech import speech as finished
from gateway.providers.tts import hibari
from gateway.threads import BlockingEngine
from tests.support.levels import first_sample_above
from tests.support.provider_contract import Subject
from tests.support.voice_contract import SENTENCE, VoiceContract, speech

NAMES = [
    info.name
    for info in registry.available("tts")
    if not info.summary or "base_url" not in registry.load("tts", info.name).Settings.model_fields
]
"""One that needs a server has its own test, as test_example_provider.py shows."""


@pytest.fixture(scope="class")
def loaded_model() -> Iterator[None]:
    """Keep a model that takes seconds to load; the tests below load it anew."""
    hibari._ENGINE.enter()
    yield
    hibari._ENGINE.leave()


@pytest.mark.usefixtures("loaded_model")
class TestVoices(VoiceContract):
    @pytest.fixture(params=NAMES)
    def provider(self, request: pytest.FixtureRequest) -> Subject:
        if hint := registry.load("tts", request.param).probe():
            pytest.fail(f"{request.param} cannot be tested here: {hint}")
        return Subject("tts", request.param)


def using(name: str, use: Callable[[TextToSpeech], Awaitable[None]], **settings: object) -> None:
    Subject("tts", name).using(use, **settings)


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


@pytest.mark.parametrize("name", ["flite", "hibari", "pyttsx3"])
def test_a_sentence_is_rendered_only_once(name: str):
    async def use(tts: TextToSpeech) -> None:
        voice = Voice(tts)
        first = [frame async for frame in voice.frames(SENTENCE)]
        tts.speak = None  # type: ignore[assignment, method-assign]  # it is not asked again
        again = [frame async for frame in voice.frames(SENTENCE)]
        assert [f.pcm for f in again if f.pcm] == [f.pcm for f in first if f.pcm]
        assert [f.text for f in again if f.text] == [f.text for f in first if f.text]
        del tts.speak
        assert [frame async for frame in voice.frames("Another one.")]

    using(name, use)


@pytest.mark.usefixtures("loaded_model")
def test_hibari_speaks_faster_and_slower():
    lengths = {}
    for rate in (0.8, 1.0, 1.5):

        async def use(tts: TextToSpeech, rate: float = rate) -> None:
            lengths[rate] = len(await speech(tts, SENTENCE))

        using("hibari", use, rate=rate)
    assert lengths[0.8] > lengths[1.0] * 1.1
    assert lengths[1.5] < lengths[1.0] * 0.8


def test_hibari_speaks_sentence_by_sentence_and_the_same_every_time():
    async def use(tts: TextToSpeech) -> None:
        chunks = [part.pcm async for part in finished(tts, SENTENCE, NARROWBAND)]
        assert len(chunks) == 2
        assert await speech(tts, SENTENCE) == b"".join(chunks)

    using("hibari", use, cache_bytes=0)


def test_hibari_says_the_letter_a_and_the_article():
    async def use(tts: TextToSpeech) -> None:
        await speech(tts, "Ready.")
        read = hibari._ENGINE.loaded()._phonemes
        letter, article = read("[A](/\u02c8A/)"), read("a table")[0]
        for text, expected in {
            "at ten A M": letter,
            "it is A B one": letter,
            "take a table": article,
        }.items():
            marked = hibari._LETTER_A.sub(hibari._CAPITAL_AS_LETTER, text)
            assert f" {expected}" in f" {read(marked)}"
        unmarked = ("A table for two", "a table", "Anna")
        assert [hibari._LETTER_A.search(text) for text in unmarked] == [None] * 3

    using("hibari", use)


def test_hibari_uses_what_is_installed_with_the_gateway():
    """SciPy comes with the tests only; what runs here is what operators run."""

    async def use(tts: TextToSpeech) -> None:
        await speech(tts, "Ready.")
        assert hibari._ENGINE.loaded()._signal.FFT_BACKEND == "numpy"
        assert importlib.import_module("scipy.fft")

    using("hibari", use)


@given(st.text(max_size=1500))
def test_hibari_takes_texts_in_parts_of_bounded_length(text: str):
    parts = hibari.parts_of(text)
    assert all(len(part) <= 180 for part in parts)
    whole = "".join(text.split())
    at = 0
    for part in parts:
        at = whole.index("".join(part.split()), at)


def test_a_model_that_is_not_the_chosen_one_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    installed = importlib.util.find_spec("hibari")
    assert installed is not None
    original = Path(installed.submodule_search_locations[0])  # type: ignore[index]
    assets = tmp_path / "hibari" / "assets"
    assets.mkdir(parents=True)
    for name in ("hibari.onnx", "oov.onnx"):
        (assets / name).write_bytes((original / "assets" / name).read_bytes())
    assert hibari.probe() == ""
    broken = assets / "oov.onnx"
    broken.write_bytes(broken.read_bytes()[:-1] + b"\0")
    (tmp_path / "hibari" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hibari", raising=False)
    assert "SHA-256" in hibari.probe()
    broken.unlink()
    assert "hibari-tts==0.2.1" in hibari.probe()


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
        chunks = [part.pcm async for part in finished(tts, SENTENCE, NARROWBAND)]
        assert len(chunks) > 20
        assert max(map(len, chunks)) < 16_000

    using("espeak", use)


def test_espeak_reports_each_word_where_its_sound_begins():
    async def use(tts: TextToSpeech) -> None:
        begins: dict[str, float] = {}
        samples = 0
        sentence = "Wait, incomprehensibilities are never so short. Yes, I know."
        async for part in tts.speak(sentence):
            begins.update((word, samples / 22_050) for word in part.text.split())
            samples += len(part.pcm) // 2
        assert [*begins] == sentence.split()
        assert [*begins.values()] == sorted(begins.values())
        order = [*begins.values(), samples / 22_050]
        lasts = {
            word: after - at for word, at, after in zip(begins, order, order[1:], strict=False)
        }
        assert lasts["incomprehensibilities"] > 3 * lasts["never"]
        assert lasts["short."] > lasts["so"] + 0.2  # with the pause behind it

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
