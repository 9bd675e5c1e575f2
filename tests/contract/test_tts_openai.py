"""OpenAI's speech against a server that has it: the contract of voices, errors, cuts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.errors import (
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers import registry
from tests.support.faults import Fault
from tests.support.provider_contract import Subject
from tests.support.speech_server import SpeechServer
from tests.support.vendor_double import KEY
from tests.support.voice_contract import SENTENCE, VoiceContract, speech


class TestContract(VoiceContract):
    @pytest.fixture
    def provider(self) -> Subject:
        @asynccontextmanager
        async def server() -> AsyncIterator[Mapping[str, Any]]:
            async with SpeechServer() as server:
                yield {"base_url": server.base_url}
                assert server.problems == []

        return Subject("tts", "openai", {"api_key": KEY}, server)


def run(use: Callable[[SpeechServer, Any], Awaitable[None]], **settings: object) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), SpeechServer() as server:
            table = {"provider": "openai", "api_key": KEY, "base_url": server.base_url}
            tts = registry.create("tts", {**table, "timeout_s": 0.5, **settings})
            await use(server, tts)
            await tts.close()
            assert server.problems == []

    asyncio.run(main())


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
def test_it_fails_as_it_should_and_recovers(fault: Fault, error: type[Exception]):
    async def use(server: SpeechServer, tts: Any) -> None:
        server.fault = fault
        with pytest.raises(error) as caught:
            await speech(tts, SENTENCE)
        assert type(caught.value) is error
        assert KEY not in str(caught.value)
        server.fault = Fault.NONE
        assert await speech(tts, SENTENCE)

    run(use)


@pytest.mark.parametrize(
    ("trouble", "error", "words"),
    [
        ("rate", RateLimited, "concurrent requests"),
        ("voice", ProviderRejected, "No such voice"),
        ("key", ProviderRejected, "Unknown key"),
        ("quota", QuotaExceeded, "no credits left"),
    ],
)
def test_a_refusal_has_the_servers_words_and_no_key(
    trouble: str, error: type[Exception], words: str
):
    async def use(server: SpeechServer, tts: Any) -> None:
        server.trouble = trouble
        with pytest.raises(error, match=words) as caught:
            await speech(tts, SENTENCE)
        assert type(caught.value) is error
        assert KEY not in str(caught.value)

    run(use)


def test_a_key_that_is_refused_is_told_at_warm_up():
    async def use(server: SpeechServer, tts: Any) -> None:
        await tts.warm_up()
        server.fault = Fault.REFUSED
        with pytest.raises(ProviderRejected):
            await tts.warm_up()
        assert server.requests == []

    run(use)


def test_a_cut_ends_the_request():
    async def use(server: SpeechServer, tts: Any) -> None:
        server.pace_s = 0.01
        pieces = tts.speak("A long sentence without an end. " * 20)
        assert await anext(pieces)
        await pieces.aclose()
        assert await speech(tts, "Yes.")
        assert server.chunks < 100

    run(use)


def test_settings_reach_the_server():
    async def use(server: SpeechServer, tts: Any) -> None:
        assert await speech(tts, "Yes.")
        assert server.requests == [
            {
                "model": "kokoro", "voice": "anna", "input": "Yes.", "response_format": "pcm",
                "instructions": "calm", "speed": 1.5,
            }
        ]  # fmt: skip

    run(use, model="kokoro", voice="anna", instructions="calm", speed=1.5)


def test_what_has_no_sound_is_not_sent_and_long_texts_are_cut():
    async def use(server: SpeechServer, tts: Any) -> None:
        assert await speech(tts, "... 😀 \0") == b""
        assert server.requests == []
        server.is_mute = True
        assert await speech(tts, "Many words. " * 2000) == b""
        assert all(len(request["input"]) <= 4096 for request in server.requests)
        assert "".join(r["input"] for r in server.requests) == ("Many words. " * 2000).strip()

    run(use)
