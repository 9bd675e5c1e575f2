"""No name can be looked up any more: calls that need none are served as ever."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.asking import is_answered, largest_gap_ms, quick_desk
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import calling

SILENT = "127.0.53.53"


@pytest.fixture
def silent_resolver(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """The command that runs a program where the only name server never answers."""
    (tmp_path / "resolv.conf").write_text(f"nameserver {SILENT}\noptions timeout:3 attempts:2\n")
    script = f'mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec "$@"'
    within = ("unshare", "--mount", "sh", "-c", script, "sh")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        try:
            nobody.bind((SILENT, 53))
            subprocess.run([*within, "true"], check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("may not change the name server of a process here")
        yield within


def test_the_name_server_is_silent(tmp_path: Path, silent_resolver: tuple[str, ...]) -> None:
    async def scenario(gateway: LiveGateway) -> None:
        async with calling(gateway.uri()) as phone, calling(gateway.uri("llm")) as other:
            await phone.bot_is_done(20)
            since_ns = time.monotonic_ns()
            for _ in range(3):
                await asyncio.gather(is_answered(phone), is_answered(other))
                state = (await gateway.ask_beside("GET", "/v1/trunks")).json()["trunks"][0]
            gap_ms = largest_gap_ms(phone, since_ns)
        assert gap_ms < 500
        assert state["state"] == "failed"
        assert "cannot look up sip.carrier.example" in state["reason"]
        for call in (phone, other):
            record = await gateway.finished(call.sip_call_id)
            assert record["end_reason"] == "caller_hung_up"
            assert any(turn["caller_text"] for turn in record["turns"])

    nowhere = {"provider": "openai", "model": "x", "base_url": f"http://llm.example:{free_port()}"}
    plans = tmp_path / "plans"
    plans.mkdir()
    (plans / "plan.toml").write_text(
        '[[contexts.default.extensions]]\nname = "llm"\ncalled = "llm"\n'
        'steps = [{ talk = "llm" }]\n'
    )
    trunk = {"name": "carrier", "server": "sip.carrier.example", "user": "1", "password": "x"}
    with quick_desk() as desk:
        config = {
            "agents": {"desk": desk, "llm": {**desk, "llm": nowhere, "fallback": "Sorry, again?"}},
            "dialplan": {"directory": str(plans)},
            "trunks": [trunk],
        }
        with live_gateway(tmp_path / "gateway", config, within=silent_resolver) as gateway:
            asyncio.run(scenario(gateway))
