"""Trunk, called and caller numbers as carriers, PBXs and liars send them; INVITEs that leave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.probe.dialog import Headers
from gateway.probe.sip_messages import Message
from gateway.probe.transactions import open_sip_socket
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import answered_by, telephone
from tests.support.sip_parties import Caller

LLM = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}
AT_CARRIER, AT_PBX, STRANGER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
PLAN = "".join(
    f'[[contexts.{name}.extensions]]\nname = "closed"\n'
    "steps = [{ hang_up = { status = 480 } }]\n"
    for name in ("default", "from-alice", "from-bob", "from-pbx")
)


@pytest.fixture(scope="module")
def silent_tcp() -> Iterator[socket.socket]:
    """A peer whose TCP port takes connections and says nothing."""
    with socket.create_server(("127.0.0.5", 0)) as listening:
        yield listening


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, silent_tcp: socket.socket
) -> Iterator[LiveGateway]:
    def trunk(name: str, server: str, user: str, **more: str) -> dict[str, Any]:
        base = {"name": name, "server": server, "user": user, "register": False}
        return {**base, "context": f"from-{user}", **more}

    folder: Path = tmp_path_factory.mktemp("numbers")
    (folder / "plans").mkdir()
    (folder / "plans" / "plan.toml").write_text(PLAN)
    udp = f"127.0.0.5:{silent_tcp.getsockname()[1]}"
    config: dict[str, Any] = {
        "sip": {"allow_sources": ["127.0.0.0/8"]},
        "outgoing": {
            "allow": ["+49*", "sip:*@127.0.0.5:*"],
            "deny": ["+49900*"],
            "calls_per_minute": 100,
        },
        "trunks": [
            trunk("carrier", AT_CARRIER, "alice"),
            trunk("second", AT_CARRIER, "bob"),
            trunk("pbx", AT_PBX, "pbx", called_from="to", caller_from="p-asserted-identity"),
            trunk("encrypted", udp, "carol", srtp="offer", context="default"),
            trunk("plain", udp, "dave", context="default"),
        ],
        "dialplan": {"directory": str(folder / "plans")},
        "agents": {"desk": {"greeting": "Good morning.", "llm": LLM}},
    }
    with live_gateway(folder, config) as running:
        yield running


DID = "<sip:+4930123@carrier.example>"
ASSERTED: Headers = (("P-Asserted-Identity", '"Boss" <sip:+4940@x>, <tel:+4941>'),)
WITH_PARAMETERS = "<sip:+4940555;cpc=ordinary;isub=2@c.example;user=phone>"
CASES = [
    # source, Request-URI's user, To, From, more -> called, caller, trunk, context
    (AT_CARRIER, "+49301", DID, "<sip:+4917@c>", (), "+49301", "+4917", "carrier", "from-alice"),
    (AT_CARRIER, "alice", DID, "<sip:+4917@c>", (), "+4930123", "+4917", "carrier", "from-alice"),
    (AT_CARRIER, "bob", DID, "<sip:+4917@c>", (), "+4930123", "+4917", "second", "from-bob"),
    (AT_CARRIER, "+4930123;npdi;rn=+4930999", DID, WITH_PARAMETERS, (), "+4930123", "+4940555",
     "carrier", "from-alice"),
    (AT_CARRIER, "%2B4930123", DID, "<sip:%2B4940555@c>", (), "+4930123", "+4940555", "carrier",
     "from-alice"),
    (AT_CARRIER, "+49301", DID, "<tel:+49-40-5.5>", ASSERTED, "+49301", "+494055", "carrier",
     "from-alice"),
    (AT_CARRIER, "+49301", DID, '"sip:boss@hq \\" <sip:1@x>" <sip:+4917@c>', (), "+49301", "+4917",
     "carrier", "from-alice"),
    (AT_PBX, "+49301", DID, '"Anonymous" <sip:anonymous@anonymous.invalid>', ASSERTED, "+4930123",
     "+4940", "pbx", "from-pbx"),
    (AT_CARRIER, "+49301", DID, '"Anonymous" <sip:anonymous@anonymous.invalid>', ASSERTED, "+49301",
     "", "carrier", "from-alice"),
    # A stranger who writes the account of a trunk into every header.
    (STRANGER, "alice", f"<sip:alice@{AT_CARRIER}>", f"<sip:alice@{AT_CARRIER}>", ASSERTED, "alice",
     "alice", "", "default"),
]  # fmt: skip


def test_numbers_trunk_and_context(gateway: LiveGateway) -> None:
    async def one(source: str, user: str, to: str, sender: str, more: Headers) -> dict[str, Any]:
        async with open_sip_socket(source) as sip:
            caller = Caller(sip, ("127.0.0.1", gateway.sip_port))
            caller.dialog.aim(f"sip:{user}@127.0.0.1:{gateway.sip_port};user=phone")
            caller.dialog.remote = to
            caller.dialog._local = f"{sender};tag={caller.dialog._tag}"
            assert (await caller._try(more)).status == 480
            return await gateway.finished(caller.dialog.call_id)

    async def scenario() -> None:
        for source, user, to, sender, more, *expected in CASES:
            record = await one(source, user, to, sender, more)
            context = record["route"].partition("/")[0]
            found = [record["called"], record["caller"], record["trunk"], context]
            assert found == expected, (source, user, to, sender)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("trunk", "to", "crypto"),
    [("encrypted", "+4930123", True), ("plain", "+4930123", False), ("", "sip:x@{udp}", False)],
)
def test_an_invite_goes_by_udp_whatever_its_size_and_has_keys_where_they_are_asked_for(
    gateway: LiveGateway, silent_tcp: socket.socket, trunk: str, to: str, crypto: bool
) -> None:
    host, port = silent_tcp.getsockname()
    body = {"to": to.format(udp=f"{host}:{port}"), "trunk": trunk}
    invites: list[Message] = []

    async def scenario() -> None:
        async with telephone(host=host, port=port) as phone:
            take = phone.sip.datagram_received

            def seen(data: bytes, source: Any) -> None:
                if data.startswith(b"INVITE"):
                    invites.append(data)  # type: ignore[arg-type]
                take(data, source)

            phone.sip.datagram_received = seen  # type: ignore[method-assign]
            placed = gateway.ask_beside("POST", "/v1/calls", body)
            answer, _ = await answered_by(phone, placed, timeout_s=3)
            assert answer.status_code == 201
            await phone.bot_speaks()
        await gateway.free()

    asyncio.run(scenario())
    invite = bytes(invites[0])  # type: ignore[call-overload]
    assert (b"a=crypto" in invite) is crypto
    assert (len(invite) > 1300) is crypto
    assert b"RTP/AVP" in invite
    assert b"\r\nTo: <sip:" in invite
    assert b"\r\nFrom: <sip:" in invite


def test_numbers_at_a_trunk_are_opened_by_numbers_only(
    gateway: LiveGateway, silent_tcp: socket.socket
) -> None:
    host, port = silent_tcp.getsockname()

    async def scenario() -> None:
        for to, trunk, rule in (
            (f"sip:0190@{host}:{port}", "plain", "outgoing.allow"),
            (f"sip:%30190@{host}:{port}", "", "outgoing.allow"),
            ("0049900123", "plain", "outgoing.deny"),
            ("004930123", "plain", "outgoing.allow"),
            ("+49900123", "plain", "outgoing.deny"),
            (f"sip:+49-900-1@{host}:{port}", "", "outgoing.deny"),
        ):
            answer = await gateway.ask_beside("POST", "/v1/calls", {"to": to, "trunk": trunk})
            assert answer.status_code == 403
            assert f"rule {rule})" in answer.json()["error"]["message"], to
        async with telephone(host=host, port=port) as phone:
            body = {"to": "+4930123", "trunk": "plain"}
            placed = gateway.ask_beside("POST", "/v1/calls", body)
            answer, _ = await answered_by(phone, placed)
            await phone.bot_speaks()
            path = f"/v1/calls/{answer.json()['call_id']}/transfer"
            refused = await gateway.ask_beside("POST", path, {"target": "+49900123"})
            assert refused.status_code == 403
            going = gateway.ask_beside("POST", path, {"target": "+4930999"})
            sent = asyncio.ensure_future(going)
            await phone.until(lambda: phone.call.referred_to, 10, "the REFER")
            assert phone.call.referred_to == f"sip:+4930999@{host}:{port}"
            await sent
        await gateway.free()

    asyncio.run(scenario())
