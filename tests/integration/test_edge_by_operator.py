"""`edge.run = false`: the operator's own Kamailio, and a gateway that finds it and loses it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CallRejected
from tests.support.edge import needs_kamailio
from tests.support.gateway_process import free_port, free_rtp_ports
from tests.support.live_gateway import LiveGateway, begun_gateway, eventually, live_gateway
from tests.support.operator import OperatorsKamailio, operators_kamailio
from tests.support.outside import calling, normal_call

pytestmark = needs_kamailio

WORKERS = 2
QUIET = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}


def by_operator(folder: Path, workers: int) -> dict[str, Any]:
    """A configuration whose Kamailio is somebody else's."""
    return {
        "sip": {"bind": "127.0.0.1", "port": free_port(), "rtp_ports": free_rtp_ports(160)},
        "http": {"port": free_port()},
        "workers": {"count": workers, "edge": "kamailio"},
        "edge": {"run": False, "directory": str(folder), "probe_s": 1, "processes": 2},
        "agents": {"desk": {"greeting": "Good morning.", "llm": QUIET}},
    }


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return by_operator(tmp_path_factory.mktemp("operator") / "edge", WORKERS)


@pytest.fixture(scope="module")
def kamailio(config: dict[str, Any]) -> Iterator[OperatorsKamailio]:
    with operators_kamailio(Path(config["edge"]["directory"]), config) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any], kamailio: OperatorsKamailio
) -> Iterator[LiveGateway]:
    """Starts when Kamailio runs already, with the list that was rendered."""
    any_port = 2 * WORKERS  # that a worker may have
    asyncio.run(eventually(lambda: len(kamailio.workers()) == any_port, 10, "what was rendered"))
    with live_gateway(tmp_path_factory.mktemp("gateway"), config) as running:
        yield running


def readiness(gateway: LiveGateway) -> tuple[int, str]:
    answer = gateway.ask("GET", "/readyz")
    return answer.status_code, answer.json().get("reason", "")


async def all_known(kamailio: OperatorsKamailio, workers: int = WORKERS) -> None:
    """Wait until Kamailio has exactly so many in its list, each once, and they take calls."""

    def is_so() -> bool:
        known = kamailio.workers()
        addresses = {worker.address for worker in known}
        return len(addresses) == len(known) == workers and all(w.answers for w in known)

    await eventually(is_so, 20, f"{workers} workers in Kamailio's list")


async def told(gateway: LiveGateway, times: int) -> None:
    """Wait until the gateway has told a Kamailio of all its workers."""
    await eventually(lambda: len(gateway.logged("edge_up")) >= times, 15, "word to Kamailio")


def test_a_call_comes_in_through_the_operators_kamailio(
    gateway: LiveGateway, kamailio: OperatorsKamailio
) -> None:
    async def scenario() -> None:
        await all_known(kamailio)
        async with calling(gateway.uri()) as phone:
            await phone.bot_speaks(8)
            port = phone.sip.address[1]
        record = await gateway.finished(phone.sip_call_id)
        assert record["source"] == f"127.0.0.1:{port}"
        assert record["end_reason"] == "caller_hung_up"

    asyncio.run(scenario())
    assert not gateway.logged("edge_not_told")
    assert not gateway.child("kamailio"), "the gateway runs a Kamailio of its own"


def test_kamailio_goes_away_and_comes_back_under_a_call(
    gateway: LiveGateway, kamailio: OperatorsKamailio
) -> None:
    async def scenario() -> None:
        times = len(gateway.logged("edge_up"))
        async with calling(gateway.uri()) as old:
            await old.bot_speaks(8)
            kamailio.stop()
            gone = (503, "the edge does not run")
            await eventually(lambda: readiness(gateway) == gone, 5, "not ready")
            # What is rendered knows nothing of what runs: the gateway has to tell it.
            await asyncio.to_thread(kamailio.render)
            await asyncio.to_thread(kamailio.start)
            await eventually(lambda: readiness(gateway)[0] == 200, 10, "ready again")
            await told(gateway, times + 1)
            await all_known(kamailio)
            fresh = await gateway.finished(await normal_call(gateway.uri()))
            assert fresh["end_reason"] == "caller_hung_up"
            assert not old.call.ended.is_set()
        record = await gateway.finished(old.sip_call_id)
        assert record["end_reason"] == "caller_hung_up"

    asyncio.run(scenario())


def test_a_restart_too_quick_to_be_seen_is_noticed(
    gateway: LiveGateway, kamailio: OperatorsKamailio
) -> None:
    async def scenario() -> None:
        await all_known(kamailio)
        times = len(gateway.logged("edge_up"))
        await asyncio.to_thread(kamailio.render)
        kamailio.stop()
        await asyncio.to_thread(kamailio.start)
        await told(gateway, times + 1)
        await all_known(kamailio)
        record = await gateway.finished(await normal_call(gateway.uri()))
        assert record["end_reason"] == "caller_hung_up"

    asyncio.run(scenario())


def test_the_operator_is_told_when_a_restart_is_needed(
    gateway: LiveGateway, kamailio: OperatorsKamailio
) -> None:
    path = gateway.gateway.config_path
    text = path.read_text()
    one, two = '"probe_s" = 1', '"probe_s" = 2'
    path.write_text(text.replace(one, two) if one in text else text.replace(two, one))

    async def scenario() -> None:
        times, asked = len(gateway.logged("edge_up")), len(gateway.logged("edge_needs_restart"))
        pid = kamailio.pid
        reloaded = await gateway.ask_beside("POST", "/v1/reload")
        assert (reloaded.status_code, reloaded.json()) == (200, {"changed": ["edge.probe_s"]})
        (wish,) = gateway.logged("edge_needs_restart")[asked:]
        assert wish["changed"] == ["settings.cfg"]
        # Until then calls go on as before, to the workers that came with the reload.
        assert kamailio.pid == pid
        await all_known(kamailio)
        await normal_call(gateway.uri())
        kamailio.stop()
        await asyncio.to_thread(kamailio.start)
        await told(gateway, times + 1)
        await all_known(kamailio)
        await normal_call(gateway.uri())

    asyncio.run(scenario())


def test_kamailio_outlives_a_gateway_that_was_killed(tmp_path: Path) -> None:
    """Its successor has another configuration, of which Kamailio is told what can be told."""
    config = by_operator(tmp_path / "edge", 1)
    trunk = {"server": "127.0.0.8:9", "user": "account", "password": "secret"}
    config["trunks"] = [{"name": "before", **trunk}]

    async def is_well(gateway: LiveGateway, kamailio: OperatorsKamailio, host: str) -> None:
        await all_known(kamailio, 1)
        async with calling(gateway.uri(), host=host) as phone:
            await phone.bot_speaks(8)
        record = await gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "caller_hung_up"
        assert not gateway.logged("edge_not_told")

    async def is_refused(gateway: LiveGateway) -> None:
        with pytest.raises(CallRejected, match="403"):
            await normal_call(gateway.uri())

    with operators_kamailio(tmp_path / "edge", config) as kamailio:
        pid = kamailio.pid
        first = begun_gateway(tmp_path / "first", config)
        try:
            first.gateway.wait_ready()
            asyncio.run(is_well(first, kamailio, "127.0.0.1"))
            assert not first.logged("edge_needs_restart")
            (left,) = kamailio.workers()
        finally:
            first.process.kill()
            first.process.wait(10)
        assert [worker.uri for worker in kamailio.workers()] == [left.uri]
        config["sip"]["allow_sources"] = ["127.0.0.9/32"]
        config["edge"]["calls_per_s"] = 50
        config["trunks"] = [{"name": "after", **trunk}]
        with live_gateway(tmp_path / "second", config) as second:
            asyncio.run(is_well(second, kamailio, "127.0.0.9"))
            asyncio.run(is_refused(second))
            (wish,) = second.logged("edge_needs_restart")
            assert wish["changed"] == ["settings.cfg"]
            asyncio.run(eventually(lambda: kamailio.accounts() == ["after"], 5, "the account"))
        assert kamailio.pid == pid
