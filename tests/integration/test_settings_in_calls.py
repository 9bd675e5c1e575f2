"""Settings that are changed while a call goes on, by the API, the command line and a tool."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.llm_server import Answer, Call, LlmServer
from tests.support.outside import LoudEar, Telephone, calling
from tests.support.plug_in import plug_in

ROOT = Path(__file__).parents[2]
GREETING = "Good morning to you all."
SAID = "We are open from nine to five every day but Sunday."
ENGINE = '''
"""An engine of a test: a tone for every letter."""

from pathlib import Path

from gateway.providers.contracts import ProviderSettings
from tests.support.scripted_engine import ScriptedEngine

SUMMARY = "scripted"


class Settings(ProviderSettings):
    log: Path
    speed: float = 1.0


def probe() -> str:
    return ""


def create(settings: Settings) -> ScriptedEngine:
    engine = ScriptedEngine([f"My speed is {settings.speed}."], heard=["Tell me."])
    engine.speech_level = 1500
    engine.log = lambda line: settings.log.open("a").write(line + "\\n") and None
    return engine
'''


@dataclass(frozen=True)
class Place:
    gateway: LiveGateway
    llm_port: int
    log: Path
    config: Path
    environ: dict[str, str]

    async def call_id(self) -> str:
        (call,) = (await self.gateway.ask_beside("GET", "/v1/calls?active=true")).json()["calls"]
        return str(call["call_id"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("settings")
    environ = plug_in(folder / "plug-in", "s2s", "scripted_speech", ENGINE)
    environ["PYTHONPATH"] += f":{ROOT}"
    port, log = free_port(), folder / "engine.log"
    llm = {"provider": "openai", "model": "small", "base_url": f"http://127.0.0.1:{port}/v1"}
    desk = {
        "greeting": GREETING,
        "instructions": "Be polite.",
        "llm": llm,
        "tts": {"provider": "flite", "rate": 1.4},
        "builtin_tools": ["speaking_rate"],
        "speculation": {"enabled": False},  # each request takes the next line of the model
        "filler": {"after_ms": 0},
    }
    engine = {"greeting": GREETING, "s2s": {"provider": "scripted_speech", "log": str(log)}}
    config: dict[str, Any] = {
        "default_agent": "desk",
        "agents": {"desk": desk, "engine": engine},
        "dialplan": {"directory": "plans"},
    }
    (folder / "plans").mkdir()
    (folder / "plans" / "plan.toml").write_text(
        '[[contexts.default.extensions]]\nname = "engine"\ncalled = "200"\n'
        'steps = [{ talk = "engine" }]\n'
    )
    with live_gateway(folder, config, environ) as running:
        yield Place(running, port, log, folder / "gateway.toml", environ)


async def answer_ms(phone: Telephone, ear: LoudEar, question: str) -> float:
    """How long the answer to a question sounds."""
    said_ns = await phone.say(question)
    await phone.bot_is_done(15, said_ns)
    return ear.loud_ms(said_ns)


def test_voice_model_and_instructions_change_between_two_turns(place: Place) -> None:
    async def scenario() -> None:
        faster = Call("speaking_rate", '{"rate": "faster"}')
        answers = [Answer(SAID), Answer(SAID), Answer(calls=(faster,)), Answer(SAID)]
        async with (
            LlmServer(*answers, port=place.llm_port) as server,
            calling(place.gateway.uri()) as phone,
        ):
            await phone.bot_is_done()
            path = f"/v1/calls/{await place.call_id()}/settings"
            ear = LoudEar(phone)
            usual_ms = await answer_ms(phone, ear, "When are you open?")
            wrong = {"tts": {"rate": 0.7}, "llm": {"modle": "large"}}
            refused = await place.gateway.ask_beside("POST", path, wrong)
            assert refused.status_code == 422
            message = refused.json()["error"]["message"]
            assert 'llm.modle: unknown key (did you mean "model"?)' in message
            wanted = {"tts": {"rate": 0.7}, "llm": {"model": "large"}, "instructions": "Be brief."}
            taken = await place.gateway.ask_beside("POST", path, wanted)
            assert taken.status_code == 200, taken.text
            assert set(taken.json()["changed"]) == {"tts.rate", "llm.model", "instructions"}
            slow_ms = await answer_ms(phone, ear, "When are you open?")
            assert slow_ms > 1.6 * usual_ms
            faster_ms = await answer_ms(phone, ear, "Please speak faster. When are you open?")
            assert faster_ms < 0.9 * slow_ms
            first, second, third, _ = [seen.body for seen in server.completions]
            assert (first["model"], second["model"], third["model"]) == ("small", "large", "large")
            assert "Be brief." in second["messages"][0]["content"]
        record = await place.gateway.finished(phone.sip_call_id)
        changes = await eventually(
            lambda: place.gateway.events(record, "settings_changed"), 5, "the changes"
        )
        assert [event["by"] for event in changes] == ["api", "agent"]
        assert changes[0]["settings"]["tts.rate"] == 0.7
        assert changes[1]["settings"] == {"tts.rate": 0.88}
        assert record["turns"][-1]["tools"][0]["name"] == "speaking_rate"

    asyncio.run(scenario())


def test_an_engine_is_instructed_and_goes_on_with_another_speed(place: Place) -> None:
    async def scenario() -> None:
        async with calling(place.gateway.uri("200")) as phone:
            await phone.bot_is_done()
            call_id = await place.call_id()
            changes = ["instructions=Be brief.", "turn.eagerness=low"]
            command = [sys.executable, "-m", "gateway", "settings", call_id, *changes]
            command += ["--config", str(place.config)]
            told = await asyncio.to_thread(
                subprocess.run,
                command,
                capture_output=True,
                text=True,
                timeout=60,
                env=os.environ | place.environ,
            )
            assert told.stdout.split() == ["instructions", "turn.eagerness"], told.stderr
            assert "instructed Be brief." in place.log.read_text()
            path = f"/v1/calls/{call_id}/settings"
            taken = await place.gateway.ask_beside("POST", path, {"s2s": {"speed": 0.8}})
            assert taken.json() == {"changed": ["s2s.speed"]}
            call = (await place.gateway.ask_beside("GET", f"/v1/calls/{call_id}")).json()

            def has_changed() -> bool:
                return len(place.gateway.events(call, "engine_connected")) == 2

            await eventually(has_changed, 10, "the session with the other speed")
            said_ns = await phone.say("How fast do you speak?")
            await phone.bot_is_done(15, said_ns)
        record = await place.gateway.finished(phone.sip_call_id)
        assert record["turns"][-1]["bot_text_heard"] == "My speed is 0.8."

    asyncio.run(scenario())
