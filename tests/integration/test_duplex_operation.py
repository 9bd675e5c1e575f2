"""Calls with a speech-to-speech engine go on while the gateway is reloaded, replaced, drained."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.replay.hearing import chunks_of, listen_as_recorded
from gateway.replay.recording import read_recording
from gateway.replay.turn_replay import decide_again, first_difference
from gateway.replay.what_if import what_if
from tests.support.edge import needs_kamailio
from tests.support.gateway_process import free_port, free_rtp_ports
from tests.support.live_gateway import LiveGateway, children, eventually, live_gateway
from tests.support.outside import Telephone, calling
from tests.support.plug_in import plug_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
ENGINE = '''
"""An engine of a test, which answers with its own name."""

from gateway.providers.contracts import ProviderSettings
from tests.support.scripted_engine import ScriptedEngine

SUMMARY = "scripted"


class Settings(ProviderSettings):
    words: str = "First engine."
    turns: str = "engine"


def probe() -> str:
    return ""


def create(settings: Settings) -> ScriptedEngine:
    engine = ScriptedEngine(*[[settings.words]] * 20, turns=settings.turns, heard=["Well."] * 20)
    engine.speech_level = 1000
    return engine
'''
LONG = "This is a long answer with a great many words, which goes on until the caller breaks in."


def engine_config(**s2s: Any) -> dict[str, Any]:
    silence = {"reprompt_after_s": 60}  # callers wait for processes here
    table = {"provider": "scripted_speech", **s2s}
    return {"greeting": "Good morning.", "silence": silence, "s2s": table}


def environment(folder: Path) -> dict[str, str]:
    environ = plug_in(folder / "plug-in", "s2s", "scripted_speech", ENGINE)
    environ["PYTHONPATH"] += f":{ROOT}"
    return environ


async def asks(phone: Telephone) -> None:
    said_ns = await phone.say("Who are you?")
    await phone.bot_is_done(20, said_ns)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    folder = tmp_path_factory.mktemp("duplex")
    agents = {
        "desk": engine_config(words="First engine."),
        "long": engine_config(words=LONG),
        "ours": engine_config(words=LONG, turns="gateway"),
        "both": engine_config(words="Both may speak.", turns="none"),
    }
    plans = folder / "plans"
    plans.mkdir()
    rules = "".join(
        f'[[contexts.default.extensions]]\nname = "{name}"\ncalled = "{name}"\n'
        f'steps = [{{ talk = "{name}" }}]\n'
        for name in agents
    )
    (plans / "plan.toml").write_text(rules)
    config = {
        "agents": agents,
        "dialplan": {"directory": str(plans)},
        "workers": {"drain_limit_s": 60},
    }
    with live_gateway(folder, config, environment(folder)) as running:
        yield running


@pytest.mark.parametrize("name", ["long", "ours", "both"])
def test_our_part_of_the_call_is_replayed_as_it_was(
    gateway: LiveGateway, name: str, tmp_path: Path
) -> None:
    async def scenario() -> Path:
        async with calling(gateway.uri(name)) as phone:
            await phone.bot_is_done()
            said_ns = await phone.say("Please tell me a story.")
            await phone.bot_speaks(10, said_ns)
            begun_s = time.monotonic()
            await phone.until(lambda: time.monotonic() > begun_s + 1, 5, "some words")
            broke_in_ns = await phone.say("Stop, wait a moment please.")
            await phone.bot_is_done(20, broke_in_ns)
        return gateway.gateway.bundle(await gateway.finished(phone.sip_call_id))

    bundle = asyncio.run(scenario())
    recording = read_recording(bundle)
    assert not recording.remarks
    chunks = chunks_of(listen_as_recorded(recording.audio, recording.events))
    (talk,) = recording.talks
    told = [each.name for each in talk.inputs]
    assert "know_words" in told
    assert ("end_turn" in told) == (name == "long")  # the engine's signal is an input
    again = decide_again(talk, chunks)
    assert first_difference(talk.decisions, again) is None
    assert what_if(talk, chunks, talk.settings).decisions == again
    copy = shutil.copytree(bundle, tmp_path / name)
    replay = [sys.executable, "-m", "gateway", "replay", str(copy)]
    for more in ([], ["--plot", str(tmp_path / "call.svg")], ["--set", "doubtful_ms=900"]):
        done = subprocess.run(
            [*replay, *more], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert more or "all as recorded" in done.stdout


def test_a_reload_leaves_calls_their_engine_and_gives_new_ones_the_new(
    gateway: LiveGateway,
) -> None:
    path = gateway.gateway.config_path
    good = path.read_text()

    async def scenario() -> None:
        worker = gateway.worker_pid
        async with calling(gateway.uri("desk")) as old:
            await old.bot_is_done()
            await asyncio.to_thread(path.write_text, good.replace("First engine.", "Other one."))
            taken = await gateway.ask_beside("POST", "/v1/reload")
            assert taken.json() == {"changed": ["agents.desk.s2s.words"]}
            async with calling(gateway.uri("desk")) as new:
                await new.bot_is_done()
                await asks(new)
            await asks(old)
        assert (await heard(gateway, old))[-1] == "First engine."
        assert (await heard(gateway, new))[-1] == "Other one."
        assert gateway.worker_pid == worker

    try:
        asyncio.run(scenario())
    finally:
        path.write_text(good)
        assert gateway.ask("POST", "/v1/reload").status_code == 200


async def heard(gateway: LiveGateway, phone: Telephone) -> list[str]:
    record = await gateway.finished(phone.sip_call_id)
    assert record["end_reason"] == "caller_hung_up"
    assert not gateway.events(record, "engine_lost")
    assert record["engines"][0]["sessions"] == 1
    return [turn["bot_text_heard"] for turn in record["turns"]]


def test_a_drain_lets_the_call_go_on_with_its_engine(gateway: LiveGateway) -> None:
    """The last test of this gateway."""

    async def scenario() -> None:
        async with calling(gateway.uri("desk")) as phone:
            await phone.bot_is_done()
            answer = await gateway.ask_beside("POST", "/v1/drain")
            assert (answer.status_code, answer.json()) == (202, {"calls": 1})
            await asks(phone)
            assert not phone.call.ended.is_set()
        assert (await heard(gateway, phone))[-1] == "First engine."

    asyncio.run(scenario())


@needs_kamailio
def test_a_replaced_worker_keeps_its_call_to_the_end(tmp_path: Path) -> None:
    config = {
        "sip": {"port": free_port(), "rtp_ports": free_rtp_ports(160)},
        "workers": {"count": 1, "edge": "kamailio", "drain_limit_s": 60},
        "edge": {"probe_s": 1, "processes": 2},
        "agents": {"desk": engine_config()},
    }

    def workers(gateway: LiveGateway) -> set[int]:
        return {pid for pid, line in children(gateway.process.pid) if " --index " in line}

    async def scenario(gateway: LiveGateway) -> None:
        (before,) = workers(gateway)
        async with calling(gateway.uri()) as old:
            await old.bot_is_done(20)
            replaced = asyncio.create_task(gateway.ask_beside("POST", "/v1/replace"))
            await eventually(lambda: len(workers(gateway)) == 2, 40, "the worker's successor")
            await asks(old)
            assert before in workers(gateway)
        assert (await heard(gateway, old))[-1] == "First engine."
        assert (await replaced).status_code < 300
        await eventually(lambda: before not in workers(gateway), 30, "the old worker's end")
        async with calling(gateway.uri()) as new:
            await new.bot_is_done(20)
            await asks(new)
        assert (await heard(gateway, new))[-1] == "First engine."

    with live_gateway(tmp_path, config, environment(tmp_path)) as running:
        asyncio.run(scenario(running))
