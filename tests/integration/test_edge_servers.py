"""Calls out through the edge: the next server of a trunk, and next hops that are names."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from gateway.edge import trunks
from gateway.probe.dialog import Dialog
from gateway.probe.sip_messages import Message
from gateway.sip.srv import Located, Target
from tests.support.edge import EdgeUnderTest, edge_config, needs_kamailio, running_edge, target
from tests.support.gateway_process import free_port
from tests.support.sip_parties import Worker, signed, worker

pytestmark = needs_kamailio
NAME = "carrier.example"
TRUNK = {"name": "carrier", "server": NAME, "user": "u", "password": "p", "register": False}
PROOF = ("Proxy-Authorization", 'Digest username="u"')


def leading_to(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Have the trunk's name lead to these."""
    found = Located(tuple(Target("127.0.0.1", port, n) for n, port in enumerate(ports)), True)

    async def locate(_place: str, _transport: str, *, needs_srv: bool = False) -> Located:
        return found

    monkeypatch.setattr(trunks, "locate", locate)


async def call(one: Worker, edge: EdgeUnderTest) -> tuple[Message, float]:
    """Call out from a worker; gives the answer, and after how many seconds it came."""
    dialog = Dialog(f"127.0.0.1:{one.port}", "worker")
    dialog.aim(f"sip:30@{NAME}")
    request = signed(dialog.request("INVITE"), edge.key)
    began_s = time.monotonic()
    answer = await one.sip.request(request, ("127.0.0.1", edge.port)).final()
    return answer, time.monotonic() - began_s


def test_a_silent_server_costs_one_call_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with worker() as one, worker(status=-1) as dead, worker() as good:
            leading_to(monkeypatch, dead.port, free_port(), good.port)
            config = edge_config(trunks=[TRUNK])
            async with running_edge(tmp_path / "edge", [target(one.port)], config) as edge:
                answer, first_s = await call(one, edge)
                assert answer.status == 200
                assert dead.got("INVITE")
                tried = len(dead.got("INVITE"))
                assert good.got("INVITE")[0].uri == f"sip:30@{NAME}"
                answer, second_s = await call(one, edge)
                assert answer.status == 200
                assert len(dead.got("INVITE")) == tried  # it rests
                assert second_s < first_s / 2
                # Where nobody is left, those that were silent are tried again.
                good.status, dead.status = 503, 200
                assert (await call(one, edge))[0].status == 200
                dead.status, good.status = 486, 200
                assert (await call(one, edge))[0].status == 200

    asyncio.run(scenario())


def test_an_answer_is_final_and_the_last_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with worker() as one, worker(status=486) as busy, worker() as other:
            leading_to(monkeypatch, busy.port, other.port)
            config = edge_config(trunks=[TRUNK])
            async with running_edge(tmp_path / "edge", [target(one.port)], config) as edge:
                assert (await call(one, edge))[0].status == 486
                busy.status = other.status = 503
                # RFC 3261 section 16.7: nobody else is meant by their 503.
                assert (await call(one, edge))[0].status == 500
                assert len(busy.got("INVITE")) == 2
                assert len(other.got("INVITE")) == 1
                busy.status, other.status = 503, 404
                assert (await call(one, edge))[0].status == 404

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("place", "is_proved"),
    [
        (NAME, True),  # the trunk's own name, which only its records lead anywhere
        ("localhost", True),  # a name of one of its addresses
        ("127.0.0.1", True),
        ("127.0.0.9", False),
        ("nowhere.invalid", False),
    ],
)
def test_within_a_call_proofs_go_to_the_trunk_under_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, is_proved: bool
) -> None:
    async def scenario() -> None:
        host = "127.0.0.9" if place == "127.0.0.9" else "127.0.0.1"
        async with worker() as one, worker(host=host) as carrier:
            leading_to(monkeypatch, carrier.port)
            config = edge_config(trunks=[TRUNK])
            at = place if place == NAME else f"{place}:{carrier.port}"
            carrier.place = at
            async with running_edge(tmp_path / "edge", [target(one.port)], config) as edge:
                hop = ("127.0.0.1", edge.port)
                dialog = Dialog(f"127.0.0.1:{one.port}", "worker")
                dialog.aim(
                    f"sip:30@127.0.0.1:{carrier.port}" if host == "127.0.0.1" else f"sip:30@{at}"
                )
                invite = signed(dialog.request("INVITE"), edge.key)
                answer = await one.sip.request(invite, hop).final()
                assert answer.status == 200
                dialog.confirm(answer)
                refer = signed(dialog.request("REFER", (PROOF,)), edge.key)
                status = (await one.sip.request(refer, hop).final()).status
                if place == "nowhere.invalid":
                    assert status >= 400
                    assert not carrier.got("REFER")
                    return
                assert status == 200
                (seen,) = carrier.got("REFER")
                assert bool(seen.get("Proxy-Authorization")) == is_proved
                if place != "localhost":  # Kamailio by itself asks name servers only
                    bye = signed(dialog.request("BYE"), edge.key)
                    assert (await one.sip.request(bye, hop).final()).status == 200

    asyncio.run(scenario())
