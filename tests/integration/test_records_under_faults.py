"""Processes killed, disks full, ports taken: calls end well, records are complete."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
import wave
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.telemetry.process import is_process_alive
from tests.support.live_gateway import (
    LiveGateway,
    begun_gateway,
    children,
    eventually,
    live_gateway,
)
from tests.support.outside import calling, normal_call

CONFIG: dict[str, Any] = {
    "agents": {
        "desk": {
            "greeting": "Good morning, this is the front desk. How can I help?",
            "fallback": "Sorry, could you say that again?",
        }
    }
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with live_gateway(tmp_path_factory.mktemp("faults"), CONFIG) as running:
        yield running


def test_a_killed_worker_comes_back_and_its_call_is_recorded(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            said_ns = await phone.say("When do you open tomorrow?")
            await phone.bot_is_done(since_ns=said_ns)
            killed = gateway.worker_pid
            os.kill(killed, signal.SIGKILL)
            record = await gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "worker_lost"
        assert [bool(turn["caller_text"]) for turn in record["turns"]] == [False, True]
        assert record["turns"][0]["bot_text_heard"] == CONFIG["agents"]["desk"]["greeting"]
        with wave.open(str(gateway.gateway.bundle(record) / "audio.wav")) as audio:
            assert audio.getnchannels() == 2
            assert audio.getnframes() / audio.getframerate() > 4
        await eventually(
            lambda: gateway.ask("GET", "/readyz").status_code == 200, 15, "a new worker"
        )
        assert gateway.worker_pid != killed
        fresh = await gateway.finished(await normal_call(gateway.uri()))
        assert fresh["end_reason"] == "caller_hung_up"

    asyncio.run(scenario())


def test_a_killed_recognizer_does_not_end_the_call(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            os.kill(gateway.child("gateway.recognizer"), signal.SIGKILL)
            said_ns = await phone.say("When do you open tomorrow?")
            await phone.bot_is_done(since_ns=said_ns)  # an answer, or the fallback
            await eventually(lambda: gateway.child("gateway.recognizer"), 10, "a new recognizer")
            for _ in range(4):
                said_ns = await phone.say("When do you open tomorrow?")
                await phone.bot_is_done(since_ns=said_ns)
                call = (await gateway.ask_beside("GET", "/v1/calls?active=true")).json()["calls"][0]
                shown = await gateway.ask_beside("GET", f"/v1/calls/{call['call_id']}")
                if any("open" in (turn["caller_text"] or "") for turn in shown.json()["turns"]):
                    break
        record = await gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "caller_hung_up"
        assert any("open" in (turn["caller_text"] or "") for turn in record["turns"])

    asyncio.run(scenario())


def test_stopping_the_gateway_ends_calls_politely(tmp_path: Path) -> None:
    gateway = begun_gateway(tmp_path, {**CONFIG, "workers": {"drain_limit_s": 1}})
    family: list[int] = []

    async def scenario() -> str:
        await asyncio.to_thread(gateway.gateway.wait_ready)
        family.extend(pid for pid, _ in children(gateway.process.pid))
        async with calling(gateway.uri()) as phone:
            await phone.bot_speaks()
            gateway.process.terminate()
            await phone.ended()
            assert phone.call.ended_by == "gateway"
            assert phone.call.requests == ["BYE"]
        return phone.sip_call_id

    try:
        sip_call_id = asyncio.run(scenario())
    finally:
        code = gateway.gateway.stop()
    assert code == 0
    record = next(r for r in gateway.records() if r["sip_call_id"] == sip_call_id)
    assert (record["state"], record["end_reason"]) == ("finished", "shutdown")
    assert record["turns"]
    assert len(family) == 2
    assert not any(map(is_process_alive, family))


def end_of(gateway: LiveGateway) -> int:
    """Wait for a gateway that cannot start; nothing of it may be left."""
    family: set[int] = set()
    end = time.monotonic() + 60
    try:
        while gateway.process.poll() is None:
            assert time.monotonic() < end, gateway.log
            family.update(pid for pid, _ in children(gateway.process.pid))
            time.sleep(0.02)
    finally:
        code = gateway.gateway.stop()
    assert not any(map(is_process_alive, family))
    assert "Traceback" not in gateway.log, gateway.log
    return code


def test_records_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    records = {"directory": str(tmp_path / "file" / "calls")}
    gateway = begun_gateway(tmp_path, {**CONFIG, "records": records})
    assert end_of(gateway) == 78
    assert f"cannot write call records into {records['directory']}" in gateway.log


def test_sip_port_in_use(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        gateway = begun_gateway(tmp_path, {**CONFIG, "sip": {"port": port}})
        assert end_of(gateway) not in {0, 78}
        assert f"cannot start SIP on 127.0.0.1:{port}: Address already in use" in gateway.log


def test_http_port_in_use(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        gateway = begun_gateway(tmp_path, {**CONFIG, "http": {"port": port}})
        assert end_of(gateway) == 78
        assert f"127.0.0.1:{port} is in use by another program" in gateway.log


@pytest.mark.parametrize(
    ("hidden", "told"),
    [
        ("silero_vad", "pip install --no-deps silero-vad"),
        ("moonshine_voice", "moonshine-voice"),
    ],
)
def test_a_missing_model(tmp_path: Path, hidden: str, told: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(_HIDING.replace("HIDDEN", hidden))
    gateway = begun_gateway(tmp_path, CONFIG, {"PYTHONPATH": str(tmp_path)})
    assert end_of(gateway) != 0
    assert told in gateway.log


_HIDING = """
import importlib.metadata, importlib.util

def _hide(module, name, missing):
    real = getattr(module, name)
    def found(wanted, *rest):
        return missing(wanted) if wanted.replace("-", "_") == "HIDDEN" else real(wanted, *rest)
    setattr(module, name, found)

def _raise(wanted):
    raise importlib.metadata.PackageNotFoundError(wanted)

_hide(importlib.metadata, "distribution", _raise)
_hide(importlib.util, "find_spec", lambda wanted: None)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False, timeout=60).returncode != 0:
        pytest.skip("may not mount a tmpfs here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=60)


def test_a_disk_that_fills_up_in_mid_call(tmp_path: Path, small_disk: Path) -> None:
    async def scenario(gateway: LiveGateway) -> None:
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            filler = small_disk / "filler"
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(4096))
            said_ns = await phone.say("When do you open tomorrow?")
            await phone.bot_is_done(since_ns=said_ns)
        await gateway.idle(20)
        filler.unlink()
        record = await gateway.finished(phone.sip_call_id, 15)
        assert record["end_reason"] == "caller_hung_up"
        assert record["records_errors"] > 0
        assert any(turn["caller_text"] for turn in record["turns"])

    with live_gateway(tmp_path, {**CONFIG, "records": {"directory": str(small_disk)}}) as gateway:
        asyncio.run(scenario(gateway))
