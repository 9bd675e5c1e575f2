"""Whole calls with an engine that accepts sessions and never says anything, by the front door."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import calling
from tests.support.plug_in import plug_in

ROOT = Path(__file__).parents[2]
SORRY = "I am sorry, could you say that again?"
ENGINE = '''
"""An engine of a test that is connected and silent."""

from gateway.providers.contracts import ProviderSettings
from tests.support.scripted_engine import ScriptedEngine

SUMMARY = "silent"


class Settings(ProviderSettings):
    pass


def probe() -> str:
    return ""


def create(settings: Settings) -> ScriptedEngine:
    engine = ScriptedEngine(turns="gateway")
    engine.silent_sessions = 99
    engine.speech_level = 1500
    return engine
'''


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[LiveGateway]:
    environ = plug_in(tmp_path / "plug-in", "s2s", "silent_speech", ENGINE)
    environ["PYTHONPATH"] += f":{ROOT}"
    agent = {
        "greeting": "Good morning to you all.",
        "s2s": {"provider": "silent_speech"},
        "fallback": SORRY,
        "llm_timeout_s": 2.0,
        "tools": ["gateway.script.examples.front_desk_tools:opening_hours"],
    }
    with live_gateway(tmp_path, {"agents": {"desk": agent}}, environ) as running:
        yield running


def test_it_is_connected_again_and_then_the_cascade_takes_over(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            for _ in range(3):
                said_ns = await phone.say("What are your opening hours?")
                await phone.bot_speaks(8, said_ns)  # fillers at the latest
                await phone.bot_is_done(20, said_ns)
        record = await gateway.finished(phone.sip_call_id)
        lost = gateway.events(record, "engine_lost")
        assert [event["goes_on"] for event in lost] == ["reconnects", "cascade"]
        assert len(gateway.events(record, "engine_connected")) == 2
        heard = [turn["bot_text_heard"] for turn in record["turns"]]
        assert heard.count(SORRY) == 2
        last = record["turns"][-1]
        assert last["caller_text"]
        assert last["bot_text_heard"] not in {None, SORRY}

    asyncio.run(scenario())
