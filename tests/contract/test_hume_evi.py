"""Hume's EVI against its double, which the vendor's types judge."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.audio.format import AudioFormat
from gateway.errors import (
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExceeded,
)
from gateway.providers.contracts import ToolResult, Trait, UserMessage
from gateway.providers.s2s.hume_evi import pcm_of
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    EngineNotice,
    EngineUsage,
    ReplyEnded,
    ReplyStarted,
    SessionExpires,
    SpeechToSpeech,
    ToolAsked,
)
from tests.support.engine_contract import OPENING, TOOL, Call, EngineContract, Subject, silence
from tests.support.engine_double import KEY, EngineDouble, wrapped
from tests.support.hume_double import GROUP, RECEIVED, HumeDouble, HumePeer, wav
from tests.support.vendor_types import old_websockets

with old_websockets():
    from hume import AsyncHumeClient
    from hume.environment import HumeClientEnvironment

SUBJECT = Subject("hume_evi", HumeDouble)


class TestContract(EngineContract):
    @pytest.fixture
    def engine(self) -> Subject:
        return SUBJECT

    @staticmethod
    async def _warm_up(provider: SpeechToSpeech) -> None:
        """Over HTTP it sees keys and outages; what else is wrong shows in a session."""
        await provider.warm_up()
        async with provider.connect(OPENING):
            pass


def peer_of(call: Call) -> HumePeer:
    assert isinstance(call.peer, HumePeer)
    return call.peer


def test_the_vendors_own_client_understands_the_double():
    async def main() -> None:
        async with asyncio.timeout(20), HumeDouble().running() as double:
            where = HumeClientEnvironment(
                base="http://x", evi=f"{double.url}/evi", tts="ws://x", stream="ws://x"
            )
            client = AsyncHumeClient(api_key=KEY, environment=where)
            with old_websockets():
                context = client.empathic_voice.chat.connect()
                async with context as socket:
                    audio = {"encoding": "linear16", "sample_rate": 8000, "channels": 1}
                    settings = {"type": "session_settings", "audio": audio}
                    await socket.send_publish(RECEIVED.validate_python(settings))
                    peer = await double.peer()
                    await peer.say("r1", peer.tone(0.2), "Good day.")
                    kinds = []
                    while "assistant_end" not in kinds:
                        kinds.append((await socket.recv()).type)
                    assert kinds[0] == "chat_metadata"
                    assert kinds.count("audio_output") == 2
            assert double.problems == []

    asyncio.run(main())


@pytest.mark.parametrize("rate_hz", [8000, 16_000])
def test_audio_goes_at_the_lines_rate_and_comes_at_48_khz(rate_hz: int):
    async def use(call: Call) -> None:
        assert call.peer.input_format == AudioFormat(rate_hz)
        assert (str(call.session.input_format), str(call.session.output_format)) == (
            f"s16/{rate_hz}", "s16/48000",
        )  # fmt: skip

    SUBJECT.call(use, replace(OPENING, line=AudioFormat(rate_hz, encoding="pcmu")))


def test_settings_are_sent_where_the_vendor_wants_them():
    async def use(call: Call) -> None:
        query = parse_qs(urlsplit(call.double.paths[-1]).query)
        assert query == {
            "config_id": ["c1"], "config_version": ["3"], "verbose_transcription": ["true"],
        }  # fmt: skip
        first = json.loads(call.peer.frames[0])
        assert first["voice_id"] == "v1"
        assert first["variables"] == {"name": "Luigi"}
        assert first["language_model_api_key"] == "lm-key"
        assert first["custom_session_id"] == OPENING.call_id

    SUBJECT.call(
        use, config_id="c1", config_version=3, voice="v1", variables={"name": "Luigi"},
        language_model_key="lm-key",
    )  # fmt: skip


def test_a_call_that_lost_its_chat_resumes_its_group():
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        for opening in (OPENING, replace(OPENING, call_id="another"), OPENING):
            async with provider.connect(opening):
                pass
        resumed = [parse_qs(urlsplit(path).query).get("resumed_chat_group_id")
                   for path in double.paths]  # fmt: skip
        assert resumed == [None, None, [GROUP]]

    SUBJECT.serve(use)


def test_the_callers_words_are_the_first_sign_of_an_interruption():
    async def use(call: Call) -> None:
        for text in ("Wait", "Wait a"):
            await call.peer.caller_says(text, is_final=False)
        await call.peer.caller_starts(0)
        await call.peer.caller_says("Wait a moment.", is_final=True)
        await call.next(EngineUsage)
        assert [type(event) for event in call.events[1:-1]] == [
            CallerStarted, CallerText, CallerText, CallerEnded, CallerText,
        ]  # fmt: skip
        assert call.of(CallerStarted)[0].at_ms == 300
        assert call.of(CallerEnded)[0].at_ms == 1300
        assert [text.is_final for text in call.of(CallerText)] == [False, False, True]
        await call.peer.caller_says("And", is_final=False)
        await call.until(lambda: len(call.of(CallerStarted)) == 2)
        assert call.of(CallerText)[-1].turn_id != call.of(CallerText)[0].turn_id
        (final,) = [text for text in call.of(CallerText) if text.is_final]
        assert final.traits == (Trait("emotion", "Joy", 0.62),)

    SUBJECT.call(use)


@pytest.mark.parametrize("way", ["user_interruption", "user_message"])
def test_an_interruption_by_the_engine(way: str):
    async def use(call: Call) -> None:
        peer = peer_of(call)
        await peer.words("r1", "Our menu is long.")
        await peer.sound("r1", peer.tone(0.2))
        reply_id = (await call.next(ReplyStarted)).reply_id
        if way == "user_interruption":
            await peer.caller_starts(0)
        else:
            await peer.caller_says("Two pizzas.", is_final=True)
        ended = await call.next(ReplyEnded)
        assert (ended.reply_id, ended.end) == (reply_id, "interrupted")
        before = call.audio(reply_id)
        for _ in range(2):
            await peer.sound("r1", peer.tone(0.1))  # late, of the same message
        following = await call.says("r2", 0.2)
        await call.next(ReplyEnded)
        assert call.audio(reply_id) == before
        assert call.audio(following) == peer.tone(0.2)

    SUBJECT.call(use)


def test_what_was_injected_is_not_reported_as_the_callers():
    async def use(call: Call) -> None:
        call.session.tell([UserMessage("42", typed="ended")], answer=True)
        await call.peer.until(lambda peer: peer.answers_asked)
        await call.says("r1")
        assert call.of(CallerText) == []
        assert call.of(CallerStarted) == []

    SUBJECT.call(use)


def test_notes_add_up_until_the_caller_has_spoken():
    async def use(call: Call) -> None:
        def note(text: str) -> None:
            call.session.tell([UserMessage(text)], answer=False)

        note("One.")
        note("Two.")
        await call.peer.until(lambda peer: len(peer.told) == 2)
        assert call.peer.told[-1] == ("context", "One.\nTwo.")
        await call.peer.caller_says("Hello.", is_final=True)
        await call.until(lambda: call.of(CallerText))
        note("Three.")
        await call.peer.until(lambda peer: len(peer.told) == 3)
        assert call.peer.told[-1] == ("context", "Three.")

    SUBJECT.call(use)


def test_a_pause_stops_answers_until_audio_comes_again():
    async def use(call: Call) -> None:
        call.session.pause()
        call.session.pause()
        call.session.push(silence(call.session.input_format))
        call.session.push(silence(call.session.input_format))
        await call.peer.until(lambda peer: len(peer.frames) == 5)
        kinds = [json.loads(frame)["type"] for frame in call.peer.frames[1:]]
        assert kinds == [
            "pause_assistant_message", "resume_assistant_message", "audio_input", "audio_input",
        ]  # fmt: skip

    SUBJECT.call(use)


def test_a_tool_that_fails():
    async def use(call: Call) -> None:
        await call.peer.ask("r1", "c1", TOOL.name, "{}")
        await call.next(ToolAsked)
        failed = ToolResult("c1", TOOL.name, '{"error": "closed"}', is_error=True)
        call.session.tell([failed], answer=True)
        await call.peer.until(lambda peer: peer.results)
        assert json.loads(call.peer.frames[-1])["type"] == "tool_error"

    SUBJECT.call(use, replace(OPENING, tools=[TOOL]))


def test_it_expires_after_half_an_hour():
    async def use(call: Call) -> None:
        assert (await call.next(SessionExpires)).in_s == 1800

    SUBJECT.call(use)


def test_an_engine_that_hangs_up_ends_the_session_without_an_error():
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        async with provider.connect(OPENING) as session:
            peer = await double.peer()
            await peer.say("r1", peer.tone(0.2), "Goodbye.")
            await peer.connection.close(1000)
            events = [event async for event in session]
            assert [type(event) for event in events].count(ReplyEnded) == 1

    SUBJECT.serve(use)


@pytest.mark.parametrize(
    ("code", "slug", "kind"),
    [
        ("E0101", "invalid_request", ProviderRejected),
        ("E0300", "out_of_credits", QuotaExceeded),
        ("I0118", "transcription_disconnected", ProviderUnavailable),
        ("E0700", "inactivity_timeout", ProviderTimeout),
    ],
)
def test_errors_are_named(code: str, slug: str, kind: type[Exception]):
    async def use(call: Call) -> None:
        event = {"type": "error", "code": code, "slug": slug, "message": "Why."}
        await peer_of(call).send_event(event)
        error = await call.fails()
        assert type(error) is kind
        assert f"{code} {slug}: Why." in str(error)

    SUBJECT.call(use)


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        (wav(bytes(960), 24_000), "24000 Hz"),
        (wav(bytes(960))[:40], "without samples"),
        (b"RIFF", "without samples"),
    ],
)
def test_sound_of_another_format_ends_the_session(piece: bytes, words: str):
    async def use(call: Call) -> None:
        event = {"type": "audio_output", "id": "p", "index": 0, "data": wrapped(piece)}
        await peer_of(call).send_event(event)
        error = await call.fails()
        assert type(error) is ProviderProtocolError
        assert words in str(error)

    SUBJECT.call(use)


def test_the_header_of_a_piece_is_stripped():
    pcm = bytes(range(200))
    assert pcm_of(wav(pcm)) == pcm
    assert pcm_of(pcm) == pcm
    streamed = bytearray(wav(pcm))
    streamed[40:44] = b"\xff\xff\xff\xff"  # a length that was not known yet
    assert pcm_of(bytes(streamed)) == pcm
    listed = wav(pcm).replace(b"data", b"LIST\x03\0\0\0abc\0data", 1)
    assert pcm_of(listed) == pcm


@pytest.mark.parametrize(
    "event",
    [
        {"type": "audio_output", "index": 0, "data": ""},
        {"type": "audio_output", "id": "p"},
        {"type": "assistant_message", "id": "p"},
        {"type": "user_message", "message": {"content": "x"}},
        {"type": "tool_call", "name": "x", "parameters": "{}"},
        {"type": None},
    ],
    ids=json.dumps,
)
def test_events_without_what_they_must_have_are_skipped(event: dict[str, object]):
    async def use(call: Call) -> None:
        await call.peer.send(json.dumps(event))
        assert (await call.next(EngineNotice)).text
        await call.says("r1")

    SUBJECT.call(use)
