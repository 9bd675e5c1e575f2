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
        "outgoing": {"allow": ["+49*", "100"], "calls_per_minute": 100},
        "trunks": [
            trunk("good") | {"caller_id": "+4930111", "asserted_identity": True},
            trunk("wrong", "bad-secret"),
            trunk("late"),
        ],
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
        assert trunk_state(gateway, "good")["server"] == f"127.0.0.1:{carrier.port}"
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
    # Said once as a warning, with its cause; the same again is no news.
    assert [entry["level"] for entry in delays].count("warning") == 1
    assert (delays[0]["level"], delays[0]["status"], delays[0]["reason"]) == (
        "warning",
        403,
        "Forbidden",
    )


def test_a_registrar_that_comes_back(gateway: LiveGateway, carrier: Carrier) -> None:
    async def scenario() -> None:
        await eventually(
            lambda: trunk_state(gateway, "late")["state"] == "failed", 5, "the failed state"
        )
        assert trunk_state(gateway, "late")["sip_status"] == 503
        carrier.retry_after = "2 (soon)"
        await eventually(lambda: trunk_state(gateway, "late")["retry_s"] == 2.0, 5, "patience")
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
    before = len(carrier.seen)

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
    invites = [request for request in carrier.seen[before:] if request.method == "INVITE"]
    assert [bool(i.get("Proxy-Authorization")) for i in invites] == [False, True]
    assert user_of(invites[0].get("From")) == "+4930111"
    assert [i.get("P-Asserted-Identity") for i in invites] == [
        f"<sip:+4930111@127.0.0.1:{carrier.port}>"
    ] * 2


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


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_within_a_call_over_the_trunk_is_challenged(
    gateway: LiveGateway, carrier: Carrier, method: str
) -> None:
    """The carrier leaves two codecs to choose from: the gateway offers one of them alone."""
    carrier.codecs, carrier.seen = ("PCMU", "PCMA"), []
    carrier.more = (("Allow", f"INVITE, ACK, BYE, CANCEL, {method}"),)

    def offers() -> list[Any]:
        return [m for m in carrier.seen if m.method == method and "tag=" in m.get("To")]

    async def scenario() -> None:
        placed = await gateway.ask_beside(
            "POST", "/v1/calls", {"to": "+4930123456", "trunk": "good"}
        )
        path = f"/v1/calls/{placed.json()['call_id']}"
        await eventually(lambda: len(offers()) == 2, 10, "a proof")
        assert gateway.ask("GET", path).json()["state"] != "finished"
        assert (await gateway.ask_beside("POST", f"{path}/hangup")).status_code == 204
        await eventually(lambda: gateway.ask("GET", path).json()["state"] == "finished", 5, "end")
        assert gateway.ask("GET", path).json()["end_reason"] == "hung_up_by_api"

    try:
        asyncio.run(scenario())
    finally:
        carrier.codecs = carrier.more = ()
    first, second = offers()
    assert 'nonce="again"' not in first.get("Proxy-Authorization")
    assert 'nonce="again"' in second.get("Proxy-Authorization")


async def outcome(gateway: LiveGateway, body: dict[str, Any]) -> dict[str, Any]:
    placed = await gateway.ask_beside("POST", "/v1/calls", body)
    path = f"/v1/calls/{placed.json()['call_id']}"
    await eventually(lambda: gateway.ask("GET", path).json()["state"] == "finished", 8, "its end")
    found: dict[str, Any] = gateway.ask("GET", path).json()
    return found


def test_a_caller_id_of_the_call(gateway: LiveGateway, carrier: Carrier) -> None:
    body = {"to": "100", "trunk": "wrong", "caller_id": "+4930222"}
    record = asyncio.run(outcome(gateway, body))
    assert record["caller"] == "+4930222"
    invites = [request for request in carrier.seen if request.method == "INVITE"]
    invite = [request for request in invites if user_of(request.get("To")) == "100"][-1]
    assert user_of(invite.get("From")) == "+4930222"
    assert not invite.get("P-Asserted-Identity")
    bad = {**body, "caller_id": "x> ;tag=1"}
    assert gateway.ask("POST", "/v1/calls", bad).status_code == 422


def test_a_moved_number_is_recorded_as_what_it_is(gateway: LiveGateway, carrier: Carrier) -> None:
    carrier.moved = "sip:elsewhere@127.0.0.1:9"
    try:
        record = asyncio.run(outcome(gateway, {"to": "+4930123456", "trunk": "good"}))
    finally:
        carrier.moved = ""
    assert (record["end_reason"], record["sip_status"]) == ("failed", 302)


@pytest.mark.parametrize(("algorithm", "qop"), [("MD5-sess", "auth"), ("MD5", "auth-int")])
def test_a_call_and_a_transfer_are_proved_as_the_carrier_asks(
    gateway: LiveGateway, carrier: Carrier, algorithm: str, qop: str
) -> None:
    carrier.algorithm, carrier.qop = algorithm, qop

    async def scenario() -> None:
        body = {"to": "+4930123456", "trunk": "good"}
        placed = await gateway.ask_beside("POST", "/v1/calls", body)
        path = f"/v1/calls/{placed.json()['call_id']}"
        await eventually(lambda: gateway.ask("GET", path).json()["answered_at"], 5, "an answer")
        transfer = asyncio.ensure_future(
            gateway.ask_beside("POST", f"{path}/transfer", {"target": "+4930999"})
        )
        await eventually(
            lambda: len([m for m in carrier.seen if m.method == "REFER"]) == 2, 5, "a second REFER"
        )
        await gateway.ask_beside("POST", f"{path}/hangup")
        await transfer

    before = len(carrier.seen)
    carrier.seen = []
    try:
        asyncio.run(scenario())
    finally:
        carrier.algorithm, carrier.qop = "MD5", "auth"
    assert before
    asked = [m for m in carrier.seen if m.method == "REFER"]
    assert 'nonce="again"' in asked[-1].get("Proxy-Authorization")
    assert asked[-1].get("Refer-To") == f"sip:+4930999@127.0.0.1:{carrier.port}"
    invites = [m for m in carrier.seen if m.method == "INVITE"]
    assert f"qop={qop}" in invites[-1].get("Proxy-Authorization")
