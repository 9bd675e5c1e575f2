"""Deepgram's recognizers against their double, which deepgram-sdk judges."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import pytest

from gateway.audio.converter import convert_once
from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers.contracts import Expect, SttSession, Transcript, TurnMark
from gateway.providers.kit.recognizer import SocketRecognizer
from gateway.providers.stt import deepgram
from tests.support.deepgram_listen_double import DeepgramListenDouble, DeepgramListenPeer
from tests.support.faults import Fault
from tests.support.recognizer_contract import RecognizerContract, RecognizerSubject, hear
from tests.support.recognizer_double import KEY, spoken
from tests.support.recognizer_runs import SILENCE, SOUND, WORDS, listened, marks, using
from tests.support.vendor_types import old_websockets

with old_websockets():
    from deepgram import AsyncDeepgramClient, DeepgramClientEnvironment

FLUX, NOVA = {"model": "flux-general-en"}, {"model": "nova-3"}


def subject(settings: dict[str, Any]) -> RecognizerSubject:
    return RecognizerSubject(
        "stt",
        "deepgram",
        {"api_key": KEY, **settings},
        server=lambda: DeepgramListenDouble().as_server(),
        sound=SOUND,
        words=WORDS,
    )


class TestFlux(RecognizerContract):
    @pytest.fixture
    def provider(self) -> RecognizerSubject:
        return subject(FLUX)


class TestNova(RecognizerContract):
    @pytest.fixture
    def provider(self) -> RecognizerSubject:
        return subject(NOVA)


def run(double: DeepgramListenDouble, use: Any, **settings: Any) -> None:
    using(deepgram, double, use, **settings)


def test_the_turn_events_of_flux_are_ours():
    async def use(recognizer: SocketRecognizer) -> None:
        pause = bytes(1600)  # 400 ms between the tones
        sound = spoken(["one"]) + pause + spoken(["two"]) + SILENCE + spoken(["six"]) + SILENCE
        found = await listened(recognizer, sound, 2)
        assert marks(found) == [
            ("start", ""), ("eager_end", "one"), ("resumed", "one"), ("eager_end", "one two"),
            ("end", "one two"), ("start", ""), ("eager_end", "six"), ("end", "six"),
        ]  # fmt: skip
        starts = [each.audio_samples for each in found if marks([each])[:1] == [("start", "")]]
        assert starts[0] == 1600  # after 200 ms of silence
        texts = [each.text for each in found if isinstance(each, Transcript)]
        assert texts[-1] == "six"

    run(DeepgramListenDouble(), use, **FLUX)


def test_nova_ends_turns_by_silence():
    async def use(recognizer: SocketRecognizer) -> None:
        found = await listened(recognizer, SOUND + SILENCE + spoken(["two"]) + SILENCE, 2)
        assert marks(found) == [
            ("start", "three"), ("end", "three one six"), ("start", "two"), ("end", "two"),
        ]  # fmt: skip

    run(DeepgramListenDouble(), use, **NOVA)


@pytest.mark.parametrize("model", [FLUX, NOVA])
def test_words_of_a_turn_that_we_have_ended_are_in_no_later_one(model):
    async def use(recognizer: SocketRecognizer) -> None:
        async with recognizer.listening().open_session("c") as session, session.listen() as stream:
            stream.push(SOUND[: 2 * 5600])
            found: list[Any] = []
            async for each in stream:
                found.append(each)
                if isinstance(each, Transcript) and each.text == "three one":
                    stream.turn_over()
                    stream.push(SOUND[2 * 5600 :] + SILENCE)
                if isinstance(each, TurnMark) and each.kind == "end":
                    break
            assert marks(found)[-1] == ("end", "six")

    run(DeepgramListenDouble(), use, **model)


@pytest.mark.parametrize("model", [FLUX, NOVA])
def test_a_transcript_is_had_while_it_listens_without_ending_a_turn(model):
    async def use(recognizer: SocketRecognizer) -> None:
        async with recognizer.listening().open_session("c") as session, session.listen() as stream:
            stream.push(spoken(["one", "two"]))
            stream.request_transcript()
            async for each in stream:
                assert not isinstance(each, TurnMark) or each.kind == "start"
                if isinstance(each, Transcript) and each.requested:
                    assert each.text == "one two"
                    break

    run(DeepgramListenDouble(), use, **model)


@pytest.mark.parametrize(
    ("line", "encoding"),
    [
        (AudioFormat(8000, encoding="pcmu"), "mulaw"),
        (AudioFormat(8000, encoding="pcma"), "alaw"),
        (NARROWBAND, "linear16"),
        (WIDEBAND, "linear16"),
        (AudioFormat(48_000), "linear16"),
    ],
)
def test_the_line_is_passed_as_it_is(line: AudioFormat, encoding: str):
    double = DeepgramListenDouble()

    async def use(recognizer: SocketRecognizer) -> None:
        fitting = recognizer.for_line(line)
        sound = convert_once(SOUND, NARROWBAND, fitting.input_format)
        found = await hear(fitting, sound, 160)
        assert found.text == "three one six"
        peer = double.peers[-1]
        assert bytes(peer.audio) == sound
        assert peer.asked["encoding"] == encoding

    run(double, use)


def test_settings_reach_the_vendor():
    double = DeepgramListenDouble()
    more = {"keyterms": ["Ünal & Co", "Zürich"], "numerals": True, "profanity_filter": True}

    async def use(recognizer: SocketRecognizer) -> None:
        await hear(recognizer, SOUND)
        peer = double.peers[-1]
        assert [value for key, value in peer.query if key == "keyterm"] == more["keyterms"]
        assert peer.asked["numerals"] == peer.asked["profanity_filter"] == "true"

    run(double, use, **more, **NOVA, language="de")
    assert double.peers[-1].asked["language"] == "de"


REFUSALS = [
    (HTTPStatus.UNAUTHORIZED, '{"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."}',
     ProviderRejected, "Invalid credentials"),
    (HTTPStatus.PAYMENT_REQUIRED, '{"err_code":"ASR_PAYMENT_REQUIRED"}', QuotaExceeded, "balance"),
    (HTTPStatus.TOO_MANY_REQUESTS, '{"err_msg": "Too many requests"}', RateLimited, "Too many"),
    (HTTPStatus.BAD_REQUEST, '{"err_msg": "Bad Request: Unsupported sample rate 7000"}',
     ProviderRejected, "Unsupported sample rate"),
    (HTTPStatus.BAD_REQUEST, '{"err_msg": "No such model/language/tier combination found."}',
     ProviderRejected, "No such model/language"),
    (HTTPStatus.OK, "<html>Welcome</html>", ProviderProtocolError, "is base_url right?"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "words"), REFUSALS)
def test_refusals_are_told_in_the_vendors_words(status, body, kind, words):
    double = DeepgramListenDouble()
    double.status, double.body = status, body
    double.headers = {"Retry-After": "60"}

    async def use(recognizer: SocketRecognizer) -> None:
        with pytest.raises(kind, match="deepgram: ") as found:
            await recognizer.warm_up()
        assert words in str(found.value)
        assert KEY not in str(found.value)

    run(double, use)
    assert double.attempts == 1  # Retry-After is longer than any caller waits


async def failing(session: SttSession, double: DeepgramListenDouble, problem: str) -> None:
    async with session.stream(Expect()) as stream:
        stream.push(SOUND)
        await double.peers[-1].error(problem)
        async for _ in stream:
            pass


@pytest.mark.parametrize("model", [FLUX, NOVA])
@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ("quota", QuotaExceeded),
        ("format", ProviderRejected),
        ("broken", ProviderUnavailable),
    ],
)
def test_errors_in_mid_stream(model: Any, problem: str, kind: type[ProviderError]):
    double = DeepgramListenDouble()

    async def use(recognizer: SocketRecognizer) -> None:
        async with recognizer.open_session("c") as session:
            await hear(session, SOUND)
            with pytest.raises(kind) as found:
                await failing(session, double, problem)
            assert KEY not in str(found.value)
            assert not session.is_usable
            with pytest.raises(kind):
                await hear(session, SOUND)

    run(double, use, **model)


@pytest.mark.parametrize("model", [FLUX, NOVA])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault.GARBAGE, ProviderProtocolError), (Fault.CLOSE, ProviderUnavailable)],
)
def test_faults_in_mid_stream(model: Any, fault: Fault, kind: type[ProviderError]):
    double = DeepgramListenDouble()

    async def use(recognizer: SocketRecognizer) -> None:
        async with recognizer.open_session("c") as session:
            await hear(session, SOUND)
            double.fault = fault
            with pytest.raises(kind):
                await hear(session, SOUND)
        double.fault = Fault.NONE
        assert (await hear(recognizer, SOUND)).text == "three one six"

    run(double, use, **model)


@pytest.mark.parametrize("listens", [True, False])
def test_turns_with_faults_leave_no_socket(listens: bool):
    double = DeepgramListenDouble()

    async def use(recognizer: SocketRecognizer) -> None:
        for number in range(60):
            faults = (Fault.NONE, Fault.CLOSE, Fault.GARBAGE, Fault.REFUSED)
            double.fault = fault = faults[number % 4]
            try:
                if listens:
                    await listened(recognizer, SOUND + SILENCE, 1)
                else:
                    await hear(recognizer, SOUND)
            except ProviderError:
                assert fault is not Fault.NONE
        await double.all_gone()
        assert double.open_connections == 0

    run(double, use)


def test_a_stalled_vendor_has_found_no_words():
    double = DeepgramListenDouble()

    async def use(recognizer: SocketRecognizer) -> None:
        async with recognizer.open_session("c") as session:
            double.fault = Fault.STALL
            assert (await hear(session, SOUND)).text == ""

    run(double, use)


def test_the_vendors_own_client_understands_the_double():
    async def main() -> None:
        async with asyncio.timeout(20), DeepgramListenDouble().running() as double:
            where = DeepgramClientEnvironment(
                base=double.url, production=double.url, agent=double.url, agent_rest=double.url
            )
            client = AsyncDeepgramClient(api_key=KEY, environment=where)
            with old_websockets():
                async with client.listen.v2.connect(
                    model="flux-general-en", encoding="linear16", sample_rate=8000,
                    eot_threshold=0.7,
                ) as connection:  # fmt: skip
                    await connection.send_media(SOUND + SILENCE)
                    while True:
                        event: Any = await connection.recv()
                        if getattr(event, "event", "") == "EndOfTurn":
                            assert event.transcript == "three one six"
                            break

    asyncio.run(main())


def test_a_double_that_leaves_the_protocol_fails():
    peer = DeepgramListenPeer.__new__(DeepgramListenPeer)
    peer.path = "/v2/listen"
    with pytest.raises(ValueError, match="Field required"):
        peer.checked({"type": "TurnInfo", "event": "EndOfTurn"})


def test_an_idle_flux_connection_gets_silence_and_positions_stay_right(monkeypatch):
    monkeypatch.setattr(deepgram._Flux, "silence_every_s", 0.02)
    double = DeepgramListenDouble()

    async def use(recognizer: SocketRecognizer) -> None:
        async with recognizer.open_session("c") as session:
            assert (await hear(session, SOUND)).text == "three one six"
            await double.hears(len(double.peers[-1].audio) + 10 * 320)
            found = await hear(session, spoken(["two"]))
            assert (found.text, found.audio_end_samples) == ("two", len(spoken(["two"])) // 2)

    run(double, use)


def test_messages_of_the_client_are_what_the_vendor_documents():
    double = DeepgramListenDouble()

    async def use(recognizer: SocketRecognizer) -> None:
        await hear(recognizer, SOUND)
        sent = [json.loads(each) for each in double.peers[-1].frames if isinstance(each, str)]
        assert sent == [{"type": "Finalize"}]

    run(double, use, **NOVA)


MULTI = [{"model": "flux-general-multi"}, {"model": "nova-3", "language": "multi"}]


@pytest.mark.parametrize("model", MULTI)
def test_the_language_that_is_spoken_is_reported_by_models_that_detect_it(model):
    async def use(recognizer: SocketRecognizer) -> None:
        found = await listened(recognizer, SOUND + SILENCE, 1)
        assert {each.language for each in found if isinstance(each, Transcript)} == {"de"}

    double = DeepgramListenDouble()
    double.languages = ["de", "en"]
    run(double, use, **model)
