"""A trunk's password is proved to its own server only, whoever else asks for it and however."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.probe.transactions import open_sip_socket
from tests.support.carrier import PASSWORD, Carrier
from tests.support.hostile import hostile
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.plain_phone import plain_phone
from tests.support.sip_parties import Caller

LLM = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    running = Carrier()
    running.broken.clear()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, carrier: Carrier) -> Iterator[LiveGateway]:
    trunk = {
        "name": "carrier",
        "server": f"127.0.0.1:{carrier.port}",
        "user": "good",
        "password": PASSWORD,
    }
    config: dict[str, Any] = {
        "sip": {"allow_sources": ["127.0.0.0/8"], "no_media_timeout_s": 120},
        "outgoing": {"allow": ["sip:*@127.0.0.1:*", "+49*"], "calls_per_minute": 100},
        "trunks": [trunk],
        "agents": {
            "desk": {"greeting": "Good morning.", "llm": LLM, "silence": {"reprompt_after_s": 120}}
        },
    }
    with live_gateway(tmp_path_factory.mktemp("hostile"), config) as running:
        yield running


async def registered(gateway: LiveGateway) -> None:
    def is_so() -> bool:
        found = gateway.ask("GET", "/v1/trunks").json()["trunks"]
        return bool(found[0]["state"] == "registered")

    await eventually(is_so, 10, "registration")


async def record_of(gateway: LiveGateway, call_id: str) -> dict[str, Any]:
    def finished() -> dict[str, Any] | None:
        found: dict[str, Any] = gateway.ask("GET", f"/v1/calls/{call_id}").json()
        return found if found["state"] == "finished" else None

    record: dict[str, Any] = await eventually(finished, 15, f"the end of {call_id}")
    return record


def test_a_caller_who_names_the_account_gets_no_proof_of_bye_or_refer(
    gateway: LiveGateway, carrier: Carrier
) -> None:
    async def scenario() -> None:
        await registered(gateway)
        async with hostile() as them, hostile() as route, open_sip_socket() as sip:
            caller = Caller(sip, ("127.0.0.1", gateway.sip_port), called="good")
            sip.on_request = them.take
            caller.dialog.aim(f"sip:good@127.0.0.1:{gateway.sip_port}")
            caller.dialog.remote = f"<sip:good@127.0.0.1:{carrier.port}>"
            caller.dialog._contact = f"<sip:0190@127.0.0.1:{them.port}>"
            way = ("Record-Route", f"<sip:127.0.0.1:{route.port};lr>")
            answer = await caller._try((way,))
            assert answer.status == 200
            calls = (await gateway.ask_beside("GET", "/v1/calls?active=true")).json()["calls"]
            path = f"/v1/calls/{calls[0]['call_id']}"
            target = {"target": "sip:bob@127.0.0.1:9"}
            refused = await gateway.ask_beside("POST", f"{path}/transfer", target)
            assert refused.status_code >= 400
            await gateway.ask_beside("POST", f"{path}/hangup")
            await eventually(lambda: route.got("BYE") and route.got("REFER"), 10, "both requests")
            await record_of(gateway, calls[0]["call_id"])
            assert route.proofs == them.proofs == []

    asyncio.run(scenario())


CHALLENGE = 'WWW-Authenticate: Digest realm="carrier", nonce="n", algorithm=MD5'


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_challenge_of_our_offer_within_a_call_of_theirs_is_final(
    gateway: LiveGateway, method: str
) -> None:
    """Even of who calls from the trunk's address: the password is for what we place."""
    asyncio.run(registered(gateway))
    with plain_phone(gateway.sip_port) as phone:
        phone.challenge = CHALLENGE
        assert phone.call("", more=[f"Allow: INVITE, ACK, BYE, {method}"]).status == 200
        offer = phone.sdp()
        phone.ack(offer.replace(" 0 101", " 0 8 101") + "a=rtpmap:8 PCMA/8000\r\n")
        phone.speak(100)
        assert phone.ask("OPTIONS").status == 200
        asked = {said.header("CSeq"): said for said in phone.requests}
        assert [said.method for said in asked.values()] == [method]
        assert not any("Authorization" in said.text for said in asked.values())
        assert phone.speak(25) > 15
        assert not phone.was_hung_up()


@pytest.mark.slow
def test_a_session_is_refreshed_with_a_proof_where_we_have_called_only(
    gateway: LiveGateway, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 4028: after half of the shortest interval, 90 s."""
    asyncio.run(registered(gateway))
    timer_of_theirs = (("Session-Expires", "90;refresher=uac"), ("Require", "timer"))
    monkeypatch.setattr(carrier, "more", timer_of_theirs)
    refreshes: list[Any] = []
    with plain_phone(gateway.sip_port) as phone:
        phone.challenge = CHALLENGE
        timer = ["Supported: timer", "Session-Expires: 90;refresher=uas"]
        assert phone.call(more=timer).status == 200
        phone.ack()
        placed = gateway.ask("POST", "/v1/calls", {"to": "+4930123456", "trunk": "carrier"}).json()
        end = time.monotonic() + 60
        while time.monotonic() < end and not (phone.requests and len(refreshes) >= 2):
            phone.receive(0.5)
            within = [m for m in carrier.seen if "tag=" in m.get("To")]
            refreshes = [m for m in within if m.method in {"INVITE", "UPDATE"}]
        proofs = [bool(m.get("Proxy-Authorization")) for m in refreshes]
        assert proofs[-1]
        for _ in range(4):
            phone.receive(0.5)
        assert not any("Authorization" in said.text for said in phone.requests)
        assert {said.method for said in phone.requests} <= {"INVITE", "UPDATE"}
        assert phone.ask("OPTIONS").status == 200
        assert gateway.ask("GET", f"/v1/calls/{placed['call_id']}").json()["state"] != "finished"
        gateway.ask("POST", f"/v1/calls/{placed['call_id']}/hangup")


@pytest.mark.parametrize("trunk", ["carrier", ""])
def test_a_call_to_an_address_elsewhere_carries_no_proof(gateway: LiveGateway, trunk: str) -> None:
    async def scenario() -> None:
        await registered(gateway)
        async with hostile() as them:
            body = {"to": f"sip:bob@127.0.0.1:{them.port}", "trunk": trunk}
            placed = await gateway.ask_beside("POST", "/v1/calls", body)
            record = await record_of(gateway, placed.json()["call_id"])
            assert (record["end_reason"], record["sip_status"]) == ("failed", 407)
            assert record["trunk"] == ""
            assert len(them.got("INVITE")) == 1
            assert them.proofs == []

    asyncio.run(scenario())


def test_a_call_that_the_carrier_hands_over_takes_no_proof_along(
    gateway: LiveGateway, carrier: Carrier
) -> None:
    async def scenario() -> None:
        await registered(gateway)
        async with hostile() as them:
            carrier.elsewhere = f"127.0.0.1:{them.port}"
            try:
                body = {"to": "+4930123456", "trunk": "carrier"}
                placed = await gateway.ask_beside("POST", "/v1/calls", body)
                call_id = placed.json()["call_id"]
                await eventually(lambda: them.got("ACK"), 10, "the ACK")
                await gateway.ask_beside("POST", f"/v1/calls/{call_id}/hangup")
                await eventually(lambda: them.got("BYE"), 10, "the BYE")
                record = await record_of(gateway, call_id)
                assert record["trunk"] == "carrier"
                assert them.proofs == []
            finally:
                carrier.elsewhere = ""

    asyncio.run(scenario())
    invites = [request for request in carrier.seen if request.method == "INVITE"]
    assert [bool(i.get("Proxy-Authorization")) for i in invites[-2:]] == [False, True]
    assert invites[0].get("To") == "<sip:+4930123456@127.0.0.1>"
    assert invites[0].get("From").startswith("<sip:good@127.0.0.1>;tag=")
    reasons = {entry["reason"] for entry in gateway.logged("challenge_not_answered")}
    assert "it is no request of a trunk's" in reasons
