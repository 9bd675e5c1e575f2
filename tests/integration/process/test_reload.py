"""One worker without an edge: reload, and a drain that lets calls end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.script.loader import FRONT_DESK
from tests.support.live_gateway import LiveGateway, begun_gateway, eventually, live_gateway
from tests.support.outside import calling, normal_call

GREETING = "Good morning, this is the front desk. How can I help?"
EVENING = "A very good evening to you."
SILENCE = {"reprompt_after_s": 60}  # callers wait for processes here
TOOL = 'def answer() -> int:\n    """Say it."""\n    return 42\n'
CONFIG: dict[str, Any] = {
    "agents": {
        "desk": {
            "greeting": GREETING,
            "silence": SILENCE,
            "llm": {"provider": "script", "file": "desk.toml"},
            "tools": ["desk_tools.py:answer"],
        }
    },
    "workers": {"drain_limit_s": 60},
}


def write_files(folder: Path) -> None:
    (folder / "desk.toml").write_bytes(FRONT_DESK.read_bytes())
    (folder / "desk_tools.py").write_text(TOOL)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    folder = tmp_path_factory.mktemp("reload")
    write_files(folder)
    with live_gateway(folder, CONFIG) as running:
        yield running


@pytest.fixture
def config(gateway: LiveGateway) -> Iterator[Path]:
    """The configuration file; as it was afterwards."""
    path = gateway.gateway.config_path
    good = path.read_text()
    yield path
    path.write_text(good)
    assert gateway.ask("POST", "/v1/reload").status_code == 200


def test_a_script_or_tool_that_has_changed_is_named(gateway: LiveGateway, config: Path) -> None:
    script, tool = config.parent / "desk.toml", config.parent / "desk_tools.py"
    script.write_text(script.read_text() + "\n# changed\n")
    taken = gateway.ask("POST", "/v1/reload")
    assert (taken.status_code, taken.json()) == (200, {"changed": [str(script)]})
    tool.write_text(TOOL.replace("42", "43"))
    assert gateway.ask("POST", "/v1/reload").json() == {"changed": [str(tool)]}
    assert gateway.ask("POST", "/v1/reload").json() == {"changed": []}


def is_ready(gateway: LiveGateway) -> bool:
    return gateway.ask("GET", "/readyz").status_code == 200


def test_new_calls_use_the_new_and_old_calls_the_old(gateway: LiveGateway, config: Path) -> None:
    evening = config.read_text().replace(GREETING, EVENING)

    async def scenario() -> None:
        worker = gateway.worker_pid
        async with calling(gateway.uri()) as old:
            await old.bot_is_done()
            await asyncio.to_thread(config.write_text, evening)
            taken = await gateway.ask_beside("POST", "/v1/reload")
            assert (taken.status_code, taken.json()) == (200, {"changed": ["agents.desk.greeting"]})
            fresh = await gateway.finished(await normal_call(gateway.uri()))
            assert fresh["turns"][0]["bot_text_generated"] == EVENING
            said_ns = await old.say("When do you open tomorrow?")
            await old.bot_is_done(since_ns=said_ns)  # its engines are still there
        kept = await gateway.finished(old.sip_call_id)
        assert kept["turns"][0]["bot_text_heard"] == GREETING
        assert kept["end_reason"] == "caller_hung_up"
        assert gateway.worker_pid == worker

    asyncio.run(scenario())


def test_a_bad_file_changes_nothing_and_says_so(gateway: LiveGateway, config: Path) -> None:
    good = config.read_text()
    line = 1 + next(n for n, text in enumerate(good.splitlines()) if "desk" in text)
    config.write_text(good.replace("greeting", "greting"))
    refused = gateway.ask("POST", "/v1/reload")
    assert refused.status_code == 422
    told = refused.json()["error"]["message"]
    assert f"gateway.toml:{line}: agents.desk.greting" in told
    before = len(gateway.logged("configuration_refused"))
    gateway.process.send_signal(signal.SIGHUP)

    async def scenario() -> None:
        await eventually(
            lambda: len(gateway.logged("configuration_refused")) > before, 10, "a log line"
        )
        assert told in gateway.logged("configuration_refused")[-1]["problems"]
        # What a worker is started with is what was checked, not what is on disk by now.
        os.kill(gateway.worker_pid, signal.SIGKILL)
        await eventually(lambda: not is_ready(gateway), 5, "its end to be noticed")
        await eventually(lambda: is_ready(gateway), 30, "a new worker")
        record = await gateway.finished(await normal_call(gateway.uri()))
        assert record["turns"][0]["bot_text_generated"] == GREETING

    asyncio.run(scenario())


def test_what_needs_a_restart_is_named(gateway: LiveGateway, config: Path) -> None:
    good = config.read_text()
    ports = {gateway.sip_port: 5099, gateway.http_port: 8099}
    for old, new in ports.items():
        good = good.replace(f'"port" = {old}', f'"port" = {new}')
    config.write_text(good.replace(GREETING, EVENING))
    refused = gateway.ask("POST", "/v1/reload")
    assert refused.status_code == 409
    assert "nothing was changed: http.port, sip.port" in refused.json()["error"]["message"]
    assert gateway.ask("POST", "/v1/replace").status_code == 409


def test_a_drain_lets_calls_end_and_sigterm_in_it_ends_them(tmp_path: Path) -> None:
    write_files(tmp_path)
    gateway = begun_gateway(tmp_path, CONFIG)

    async def scenario() -> None:
        await asyncio.to_thread(gateway.gateway.wait_ready)
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            answer = await gateway.ask_beside("POST", "/v1/drain")
            assert (answer.status_code, answer.json()) == (202, {"calls": 1})
            ready = await gateway.ask_beside("GET", "/readyz")
            assert (ready.status_code, ready.json()["reason"]) == (503, "draining")
            said_ns = await phone.say("When do you open tomorrow?")
            await phone.bot_is_done(since_ns=said_ns)
            assert not phone.call.ended.is_set()
            gateway.process.terminate()
            await phone.ended()
            assert phone.call.requests == ["BYE"]

    try:
        asyncio.run(scenario())
    finally:
        code = gateway.gateway.stop()
    assert code == 0
    assert [record["end_reason"] for record in gateway.records()] == ["shutdown"]
