"""Several workers: one is killed, stopped, replaced; the calls of the others go on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.config.models import GatewayConfig
from gateway.config.port_assignment import port_assignments
from tests.support.edge_double import forwarding_edge
from tests.support.gateway_process import free_port, free_rtp_ports
from tests.support.live_gateway import LiveGateway, children, eventually, live_gateway
from tests.support.outside import calling, normal_call

GREETING = "Good morning, this is the front desk. How can I help?"
EDGE_KEY = "a key of both hosts"
COUNT = 2


def config() -> dict[str, Any]:
    """Workers behind an edge that sends a call where the test wants it."""
    return {
        "sip": {"port": free_ports(2 * COUNT + 1), "rtp_ports": free_rtp_ports(160)},
        "workers": {
            "count": COUNT,
            "edge": "kamailio",
            "stuck_after_s": 2.0,
            "drain_limit_s": 60.0,
        },
        "agents": {
            "desk": {
                "greeting": GREETING,
                "stt": {"provider": "moonshine"},
                "silence": {"reprompt_after_s": 60},  # callers wait for processes here
            }
        },
        "edge": {"join": f"127.0.0.1:{free_port()}", "key": EDGE_KEY},
    }


def free_ports(count: int) -> int:
    """The first of so many consecutive ports; those after it are likely free."""
    while True:
        first = free_port()
        if first + count < 60_000:
            return first


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    settings = config()
    port = int(settings["edge"]["join"].rpartition(":")[2])
    with (
        forwarding_edge(port, EDGE_KEY),
        live_gateway(tmp_path_factory.mktemp("fleet"), settings) as running,
    ):
        running.edge_port = port
        yield running


@pytest.fixture
def gateway(fleet: LiveGateway) -> LiveGateway:
    """It, with all that an earlier test began at an end."""
    wait_for_workers(fleet)
    return fleet


def workers(gateway: LiveGateway) -> dict[int, int]:
    """Number -> process id of every worker process."""
    found = {}
    for pid, line in children(gateway.process.pid):
        words = line.split()
        if "worker" in words:
            found[int(words[words.index("--index") + 1])] = pid
    return found


def new_ones(now: dict[int, int], before: dict[int, int]) -> list[int]:
    """Numbers of the workers that were not there; those that drain may still be listed."""
    return [number for number, pid in now.items() if pid not in before.values()]


def states(gateway: LiveGateway) -> dict[str, float]:
    return {
        state: gateway.gateway.metrics()[f'gateway_workers{{process="supervisor",state="{state}"}}']
        for state in ("starting", "up", "stuck", "draining")
    }


def all_up(gateway: LiveGateway) -> bool:
    return states(gateway) == {"starting": 0, "up": COUNT, "stuck": 0, "draining": 0}


def wait_for_workers(gateway: LiveGateway) -> None:
    end = time.monotonic() + 60
    while not all_up(gateway):
        assert time.monotonic() < end, gateway.log[-3000:]
        time.sleep(0.05)


def uri(gateway: LiveGateway, number: int) -> str:
    return f"sip:{gateway.sip_port + number}@127.0.0.1:{gateway.edge_port}"


def test_a_worker_without_calls_is_not_stuck(gateway: LiveGateway) -> None:
    """Its clock is looked at in calls only; `stuck_after_s` is two."""

    async def scenario() -> None:
        before = workers(gateway)
        for number in before:
            await normal_call(uri(gateway, number))
        await asyncio.sleep(5)
        assert all_up(gateway)
        assert workers(gateway) == before
        for number in before:
            await normal_call(uri(gateway, number))
        assert not gateway.logged("worker_stuck")

    asyncio.run(scenario())


def test_a_killed_worker_costs_its_own_calls_only(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        one, two = sorted(workers(gateway))
        async with calling(uri(gateway, one)) as lost, calling(uri(gateway, two)) as kept:
            await kept.bot_is_done()
            os.kill(workers(gateway)[one], signal.SIGKILL)
            killed_s = time.monotonic()
            record = await gateway.finished(lost.sip_call_id)
            assert record["end_reason"] == "worker_lost"
            said_ns = await kept.say("When do you open tomorrow?")
            await kept.bot_is_done(since_ns=said_ns)
            await eventually(lambda: all_up(gateway), 20, "a worker in its place")
            assert time.monotonic() - killed_s < 20
            assert kept.call.ended_by == ""
        assert (await gateway.finished(kept.sip_call_id))["end_reason"] == "caller_hung_up"

    asyncio.run(scenario())


def test_a_stopped_worker_is_left_out_and_replaced(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        one = min(workers(gateway))
        stopped = workers(gateway)[one]
        async with calling(uri(gateway, one)) as phone:
            await phone.bot_speaks()
            os.kill(stopped, signal.SIGSTOP)
            await eventually(lambda: len(workers(gateway)) == COUNT + 1, 15, "one in its place")
            fresh = max(workers(gateway))
            ready = await gateway.ask_beside("GET", "/readyz")
            assert ready.status_code == 200
            record = await gateway.finished(phone.sip_call_id, 30)  # it was ended by force
            assert record["end_reason"] == "worker_lost"
        await eventually(lambda: all_up(gateway), 20, "two workers again")
        assert stopped not in workers(gateway).values()
        assert fresh in workers(gateway)

    asyncio.run(scenario())


def test_replacing_drops_no_call(gateway: LiveGateway) -> None:
    async def scenario() -> None:
        before = workers(gateway)
        async with calling(uri(gateway, min(before))) as phone:
            await phone.bot_is_done()
            answer = await gateway.ask_beside("POST", "/v1/replace")
            assert (answer.status_code, answer.json()) == (200, {"workers": COUNT})
            now = workers(gateway)
            assert now[min(before)] == before[min(before)]  # still has its call
            assert len(set(now.values()) - set(before.values())) == COUNT
            for number in new_ones(now, before):
                await normal_call(uri(gateway, number))
            said_ns = await phone.say("When do you open tomorrow?")
            await phone.bot_is_done(since_ns=said_ns)
        assert (await gateway.finished(phone.sip_call_id))["end_reason"] == "caller_hung_up"
        await eventually(lambda: all_up(gateway), 20, "the old worker to end")
        assert not set(workers(gateway).values()) & set(before.values())

    asyncio.run(scenario())


def test_reload_is_all_or_nothing(gateway: LiveGateway) -> None:
    path = gateway.gateway.config_path
    good = path.read_text()

    async def scenario() -> None:
        before = workers(gateway)
        path.write_text(good.replace('"moonshine"', '"moonshinee"'))
        refused = await gateway.ask_beside("POST", "/v1/reload")
        assert refused.status_code == 422
        assert "gateway.toml:" in refused.json()["error"]["message"]
        assert "moonshine" in refused.json()["error"]["message"]
        path.write_text(good.replace(f'"port" = {gateway.http_port}', '"port" = 1'))
        refused = await gateway.ask_beside("POST", "/v1/reload")
        assert refused.status_code == 409
        assert "http.port" in refused.json()["error"]["message"]
        assert workers(gateway) == before
        path.write_text(good.replace(GREETING, "A very good evening to you."))
        async with calling(uri(gateway, min(before))) as old:
            await old.bot_is_done()
            taken = await gateway.ask_beside("POST", "/v1/reload")
            assert taken.json() == {"changed": ["agents.desk.greeting"]}
            fresh = max(new_ones(workers(gateway), before))
            record = await gateway.finished(await normal_call(uri(gateway, fresh)))
            assert record["turns"][0]["bot_text_generated"] == "A very good evening to you."
        kept = await gateway.finished(old.sip_call_id)
        assert kept["end_reason"] == "caller_hung_up"
        assert kept["turns"][0]["bot_text_heard"] == GREETING

    try:
        asyncio.run(scenario())
    finally:
        path.write_text(good)


def test_the_seats_are_those_of_the_configuration(gateway: LiveGateway) -> None:
    sip = {"port": gateway.sip_port, "rtp_ports": (20000, 20999)}
    shown = GatewayConfig.model_validate({"sip": sip, "workers": {"count": 2, "edge": "kamailio"}})
    assignments = {assignment.number for assignment in port_assignments(shown, COUNT)}
    assert set(workers(gateway)) <= assignments
