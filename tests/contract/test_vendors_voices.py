"""Voices of vendors against their doubles: the contract of voices, errors, cuts, timings."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest

from gateway.audio.format import NARROWBAND
from gateway.audio.g711 import encode_ulaw
from gateway.conversation.voice import Voice
from gateway.errors import (
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers import registry
from gateway.providers.contracts import Spoken
from gateway.providers.kit.speech import speech as finished
from tests.support.cartesia_voice import CartesiaVoice
from tests.support.deepgram_voice import AuraVoice, FluxVoice
from tests.support.elevenlabs_voice import ElevenLabsVoice
from tests.support.faults import Fault
from tests.support.google_voice import GoogleVoice
from tests.support.hume_voice import HumeVoice
from tests.support.inworld_voice import InworldVoice
from tests.support.kyutai_voice import KyutaiVoice
from tests.support.provider_contract import Subject
from tests.support.vendor_double import KEY
from tests.support.voice_contract import VoiceContract, speech
from tests.support.voice_double import CHARACTER_MS, VoiceDouble

VENDORS: list[type[VoiceDouble]] = [
    ElevenLabsVoice, CartesiaVoice, AuraVoice, FluxVoice, InworldVoice, HumeVoice, KyutaiVoice,
    GoogleVoice,
]  # fmt: skip
LINEAR = [HumeVoice, KyutaiVoice]
"""They have no G.711."""
SENTENCE = "One moment, I look for a table at seven."
vendors = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.__name__)
Use = Callable[[VoiceDouble, Any], Awaitable[None]]


class TestContract(VoiceContract):
    @pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.__name__)
    def provider(self, request: pytest.FixtureRequest) -> Subject:
        kind: type[VoiceDouble] = request.param

        @asynccontextmanager
        async def server() -> AsyncIterator[Mapping[str, Any]]:
            async with kind() as vendor:
                yield {"base_url": vendor.base_url}
                await vendor.all_gone()
                assert vendor.problems == []

        return Subject("tts", kind.NAME, dict(kind.MINIMUM), server)


def run(kind: type[VoiceDouble], use: Use, **settings: object) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), kind() as vendor:
            table = {**vendor.settings(), "timeout_s": 0.5, **settings}
            tts = registry.create("tts", table)
            await use(vendor, tts)
            await vendor.all_gone()
            await tts.close()
            assert vendor.problems == []

    asyncio.run(main())
    gc.collect()


@vendors
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.REFUSED, ProviderRejected),
        (Fault.DOWN, ProviderUnavailable),
        (Fault.STALL, ProviderTimeout),
        (Fault.GARBAGE, ProviderProtocolError),
        (Fault.CLOSE, ProviderUnavailable),
    ],
)
def test_it_fails_as_it_should_and_recovers(
    vendor: type[VoiceDouble], fault: Fault, error: type[Exception]
):
    async def use(double: VoiceDouble, tts: Any) -> None:
        double.fault = fault
        with pytest.raises(error) as caught:
            await speech(tts, SENTENCE)
        assert type(caught.value) is error
        assert KEY not in str(caught.value)
        double.fault = Fault.NONE
        assert await speech(tts, SENTENCE)

    run(vendor, use)


@vendors
@pytest.mark.parametrize(
    ("trouble", "error", "words"),
    [
        ("quota", QuotaExceeded, "no credits left"),
        ("rate", RateLimited, "concurrent requests"),
        ("voice", ProviderRejected, "No such voice"),
        ("key", ProviderRejected, "Unknown key"),
    ],
)
def test_a_refused_sentence_names_the_vendors_words_and_no_key(
    vendor: type[VoiceDouble], trouble: str, error: type[Exception], words: str
):
    async def use(double: VoiceDouble, tts: Any) -> None:
        async with tts.open_session("call") as session:
            double.trouble = trouble
            with pytest.raises(error, match=words) as caught:
                [piece async for piece in session.speak(SENTENCE)]
            assert type(caught.value) is error
            assert KEY not in str(caught.value)
            assert session.is_usable == double.ONE_SENTENCE
        double.trouble = ""
        assert await speech(tts, SENTENCE)

    run(vendor, use)


@vendors
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (HTTPStatus.UNAUTHORIZED, ProviderRejected),
        (HTTPStatus.PAYMENT_REQUIRED, QuotaExceeded),
        (HTTPStatus.TOO_MANY_REQUESTS, RateLimited),
    ],
)
def test_a_refused_connection(
    vendor: type[VoiceDouble], status: HTTPStatus, error: type[Exception]
):
    if vendor is GoogleVoice:
        return  # gRPC knows no statuses of HTTP

    async def use(double: VoiceDouble, tts: Any) -> None:
        double.status, double.headers = status, {"Retry-After": "60"}
        with pytest.raises(error) as caught:
            await tts.warm_up()
        assert type(caught.value) is error
        assert double.attempts == 1  # a minute is too long for a caller
        assert KEY not in str(caught.value)

    run(vendor, use)


@vendors
def test_every_word_is_reported_where_it_begins(vendor: type[VoiceDouble]):
    async def use(double: VoiceDouble, tts: Any) -> None:
        parts = [part async for part in finished(tts, SENTENCE, NARROWBAND)]
        words = "".join(part.text for part in parts)
        assert words == (SENTENCE if double.REPORTS else "")
        at = 0
        for part in parts:
            if part.text:
                assert part.at_ms == pytest.approx(at * CHARACTER_MS, abs=16)
                at += len(part.text)

    run(vendor, use)


@vendors
def test_without_timings_it_speaks_all_the_same(vendor: type[VoiceDouble]):
    async def use(double: VoiceDouble, tts: Any) -> None:
        double.has_words = False
        parts = [part async for part in finished(tts, SENTENCE, NARROWBAND)]
        assert not any(part.text for part in parts)
        assert sum(len(part.pcm) for part in parts) > 16_000

    run(vendor, use)


@vendors
def test_what_the_caller_cuts_off_is_stopped_and_the_next_sentence_is_right(
    vendor: type[VoiceDouble],
):
    async def use(double: VoiceDouble, tts: Any) -> None:
        double.pace_s = 0.02
        async with tts.open_session("call") as session:
            for number in range(3):
                pieces = session.speak(f"{number} " + "A long sentence without an end. " * 3)
                assert await anext(pieces)
                await pieces.aclose()
                if not session.is_usable:
                    assert not double.STOPS
                    return
                said = [piece async for piece in session.speak("Yes, sir.")]
                words = "".join(piece.text for piece in said)
                assert words == ("Yes, sir." if double.REPORTS else "")
                sound = b"".join(piece.pcm for piece in said)
                assert tts.output_format.seconds(sound) * 1000 == 9 * CHARACTER_MS
            if double.STOPS:
                assert double.cuts == ["s1", "s3", "s5"]
                assert double.chunks < 3 * 6 + 3 * 3
        assert double.attempts == 1 or double.ONE_SENTENCE

    run(vendor, use)


@vendors
def test_sound_after_a_cut_is_not_heard(vendor: type[VoiceDouble]):
    async def use(double: VoiceDouble, tts: Any) -> None:
        double.is_late, double.pace_s = True, 0.005
        async with tts.open_session("call") as session:
            pieces = session.speak("A long sentence that is interrupted by the caller.")
            assert await anext(pieces)
            await pieces.aclose()
            parts = [p async for p in finished(tts, "Yes.", NARROWBAND, session.speak)]
            ms = sum(len(part.pcm) for part in parts) / 16
            assert ms == pytest.approx(4 * CHARACTER_MS + 120, abs=30)

    run(vendor, use)


@vendors
def test_a_voice_that_sends_no_sound_says_nothing(vendor: type[VoiceDouble]):
    async def use(double: VoiceDouble, tts: Any) -> None:
        double.is_mute = True
        assert await speech(tts, SENTENCE) == b""

    run(vendor, use)


@vendors
def test_what_has_no_sound_is_not_sent(vendor: type[VoiceDouble]):
    async def use(double: VoiceDouble, tts: Any) -> None:
        for text in ("", " ", "😀", "...", "\0\x07\x1b"):
            assert await speech(tts, text) == b""
        assert double.said == []
        assert await speech(tts, "Bell\x07 and\u200b emoji 😀!")
        assert "".join(double.said[0].split()) == "Belland emoji😀!".replace(" ", "")

    run(vendor, use)


@vendors
def test_a_hundred_kilobytes_are_sent_in_parts_that_the_vendor_takes(vendor: type[VoiceDouble]):
    text = "All of the words in this text are short. " * 2500

    async def use(double: VoiceDouble, tts: Any) -> None:
        async with tts.open_session("call") as session:
            pieces = session.speak(text)
            assert await anext(pieces)
            await pieces.aclose()
        if vendor is GoogleVoice:  # it may be stopped before it has sent everything
            (said,) = double.said
            assert text.startswith(said.strip())
        else:
            assert double.said == [text.strip()]
        assert all(len(message) < 2_200 for message in double.received)

    run(vendor, use)


@vendors
def test_sound_is_untouched_on_its_way(vendor: type[VoiceDouble]):
    """What arrives as mu-law is the same mu-law when the line encodes it."""

    async def use(double: VoiceDouble, tts: Any) -> None:
        if vendor in LINEAR:
            return
        assert str(tts.output_format) == "pcmu/8000"
        voice = Voice(tts)
        frames = [frame.pcm async for frame in voice.frames(SENTENCE)]
        assert double.form.encoding == "pcmu"
        raw = b"".join([piece.pcm async for piece in tts.speak(SENTENCE)])
        sent = b"".join(encode_ulaw(frame) for frame in frames)
        assert raw[800:4000] in sent

    run(vendor, use)


@vendors
def test_a_connection_that_is_lost_in_silence_is_no_longer_usable(vendor: type[VoiceDouble]):
    async def use(double: VoiceDouble, tts: Any) -> None:
        async with tts.open_session("call") as session:
            assert [piece async for piece in session.speak("Yes.")]
            if double.ONE_SENTENCE:
                return
            double.drop_all()
            with pytest.raises(ProviderUnavailable):
                [piece async for piece in session.speak("Yes.")]
            assert not session.is_usable

    run(vendor, use)


def test_settings_of_elevenlabs_reach_the_vendor():
    async def use(double: VoiceDouble, tts: Any) -> None:
        assert await speech(tts, "Ja.")
        assert tts.language == "de"
        first = double.received[0]
        assert isinstance(first, str)
        assert '"stability":0.4' in first
        assert '"speed":1.1' in first
        for wish in ("language_code=de", "output_format=pcm_16000", "seed=7", "auto_mode=false",
                     "enable_logging=false", "inactivity_timeout=60"):  # fmt: skip
            assert wish in double.paths[0]

    run(
        ElevenLabsVoice, use, language="de", stability=0.4, speed=1.1, output_format="pcm_16000",
        seed=7, auto_mode=False, enable_logging=False, inactivity_timeout_s=60,
    )  # fmt: skip


def test_settings_of_cartesia_reach_the_vendor():
    async def use(double: VoiceDouble, tts: Any) -> None:
        assert await speech(tts, "Ja.")
        first = double.received[0]
        assert isinstance(first, str)
        for wish in ('"language":"de"', '"speed":1.2', '"volume":0.8', '"emotion":"calm"',
                     '"encoding":"pcm_s16le"', '"sample_rate":16000',
                     '"pronunciation_dict_id":"names"'):  # fmt: skip
            assert wish in first

    run(
        CartesiaVoice, use, language="de", speed=1.2, volume=0.8, emotion="calm",
        encoding="pcm_s16le", sample_rate_hz=16000, pronunciation_dict_id="names",
    )  # fmt: skip


STREAMING = [
    ElevenLabsVoice, CartesiaVoice, FluxVoice, InworldVoice, HumeVoice, KyutaiVoice, GoogleVoice,
]  # fmt: skip
streaming = pytest.mark.parametrize("vendor", STREAMING, ids=lambda vendor: vendor.__name__)


def begun(session: Any) -> tuple[Any, asyncio.Future[str]]:
    rest: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    return session.speak_begun("One moment, I", rest), rest


async def drained(pieces: Any) -> None:
    async for _ in pieces:
        pass


@streaming
def test_a_sentence_is_heard_before_its_rest_is_written(vendor: type[VoiceDouble]):
    async def use(double: VoiceDouble, tts: Any) -> None:
        assert tts.takes_beginnings
        async with tts.open_session("call") as session:
            pieces, _ = begun(session)
            while not (await anext(pieces)).pcm:
                pass  # words may come before their sound
            silent = asyncio.ensure_future(drained(pieces))
            await asyncio.wait([silent], timeout=0.8)  # it is not the vendor that is silent
            assert not silent.done()
            silent.cancel()
            await asyncio.wait([silent])
            await pieces.aclose()
        assert [text.strip() for text in double.said] == ["One moment, I"]

    run(vendor, use)


@streaming
@pytest.mark.parametrize("rest_text", ["look for a table at seven.", "", "3" * 2500])
def test_the_rest_of_a_sentence_goes_on_with_it(vendor: type[VoiceDouble], rest_text: str):
    async def use(double: VoiceDouble, tts: Any) -> None:
        async with tts.open_session("call") as session:
            for _ in range(2):
                pieces, rest = begun(session)
                found = [await anext(pieces)]
                rest.set_result(rest_text)
                found += [piece async for piece in pieces]
                whole = f"One moment, I {rest_text}".strip()
                assert double.said[-1] == whole
                length_s = tts.output_format.seconds(b"".join(piece.pcm for piece in found))
                assert length_s == pytest.approx(len(whole) * CHARACTER_MS / 1000, abs=0.45)
                words = "".join("".join(piece.text for piece in found).split())
                assert words == ("".join(whole.split()) if double.REPORTS else "")
                assert session.is_usable
        assert double.attempts == 1 or double.ONE_SENTENCE

    run(vendor, use)


@streaming
def test_a_sentence_that_is_cut_before_its_rest_is_written_is_stopped(vendor: type[VoiceDouble]):
    async def use(double: VoiceDouble, tts: Any) -> None:
        async with tts.open_session("call") as session:
            pieces, rest = begun(session)
            assert await anext(pieces)
            await pieces.aclose()
            rest.set_result("look for a table.")
            assert session.is_usable
            assert [piece async for piece in session.speak("Yes.")]
            assert [text.strip() for text in double.said] == ["One moment, I", "Yes."]
            assert not any("look for" in str(message) for message in double.received)

    run(vendor, use)


@streaming
def test_a_slow_model_may_be_waited_for(vendor: type[VoiceDouble]):
    table = {"provider": vendor.NAME, **vendor.MINIMUM, "stream_text": False}
    assert not registry.create("tts", table).takes_beginnings


def test_aura_takes_whole_sentences_only():
    assert not registry.create("tts", {"provider": "deepgram", "api_key": KEY}).takes_beginnings


@vendors
def test_a_missing_key_is_told_before_the_first_call(vendor: type[VoiceDouble]):
    module = registry.load("tts", vendor.NAME)
    if vendor in (KyutaiVoice, GoogleVoice):
        return  # the server has a public one; there are other credentials
    settings = {**vendor.MINIMUM, "api_key": ""}
    ((key, problem),) = module.faults(module.Settings(**settings))
    assert key == "api_key"
    assert "is empty" in problem


def test_a_word_that_comes_with_its_sound_has_no_place_of_its_own():
    assert Spoken(b"ab", "word").at_ms is None


@pytest.mark.parametrize("vendor", [HumeVoice, KyutaiVoice], ids=lambda vendor: vendor.__name__)
def test_what_is_cut_off_is_stopped_by_the_end_of_its_connection(vendor: type[VoiceDouble]):
    async def use(double: VoiceDouble, tts: Any) -> None:
        double.pace_s = 0.05
        async with tts.open_session("call") as session:
            pieces = session.speak("A long sentence without an end. " * 4)
            idle = int(vendor is HumeVoice)  # the next one is opened meanwhile
            while double.open_connections < 1 + idle:
                assert await anext(pieces)
            assert await anext(pieces)
            await pieces.aclose()
            async with asyncio.timeout(5):
                while double.open_connections > idle:
                    double.gone.clear()
                    await double.gone.wait()
            assert double.chunks < 124 / 4

    run(vendor, use)


def test_settings_of_hume_reach_the_vendor():
    async def use(double: VoiceDouble, tts: Any) -> None:
        assert await speech(tts, "Ja.")
        first = double.received[0]
        assert isinstance(first, str)
        for wish in ('"description":"calm"', '"speed":1.2', '"provider":"CUSTOM_VOICE"'):
            assert wish in first
        for wish in ("version=1", "instant_mode=false", "temperature=0.7"):
            assert wish in double.paths[0]
        assert "timestamp" not in double.paths[0]

    run(
        HumeVoice, use, instructions="calm", speed=1.2, voice_provider="CUSTOM_VOICE", version="1",
        instant_mode=False, temperature=0.7,
    )  # fmt: skip


def test_settings_of_kyutai_reach_the_server():
    async def use(double: VoiceDouble, tts: Any) -> None:
        assert await speech(tts, "Oui.")
        for wish in ("cfg_alpha=1.5", "temperature=0.6", "top_k=50", "seed=7", "voice=a%2Fb.wav"):
            assert wish in double.paths[0]

    run(KyutaiVoice, use, cfg_alpha=1.5, temperature=0.6, top_k=50, seed=7, voice="a/b.wav")


def test_a_kyutai_server_without_a_free_channel_may_have_one_later():
    async def use(double: VoiceDouble, tts: Any) -> None:
        double.trouble = "busy"
        with pytest.raises(ProviderUnavailable, match="it is busy: no free channels"):
            await speech(tts, SENTENCE)

    run(KyutaiVoice, use)


def test_words_of_hume_that_count_anew_in_each_part_of_a_text():
    async def use(double: VoiceDouble, tts: Any) -> None:
        assert isinstance(double, HumeVoice)
        double.snippet_characters = 12
        parts = [part async for part in finished(tts, SENTENCE, NARROWBAND)]
        places = [part.at_ms for part in parts if part.text]
        words = "".join(part.text for part in parts)
        assert words == SENTENCE
        starts = [i for i, c in enumerate(SENTENCE) if i == 0 or SENTENCE[i - 1] == " "]
        for place, start in zip(places, starts, strict=True):
            assert place == pytest.approx(start * CHARACTER_MS, abs=16)

    run(HumeVoice, use)
