"""Whole calls with an agent whose engine hears and speaks by itself, by the front door."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import calling
from tests.support.plug_in import plug_in

ROOT = Path(__file__).parents[2]
GREETING = "Good morning to you all."
STORY = "This is a very long story which the engine tells with a great many words until the end."
ENGINE = f'''
"""An engine of a test: a tone for every letter."""

from pathlib import Path

from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import ProviderSettings, ToolCall
from tests.support.scripted_engine import ScriptedEngine

SUMMARY = "scripted"


class Settings(ProviderSettings):
    log: Path
    is_down: bool = False


def probe() -> str:
    return ""


def create(settings: Settings) -> ScriptedEngine:
    look = ToolCall("c1", "opening_hours", '{{"day": "monday"}}')
    engine = ScriptedEngine(
        [{STORY!r}], ["Let me see.", look, "We are open."], heard=["Tell me.", "Stop."]
    )
    engine.speech_level = 1500
    if settings.is_down:
        engine.refusals = [ProviderUnavailable("scripted", "is down")] * 9
    engine.log = lambda line: settings.log.open("a").write(line + "\\n") and None
    return engine
'''


@dataclass(frozen=True)
class Place:
    gateway: LiveGateway
    log: Path


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    folder = tmp_path / "plug-in"
    environ = plug_in(folder, "s2s", "scripted_speech", ENGINE)
    environ["PYTHONPATH"] += f":{ROOT}"
    log = tmp_path / "engine.log"
    engine: dict[str, Any] = {"provider": "scripted_speech", "log": str(log)}
    engine["is_down"] = getattr(request, "param", False)
    agent = {
        "greeting": GREETING,
        "s2s": engine,
        "tools": ["gateway.script.examples.front_desk_tools:opening_hours"],
    }
    with live_gateway(tmp_path, {"agents": {"desk": agent}}, environ) as running:
        yield Place(running, log)


def test_a_caller_talks_to_the_engine_and_breaks_in(place: Place) -> None:
    async def scenario() -> None:
        async with calling(place.gateway.uri()) as phone:
            await phone.bot_is_done()
            said_ns = await phone.say("Please tell me a story.")
            await phone.bot_speaks(8, said_ns)
            begun_s = time.monotonic()
            await phone.until(lambda: time.monotonic() > begun_s + 1, 5, "some words of the story")
            broke_in_ns = await phone.say("Stop, wait a moment please.")
            await phone.bot_is_done(12, broke_in_ns)
        record = await place.gateway.finished(phone.sip_call_id)
        greeting, story, hours = record["turns"][:3]
        assert greeting["bot_text_heard"] == GREETING
        assert story["interrupted"]
        assert STORY.startswith(story["bot_text_heard"])
        assert len(story["bot_text_heard"]) < len(STORY)
        assert story["caller_text"] == "Tell me."
        assert story["response_gap_ms"] > 0
        assert hours["bot_text_heard"] == "Let me see. We are open."
        (use,) = hours["tools"]
        assert (use["name"], use["is_error"]) == ("opening_hours", False)
        (connected,) = place.gateway.events(record, "engine_connected")
        assert connected["provider"] == "scripted_speech"
        log = place.log.read_text()
        assert "cut 1-1 " in log
        assert GREETING in log
        assert "told True" in log

    asyncio.run(scenario())


@pytest.mark.parametrize("place", [True], indirect=True)
def test_recognizer_model_and_voice_stand_in(place: Place) -> None:
    async def scenario() -> None:
        async with calling(place.gateway.uri()) as phone:
            await phone.bot_is_done()
            said_ns = await phone.say("What are your opening hours?")
            await phone.bot_is_done(20, said_ns)
        record = await place.gateway.finished(phone.sip_call_id)
        lost = await eventually(
            lambda: place.gateway.events(record, "engine_lost"), 5, "the engine's loss"
        )
        assert [event["goes_on"] for event in lost] == ["reconnects", "cascade"]
        assert len(record["turns"]) >= 2
        assert record["turns"][1]["caller_text"]
        assert record["turns"][1]["bot_text_heard"]

    asyncio.run(scenario())
