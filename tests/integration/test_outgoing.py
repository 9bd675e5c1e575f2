"""Toll fraud: nothing leaves that `[outgoing]` does not name, by whichever way it is asked for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from gateway.probe.transactions import open_sip_socket
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import answered_by, calling, telephone

GREETING = {"desk": {"greeting": "Good morning, this is the front desk."}}


def place(gateway: LiveGateway, to: str, **more: str) -> httpx.Response:
    return gateway.ask("POST", "/v1/calls", {"to": to, **more})


def refusals(gateway: LiveGateway) -> dict[str, float]:
    """Refused calls and transfers by rule, as /metrics counts them."""
    lines = gateway.ask("GET", "/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("gateway_outgoing_refused_total{")]
    return {line.split('rule="')[1].split('"')[0]: float(line.split()[-1]) for line in found}


def test_nothing_leaves_by_default(tmp_path: Path) -> None:
    config: dict[str, Any] = {"outgoing": {"allow": []}, "agents": GREETING}
    with live_gateway(tmp_path, config) as gateway:

        async def scenario() -> None:
            async with open_sip_socket() as victim:
                heard: list[object] = []
                victim.on_request = lambda request, _source: heard.append(request)
                target = f"sip:bob@127.0.0.1:{victim.address[1]}"
                answer = await asyncio.to_thread(place, gateway, target)
                assert answer.status_code == 403
                assert answer.json()["error"]["code"] == "outgoing_refused"
                assert "rule outgoing.allow" in answer.json()["error"]["message"]
                told = await asyncio.to_thread(gateway_call, gateway, target)
                assert told.returncode == 1
                assert "[outgoing] allow is empty" in told.stderr
                async with calling(gateway.uri()) as phone:
                    await phone.bot_speaks()
                    calls = (await gateway.ask_beside("GET", "/v1/calls?active=true")).json()
                    path = f"/v1/calls/{calls['calls'][0]['call_id']}/transfer"
                    answer = await gateway.ask_beside("POST", path, {"target": target})
                    assert answer.status_code == 403
                    assert not phone.call.referred_to
                assert not heard
            await gateway.free()

        asyncio.run(scenario())
        assert refusals(gateway) == {"outgoing.allow": 3.0}
        assert {entry["rule"] for entry in gateway.logged("outgoing_refused")} == {"outgoing.allow"}


def gateway_call(gateway: LiveGateway, target: str) -> subprocess.CompletedProcess[str]:
    config = str(gateway.gateway.config_path)
    command = [sys.executable, "-m", "gateway", "call", target, "--config", config]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_caps_over_the_whole_gateway(tmp_path: Path) -> None:
    allow = {"allow": ["sip:bob@127.0.0.1:*"], "concurrent": 1, "calls_per_minute": 2}
    with live_gateway(tmp_path, {"outgoing": allow, "agents": GREETING}) as gateway:

        async def one(phone_port: int) -> httpx.Response:
            return await gateway.ask_beside(
                "POST", "/v1/calls", {"to": f"sip:bob@127.0.0.1:{phone_port}"}
            )

        async def scenario() -> None:
            for _ in range(2):
                async with telephone() as phone:
                    port = phone.sip.address[1]
                    answer, _ = await answered_by(phone, one(port))
                    assert answer.status_code == 201, answer.text
                    await phone.bot_speaks()
                    answer = await one(port)
                    assert answer.status_code == 429
                    assert "concurrent = 1" in answer.json()["error"]["message"]
                    assert answer.headers["retry-after"]
                await gateway.free()
            answer = await one(9)
            assert answer.status_code == 429
            assert "calls_per_minute = 2" in answer.json()["error"]["message"]
            answer = await gateway.ask_beside("POST", "/v1/calls", {"to": "sip:eve@127.0.0.1:9"})
            assert answer.status_code == 403

        asyncio.run(scenario())
        assert refusals(gateway) == {
            "outgoing.concurrent": 2.0,
            "outgoing.calls_per_minute": 1.0,
            "outgoing.allow": 1.0,
        }
