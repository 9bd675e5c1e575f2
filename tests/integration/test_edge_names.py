"""`gateway run` behind Kamailio: a trunk with several servers, which comes back by name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.carrier import PASSWORD, Carrier
from tests.support.edge import needs_kamailio
from tests.support.gateway_process import free_port, free_rtp_ports
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.name_server import NameServer, with_name_server

pytestmark = [
    needs_kamailio,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs a name server's port"),
]
DOMAIN = "carrier.example"
LLM = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}


@pytest.fixture
def carriers() -> Iterator[list[Carrier]]:
    """Of one name: the first is silent."""
    running = [Carrier(host=f"127.0.0.{number}") for number in (11, 12)]
    running[0].is_silent = True
    running[1].named = f"two.{DOMAIN}"
    for carrier in running:
        carrier.start()
    yield running
    for carrier in running:
        carrier.stop()


@pytest.fixture
def gateway(tmp_path: Path, carriers: list[Carrier]) -> Iterator[LiveGateway]:
    first, second = carriers
    names = NameServer(
        {
            (f"_sip._udp.{DOMAIN}", "SRV"): [
                f"20 0 {second.port} two.{DOMAIN}.",
                f"10 0 {first.port} one.{DOMAIN}.",
            ],
            (f"one.{DOMAIN}", "A"): ["127.0.0.11"],
            (f"two.{DOMAIN}", "A"): ["127.0.0.12"],
        }
    )
    names.start()
    trunk = {"name": "srv", "server": DOMAIN, "user": "alice", "password": PASSWORD,
             "register": False}  # fmt: skip
    config: dict[str, Any] = {
        "sip": {"port": free_port(), "rtp_ports": free_rtp_ports(160)},
        "workers": {"count": 1, "edge": "kamailio"},
        "edge": {"probe_s": 1, "processes": 2},
        "outgoing": {"allow": ["+49*"], "calls_per_minute": 100},
        "trunks": [trunk | {"context": "default"}],
        "agents": {"desk": {"greeting": "Good morning.", "llm": LLM}},
    }
    try:
        with live_gateway(tmp_path, config, within=with_name_server(tmp_path)) as running:
            yield running
    finally:
        names.stop()


def test_a_call_goes_to_the_next_server_and_a_transfer_back_to_its_name(
    gateway: LiveGateway, carriers: list[Carrier]
) -> None:
    _, second = carriers

    async def scenario() -> None:
        placed = await gateway.ask_beside(
            "POST", "/v1/calls", {"to": "+4930123456", "trunk": "srv"}
        )
        path = f"/v1/calls/{placed.json()['call_id']}"
        await eventually(lambda: gateway.ask("GET", path).json()["answered_at"], 15, "an answer")
        transfer = asyncio.ensure_future(
            gateway.ask_beside("POST", f"{path}/transfer", {"target": "+4930999"})
        )
        await eventually(lambda: proved(second, "REFER"), 10, "a REFER with a proof")
        await gateway.ask_beside("POST", f"{path}/hangup")
        await transfer
        await eventually(
            lambda: gateway.ask("GET", path).json()["state"] == "finished", 10, "its end"
        )

    asyncio.run(scenario())
    assert [request.uri for request in proved(second, "INVITE")] == [f"sip:+4930123456@{DOMAIN}"]
    assert [request for request in second.seen if request.method == "BYE"]


def proved(carrier: Carrier, method: str) -> list[Any]:
    return [m for m in carrier.seen if m.method == method and m.get("Proxy-Authorization")]
