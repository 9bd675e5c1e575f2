"""Whole calls that several agents lead, by the front door."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import calling
from tests.support.plug_in import plug_in

ROOT = Path(__file__).parents[2]
GREETING = "Good morning to you all."
ENGINE = '''
"""An engine of a test: a tone for every letter."""

from gateway.providers.contracts import ProviderSettings, ToolCall
from tests.support.scripted_engine import ScriptedEngine

SUMMARY = "scripted"


class Settings(ProviderSettings):
    pass


def probe() -> str:
    return ""


def create(settings: Settings) -> ScriptedEngine:
    hands_over = ToolCall("c1", "change_agent", '{"agent": "desk"}')
    engine = ScriptedEngine(
        ["Sales is speaking."], ["Back to the desk.", hands_over], heard=["Tell me.", "No."]
    )
    engine.speech_level = 1500
    return engine
'''


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[LiveGateway]:
    environ = plug_in(tmp_path / "plug-in", "s2s", "scripted_speech", ENGINE)
    environ["PYTHONPATH"] += f":{ROOT}"
    sales = {
        "s2s": {"provider": "scripted_speech"},
        "builtin_tools": ["change_agent"],
        "agent_targets": ["desk"],
    }
    hours = ["gateway.script.examples.front_desk_tools:opening_hours"]
    agents = {"desk": {"greeting": GREETING, "tools": hours}, "sales": sales}
    config = {"default_agent": "desk", "agents": agents}
    with live_gateway(tmp_path, config, environ) as running:
        yield running


def test_a_call_goes_to_an_engine_by_request_and_comes_back_by_its_tool(
    gateway: LiveGateway,
) -> None:
    async def scenario() -> None:
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            (call,) = (await gateway.ask_beside("GET", "/v1/calls?active=true")).json()["calls"]
            path = f"/v1/calls/{call['call_id']}/agent"
            unknown = await gateway.ask_beside("POST", path, {"agent": "nobody"})
            assert unknown.status_code == 422
            assert "there are: desk, sales" in unknown.json()["error"]["message"]
            changed = await gateway.ask_beside("POST", path, {"agent": "sales"})
            assert changed.status_code == 204, changed.text
            said_ns = await phone.say("Please tell me about your cars.")
            await phone.bot_is_done(12, said_ns)
            said_ns = await phone.say("No, what are your opening hours?")
            await phone.bot_is_done(20, said_ns)
            said_ns = await phone.say("What are your opening hours?")
            await phone.bot_is_done(20, said_ns)
        record = await gateway.finished(phone.sip_call_id)
        agents = await eventually(
            lambda: gateway.events(record, "agent_started"), 5, "the agents' beginnings"
        )
        assert [event["agent"] for event in agents] == ["desk", "sales", "desk"]
        changes = gateway.events(record, "agent_changes")
        assert [(e["agent"], e["by"]) for e in changes] == [("sales", "api"), ("desk", "agent")]
        turns = record["turns"]
        assert [turn["index"] for turn in turns] == list(range(len(turns)))
        by = {name: [t for t in turns if t["agent"] == name] for name in ("desk", "sales")}
        assert by["desk"][0]["bot_text_heard"] == GREETING
        assert [t["bot_text_heard"] for t in by["sales"]] == [
            "Sales is speaking.", "Back to the desk.",
        ]  # fmt: skip
        assert turns[-1]["agent"] == record["agent"] == "desk"
        assert turns[-1]["bot_text_heard"]
        (connected,) = gateway.events(record, "engine_connected")
        assert connected["messages"] == 1

    asyncio.run(scenario())
