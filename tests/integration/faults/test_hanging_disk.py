"""A disk that hangs: the caller hears nothing of it, and the record is complete when it is back."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.asking import is_answered, largest_gap_ms, quick_desk
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import calling


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that can be frozen: whoever writes waits, as for a dead server."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    commands = (
        ["mkfs.ext4", "-q", str(image)],
        ["mount", "-o", "loop", str(image), str(folder)],
    )
    for command in commands:
        has_it = shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin:/bin")
        if (
            not has_it
            or subprocess.run(command, capture_output=True, check=False, timeout=60).returncode
        ):
            pytest.skip("may not mount a file system of its own here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=60)


@contextmanager
def frozen(disk: Path) -> Iterator[None]:
    subprocess.run(["fsfreeze", "-f", str(disk)], check=True, timeout=60)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", str(disk)], check=True, timeout=60)


def test_a_disk_that_hangs(tmp_path: Path, disk: Path) -> None:
    async def scenario(gateway: LiveGateway) -> None:
        async with calling(gateway.uri()) as before, calling(gateway.uri()) as phone:
            await before.bot_is_done()
            await phone.bot_is_done()
            with frozen(disk):
                since_ns = time.monotonic_ns()
                await is_answered(phone)
                await before.call.hang_up()  # its end waits for nobody
                async with calling(gateway.uri()) as during:
                    await during.bot_is_done()
                    await is_answered(during)
                assert (await gateway.ask_beside("GET", "/healthz")).status_code == 200
                gap_ms = largest_gap_ms(phone, since_ns)
            await is_answered(phone)
        assert gap_ms < 500
        for call, turns in ((before, 0), (phone, 2), (during, 1)):
            record = await gateway.finished(call.sip_call_id, 15)
            assert record["end_reason"] == "caller_hung_up"
            assert record["records_errors"] == 0
            assert sum(bool(turn["caller_text"]) for turn in record["turns"]) == turns
            with wave.open(str(gateway.gateway.bundle(record) / "audio.wav")) as audio:
                assert audio.getnframes() / audio.getframerate() == pytest.approx(record["audio_s"])
        calls = (await gateway.ask_beside("GET", "/v1/calls")).json()["calls"]
        assert len(calls) == 3

    records = {"directory": str(disk / "calls")}
    with quick_desk() as desk:
        config = {"agents": {"desk": desk}, "records": records}
        with live_gateway(tmp_path / "gateway", config) as gateway:
            asyncio.run(scenario(gateway))
