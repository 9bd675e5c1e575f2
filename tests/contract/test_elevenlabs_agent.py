"""ElevenLabs Agents against a double that the vendor's own client understands."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.audio.format import AudioFormat
from gateway.errors import (
    ProviderProtocolError,
    ProviderRejected,
    ProviderUnavailable,
    QuotaExceeded,
)
from gateway.providers.contracts import AssistantMessage, ToolResult, UserMessage
from gateway.providers.s2s import elevenlabs_agent
from gateway.providers.s2s._elevenlabs_settings import FORMATS, Settings, opening_message
from gateway.providers.speech_to_speech import (
    CallerStarted,
    CallerText,
    EngineNotice,
    Opening,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SessionExpires,
    SpeechToSpeech,
    ToolAsked,
)
from tests.support.elevenlabs_double import (
    AGENT,
    INITIATION,
    TOKEN,
    ElevenLabsDouble,
    ElevenLabsPeer,
)
from tests.support.engine_contract import OPENING, TOOL, Call, EngineContract, Subject, silence
from tests.support.engine_double import KEY, EngineDouble, wrapped
from tests.support.vendor_types import assert_only_known, old_websockets

with old_websockets():
    from elevenlabs import AsyncElevenLabs
    from elevenlabs.conversational_ai.conversation import AsyncAudioInterface, AsyncConversation

SUBJECT = Subject("elevenlabs_agent", ElevenLabsDouble)


class TestContract(EngineContract):
    @pytest.fixture
    def engine(self) -> Subject:
        return Subject("elevenlabs_agent", ElevenLabsDouble, {"agent_id": AGENT})

    @staticmethod
    async def _warm_up(provider: SpeechToSpeech) -> None:
        """Over HTTP it sees keys and outages; what else is wrong shows in a session."""
        await provider.warm_up()
        async with provider.connect(OPENING):
            pass

    @pytest.mark.parametrize("name", list(FORMATS))
    def test_audio_arrives_unchanged(self, engine: Subject, name: str):
        """The agent's configuration at the vendor names the format, not the line."""

        class Agent(ElevenLabsDouble):
            def __init__(self) -> None:
                super().__init__()
                self.input = self.output = name

        async def use(call: Call) -> None:
            form = FORMATS[name]
            assert (call.session.input_format, call.session.output_format) == (form, form)
            sent = b"".join(bytes([n % 251] * form.frame_bytes) for n in range(50))
            for at in range(0, len(sent), form.frame_bytes):
                call.session.push(sent[at : at + form.frame_bytes])
            await call.peer.until(lambda peer: len(peer.heard) >= len(sent))
            assert call.peer.heard == sent

        replace(engine, double=Agent).call(use)


def peer_of(call: Call) -> ElevenLabsPeer:
    assert isinstance(call.peer, ElevenLabsPeer)
    return call.peer


def agent_of(double: EngineDouble) -> ElevenLabsDouble:
    assert isinstance(double, ElevenLabsDouble)
    return double


def test_the_vendors_own_client_understands_the_double():
    class Ear(AsyncAudioInterface):
        async def start(self, input_callback: Any) -> None:
            await input_callback(b"\xff" * 160)

        async def stop(self) -> None: ...

        async def output(self, audio: bytes) -> None:
            heard.extend(audio)

        async def interrupt(self) -> None: ...

    heard = bytearray()

    async def main() -> None:
        async with asyncio.timeout(20), ElevenLabsDouble().running() as double:
            base = double.url.removesuffix("/v1").replace("ws://", "http://")
            client = AsyncElevenLabs(api_key=KEY, base_url=base)
            said: list[str] = []
            has_said = asyncio.Event()

            async def take(text: str) -> None:
                said.append(text)
                has_said.set()

            conversation = AsyncConversation(
                client, AGENT, requires_auth=False, audio_interface=Ear(),
                callback_agent_response=take,
            )  # fmt: skip
            agent_of(double).signs = False
            await conversation.start_session()
            peer = await double.peer()
            await peer.until(lambda peer: peer.heard)
            await peer.say("r1", peer.tone(0.2), "Good day.")
            await has_said.wait()
            await conversation.end_session()
            await double.all_gone()
            assert said == ["Good day."]
            assert bytes(heard) == peer.tone(0.2)
            assert double.problems == []

    asyncio.run(main())


# --- the first message ---------------------------------------------------------------------------


def message_of(opening: Opening = OPENING, **settings: object) -> dict[str, Any]:
    made = Settings.model_validate({"agent_id": AGENT, **settings})
    found = opening_message(made, opening)
    assert found.pop("type") == "conversation_initiation_client_data"
    assert_only_known(INITIATION.validate_python(found))
    return found


def test_the_agents_configuration_is_overridden_where_it_may_be():
    opening = replace(OPENING, greeting="Good evening.", language="it")
    assert message_of(opening) == {
        "conversation_config_override": {
            "agent": {
                "prompt": {"prompt": OPENING.instructions},
                "first_message": "Good evening.",
                "language": "it",
            }
        },
        "dynamic_variables": {},
        "user_id": OPENING.call_id,
    }
    found = message_of(
        opening, overrides=["voice"], voice="v1", speed=1.1, language_model="gpt-x",
        dynamic_variables={"table": 7},
    )  # fmt: skip
    assert found["conversation_config_override"] == {
        "agent": {"prompt": {"llm": "gpt-x"}},
        "tts": {"voice_id": "v1", "speed": 1.1},
    }
    assert found["dynamic_variables"] == {"table": 7}
    assert message_of(overrides=[])["conversation_config_override"] == {}


def test_without_a_greeting_the_agent_waits_for_the_caller():
    agent = message_of()["conversation_config_override"]["agent"]
    assert agent["first_message"] == ""


# --- where it connects to ------------------------------------------------------------------------


def test_a_key_gets_a_signed_address_whose_token_is_a_secret():
    async def use(call: Call) -> None:
        paths = [urlsplit(path) for path in call.double.paths]
        assert [path.path for path in paths] == [
            "/v1/convai/conversation/get-signed-url", "/v1/convai/conversation",
        ]  # fmt: skip
        await peer_of(call).event("error", code=1008, message=f"token {TOKEN} has expired")
        error = await call.fails()
        assert TOKEN not in str(error)
        assert "token *** has expired" in str(error)

    SUBJECT.call(use)


def test_a_public_agent_needs_no_key():
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        agent_of(double).signs = False
        await provider.warm_up()
        async with provider.connect(OPENING):
            pass
        assert [urlsplit(path).path for path in double.paths] == ["/v1/convai/conversation"]

    SUBJECT.serve(use, api_key="")


@pytest.mark.parametrize("url", ["", "http://x/y", "ws://127.0.0.1:1/y"])
def test_a_signed_address_that_is_none(monkeypatch: pytest.MonkeyPatch, url: str):
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        async def answer(*_: object) -> dict[str, object]:
            return {"signed_url": url} if url else {}

        monkeypatch.setattr(provider, "_lookup", Answering(answer))
        kind = ProviderUnavailable if url.startswith("ws") else ProviderProtocolError
        with pytest.raises(kind):
            async with provider.connect(OPENING):
                pass

    class Answering:
        def __init__(self, get: object) -> None:
            self.get = get

        async def close(self) -> None: ...

    SUBJECT.serve(use)


@pytest.mark.parametrize(
    ("audio", "expected", "words"),
    [
        ("opus_48000", "", "the agent's audio input is opus_48000"),
        ("pcm_16000", "ulaw_8000", "expected is ulaw_8000"),
        ("pcm_1", "", "change it in the agent's settings"),
    ],
)
def test_audio_in_a_format_that_is_not_expected(audio: str, expected: str, words: str):
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        agent_of(double).input = audio
        with pytest.raises(ProviderRejected, match=words):
            async with provider.connect(OPENING):
                pass

    SUBJECT.serve(use, expected_audio=expected)


# --- the call ------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts_pieces", [False, True])
def test_an_interruption_voids_what_it_names(counts_pieces: bool):
    async def use(call: Call) -> None:
        peer = peer_of(call)
        peer.agent.counts_pieces = counts_pieces
        await peer.begin("r1")
        await peer.sound("r1", peer.tone(0.2))
        reply_id = (await call.next(ReplyStarted)).reply_id
        await peer.caller_starts(0)
        await call.next(CallerStarted)
        ended = await call.next(ReplyEnded)
        assert (ended.reply_id, ended.end) == (reply_id, "interrupted")
        before = call.audio(reply_id)
        for _ in range(2):  # late, with the number that is void
            await peer.event("audio", audio_base_64=wrapped(b"\0" * 80), event_id=peer.number)
        following = await call.says("r2", 0.2)
        await call.next(ReplyEnded)
        assert call.audio(reply_id) == before
        assert call.audio(following) == peer.tone(0.2)

    SUBJECT.call(use)


def test_what_the_agent_believes_to_have_said_is_not_used():
    """What was played is known here, what the vendor has sent is known there."""

    async def use(call: Call) -> None:
        peer = peer_of(call)
        reply_id = await call.says("r1", 0.2, "Our menu is long.")
        await call.next(ReplyEnded)
        await peer.event("agent_response_correction", original_agent_response="Our menu is long.",
                         corrected_agent_response="Our menu...", event_id=peer.number)  # fmt: skip
        await call.says("r2", 0.2, "Anything else?")
        assert call.text(reply_id) == "Our menu is long."
        assert not call.of(EngineNotice)

    SUBJECT.call(use)


def test_words_that_are_aligned_come_with_their_sound():
    async def use(call: Call) -> None:
        peer = peer_of(call)
        text = "One two."
        alignment = {
            "chars": list(text),
            "char_start_times_ms": [0, 20, 40, 60, 100, 120, 140, 160],
            "char_durations_ms": [20] * len(text),
        }
        sound = bytes(range(200)) * 8  # 200 ms of mu-law
        peer.number = 1
        await peer.event("agent_response", agent_response=text, event_id=1)
        await peer.event("audio", audio_base_64=wrapped(sound), event_id=1, alignment=alignment)
        await peer.event("agent_response_complete")
        await call.next(ReplyEnded)
        assert call.of(ReplyAudio) == [
            ReplyAudio("reply-1", sound[:800], "One "), ReplyAudio("reply-1", sound[800:], "two."),
        ]  # fmt: skip
        assert call.of(ReplyText) == []

    SUBJECT.call(use)


def test_a_reply_ends_when_nothing_more_comes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(elevenlabs_agent, "QUIET_S", 0.05)

    async def use(call: Call) -> None:
        peer_of(call).agent.reports_ends = False
        reply_id = await call.says("r1", 0.2, "Good day.")
        ended = await call.next(ReplyEnded)
        assert (ended.reply_id, ended.end) == (reply_id, "complete")
        assert call.text(reply_id) == "Good day."
        call.session.cut(reply_id, 10)
        following = await call.says("r2", 0.2)
        call.session.cut(following, 10)
        assert (await call.next(ReplyEnded)).end == "interrupted"

    SUBJECT.call(use)


def test_the_next_text_begins_the_next_reply():
    async def use(call: Call) -> None:
        peer = peer_of(call)
        peer.agent.reports_ends = False
        ids = [await call.says(f"r{n}", 0.1, f"Sentence {n}.") for n in range(2)]
        assert len(set(ids)) == 2
        await peer.caller_says("Thanks.", is_final=True)
        await call.until(lambda: len(call.of(ReplyEnded)) == 2)
        assert [call.text(reply_id) for reply_id in ids] == ["Sentence 0.", "Sentence 1."]

    SUBJECT.call(use)


def test_pings_are_answered():
    async def use(call: Call) -> None:
        peer = peer_of(call)
        await peer.event("ping", event_id=12, ping_ms=40)
        await peer.until(lambda _: peer.pongs)
        assert peer.pongs == [12]

    SUBJECT.call(use)


def test_what_is_told_interrupts_only_if_it_is_to_be_answered():
    async def use(call: Call) -> None:
        call.session.tell([UserMessage("The caller is Ann.")], answer=False)
        call.session.tell([AssistantMessage("One moment.")], answer=True)
        call.session.pause()
        await call.peer.until(lambda peer: len(peer.told) == 4)
        assert call.peer.told == [
            ("context", "The caller is Ann."),
            ("context", 'You have said to the caller: "One moment."'),
            ("user", "(Go on.)"),
            ("control", "active"),
        ]

    SUBJECT.call(use)


def test_a_tool_that_fails():
    async def use(call: Call) -> None:
        await call.peer.ask("r1", "c1", TOOL.name, "{}")
        await call.next(ToolAsked)
        failed = ToolResult("c1", TOOL.name, '{"error": "closed"}', is_error=True)
        call.session.tell([failed], answer=True)
        await call.peer.until(lambda peer: peer.results)
        assert json.loads(call.peer.frames[-1])["is_error"] is True

    SUBJECT.call(use, replace(OPENING, tools=[TOOL]))


def test_the_callers_text_while_it_is_said():
    async def use(call: Call) -> None:
        await call.peer.caller_says("A ta", is_final=False)
        await call.peer.caller_says("A table.", is_final=True)
        await call.until(lambda: len(call.of(CallerText)) == 2)
        assert [text.is_final for text in call.of(CallerText)] == [False, True]

    SUBJECT.call(use)


def test_it_expires_where_the_longest_conversation_is_known():
    async def use(call: Call) -> None:
        assert (await call.next(SessionExpires)).in_s == 600

    SUBJECT.call(use, max_duration_s=600)


def test_an_agent_that_hangs_up_ends_the_session_without_an_error():
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        async with provider.connect(OPENING) as session:
            peer = await double.peer()
            await peer.say("r1", peer.tone(0.2), "Goodbye.")
            await peer.connection.close(1000)
            events = [event async for event in session]
            assert [type(event) for event in events].count(ReplyEnded) == 1
            session.push(silence(session.input_format))

    SUBJECT.serve(use)


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"code": 1008, "error_type": "override_error"}, ProviderRejected, "override_error"),
        ({"code": 1011, "error_type": "llm_error"}, ProviderUnavailable, "llm_error"),
        ({"code": 1008, "reason": "quota exceeded"}, QuotaExceeded, "quota exceeded"),
    ],
)
def test_errors_are_named(fields: dict[str, Any], kind: type[Exception], words: str):
    async def use(call: Call) -> None:
        await peer_of(call).event("error", **fields)
        error = await call.fails()
        assert type(error) is kind
        assert words in str(error)

    SUBJECT.call(use)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "audio"},
        {"type": "audio", "audio_event": {"audio_base_64": ""}},
        {"type": "audio", "audio_event": {"audio_base_64": "", "event_id": "1"}},
        {"type": "interruption", "interruption_event": {}},
        {"type": "client_tool_call", "client_tool_call": {"tool_name": "x", "parameters": {}}},
        {"type": "user_transcript", "user_transcription_event": None},
        {"user_audio_chunk": "AAAA"},
    ],
    ids=json.dumps,
)
def test_events_without_what_they_must_have_are_skipped(event: dict[str, object]):
    async def use(call: Call) -> None:
        await call.peer.send(json.dumps(event))
        assert (await call.next(EngineNotice)).text
        await call.says("r1")

    SUBJECT.call(use)


def test_formats_are_the_vendors_names():
    assert FORMATS["ulaw_8000"] == AudioFormat(8000, encoding="pcmu")
    assert FORMATS["pcm_16000"] == AudioFormat(16_000)
