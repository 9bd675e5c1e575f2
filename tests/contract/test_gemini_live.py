"""Gemini Live against a double that google-genai's types check, in both spellings of the keys."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import types
from websockets.asyncio.server import ServerConnection, serve

from gateway.errors import ProviderRejected, ProviderUnavailable
from gateway.providers.contracts import AssistantMessage, ToolResult, UserMessage
from gateway.providers.s2s import gemini_live
from gateway.providers.s2s._gemini_messages import Settings, setup
from gateway.providers.speech_to_speech import (
    CallerStarted,
    EngineNotice,
    Opening,
    ReplyEnded,
    ReplyStarted,
    SessionExpires,
    SpeechToSpeech,
    ToolAsked,
    ToolsWithdrawn,
)
from tests.support.edge import make_certificate
from tests.support.engine_contract import OPENING, TOOL, Call, EngineContract, Subject, silence
from tests.support.engine_double import KEY, EngineDouble, EngineFault
from tests.support.gemini_double import (
    LATER_MODEL,
    MODEL,
    GeminiDouble,
    GeminiPeer,
    SnakeGeminiDouble,
    camel,
    parsed_by_vendor,
    spelled,
)

SUBJECT = Subject("gemini_live", GeminiDouble, {"model": MODEL})
TALKED = [UserMessage("A table for two."), AssistantMessage("For which day?", interrupted=True)]


class TestGeminiLive(EngineContract):
    @pytest.fixture(params=[GeminiDouble, SnakeGeminiDouble], ids=["camelCase", "snake_case"])
    def engine(self, request: pytest.FixtureRequest) -> Subject:
        return Subject("gemini_live", request.param, {"model": MODEL})


def peer_of(call: Call) -> GeminiPeer:
    assert isinstance(call.peer, GeminiPeer)
    return call.peer


# --- the setup ------------------------------------------------------------------------------------

EVERYTHING: dict[str, Any] = {
    "voice": "Kore",
    "language_code": "de-DE",
    "temperature": 0.4,
    "top_p": 0.9,
    "max_output_tokens": 800,
    "thinking_budget": 0,
    "start_sensitivity": "low",
    "end_sensitivity": "high",
    "prefix_padding_ms": 40,
    "silence_ms": 300,
}
AS_THE_VENDOR_CALLS_IT = types.LiveConnectConfig(
    response_modalities=[types.Modality.AUDIO],
    speech_config=types.SpeechConfig(
        voice_config=types.VoiceConfig(
            prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name="Kore")
        ),
        language_code="de-DE",
    ),
    temperature=0.4,
    top_p=0.9,
    max_output_tokens=800,
    thinking_config=types.ThinkingConfig(thinking_budget=0),
    system_instruction=types.Content(parts=[types.Part(text=OPENING.instructions)]),
    tools=[
        types.Tool(
            function_declarations=[
                types.FunctionDeclaration(
                    name=TOOL.name,
                    description=TOOL.description,
                    parameters_json_schema=TOOL.parameters,
                )
            ]
        )
    ],
    realtime_input_config=types.RealtimeInputConfig(
        automatic_activity_detection=types.AutomaticActivityDetection(
            start_of_speech_sensitivity=types.StartSensitivity.START_SENSITIVITY_LOW,
            end_of_speech_sensitivity=types.EndSensitivity.END_SENSITIVITY_HIGH,
            prefix_padding_ms=40,
            silence_duration_ms=300,
        )
    ),
    input_audio_transcription=types.AudioTranscriptionConfig(),
    output_audio_transcription=types.AudioTranscriptionConfig(),
    session_resumption=types.SessionResumptionConfig(),
    context_window_compression=types.ContextWindowCompressionConfig(
        sliding_window=types.SlidingWindow()
    ),
)


def test_the_setup_is_what_the_vendors_own_client_sends(tmp_path: Path):
    """The real client connects to a server here: its first message is the oracle."""
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    trusting.check_hostname = False
    received: list[tuple[str, str, Any]] = []

    async def accept(connection: ServerConnection) -> None:
        assert connection.request
        message = json.loads(await connection.recv())
        sent_key = connection.request.headers["x-goog-api-key"]
        received.append((connection.request.path, sent_key, message))
        await connection.send(b'{"setupComplete":{}}')
        await connection.wait_closed()

    async def run() -> None:
        async with asyncio.timeout(20), serve(accept, "127.0.0.1", 0, ssl=context) as server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            options = types.HttpOptions(
                base_url=f"https://{address}",
                api_version="v1beta",
                async_client_args={"ssl": trusting},
            )
            client = genai.Client(api_key=KEY, http_options=options)
            async with client.aio.live.connect(model=MODEL, config=AS_THE_VENDOR_CALLS_IT):
                pass
            settings = {"base_url": f"wss://{address}", "api_key": KEY, "model": MODEL}
            ours = gemini_live.create(Settings(**settings))
            with pytest.raises(ProviderRejected, match="certificate is not trusted"):
                await ours.warm_up()

    asyncio.run(run())
    ((path, sent_key, theirs),) = received
    ours = json.loads(
        setup(Settings(api_key=KEY, model=MODEL, **EVERYTHING), replace(OPENING, tools=[TOOL]))
    )
    expected = spelled(theirs, camel)
    expected["setup"]["systemInstruction"].pop("role", None)
    assert ours == expected
    assert sent_key == KEY
    assert path == gemini_live._PATH.format("v1beta")


def test_the_setup_reaches_the_server():
    async def use(call: Call) -> None:
        generation = peer_of(call).setup["generationConfig"]
        assert generation["thinkingConfig"] == {"thinkingLevel": "LOW"}
        assert call.peer.language == "de-DE"
        call.session.push(silence(call.session.input_format))
        await call.peer.until(lambda peer: peer.heard)
        assert call.peer.input_format.sample_rate_hz == 8000

    SUBJECT.call(use, thinking_level="low", language_code="de-DE", input_rate_hz=8000)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"model": "none"}, "1008.*unknown model"),
        ({"voice": "none"}, "1007.*voice"),
        ({"api_key": "sk-wrong"}, "check api_key"),
    ],
)
def test_what_is_wrong_with_the_settings_is_named(settings: dict[str, Any], named: str):
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        with pytest.raises(ProviderRejected, match=named):
            await provider.warm_up()
        assert double.attempts == 1

    SUBJECT.serve(use, **settings)


def test_an_error_as_a_message_and_messages_before_the_acceptance():
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        assert isinstance(double, GeminiDouble)
        double.before_setup = [{"goAway": {"timeLeft": "9.5s"}}]
        async with provider.connect(OPENING) as session:
            peer = await double.peer()
            events = aiter(session)
            assert await anext(events) == SessionExpires(9.5)
            error = {"error": {"code": 429, "message": "resource exhausted"}}
            await peer.send(json.dumps(error))
            with pytest.raises(ProviderUnavailable, match="resource exhausted"):
                await anext(events)

    SUBJECT.serve(use)


# --- history and texts ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", [MODEL, LATER_MODEL])
def test_a_history_and_texts_reach_each_generation_of_models(model: str):
    opening = replace(OPENING, messages=TALKED, greeting="I am back.")

    async def use(call: Call) -> None:
        await call.peer.until(lambda peer: peer.greeting)
        assert call.peer.history[:2] == [
            ("user", "A table for two."),
            ("assistant", "For which day?…"),
        ]
        await call.says("r1")
        await call.next(ReplyEnded)
        call.session.tell([AssistantMessage("One moment.")], answer=False)
        call.session.tell([UserMessage("7", typed="ended")], answer=True)
        await call.peer.until(lambda peer: len(peer.told) == 2)
        assert "One moment." in call.peer.told[0][1]
        assert "typed 7" in call.peer.told[1][1]
        assert call.peer.answers_asked == 2

    SUBJECT.call(use, opening, model=model)


def test_a_history_can_stand_in_the_instructions():
    async def use(call: Call) -> None:
        assert call.peer.instructions.startswith(OPENING.instructions)
        assert "Caller: A table for two.\nYou: For which day?…" in call.peer.instructions
        assert "historyConfig" not in peer_of(call).setup

    SUBJECT.call(use, replace(OPENING, messages=TALKED), history="instructions")


def test_a_text_that_asks_for_no_reply_does_not_end_one():
    async def use(call: Call) -> None:
        await call.peer.sound("r1", call.peer.tone(0.1))
        await call.next(ReplyStarted)
        call.session.tell([UserMessage("The kitchen closes at ten.")], answer=False)
        call.session.push(silence(call.session.input_format))
        await call.peer.until(lambda peer: peer.heard)
        assert call.peer.told == []
        await call.peer.finish("r1")
        await call.peer.until(lambda peer: peer.told)
        assert call.peer.answers_asked == 0

    SUBJECT.call(use)


# --- tools ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
def test_results_of_tools(is_async: bool):
    async def use(call: Call) -> None:
        functions = peer_of(call).setup["tools"][0]["functionDeclarations"]
        assert functions[0].get("behavior") == ("NON_BLOCKING" if is_async else None)
        await call.peer.sound("r1", call.peer.tone(0.1))
        for call_id in ("c1", "c2", "c3"):
            await call.peer.ask("r1", call_id, TOOL.name, "{}")
        asked = [await call.next(ToolAsked) for _ in range(3)]
        assert {each.reply_id for each in asked} == ({"reply-1"} if is_async else {"reply-1", ""})
        if not is_async:
            assert [each.end for each in call.of(ReplyEnded)] == ["complete"]
        await call.peer.withdraw(["c3"])
        await call.next(ToolsWithdrawn)
        running = ToolResult("c1", TOOL.name, '{"state": "running"}', is_running=True)
        failed = ToolResult("c2", TOOL.name, '{"error": "no such day"}', is_error=True)
        call.session.tell([running, failed], answer=True)
        call.session.tell([ToolResult("c1", TOOL.name, "not JSON")], answer=True)
        call.session.tell([ToolResult("c3", TOOL.name, "{}")], answer=False)
        call.session.tell([ToolResult("c0", TOOL.name, '"of before"')], answer=True)
        await call.peer.until(lambda peer: peer.told)
        assert call.peer.told == [("user", f'(The function {TOOL.name} returned: "of before")')]
        responses = peer_of(call).responses
        assert [each["id"] for each in responses] == (
            ["c1", "c2", "c1"] if is_async else ["c2", "c1"]
        )
        assert responses[-2]["response"] == {"error": "no such day"}
        assert responses[-1]["response"] == {"output": "not JSON"}
        assert [each.get("willContinue") for each in responses] == (
            [True, None, None] if is_async else [None, None]
        )

    SUBJECT.call(use, replace(OPENING, tools=[TOOL]), async_tools=is_async)


# --- turns ----------------------------------------------------------------------------------------


def test_the_rest_of_a_reply_that_the_engine_interrupted_is_dropped():
    async def use(call: Call) -> None:
        await call.peer.sound("r1", call.peer.tone(0.1))
        await call.next(ReplyStarted)
        await peer_of(call).content(interrupted=True)
        assert (await call.next(ReplyEnded)).end == "interrupted"
        await call.next(CallerStarted)
        call.double.fault = EngineFault.LATE
        await call.peer.linger("r1")
        await peer_of(call).content(turnComplete=True)
        assert await call.says("r2") == "reply-2"
        assert len(call.of(ReplyStarted)) == 2

    SUBJECT.call(use)


def test_only_turns_are_sent_where_the_gateway_owns_them():
    async def use(call: Call) -> None:
        frame = silence(call.session.input_format)
        for _ in range(50):
            call.session.push(frame)
        assert peer_of(call).activities == []
        call.session.begin_turn(200)
        call.session.push(frame)
        call.session.pause()
        call.session.commit()
        await call.peer.until(lambda peer: peer.commits == 1)
        assert len(call.peer.heard) == 11 * len(frame)
        await call.peer.sound("r1", call.peer.tone(0.1))
        reply_id = (await call.next(ReplyStarted)).reply_id
        for _ in range(500):
            call.session.push(frame)
        assert peer_of(call).activities == ["start", "end"]
        call.session.cut(reply_id, 100)
        await call.peer.until(lambda peer: peer.activities == ["start", "end", "start"])
        await call.peer.until(lambda peer: len(peer.heard) == (11 + 50) * len(frame))
        await call.peer.finish("r1", "interrupted")
        assert (await call.next(ReplyEnded)).end == "interrupted"
        call.session.commit()
        await call.says("r2")
        await call.next(ReplyEnded)
        call.session.commit()  # of a turn that another session has begun
        await call.peer.until(lambda peer: peer.commits == 3)
        assert not call.of(CallerStarted)

    SUBJECT.call(use, turns="gateway")


def test_a_pause_is_told_to_the_engines_detection():
    async def use(call: Call) -> None:
        call.session.pause()
        call.session.push(silence(call.session.input_format))
        call.session.pause()
        call.session.pause()
        call.session.push(silence(call.session.input_format))
        await call.peer.until(lambda peer: len(peer.heard) == 1280)
        assert peer_of(call).pauses == 1

    SUBJECT.call(use)


# --- the end of a connection ----------------------------------------------------------------------


async def _ended_with(double: EngineDouble, provider: SpeechToSpeech, handle: str) -> None:
    """Lead a session until its connection breaks."""

    async def lead() -> None:
        async with provider.connect(OPENING) as session:
            peer = await double.peer(len(double.peers) - 1)
            assert isinstance(peer, GeminiPeer)
            await peer.resumable(handle)
            await peer.send_event({"sessionResumptionUpdate": {"resumable": False}})
            await peer.expire(8)
            async for event in session:
                if event == SessionExpires(8.0):
                    peer.connection.transport.abort()

    with pytest.raises(ProviderUnavailable):
        await lead()


async def _next(
    double: EngineDouble, provider: SpeechToSpeech, opening: Opening
) -> tuple[GeminiPeer, list[str]]:
    """Open one more session; return its other side and the notices of its beginning."""
    async with provider.connect(opening) as session:
        peer = await double.peer(len(double.peers) - 1)
        assert isinstance(peer, GeminiPeer)
        await peer.say("r1", peer.tone(0.1))
        notices = []
        async for event in session:
            if isinstance(event, EngineNotice):
                notices.append(event.text)
            if isinstance(event, ReplyEnded):
                break
        return peer, notices
    raise AssertionError


def test_the_next_connection_of_a_call_goes_on_with_the_session():
    again = replace(OPENING, messages=TALKED)

    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        await _ended_with(double, provider, "h1")
        peer, notices = await _next(double, provider, again)
        assert peer.handle == "h1"
        assert peer.history == []
        assert "goes on by its handle" in notices[0]
        for other in (replace(again, call_id="call-2"), replace(again, instructions="Another.")):
            await _ended_with(double, provider, "h2")
            peer, notices = await _next(double, provider, other)
            assert (peer.handle, notices) == (None, [])
            assert peer.history

    SUBJECT.serve(use)


def test_a_session_that_cannot_go_on_is_begun_anew():
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        assert isinstance(double, GeminiDouble)
        await _ended_with(double, provider, "h1")
        double.handles.clear()
        peer, notices = await _next(double, provider, replace(OPENING, messages=TALKED))
        assert "session not found" in notices[0]
        assert peer.handle is None
        assert peer.history

    SUBJECT.serve(use)


def test_a_session_does_not_go_on_after_others_have_led_the_call(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gemini_live, "_RESUME_WITHIN_S", -1.0)

    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        await _ended_with(double, provider, "h1")
        peer, _ = await _next(double, provider, OPENING)
        assert peer.handle is None

    SUBJECT.serve(use)


def test_the_double_refuses_what_the_vendor_does_not_know():
    with pytest.raises(AssertionError, match="extra_forbidden"):
        parsed_by_vendor('{"setup": {"model": "m", "voice": "Puck"}}')
    with pytest.raises(AssertionError, match="silenceMs"):
        parsed_by_vendor(
            '{"setup": {"realtimeInputConfig": {"automaticActivityDetection": {"silenceMs": 1}}}}'
        )
