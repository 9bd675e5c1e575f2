"""How soon the caller hears the engine's first word: a session that is ready before the answer."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.support.engine_double import EngineDouble
from tests.support.live_gateway import LiveGateway, begun_gateway, eventually
from tests.support.openai_double import OpenAiDouble, RealtimePeer
from tests.support.outside import Telephone, calling

log = logging.getLogger(__name__)

CONNECT_S = 1.0
CALLS = 3


class _Greeter(RealtimePeer):
    """Answers the wish for a greeting at once."""

    async def on_response_create(self, event: dict[str, Any]) -> None:
        await super().on_response_create(event)
        await self.say("hello", self.tone(1.0), "Good day.", piece_ms=500)


class SlowDouble(OpenAiDouble):
    """Takes a second to connect."""

    PEER = _Greeter

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        await asyncio.sleep(CONNECT_S)
        return await super()._judge(connection, request)


def config(double: EngineDouble, **table: Any) -> dict[str, Any]:
    s2s = {"provider": "openai_realtime", **double.settings(), "greeting": "engine", **table}
    return {"agents": {"desk": {"greeting": "Good day.", "s2s": s2s, "tools": []}}}


async def first_word_ms(gateway: LiveGateway) -> tuple[float, float, bool]:
    """Return the time from the INVITE to the answer, from there to the first word; did it ring."""
    begun_ns = time.monotonic_ns()
    async with calling(gateway.uri()) as phone:
        answered_ns = time.monotonic_ns()
        await phone.bot_speaks(10)
        first_ns = phone.listener.first_ns or 0
        await phone.bot_is_done()
        has_rung = phone.call.times.ringing_ns is not None
    return (answered_ns - begun_ns) / 1e6, (first_ns - answered_ns) / 1e6, has_rung


async def ended(gateway: LiveGateway) -> None:
    gateway.process.terminate()
    await asyncio.to_thread(gateway.process.wait, 30)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_warm_session_speaks_at_once_and_a_cold_one_before_the_answer(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with SlowDouble().running() as double:
            gateway = begun_gateway(tmp_path, config(double, warm_sessions=1))
            try:
                await asyncio.to_thread(gateway.gateway.wait_ready)
                await warm_figures(gateway, double)
                await cold_figures(gateway, double)
                await drained(gateway, double)
            finally:
                await ended(gateway)
            assert double.problems == []
            assert {peer.input_format.encoding for peer in double.peers if peer.frames} == {"pcmu"}

    async def warm_figures(gateway: LiveGateway, double: EngineDouble) -> None:
        firsts = []
        for _ in range(CALLS):
            await idle_connection(double)
            setup_ms, first_ms, _ = await first_word_ms(gateway)
            firsts.append(first_ms)
            assert setup_ms < CONNECT_S * 1000, "the answer waited for a connection"
        log.info("warm: first word after %s ms", [round(each) for each in firsts])
        assert statistics.median(firsts) < CONNECT_S * 500, firsts

    async def cold_figures(gateway: LiveGateway, double: EngineDouble) -> None:
        path = gateway.gateway.config_path
        warm = path.read_text()
        cold = warm.replace('"warm_sessions" = 1', '"warm_sessions" = 0')
        await asyncio.to_thread(path.write_text, cold)
        reloaded = await gateway.ask_beside("POST", "/v1/reload")
        assert reloaded.json() == {"changed": ["agents.desk.s2s.warm_sessions"]}
        await double.all_gone()  # by the reload
        setup_ms, first_ms, has_rung = await first_word_ms(gateway)
        assert has_rung, "the caller waited in silence"
        log.info("cold: answered after %.0f ms, first word after %.0f", setup_ms, first_ms)
        assert setup_ms > CONNECT_S * 1000
        assert first_ms < CONNECT_S * 500
        await asyncio.to_thread(path.write_text, warm)
        assert (await gateway.ask_beside("POST", "/v1/reload")).status_code == 200

    async def drained(gateway: LiveGateway, double: EngineDouble) -> None:
        await idle_connection(double)
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            await gateway.ask_beside("POST", "/v1/drain")
            await eventually(lambda: len(double._open) == 1, 10, "idle connections to be cut")
            assert not phone.call.ended.is_set()
        await asyncio.to_thread(gateway.process.wait, 30)

    asyncio.run(scenario())


async def idle_connection(double: EngineDouble) -> None:
    """Wait until there is a connection that no session has."""

    def is_there() -> bool:
        return any(not peer.frames and peer.connection in double._open for peer in double.peers)

    await eventually(is_there, 20, "an idle connection")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_engine_that_is_too_slow_does_not_keep_the_phone_ringing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with SlowDouble().running() as double:
            gateway = begun_gateway(tmp_path, config(double, connect_before_answer_ms=100))
            try:
                await asyncio.to_thread(gateway.gateway.wait_ready)
                setup_ms, first_ms, _ = await first_word_ms(gateway)
                assert setup_ms < CONNECT_S * 1000
                assert first_ms > 150  # it connects while the caller listens
                await hung_up_while_it_connects(gateway, double)
            finally:
                await ended(gateway)

    async def hung_up_while_it_connects(gateway: LiveGateway, double: EngineDouble) -> None:
        await double.all_gone()
        async with calling(gateway.uri()) as phone:
            assert isinstance(phone, Telephone)
        await gateway.finished(phone.sip_call_id)
        await double.all_gone()

    asyncio.run(scenario())
