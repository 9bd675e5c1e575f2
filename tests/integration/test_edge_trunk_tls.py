"""A trunk over TLS: registration and calls both ways, and who is not trusted."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.probe import sdp
from gateway.probe.dialog import Dialog
from gateway.probe.sip_messages import Message, uri_of
from tests.support.carrier import PASSWORD, user_of
from tests.support.edge import edge_config, make_certificate, needs_kamailio, running_edge
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.tls_carrier import TlsCarrier

pytestmark = needs_kamailio

TLS_PORT = free_port()
TRUNK = {"user": "account", "password": PASSWORD, "transport": "tls", "context": "from-carrier"}
QUIET = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trunks")


@pytest.fixture(scope="module")
def authority(folder: Path) -> tuple[Path, Path]:
    return make_certificate(folder / "authority")


@pytest.fixture(scope="module")
def carrier(folder: Path, authority: tuple[Path, Path]) -> Iterator[TlsCarrier]:
    running = TlsCarrier(*make_certificate(folder / "carrier", authority))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def impostor(folder: Path) -> Iterator[TlsCarrier]:
    """Has signed its certificate itself."""
    running = TlsCarrier(*make_certificate(folder / "impostor"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(
    folder: Path, authority: tuple[Path, Path], carrier: TlsCarrier, impostor: TlsCarrier
) -> Iterator[LiveGateway]:
    def trunk(name: str, port: int) -> dict[str, Any]:
        return {**TRUNK, "name": name, "server": f"127.0.0.1:{port}"}

    (folder / "plans").mkdir(exist_ok=True)
    (folder / "plans" / "plan.toml").write_text(
        '[[contexts.from-carrier.extensions]]\nname = "desk"\ncalled = "account"\n'
        'steps = [{ talk = "desk" }]\n'
    )
    config: dict[str, Any] = {
        "workers": {"edge": "kamailio"},
        "edge": {
            "probe_s": 1,
            "processes": 2,
            "tls_port": TLS_PORT,
            "tls_ca": str(authority[0]),
        },
        "outgoing": {"allow": ["+49*"]},
        "trunks": [trunk("good", carrier.port), trunk("impostor", impostor.port)],
        "dialplan": {"directory": str(folder / "plans")},
        "agents": {"desk": {"greeting": "Good morning.", "llm": QUIET}},
    }
    with live_gateway(folder / "gateway", config) as running:
        yield running


def state(gateway: LiveGateway, name: str) -> str:
    trunks = gateway.ask("GET", "/v1/trunks").json()["trunks"]
    return str(next(trunk["state"] for trunk in trunks if trunk["name"] == name))


def test_the_trunk_registers_over_tls_with_digest(
    gateway: LiveGateway, carrier: TlsCarrier
) -> None:
    async def scenario() -> None:
        await eventually(lambda: state(gateway, "good") == "registered", 10, "registration")
        # And again before its binding is over.
        count = carrier.registered["account"]
        await eventually(lambda: carrier.registered["account"] > count, 10, "a refresh")

    asyncio.run(scenario())
    assert state(gateway, "good") == "registered"
    assert set(carrier.versions) <= {"TLSv1.2", "TLSv1.3"}
    assert not carrier.rejections
    registers = [request for request in carrier.seen if request.method == "REGISTER"]
    assert not registers[0].get("Authorization")
    assert 'username="account"' in registers[-1].get("Authorization")
    assert all(request.get("Via").startswith("SIP/2.0/TLS ") for request in registers)
    assert not carrier.came_in_the_clear()
    assert 'gateway_trunk_registered{process="supervisor",trunk="good"} 1.0' in (
        gateway.ask("GET", "/metrics").text
    )


def test_a_call_over_the_trunk_is_answered_over_tls(
    gateway: LiveGateway, carrier: TlsCarrier
) -> None:
    seen_before = len(carrier.seen)

    def call() -> list[Message]:
        return [request for request in carrier.seen[seen_before:] if request.method != "REGISTER"]

    async def scenario() -> None:
        placed = await gateway.ask_beside("POST", "/v1/calls", {"to": "+49301234", "trunk": "good"})
        path = f"/v1/calls/{placed.json()['call_id']}"
        await eventually(lambda: gateway.ask("GET", path).json()["answered_at"], 8, "the answer")
        assert (await gateway.ask_beside("POST", f"{path}/hangup")).status_code == 204
        await eventually(
            lambda: gateway.ask("GET", path).json()["state"] == "finished", 8, "its end"
        )
        wanted = ["ACK", "ACK", "BYE", "INVITE", "INVITE"]
        await eventually(lambda: sorted(m.method for m in call()) == wanted, 5, "all requests")

    asyncio.run(scenario())
    assert all(request.get("Via").startswith("SIP/2.0/TLS ") for request in call())
    first, second = (request for request in call() if request.method == "INVITE")
    assert not first.get("Proxy-Authorization")
    assert second.get("Proxy-Authorization")
    assert user_of(second.get("From")) == "account"
    assert not carrier.came_in_the_clear()


def test_the_carrier_calls_over_the_same_connection(
    gateway: LiveGateway, carrier: TlsCarrier
) -> None:
    register = next(r for r in reversed(carrier.seen) if r.method == "REGISTER")
    dialog = Dialog(f"127.0.0.1:{carrier.port};transport=tls", "+49307654")
    dialog.aim(uri_of(register.get("Contact")))
    body = sdp.build(sdp.offer("127.0.0.1", 40010))
    invite = dialog.request("INVITE", (("Content-Type", "application/sdp"),), body)

    def final(method: str) -> Message | None:
        found = [m for m in carrier.responses if m.cseq[1] == method and m.status >= 200]
        return next((m for m in found if m.get("Call-ID") == dialog.call_id), None)

    async def scenario() -> dict[str, Any]:
        carrier.send(invite)
        answer: Message = await eventually(lambda: final("INVITE"), 8, "the answer")
        assert answer.status == 200
        dialog.confirm(answer)
        carrier.send(dialog.acknowledge(invite, answer))
        carrier.send(dialog.request("BYE"))
        ended: Message = await eventually(lambda: final("BYE"), 8, "the end")
        assert ended.status == 200
        return await gateway.finished(dialog.call_id)

    record = asyncio.run(scenario())
    assert record["trunk"] == "good"
    assert record["route"] == "from-carrier/desk"
    assert record["end_reason"] == "caller_hung_up"
    assert not carrier.came_in_the_clear()


def test_a_carrier_of_another_authority_is_refused_and_told_nothing(
    gateway: LiveGateway, impostor: TlsCarrier
) -> None:
    async def scenario() -> dict[str, Any]:
        await eventually(lambda: impostor.rejections, 20, "a handshake")
        await eventually(lambda: state(gateway, "impostor") == "failed", 10, "the failure")
        body = {"to": "+49301234", "trunk": "impostor"}
        placed = await gateway.ask_beside("POST", "/v1/calls", body)
        path = f"/v1/calls/{placed.json()['call_id']}"

        def over() -> dict[str, Any] | None:
            call = gateway.ask("GET", path).json()
            return dict(call) if call["state"] == "finished" else None

        call: dict[str, Any] = await eventually(over, 15, "the call's end")
        return call

    call = asyncio.run(scenario())
    assert call["answered_at"] is None
    assert 'gateway_trunk_registered{process="supervisor",trunk="impostor"} 0.0' in (
        gateway.ask("GET", "/metrics").text
    )
    assert all("unknown ca" in text.lower().replace("_", " ") for text in impostor.rejections)
    assert any("certificate verify failed" in e["text"] for e in gateway.logged("edge_says"))
    assert not impostor.seen
    assert not impostor.came_in_the_clear()


def test_without_a_certificate_of_its_own_it_takes_nobody_over_tls(gateway: LiveGateway) -> None:
    assert state(gateway, "good") == "registered"
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", TLS_PORT), 5) as plain,
        pytest.raises(ssl.SSLError, match="handshake failure"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_with_a_certificate_the_carrier_is_told_to_call_over_tls(
    tmp_path: Path, folder: Path, authority: tuple[Path, Path], carrier: TlsCarrier
) -> None:
    certificate = make_certificate(tmp_path / "own", authority)
    config = edge_config(
        edge={
            "tls_certificate": certificate[0],
            "tls_key": certificate[1],
            "tls_port": free_port(),
            "tls_ca": authority[0],
        },
        trunks=[{**TRUNK, "name": "both", "server": f"127.0.0.1:{carrier.port}", "user": "both"}],
    )

    async def scenario() -> None:
        async with running_edge(tmp_path / "edge", [], config) as edge:
            await eventually(
                lambda: [news for news in edge.trunk_news if news.state == "registered"], 10, "it"
            )

    asyncio.run(scenario())
    contacts = [m.get("Contact") for m in carrier.seen if user_of(m.get("From")) == "both"]
    address = f"127.0.0.1:{config.edge.tls_port}"
    assert {uri_of(contact) for contact in contacts} == {f"sip:both@{address};transport=tls"}
