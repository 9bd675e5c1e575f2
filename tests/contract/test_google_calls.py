"""Google's recognizer lasts five minutes: another call takes its place, and no word is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import ProviderRejected
from gateway.providers.contracts import Expect, Transcript
from gateway.providers.stt import google
from tests.support.google_stt_double import PROJECT, GoogleSttDouble
from tests.support.recognizer_contract import hear
from tests.support.recognizer_double import KEY, spoken
from tests.support.recognizer_runs import SILENCE, listened, marks, using

WORDS = ("three", "one", "four", "one", "five")
AT_ONCE = 1e-6
"""Each piece of audio finds the call too old."""


def run(double: GoogleSttDouble, use: Any, **settings: Any) -> None:
    using(google, double, use, **settings)


def test_a_turn_keeps_its_words_when_its_call_is_replaced_all_the_time():
    double = GoogleSttDouble()

    async def use(recognizer: Any) -> None:
        found = await hear(recognizer, spoken(WORDS), 1600)
        assert found.text == " ".join(WORDS)
        await recognizer.close()

    run(double, use, replaced_after_s=AT_ONCE)
    assert double.attempts > 5


def test_turns_that_the_vendor_finds_lose_and_repeat_no_word():
    double = GoogleSttDouble()

    async def use(recognizer: Any) -> None:
        sound = spoken(WORDS) + SILENCE + spoken(("two", "six")) + SILENCE
        found = await listened(recognizer, sound, 2)
        ends = [text for kind, text in marks(found) if kind == "end"]
        assert ends == [" ".join(WORDS), "two six"]
        await recognizer.close()

    run(double, use, replaced_after_s=AT_ONCE)
    assert double.attempts > 5


def test_between_words_only_the_latest_audio_is_sent_again():
    double = GoogleSttDouble()

    async def use(recognizer: Any) -> None:
        calls: Any = None
        async with recognizer.open_session("c") as session, session.stream(Expect()) as stream:
            calls = session._socket
            stream.push(bytes(200_000))
            while not double.peers or len(double.peers[-1].audio) < 200_000:
                double._changed.clear()
                await double._changed.wait()
            calls._replaced_after_s = AT_ONCE
            stream.push(bytes(320))
            calls._replaced_after_s = 240.0
            stream.push(spoken(("two",)))
            stream.request_transcript()
            async for each in stream:
                assert isinstance(each, Transcript)
                if each.requested:
                    assert each.text == "two"
                    break
        assert double.attempts == 2
        sent = len(double.peers[-1].audio)
        assert sent == 160_000 + 320 + len(spoken(("two",)))
        await recognizer.close()

    run(double, use)


def test_settings_reach_the_vendor():
    double = GoogleSttDouble()

    async def use(recognizer: Any) -> None:
        assert (await hear(recognizer, spoken(("two",)))).text == "two"
        await recognizer.close()

    run(
        double, use, language="de-DE", model="telephony", region="eu", keyterms=["Kaffee"],
        keyterm_boost=5.0, profanity_filter=True, punctuation=False,
    )  # fmt: skip
    peer: Any = double.peers[-1]
    config = peer.config.config
    assert list(config.language_codes) == ["de-DE"]
    assert config.model == "telephony"
    assert config.features.profanity_filter
    assert not config.features.enable_automatic_punctuation
    (phrase,) = config.adaptation.phrase_sets[0].inline_phrase_set.phrases
    assert (phrase.value, phrase.boost) == ("Kaffee", 5.0)


def test_a_project_must_be_known():
    double = GoogleSttDouble()

    async def use(recognizer: Any) -> None:
        with pytest.raises(ProviderRejected, match="set project"):
            await recognizer.warm_up()
        await recognizer.close()

    run(double, use, project="")


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ({"api_key": KEY}, ["project"]),
        ({"api_key": KEY, "project": PROJECT}, []),
        ({"credentials_file": "/no/such/key.json"}, ["credentials_file"]),
        ({"credentials_file": "/dev/null", "api_key": KEY, "project": PROJECT},
         ["api_key", "credentials_file"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_credentials_is_told_before_the_first_call(settings: Any, keys: Any):
    found = google.faults(google.Settings.model_validate(settings))
    assert [key for key, _ in found] == keys


def test_a_key_file_that_is_none_is_named():
    async def main() -> None:
        settings = google.Settings.model_validate(
            {"credentials_file": __file__, "project": PROJECT, "base_url": "https://127.0.0.1:9"}
        )
        recognizer = google.create(settings)
        with pytest.raises(ProviderRejected, match=r"credentials_file .*test_google_calls"):
            await recognizer.warm_up()
        await recognizer.close()

    asyncio.run(main())


def test_audio_and_keys_do_not_leave_this_network_without_tls():
    async def main() -> None:
        settings = google.Settings.model_validate(
            {"api_key": KEY, "project": PROJECT, "base_url": "http://8.8.8.8:9"}
        )
        recognizer = google.create(settings)
        with pytest.raises(ProviderRejected, match="use https"):
            await recognizer.warm_up()
        await recognizer.close()

    asyncio.run(main())
