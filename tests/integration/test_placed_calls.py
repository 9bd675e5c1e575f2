"""Calls that the gateway places, as whoever is called hears them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import CallRejected
from gateway.probe import voices
from gateway.probe.caller import CallPolicy, wait_for_invite
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import Telephone, answered_by, calling, telephone
from tests.support.plug_in import plug_in

ROOT = Path(__file__).parents[2]
GREETING = "Hello, this is the dentist. Your appointment is on Tuesday at nine. Will you come?"
ENGINE = '''
"""An engine of a test: a tone for every letter."""

from pathlib import Path

from gateway.providers.contracts import ProviderSettings
from tests.support.scripted_engine import ScriptedEngine

SUMMARY = "scripted"


class Settings(ProviderSettings):
    log: Path


def probe() -> str:
    return ""


def create(settings: Settings) -> ScriptedEngine:
    engine = ScriptedEngine()
    engine.log = lambda line: settings.log.open("a").write(line + "\\n") and None
    return engine
'''
LONG = "We are open from Monday to Friday, from eight in the morning until six in the evening."


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    silence = {"reprompt_after_s": 60}
    voice = {"provider": "flite"}
    config: dict[str, Any] = {
        "agents": {
            "reminder": {"greeting": GREETING, "silence": silence, "tts": voice},
            "hours": {"greeting": LONG, "silence": silence, "tts": voice},
        },
        "default_agent": "reminder",
        "dialplan": {"directory": "plan"},
    }
    folder = tmp_path_factory.mktemp("placed")
    log = folder / "engine.log"
    log.touch()
    environ = plug_in(folder / "plug-in", "s2s", "scripted_speech", ENGINE)
    environ["PYTHONPATH"] += f":{ROOT}"
    config["agents"]["engine"] = {
        "greeting": GREETING,
        "listen_first_ms": 0,
        "s2s": {
            "provider": "scripted_speech", "log": str(log), "greeting": "engine",
            "connect_while_ringing_s": 20.0,
        },
    }  # fmt: skip
    (folder / "plan").mkdir()
    (folder / "plan" / "plan.toml").write_text(
        '[contexts.default]\n[[contexts.default.extensions]]\nname = "hours"\n'
        'called = "200"\nsteps = [{ talk = "hours" }]\n'
    )
    with live_gateway(folder, config, environ) as running:
        running.engine_log = log  # type: ignore[attr-defined]
        yield running


async def placed(gateway: LiveGateway, phone: Telephone) -> str:
    """Have the telephone called, and answer; gives the Call-ID."""
    to = {"to": f"sip:anna@127.0.0.1:{phone.sip.address[1]}"}
    answer, sip_call_id = await answered_by(phone, gateway.ask_beside("POST", "/v1/calls", to))
    assert answer.status_code == 201
    return sip_call_id


def test_who_answers_with_hello_hears_the_whole_greeting(gateway: LiveGateway) -> None:
    async def scenario() -> dict[str, Any]:
        async with telephone() as phone:
            await voices.render("Hello?")
            sip_call_id = await placed(gateway, phone)
            since_ns = await phone.say("Hello?")
            await phone.bot_is_done(since_ns=since_ns)
            await phone.call.hang_up()
        return await gateway.finished(sip_call_id)

    record = asyncio.run(scenario())
    (turn,) = record["turns"]
    assert turn["caller_text"]
    assert turn["bot_text_heard"] == GREETING
    assert not turn["interrupted"]


def test_a_greeting_that_is_broken_off_is_said_again(gateway: LiveGateway) -> None:
    async def scenario() -> dict[str, Any]:
        async with telephone() as phone:
            sip_call_id = await placed(gateway, phone)
            await phone.bot_speaks()
            await asyncio.sleep(1.8)
            since_ns = await phone.say("Who is calling, please?")
            await phone.bot_is_done(since_ns=since_ns)
            await phone.call.hang_up()
        return await gateway.finished(sip_call_id)

    record = asyncio.run(scenario())
    first, second = record["turns"]
    assert first["interrupted"]
    assert first["bot_text_heard"] != GREETING
    assert second["bot_text_heard"] == GREETING


def test_a_call_that_rings_takes_neither_keys_nor_a_transfer(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        async with telephone(policy=CallPolicy(answer_delay_s=60)) as phone:
            waiting = asyncio.ensure_future(wait_for_invite(phone.sip))
            to = {"to": f"sip:anna@127.0.0.1:{phone.sip.address[1]}"}
            call_id = (await gateway.ask_beside("POST", "/v1/calls", to)).json()["call_id"]
            invite, source = await waiting
            phone.sip.on_request = phone.call._on_request
            ringing = asyncio.ensure_future(phone.call.accept(invite, source))
            path = f"/v1/calls/{call_id}"
            for what, body in (("dtmf", {"digits": "1"}), ("transfer", {"target": to["to"]})):
                answer = await gateway.ask_beside("POST", f"{path}/{what}", body)
                assert answer.status_code == 409
                assert "not answered yet" in answer.json()["error"]["message"]
            assert (await gateway.ask_beside("POST", f"{path}/hangup")).status_code == 204
            with pytest.raises(CallRejected):
                await ringing

    asyncio.run(scenario())


def test_an_engine_is_connected_with_while_the_telephone_rings(gateway: LiveGateway) -> None:
    log: Path = gateway.engine_log  # type: ignore[attr-defined]

    async def scenario() -> dict[str, Any]:
        async with telephone(policy=CallPolicy(answer_delay_s=3)) as phone:
            to = {"to": f"sip:anna@127.0.0.1:{phone.sip.address[1]}", "agent": "engine"}
            answering = asyncio.ensure_future(
                answered_by(phone, gateway.ask_beside("POST", "/v1/calls", to))
            )
            await eventually(lambda: "connected" in log.read_text(), 10, "a session")
            assert not answering.done()
            answer, sip_call_id = await answering
            assert answer.status_code == 201
            await phone.bot_is_done()
            await phone.call.hang_up()
        return await gateway.finished(sip_call_id)

    record = asyncio.run(scenario())
    assert record["turns"][0]["bot_text_heard"] == GREETING
    assert record["engines"][0]["sessions"] == 1
    assert log.read_text().count("connected") == 1


def test_no_word_is_lost_while_keys_are_sent(gateway: LiveGateway) -> None:
    async def heard_s(keys: str) -> float:
        async with calling(gateway.uri("200")) as phone:
            await phone.bot_speaks()
            await asyncio.sleep(1)
            if keys:
                calls = (await gateway.ask_beside("GET", "/v1/calls?active=true")).json()["calls"]
                path = f"/v1/calls/{calls[0]['call_id']}/dtmf"
                assert (await gateway.ask_beside("POST", path, {"digits": keys})).is_success
                assert phone.digits == keys
            await phone.bot_is_done(since_ns=time.monotonic_ns())
            frames = [a.audio.samples for a in phone.media.received if a.audio]
        await gateway.free()
        return 0.02 * sum(np.abs(frame.astype(int)).max() > 300 for frame in frames)

    async def scenario() -> tuple[float, float]:
        return await heard_s(""), await heard_s("12#")

    plain, with_keys = asyncio.run(scenario())
    assert with_keys > plain - 0.1
