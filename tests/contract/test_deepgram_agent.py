"""Deepgram's Voice Agent against its double, which deepgram-sdk judges."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderRejected, ProviderTimeout, ProviderUnavailable
from gateway.providers.contracts import AssistantMessage, ToolCall, ToolResult, UserMessage
from gateway.providers.s2s import deepgram_agent
from gateway.providers.s2s._deepgram_settings import Settings, settings_message
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    EngineNotice,
    EngineUsage,
    Opening,
    ReplyEnded,
    ReplyStarted,
    SessionExpires,
    ToolAsked,
)
from tests.support.deepgram_double import RECEIVED, DeepgramDouble, DeepgramPeer
from tests.support.engine_contract import OPENING, TOOL, Call, EngineContract, Subject, silence
from tests.support.engine_double import KEY
from tests.support.vendor_types import assert_only_known, old_websockets

with old_websockets():
    from deepgram import AsyncDeepgramClient, DeepgramClientEnvironment
    from deepgram.agent.v1 import socket_client as _  # noqa: F401

SUBJECT = Subject("deepgram_agent", DeepgramDouble)


class TestContract(EngineContract):
    @pytest.fixture
    def engine(self) -> Subject:
        return SUBJECT


def peer_of(call: Call) -> DeepgramPeer:
    assert isinstance(call.peer, DeepgramPeer)
    return call.peer


def test_the_vendors_own_client_understands_the_double():
    async def main() -> None:
        async with asyncio.timeout(20), DeepgramDouble().running() as double:
            host = double.url.removesuffix("/v1")
            where = DeepgramClientEnvironment(
                base=host, production=host, agent=host, agent_rest=host
            )
            client = AsyncDeepgramClient(api_key=KEY, environment=where)
            with old_websockets():
                context = client.agent.v1.connect()
                async with context as socket:
                    sent = settings_message(Settings(api_key=KEY), OPENING)  # type: ignore[arg-type]
                    await socket.send_settings(RECEIVED["Settings"].model_validate(sent))
                    peer = await double.peer()
                    await socket.send_media(b"\xff" * 160)
                    await peer.until(lambda peer: peer.heard)
                    await peer.say("r1", peer.tone(0.2), "Good day.")
                    kinds = []
                    while "AgentAudioDone" not in kinds:
                        message = await socket.recv()
                        kinds.append("" if isinstance(message, bytes) else message.type)
                    assert kinds.count("") == 2
                    assert "ConversationText" in kinds
            assert double.problems == []

    asyncio.run(main())


# --- the first message ---------------------------------------------------------------------------


def message_of(opening: Opening = OPENING, **settings: object) -> dict[str, object]:
    found = settings_message(Settings.model_validate({"api_key": KEY, **settings}), opening)
    assert_only_known(TypeAdapter(RECEIVED["Settings"]).validate_python(found))
    return found


def agent_of(opening: Opening = OPENING, **settings: object) -> dict[str, object]:
    agent = message_of(opening, **settings)["agent"]
    assert isinstance(agent, dict)
    return agent


@pytest.mark.parametrize(
    ("line", "encoding", "spoken_hz"),
    [
        (AudioFormat(8000, encoding="pcmu"), "mulaw", 8000),
        (AudioFormat(8000, encoding="pcma"), "alaw", 8000),
        (AudioFormat(16_000), "linear16", 16_000),
        (AudioFormat(11_025), "linear16", 24_000),
    ],
    ids=str,
)
def test_audio_is_that_of_the_line(line: AudioFormat, encoding: str, spoken_hz: int):
    assert message_of(replace(OPENING, line=line))["audio"] == {
        "input": {"encoding": encoding, "sample_rate": line.sample_rate_hz},
        "output": {"encoding": encoding, "sample_rate": spoken_hz, "container": "none"},
    }


@pytest.mark.parametrize(
    ("settings", "provider"),
    [
        ({}, {"version": "v2", "model": "flux-general-en"}),
        (
            {"listen_model": "flux-general-multi", "eot_threshold": 0.8, "keyterms": ["Luigi"]},
            {"version": "v2", "language_hints": ["de"], "eot_threshold": 0.8,
             "keyterms": ["Luigi"], "model": "flux-general-multi"},
        ),
        ({"listen_model": "nova-3"}, {"version": "v1", "model": "nova-3", "language": "de"}),
        (
            {"turns": "gateway"},
            {"version": "v2", "model": "flux-general-en", "eot_threshold": 1.0,
             "eot_timeout_ms": 30_000},
        ),
    ],
)  # fmt: skip
def test_the_recognizer(settings: dict[str, object], provider: dict[str, object]):
    agent = agent_of(replace(OPENING, language="de"), **settings)
    assert agent["listen"] == {"provider": {"type": "deepgram", **provider}}


def test_the_language_model_and_the_voice():
    agent = agent_of(
        replace(OPENING, tools=[TOOL]),
        model_provider="anthropic", model="claude-x", temperature=0.2, model_url="https://llm/v1",
        model_key="model-key", voice="flux-kit-en", speed=1.2, expressivity=1,
    )  # fmt: skip
    assert agent["speak"] == {
        "provider": {"type": "deepgram", "version": "v2", "model": "flux-kit-en", "speed": 1.2,
                     "expressivity": 1}
    }  # fmt: skip
    function = {"name": TOOL.name, "description": TOOL.description, "parameters": TOOL.parameters}
    assert agent["think"] == {
        "provider": {"type": "anthropic", "model": "claude-x", "temperature": 0.2},
        "prompt": OPENING.instructions,
        "functions": [{**function, "defer_until_eot": True}],
        "endpoint": {"url": "https://llm/v1", "headers": {"authorization": "Bearer model-key"}},
    }


def test_a_history_with_a_call_that_was_never_answered():
    history = [
        UserMessage("12", typed="ended"),
        AssistantMessage("", (ToolCall("c1", "a", "{}"), ToolCall("c2", "b", "{}"))),
        ToolResult("c1", "a", '"done"'),
        AssistantMessage("That is a long", interrupted=True),
    ]
    agent = agent_of(replace(OPENING, messages=history))
    answered = {"id": "c1", "name": "a", "client_side": True, "arguments": "{}"}
    assert agent["context"] == {
        "messages": [
            {"type": "History", "role": "user", "content": "The caller typed 12."},
            {"type": "History", "function_calls": [{**answered, "response": '"done"'}]},
            {"type": "History", "role": "assistant", "content": "That is a long…"},
        ]
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"listen_model": "nova-3", "eot_threshold": 0.8},
        {"listen_model": "nova-3", "turns": "gateway"},
        {"turns": "gateway", "eot_timeout_ms": 2000},
        {"voice": "aura-2-thalia-en", "expressivity": 1},
        {"base_url": "https://agent.deepgram.com"},
        {"speed": 3},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        Settings.model_validate({"api_key": KEY, **wrong})


def test_only_an_english_recognizer_names_its_language():
    assert deepgram_agent.languages(Settings.model_validate({"api_key": KEY})) == ("en",)
    multi = Settings.model_validate({"api_key": KEY, "listen_model": "flux-general-multi"})
    assert deepgram_agent.languages(multi) == ()


# --- the call ------------------------------------------------------------------------------------


def test_an_interruption_by_the_engine():
    async def use(call: Call) -> None:
        peer = peer_of(call)
        await peer.begin("r1")
        await peer.words("r1", "Our menu is long.")
        await peer.sound("r1", peer.tone(0.2))
        reply_id = (await call.next(ReplyStarted)).reply_id
        await peer.caller_starts(0)
        await call.next(CallerStarted)
        ended = await call.next(ReplyEnded)
        assert (ended.reply_id, ended.end) == (reply_id, "interrupted")
        before = call.audio(reply_id)
        for _ in range(2):
            await peer.sound("r1", peer.tone(0.1))  # late
        await peer.finish("r1")
        await peer.caller_says("Two pizzas.", is_final=True)
        await call.next(CallerEnded)
        assert (await call.next(CallerText)).text == "Two pizzas."
        following = await call.says("r2", 0.2)
        await call.next(ReplyEnded)
        assert call.audio(reply_id) == before
        assert call.audio(following) == peer.tone(0.2)

    SUBJECT.call(use)


def test_a_turn_in_two_texts_is_one_text():
    async def use(call: Call) -> None:
        await call.peer.caller_starts(0)
        for text in ("A table", "for two."):
            await call.peer.caller_says(text, is_final=True)
        await call.until(lambda: len(call.of(CallerText)) == 2)
        first, second = call.of(CallerText)
        assert (first.turn_id, second.text) == (second.turn_id, "A table for two.")
        await call.peer.caller_starts(0)
        await call.peer.caller_says("Thanks.", is_final=True)
        await call.until(lambda: len(call.of(CallerText)) == 3)
        assert call.of(CallerText)[-1].text == "Thanks."
        assert call.of(CallerText)[-1].turn_id != first.turn_id

    SUBJECT.call(use)


def test_what_was_injected_is_not_reported_as_the_callers():
    async def use(call: Call) -> None:
        call.session.tell([UserMessage("42", typed="ended")], answer=True)
        await call.peer.until(lambda peer: peer.answers_asked)
        await call.says("r1")
        await call.next(ReplyEnded)
        assert call.of(CallerText) == []

    SUBJECT.call(use)


def test_a_tool_that_still_runs_is_answered_later():
    async def use(call: Call) -> None:
        await call.peer.ask("r1", "c1", TOOL.name, "{}")
        await call.next(ToolAsked)
        running = ToolResult("c1", TOOL.name, "{}", is_running=True)
        call.session.tell([running], answer=False)
        call.session.tell([replace(running, content="9", is_running=False)], answer=True)
        await call.peer.until(lambda peer: peer.results)
        assert call.peer.results == [("c1", "9")]

    SUBJECT.call(use, replace(OPENING, tools=[TOOL]))


def test_what_was_said_beside_it_outlives_new_instructions():
    async def use(call: Call) -> None:
        call.session.tell([AssistantMessage("One moment.")], answer=False)
        call.session.instruct("You are a baker.")
        await call.peer.until(lambda peer: "baker" in peer.instructions)
        assert call.peer.instructions.startswith("You are a baker.")
        assert "One moment." in call.peer.instructions
        assert "receptionist" not in call.peer.instructions

    SUBJECT.call(use)


def test_eagerness_needs_the_engines_detection():
    async def use(call: Call) -> None:
        call.session.set_eagerness("high")
        assert "eagerness" in (await call.next(EngineNotice)).text
        assert call.peer.eagerness == []

    SUBJECT.call(use, turns="gateway")
    SUBJECT.call(use, listen_model="nova-3")


def test_it_expires_after_two_hours_and_counts_seconds():
    async def use(call: Call) -> None:
        assert (await call.next(SessionExpires)).in_s == 7200
        await call.says("r1")
        first = await call.next(EngineUsage)
        await call.says("r2")
        second = await call.next(EngineUsage)
        assert 0 < first.audio_s <= second.audio_s

    SUBJECT.call(use)


def test_an_idle_connection_is_kept_alive(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deepgram_agent, "KEEP_ALIVE_S", 0.02)

    async def use(call: Call) -> None:
        call.session.push(silence(call.session.input_format))
        await call.peer.until(lambda peer: getattr(peer, "kept_alive", 0) >= 2)

    SUBJECT.call(use)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_SETTINGS", ProviderRejected),
        ("USER_AUDIO_FORMAT", ProviderRejected),
        ("CLIENT_MESSAGE_TIMEOUT", ProviderTimeout),
        ("ASR_CONNECTION_CLOSED", ProviderUnavailable),
        ("SOMETHING_NEW", ProviderUnavailable),
    ],
)
def test_errors_are_named(code: str, kind: type[Exception]):
    async def use(call: Call) -> None:
        await peer_of(call).send_event({"type": "Error", "code": code, "description": "Why."})
        error = await call.fails()
        assert type(error) is kind
        assert f"{code}: Why." in str(error)

    SUBJECT.call(use)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "FunctionCallRequest", "functions": [{"name": "x", "arguments": "{}"}]},
        {"type": "FunctionCallRequest"},
        {"type": "ConversationText", "role": "assistant"},
        {"type": "ConversationText", "role": 1, "content": []},
        {"type": "FunctionCallCancelled", "functions": [None]},
        {"type": 5},
        {},
    ],
    ids=json.dumps,
)
def test_events_without_what_they_must_have_are_skipped(event: dict[str, object]):
    async def use(call: Call) -> None:
        await call.peer.send(json.dumps(event))
        assert (await call.next(EngineNotice)).text
        await call.says("r1")

    SUBJECT.call(use)
