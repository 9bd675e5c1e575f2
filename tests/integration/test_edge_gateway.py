"""`gateway run` with Kamailio in front of two workers: calls in, calls out, a dead worker."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.baresip import heard_rms, needs_baresip, run_baresip, write_config
from tests.support.carrier import PASSWORD, Carrier, user_of
from tests.support.edge import make_certificate, needs_kamailio
from tests.support.gateway_process import free_port, free_rtp_ports
from tests.support.hostile import hostile
from tests.support.live_gateway import LiveGateway, children, eventually, live_gateway
from tests.support.outside import calling

pytestmark = [needs_kamailio, pytest.mark.timeout(120)]

WORKERS = 2
TLS_PORT = free_port()
QUIET = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    running = Carrier()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, carrier: Carrier) -> Iterator[LiveGateway]:
    trunk = {"name": "good", "server": f"127.0.0.1:{carrier.port}", "user": "account",
             "password": PASSWORD, "context": "from-carrier"}  # fmt: skip
    folder = tmp_path_factory.mktemp("edge")
    certificate = make_certificate(folder)
    (folder / "plans").mkdir()
    (folder / "plans" / "plan.toml").write_text(
        '[[contexts.from-carrier.extensions]]\nname = "desk"\ncalled = "account"\n'
        'steps = [{ talk = "desk" }]\n'
        '[[contexts.from-carrier.extensions]]\nname = "busy"\ncalled = "77"\n'
        'steps = [{ hang_up = { status = 486, reason = "Busy" } }]\n'
    )
    config: dict[str, Any] = {
        "sip": {"port": free_port(), "rtp_ports": free_rtp_ports(160)},
        "workers": {"count": WORKERS, "edge": "kamailio"},
        "edge": {
            "probe_s": 1,
            "processes": 2,
            "tls_port": TLS_PORT,
            "tls_certificate": str(certificate[0]),
            "tls_key": str(certificate[1]),
        },
        "outgoing": {"allow": ["+49*"]},
        "trunks": [trunk],
        "dialplan": {"directory": str(folder / "plans")},
        "agents": {"desk": {"greeting": "Good morning.", "llm": QUIET}},
    }
    with live_gateway(folder, config) as running:
        yield running


def workers(gateway: LiveGateway) -> dict[int, int]:
    """Number -> process id."""
    found = ([*line.split(), str(pid)] for pid, line in children(gateway.process.pid))
    return {int(w[w.index("--index") + 1]): int(w[-1]) for w in found if "--index" in w}


def test_a_call_comes_in_and_its_record_names_the_caller(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        async with calling(gateway.uri("account")) as phone:
            await phone.bot_speaks(8)
            port = phone.sip.address[1]
        record = await gateway.finished(phone.sip_call_id)
        assert record["source"] == f"127.0.0.1:{port}"
        assert record["end_reason"] == "caller_hung_up"
        # 127.0.0.1 is the carrier's address.
        assert record["trunk"] == "good"
        assert record["route"] == "from-carrier/desk"

    asyncio.run(scenario())


def test_registration_and_a_call_over_the_trunk(gateway: LiveGateway, carrier: Carrier) -> None:
    async def scenario() -> None:
        def state() -> dict[str, Any]:
            return dict(gateway.ask("GET", "/v1/trunks").json()["trunks"][0])

        await eventually(lambda: state()["state"] == "registered", 10, "registration")
        assert 'gateway_trunk_registered{process="supervisor",trunk="good"} 1.0' in (
            gateway.ask("GET", "/metrics").text
        )
        body = {"to": "+4930123456", "trunk": "good"}
        placed = await gateway.ask_beside("POST", "/v1/calls", body)
        path = f"/v1/calls/{placed.json()['call_id']}"
        await eventually(lambda: gateway.ask("GET", path).json()["answered_at"], 8, "the answer")
        assert (await gateway.ask_beside("POST", f"{path}/hangup")).status_code == 204
        await eventually(
            lambda: gateway.ask("GET", path).json()["state"] == "finished", 8, "its end"
        )

    asyncio.run(scenario())
    registers = [m for m in carrier.seen if m.method == "REGISTER"]
    assert len({m.get("User-Agent") for m in registers}) == 1
    assert f"<sip:good@127.0.0.1:{gateway.sip_port}>" in registers[-1].get("Contact")
    invites = [request for request in carrier.seen if request.method == "INVITE"]
    assert [bool(i.get("Proxy-Authorization")) for i in invites] == [False, True]
    assert user_of(invites[0].get("From")) == "account"
    text = invites[-1].serialise().partition(b"\r\n\r\n")[0].decode()
    for port in range(gateway.sip_port + 1, gateway.sip_port + 1 + 2 * WORKERS):
        assert f":{port}" not in text
    assert "X-Gateway" not in text


def test_a_call_that_the_carrier_hands_over_takes_no_proof_along(
    gateway: LiveGateway, carrier: Carrier
) -> None:
    async def scenario() -> None:
        async with hostile("127.0.0.9") as them:
            carrier.elsewhere = f"127.0.0.9:{them.port}"
            body = {"to": "+4930123456", "trunk": "good"}
            placed = await gateway.ask_beside("POST", "/v1/calls", body)
            path = f"/v1/calls/{placed.json()['call_id']}"
            await eventually(lambda: them.got("ACK"), 10, "the ACK")
            await gateway.ask_beside("POST", f"{path}/hangup")
            await eventually(lambda: them.got("BYE"), 10, "the BYE")
            await eventually(
                lambda: gateway.ask("GET", path).json()["state"] == "finished", 8, "its end"
            )
            assert them.proofs == []

    try:
        asyncio.run(scenario())
    finally:
        carrier.elsewhere = ""


@needs_baresip
def test_a_telephone_that_speaks_tls_and_srtp_only(gateway: LiveGateway, tmp_path: Path) -> None:
    folder = tmp_path / "baresip"
    write_config(
        folder,
        "When do you open tomorrow?",
        2.5,
        account=";mediaenc=srtp-mand",
        modules=("srtp", "sndfile"),
    )
    before = len(gateway.gateway.calls())
    told = run_baresip(folder, f"sip:desk@127.0.0.1:{TLS_PORT};transport=tls", 7)
    assert "Call established" in told, told
    record = gateway.gateway.wait_for_call(10, after=before)
    assert record["caller"] == "baresip"
    assert record["turns"][0]["bot_text_heard"] == "Good morning."
    # What either side heard was decrypted: it is speech, not noise.
    assert "open" in " ".join(turn["caller_text"] or "" for turn in record["turns"]).lower()
    assert heard_rms(folder) > 100


def test_a_killed_worker_takes_its_own_call_along_and_nothing_else(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        async with calling(gateway.uri("1")) as one, calling(gateway.uri("2")) as two:
            await one.bot_speaks(8)
            await two.bot_speaks(8)
            before = workers(gateway)
            busy = [n for n in before if gateway.gauge("call_slots_used", f"worker-{n}") == 1]
            assert len(busy) == 2
            os.kill(before[busy[0]], signal.SIGKILL)
            async with asyncio.timeout(6):
                await asyncio.wait(
                    [asyncio.ensure_future(p.call.ended.wait()) for p in (one, two)],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            await asyncio.sleep(0.5)
            ended = [phone for phone in (one, two) if phone.call.ended.is_set()]
            assert len(ended) == 1
            assert ended[0].call.ended_by == "gateway"
            # New calls find a worker at once.
            async with calling(gateway.uri("3")) as three:
                await three.bot_speaks(8)
            await eventually(lambda: len(workers(gateway)) == len(before), 30, "a new worker")

    asyncio.run(scenario())


def test_files_and_process_list_hold_no_secret_that_others_can_read(gateway: LiveGateway) -> None:
    lines = [line for _, line in children(gateway.process.pid)]
    assert any("kamailio" in line for line in lines)
    assert not any(PASSWORD in line for line in lines)
    assert PASSWORD not in gateway.log


def test_a_gateway_that_ends_takes_its_registration_back(tmp_path: Path) -> None:
    carrier = Carrier()
    carrier.start()
    trunk = {"name": "good", "server": f"127.0.0.1:{carrier.port}", "user": "account",
             "password": PASSWORD}  # fmt: skip
    config: dict[str, Any] = {
        "sip": {"port": free_port(), "rtp_ports": free_rtp_ports(160)},
        "workers": {"count": 1, "edge": "kamailio"},
        "edge": {"probe_s": 1, "processes": 2},
        "trunks": [trunk],
        "agents": {"desk": {"greeting": "Good morning.", "llm": QUIET}},
    }
    with live_gateway(tmp_path, config) as gateway:
        deadline = time.monotonic() + 10
        while not carrier.registered and time.monotonic() < deadline:
            time.sleep(0.1)
        assert carrier.registered
        assert gateway.ask("GET", "/readyz").status_code == 200
    carrier.stop()
    last = [request for request in carrier.seen if request.method == "REGISTER"][-1]
    assert last.get("Expires") == "0"
    assert last.get("Authorization")
