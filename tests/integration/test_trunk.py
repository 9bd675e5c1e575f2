"""Trunks: registration with digest, refresh, failure and recovery; calls both ways."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CallRejected
from gateway.probe import sdp
from gateway.probe.sip_messages import Message, SipSyntaxError, parameter, parse, respond
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import calling

PASSWORD = "right-secret"
GRANTED_S = 7
"""The gateway refreshes a few seconds before its binding expires."""


class Carrier(threading.Thread):
    """A registrar and proxy that challenges everything; in a thread, with a life of its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self.broken: set[str] = {"late"}
        """Accounts that get 503."""
        self.registered: dict[str, int] = {}
        """Account -> accepted REGISTERs."""
        self.refused: dict[str, int] = {}
        self.seen: list[Message] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                data, source = self._socket.recvfrom(65536)
                request = parse(data)
            except (TimeoutError, SipSyntaxError):
                continue
            if request.method and (answer := self._answer(request)):
                self._socket.sendto(answer.serialise(), source)

    def stop(self) -> None:
        self._over.set()
        self.join()
        self._socket.close()

    def _answer(self, request: Message) -> Message | None:
        self.seen.append(request)
        match request.method:
            case "ACK":
                return None
            case "REGISTER":
                return self._register(request)
            case "INVITE":
                return self._invite(request)
        return respond(request, 200, "OK", to_tag="carrier")

    def _register(self, request: Message) -> Message:
        user = _user(request.get("From"))
        if user in self.broken:
            return respond(request, 503, "Service Unavailable", to_tag="r")
        proof = request.get("Authorization")
        if not proof:
            return respond(request, 401, "Unauthorized", to_tag="r", extra=(_challenge("WWW"),))
        if not _is_right(proof, "REGISTER"):
            self.refused[user] = self.refused.get(user, 0) + 1
            return respond(request, 403, "Forbidden", to_tag="r")
        wants = parameter(request.get("Contact"), "expires") or request.get("Expires")
        if wants == "0":
            return respond(request, 200, "OK", to_tag="r")
        self.registered[user] = self.registered.get(user, 0) + 1
        contact = re.sub(r";expires=\d+", "", request.get("Contact"))
        binding = ("Contact", f"{contact};expires={GRANTED_S}")
        return respond(request, 200, "OK", to_tag="r", extra=(binding,))

    def _invite(self, request: Message) -> Message:
        proof = request.get("Proxy-Authorization")
        if not proof:
            challenge = _challenge("Proxy")
            return respond(request, 407, "Who are you", to_tag="i", extra=(challenge,))
        if not _is_right(proof, "INVITE"):
            return respond(request, 403, "Forbidden", to_tag="i")
        body = sdp.build(sdp.answer(sdp.offer("127.0.0.1", 40010), sdp.parse(request.body)))
        kind = ("Content-Type", "application/sdp")
        contact = ("Contact", f"<sip:callee@127.0.0.1:{self.port}>")
        return respond(request, 200, "OK", to_tag="i", extra=(contact, kind), body=body)


def _challenge(side: str) -> tuple[str, str]:
    value = 'Digest realm="carrier", nonce="a7f0c0ffee", algorithm=MD5, qop="auth"'
    return (f"{side}-Authenticate", value)


def _is_right(proof: str, method: str) -> bool:
    """RFC 2617, worked out by hand."""
    found = {k: a or b for k, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', proof)}

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    secret = md5(f"{found['username']}:carrier:{PASSWORD}")
    tail = f"{found['nonce']}:{found['nc']}:{found['cnonce']}:{found['qop']}"
    return found["response"] == md5(f"{secret}:{tail}:{md5(f'{method}:' + found['uri'])}")


def _user(header: str) -> str:
    found = re.search(r"sip:([^@>]*)@", header)
    return found[1] if found else ""


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
    assert _user(invites[0].get("From")) == "good"


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
