"""Where a trunk's requests go: SRV records of its server, the next one when one fails, a proxy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.probe.sip_messages import Message
from tests.support.carrier import PASSWORD, Carrier
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.name_server import NameServer, with_name_server
from tests.support.plain_phone import plain_phone

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs a name server's port")
DOMAIN = "carrier.example"
LLM = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}


@pytest.fixture(scope="module")
def carriers() -> Iterator[list[Carrier]]:
    """Of one name: the first, the second; and a proxy."""
    running = [Carrier(host=f"127.0.0.{number}") for number in (11, 12, 13)]
    running[0].broken = {"alice"}
    for carrier in running:
        carrier.start()
    yield running
    for carrier in running:
        carrier.stop()


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, carriers: list[Carrier]
) -> Iterator[LiveGateway]:
    folder: Path = tmp_path_factory.mktemp("servers")
    first, second, proxy = carriers
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
    account = {"user": "alice", "password": PASSWORD, "retry_min_s": 30, "context": "default"}
    through = f"127.0.0.13:{proxy.port}"
    config: dict[str, Any] = {
        "sip": {"allow_sources": ["10.99.0.0/16"]},
        "outgoing": {"allow": ["+49*"], "calls_per_minute": 100},
        "trunks": [
            {"name": "srv", "server": DOMAIN, **account},
            {"name": "proxied", "server": "sip.behind.example", "outbound_proxy": through}
            | account
            | {"user": "bob"},
        ],
        "agents": {"desk": {"greeting": "Good morning.", "llm": LLM}},
    }
    try:
        with live_gateway(folder, config, within=with_name_server(folder)) as running:
            yield running
    finally:
        names.stop()


def state(gateway: LiveGateway, name: str) -> dict[str, Any]:
    trunks = gateway.ask("GET", "/v1/trunks").json()["trunks"]
    return next(dict(trunk) for trunk in trunks if trunk["name"] == name)


def asked(carrier: Carrier, method: str) -> list[Message]:
    return [request for request in carrier.seen if request.method == method]


async def registered(gateway: LiveGateway, name: str) -> None:
    await eventually(lambda: state(gateway, name)["state"] == "registered", 10, "registration")


async def call(gateway: LiveGateway, trunk: str) -> dict[str, Any]:
    """Call a number, hang up when it is answered, and give the record."""
    placed = await gateway.ask_beside("POST", "/v1/calls", {"to": "+4930123456", "trunk": trunk})
    path = f"/v1/calls/{placed.json()['call_id']}"

    def is_answered_or_over() -> bool:
        found = gateway.ask("GET", path).json()
        return bool(found["answered_at"]) or found["state"] == "finished"

    await eventually(is_answered_or_over, 25, "an answer")
    await gateway.ask_beside("POST", f"{path}/hangup")
    await eventually(lambda: gateway.ask("GET", path).json()["state"] == "finished", 10, "its end")
    record: dict[str, Any] = gateway.ask("GET", path).json()
    return record


def test_the_next_server_of_srv_records_is_registered_with_and_called(
    gateway: LiveGateway, carriers: list[Carrier]
) -> None:
    first, second, _ = carriers

    async def scenario() -> None:
        await registered(gateway, "srv")
        assert (await call(gateway, "srv"))["answered_at"]

    asyncio.run(scenario())
    assert asked(first, "REGISTER")  # the better priority was tried first, and said 503
    assert not asked(first, "INVITE")
    assert next(r.uri for r in asked(second, "REGISTER")) == f"sip:{DOMAIN}"
    assert {r.uri for r in asked(second, "INVITE")} == {f"sip:+4930123456@{DOMAIN}"}
    assert gateway.logged("trunk_server_changed")[0]["server"] == "127.0.0.12"


def test_every_server_of_the_name_is_trusted(gateway: LiveGateway) -> None:
    asyncio.run(registered(gateway, "srv"))
    for host, status in (("127.0.0.11", 200), ("127.0.0.12", 200), ("127.0.0.14", 403)):
        with plain_phone(gateway.sip_port, host) as phone:
            assert phone.call().status == status, host
            if status == 200:
                phone.ack()


def test_requests_go_by_the_outbound_proxy_and_name_the_server(
    gateway: LiveGateway, carriers: list[Carrier]
) -> None:
    proxy = carriers[2]

    async def scenario() -> None:
        await registered(gateway, "proxied")
        assert (await call(gateway, "proxied"))["answered_at"]

    asyncio.run(scenario())
    registers, invites = asked(proxy, "REGISTER"), asked(proxy, "INVITE")
    assert {request.uri for request in registers} == {"sip:sip.behind.example"}
    assert {request.uri for request in invites} == {"sip:+4930123456@sip.behind.example"}
    assert not any(request.get("Route") for request in (*registers, *invites))
    assert invites[-1].get("Proxy-Authorization")


def test_a_call_that_meets_silence_goes_to_the_next_server(
    gateway: LiveGateway, carriers: list[Carrier]
) -> None:
    first, second, _ = carriers
    first.broken = set()

    async def scenario() -> None:
        await registered(gateway, "srv")
        second.is_silent = True
        record = await call(gateway, "srv")
        assert record["answered_at"]
        assert (record["called"], record["trunk"]) == ("+4930123456", "srv")
        await eventually(lambda: first.registered.get("alice"), 10, "the other server")
        await registered(gateway, "srv")
        first.is_silent = True  # nobody is left
        assert (await call(gateway, "srv"))["sip_status"] == 408
        await gateway.idle()

    asyncio.run(scenario())
    assert {r.uri for r in asked(first, "INVITE")} == {f"sip:+4930123456@{DOMAIN}"}
