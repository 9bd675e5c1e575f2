"""Trunks: registration with digest, refresh, failure and recovery; calls both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CallRejected
from tests.support.carrier import GRANTED_S, PASSWORD, Carrier, user_of
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import calling


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    running = Carrier()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, carrier: Carrier) -> Iterator[LiveGateway]:
    def trunk(user: str, password: str = PASSWORD) -> dict[str, Any]:
        return {
            "name": user,
            "server": f"127.0.0.1:{carrier.port}",
            "user": user,
            "password": password,
            "retry_min_s": 0.4,
            "retry_max_s": 1.0,
            "context": "from-carrier",
        }

    folder: Path = tmp_path_factory.mktemp("trunk")
    (folder / "plans").mkdir()
    (folder / "plans" / "plan.toml").write_text(
        '[[contexts.from-carrier.extensions]]\nname = "closed"\ncalled = "5500"\n'
        'steps = [{ hang_up = { status = 480, reason = "Closed" } }]\n'
    )
    config = {
        "sip": {"allow_sources": ["10.99.0.0/16"]},
        "trunks": [trunk("good"), trunk("wrong", "bad-secret"), trunk("late")],
        "dialplan": {"directory": str(folder / "plans")},
        "agents": {"desk": {"greeting": "Good morning.", "llm": QUICK_LLM}},
    }
    with live_gateway(folder, config) as running:
        yield running


QUICK_LLM = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}


def trunk_state(gateway: LiveGateway, name: str) -> dict[str, Any]:
    trunks = gateway.ask("GET", "/v1/trunks").json()["trunks"]
    return next(dict(trunk) for trunk in trunks if trunk["name"] == name)


def test_registered_with_digest_and_refreshed(gateway: LiveGateway, carrier: Carrier) -> None:
    async def scenario() -> None:
        await eventually(
            lambda: trunk_state(gateway, "good")["state"] == "registered", 5, "registration"
        )
        assert trunk_state(gateway, "good")["sip_status"] == 200
        count = carrier.registered["good"]
        await eventually(lambda: carrier.registered["good"] > count, GRANTED_S, "a refresh")
        assert trunk_state(gateway, "good")["state"] == "registered"
        assert 'gateway_trunk_registered{process="worker-0",trunk="good"} 1.0' in (
            gateway.ask("GET", "/metrics").text
        )

    asyncio.run(scenario())


def test_a_wrong_password_is_visible_and_tried_again_slowly(
    gateway: LiveGateway, carrier: Carrier
) -> None:
    async def scenario() -> None:
        await eventually(lambda: carrier.refused.get("wrong", 0) >= 2, 8, "another try")
        state = trunk_state(gateway, "wrong")
        assert (state["state"], state["sip_status"]) == ("failed", 403)
        assert 0 < state["retry_s"] <= 1.25

    asyncio.run(scenario())
    delays = [e for e in gateway.logged("trunk") if e["name"] == "wrong"]
    assert {entry["state"] for entry in delays} == {"failed"}


def test_a_registrar_that_comes_back(gateway: LiveGateway, carrier: Carrier) -> None:
    async def scenario() -> None:
        await eventually(
            lambda: trunk_state(gateway, "late")["state"] == "failed", 5, "the failed state"
        )
        assert trunk_state(gateway, "late")["sip_status"] == 503
        carrier.broken.clear()
        await eventually(
            lambda: trunk_state(gateway, "late")["state"] == "registered", 5, "recovery"
        )

    asyncio.run(scenario())


def test_a_call_from_the_carriers_address_uses_its_context(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        with pytest.raises(CallRejected, match="480"):
            async with calling(gateway.uri("5500")):
                pass
        records = await eventually(
            lambda: [r for r in gateway.records() if r["called"] == "5500" and r["ended_at"]],
            5,
            "a record",
        )
        assert [r["route"] for r in records] == ["from-carrier/closed"]
        assert records[0]["trunk"] in {"good", "wrong", "late"}
        assert records[0]["sip_status"] == 480

    asyncio.run(scenario())


def test_a_call_over_the_trunk_is_challenged(gateway: LiveGateway, carrier: Carrier) -> None:
    async def scenario() -> None:
        body = {"to": "+4930123456", "trunk": "good"}
        placed = await gateway.ask_beside("POST", "/v1/calls", body)
        path = f"/v1/calls/{placed.json()['call_id']}"
        await eventually(
            lambda: gateway.ask("GET", path).json()["answered_at"], 5, "the call to be answered"
        )
        assert (await gateway.ask_beside("POST", f"{path}/hangup")).status_code == 204
        await eventually(
            lambda: gateway.ask("GET", path).json()["state"] == "finished", 5, "its end"
        )
        record = gateway.ask("GET", path).json()
        assert (record["trunk"], record["end_reason"]) == ("good", "hung_up_by_api")
        assert record["called"] == "+4930123456"

    asyncio.run(scenario())
    invites = [request for request in carrier.seen if request.method == "INVITE"]
    assert [bool(i.get("Proxy-Authorization")) for i in invites] == [False, True]
    assert user_of(invites[0].get("From")) == "good"


def test_a_wrong_password_on_a_call(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        body = {"to": "100", "trunk": "wrong"}
        placed = await gateway.ask_beside("POST", "/v1/calls", body)
        path = f"/v1/calls/{placed.json()['call_id']}"
        await eventually(
            lambda: gateway.ask("GET", path).json()["state"] == "finished", 5, "its end"
        )
        record = gateway.ask("GET", path).json()
        assert (record["end_reason"], record["sip_status"]) == ("failed", 403)

    asyncio.run(scenario())
