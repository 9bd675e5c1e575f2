"""A session that is opened before the call is answered: used once, and only for what it fits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.audio.format import AudioFormat
from gateway.call.call_audio import CallAudio
from gateway.call.line import MediaStatistics
from gateway.call.live_call import LiveCall
from gateway.config.models import AgentConfig
from gateway.conversation.agent import Agent
from gateway.conversation.early_session import EarlyEngine, answer_waits_s, early_engine
from gateway.conversation.tools import ToolBox
from gateway.conversation.voice import Voice
from gateway.errors import ProviderUnavailable
from gateway.providers.speech_to_speech import Opening
from gateway.telemetry.metrics import Metrics
from tests.support.fake_line import (
    FakeLine,
    LevelDetector,
    NoteBook,
    ScriptedModel,
    ScriptedRecognizer,
    ScriptedVoice,
)
from tests.support.scripted_engine import ScriptedEngine
from tests.support.virtual_time import run

OPENING = Opening(call_id="c", instructions="It is ten.", greeting="Hello.")


def agent_of(engine: ScriptedEngine | None, **config: object) -> Agent:
    return Agent(
        "bot", AgentConfig(**config), ScriptedRecognizer(), ScriptedModel(),
        Voice(ScriptedVoice()), ToolBox([]), LevelDetector, engine,
    )  # fmt: skip


def in_call(test: Callable[[LiveCall], Awaitable[None]]) -> None:
    async def main() -> None:
        line = FakeLine()
        audio = CallAudio(line.inlet, NoteBook().write_audio, lambda _: None)
        async with asyncio.TaskGroup() as tools, asyncio.TaskGroup() as group:
            await test(LiveCall(line, audio, NoteBook(), Metrics(), group, tools))

    run(main())


def test_it_is_open_when_the_conversation_connects_and_the_next_is_another() -> None:
    engine = ScriptedEngine()

    async def test(call: LiveCall) -> None:
        early = EarlyEngine(engine, OPENING, call)
        await early.ready(1.0)
        assert engine.open == 1
        later = replace(OPENING, instructions="It is one minute past ten.")
        async with early.connect(later) as session:
            assert session is engine.sessions[0]
        async with early.connect(OPENING) as session:
            assert session is engine.sessions[1]
        await asyncio.sleep(0)
        assert engine.open == 0

    in_call(test)


def test_one_that_does_not_fit_is_ended() -> None:
    engine = ScriptedEngine()

    async def test(call: LiveCall) -> None:
        early = EarlyEngine(engine, OPENING, call)
        await early.ready(1.0)
        wide = replace(OPENING, line=AudioFormat(16_000))
        async with early.connect(wide) as session:
            assert session is engine.sessions[1]
            assert engine.open == 1

    in_call(test)


def test_a_refusal_is_reported_where_the_conversation_connects() -> None:
    engine = ScriptedEngine()
    engine.refusals = [ProviderUnavailable("scripted", "is down")]

    async def test(call: LiveCall) -> None:
        early = EarlyEngine(engine, OPENING, call)
        await early.ready(1.0)
        with pytest.raises(ProviderUnavailable, match="is down"):
            async with early.connect(OPENING):
                pass
        async with early.connect(OPENING):
            assert engine.open == 1

    in_call(test)


def test_waiting_has_a_limit_and_what_is_not_used_is_dropped() -> None:
    engine = ScriptedEngine()

    async def test(call: LiveCall) -> None:
        early = EarlyEngine(engine, OPENING, call)
        began_s = asyncio.get_running_loop().time()
        await early.ready(0.01)
        assert asyncio.get_running_loop().time() - began_s < 0.05
        await early.ready(1.0)
        early.drop()
        early.drop()
        await asyncio.sleep(0.01)
        assert engine.open == 0

    in_call(test)


def test_the_opening_is_that_of_the_conversation() -> None:
    engine = ScriptedEngine()

    async def test(call: LiveCall) -> None:
        call.line.expected_codec = "PCMA"
        call.line.statistics = MediaStatistics  # type: ignore[method-assign]
        table = {"provider": "x", "greeting": "engine"}
        agent = agent_of(engine, greeting="Hello {caller}.", instructions="Be kind.", s2s=table)
        early = early_engine(agent, call)
        assert early is not None
        await early.ready(1.0)
        opening = engine.session.opening
        assert opening.greeting == f"Hello {call.line.facts.caller}."
        assert (opening.instructions, opening.line.encoding) == ("Be kind.", "pcma")
        early.drop()
        assert early_engine(agent_of(None), call) is None

    in_call(test)


@pytest.mark.parametrize(
    ("greeting", "table", "waits_s"),
    [
        ("Hello.", {"greeting": "voice"}, 0.0),
        ("Hello.", {"greeting": "engine"}, 1.5),
        ("", {"greeting": "voice", "connect_before_answer_ms": 700}, 0.7),
    ],
)
def test_the_answer_waits_only_where_the_engine_speaks_first(
    greeting: str, table: dict[str, object], waits_s: float
) -> None:
    agent = agent_of(ScriptedEngine(), greeting=greeting, s2s={"provider": "x", **table})
    assert answer_waits_s(agent) == waits_s


def test_a_session_for_a_call_that_rings_too_long_is_ended_and_opened_with_the_answer() -> None:
    engine = ScriptedEngine()

    async def test(call: LiveCall) -> None:
        early = EarlyEngine(engine, OPENING, call)
        early.expire(5.0)
        await asyncio.sleep(4)
        assert engine.open == 1
        await asyncio.sleep(2)
        assert engine.open == 0
        async with early.connect(OPENING):
            assert (engine.open, len(engine.sessions)) == (1, 2)

    in_call(test)


def test_a_session_that_was_taken_in_time_does_not_expire() -> None:
    engine = ScriptedEngine()

    async def test(call: LiveCall) -> None:
        early = EarlyEngine(engine, OPENING, call)
        early.expire(5.0)
        async with early.connect(OPENING):
            await asyncio.sleep(8)
            assert (engine.open, len(engine.sessions)) == (1, 1)

    in_call(test)
