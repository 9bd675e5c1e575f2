"""Whole utterances by HTTP, against a double that recognizes tones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers.contracts import SpeechToText
from gateway.providers.stt import openai_http
from tests.support.recognizer_contract import RecognizerContract, RecognizerSubject, hear
from tests.support.recognizer_double import KEY
from tests.support.recognizer_runs import SOUND, WORDS
from tests.support.whisper_double import WhisperDouble


class TestContract(RecognizerContract):
    @pytest.fixture
    def provider(self) -> RecognizerSubject:
        server = WhisperDouble().as_server
        return RecognizerSubject("stt", "openai_http", server=server, sound=SOUND, words=WORDS)


def run(
    double: WhisperDouble, use: Callable[[SpeechToText], Awaitable[None]], **settings: Any
) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), double.running():
            table = {**double.settings(), **settings}
            made = openai_http.create(openai_http.Settings.model_validate(table))
            try:
                await use(made)
            finally:
                await made.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, f'{{"error": "unknown key {KEY}"}}', ProviderRejected, "check api_key"),
        (402, "{}", QuotaExceeded, "balance"),
        (429, '{"error": "Too many requests"}', RateLimited, "Too many requests"),
        (400, '{"error": "language xx"}', ProviderRejected, "language xx"),
        (503, "busy", ProviderUnavailable, "busy"),
        (200, "<html>Welcome</html>", ProviderProtocolError, "<html>"),
        (200, '{"words": []}', ProviderProtocolError, "a text was expected"),
        (200, '["text"]', ProviderProtocolError, "a text was expected"),
    ],
)
def test_what_goes_wrong_is_told_in_the_servers_words(
    status: int, body: str, kind: type[ProviderError], words: str
):
    double = WhisperDouble()
    double.status, double.body = status, body

    async def use(recognizer: SpeechToText) -> None:
        with pytest.raises(kind) as found:
            await hear(recognizer, SOUND)
        assert words in str(found.value)
        assert KEY not in str(found.value)

    run(double, use)


def test_a_server_that_does_not_answer():
    double = WhisperDouble()
    double.hangs = True

    async def use(recognizer: SpeechToText) -> None:
        with pytest.raises(ProviderTimeout, match="no transcript within"):
            await hear(recognizer, SOUND)

    run(double, use, timeout_s=0.2)


def test_a_request_that_is_cancelled_leaves_the_server():
    double = WhisperDouble()
    double.hangs = True

    async def use(recognizer: SpeechToText) -> None:
        task = asyncio.ensure_future(hear(recognizer, SOUND))
        await asyncio.wait([task], timeout=0.3)
        task.cancel()
        await double.left.wait()

    run(double, use)


def test_settings_reach_the_server():
    double = WhisperDouble()

    async def use(recognizer: SpeechToText) -> None:
        assert (await hear(recognizer, SOUND)).text == " ".join(WORDS)

    run(double, use, model="large-v3", language="de", prompt="Ünal")
    (fields,) = double.requests
    expected = {"model": "large-v3", "language": "de", "prompt": "Ünal"}
    assert fields == {**expected, "response_format": "json"}
