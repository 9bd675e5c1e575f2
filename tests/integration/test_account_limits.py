"""A vendor that limits the account: the caller is served, and log, record and metrics name it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.live_gateway import begun_gateway, eventually
from tests.support.outside import calling
from tests.support.refusing_doubles import BusyAccount, EmptyAccount

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.mark.parametrize(
    ("double_type", "cause", "tries"),
    [(BusyAccount, "rate_limited", 2), (EmptyAccount, "quota_exceeded", 1)],
)
def test_a_limit_of_the_account_is_named(
    tmp_path: Path, double_type: type[BusyAccount], cause: str, tries: int
) -> None:
    async def scenario() -> None:
        async with double_type().running() as double:
            s2s = {"provider": "openai_realtime", **double.settings()}
            agent = {"greeting": "Good morning.", "s2s": s2s, "tools": []}
            gateway = begun_gateway(tmp_path, {"agents": {"desk": agent}})
            try:
                await asyncio.to_thread(gateway.gateway.wait_ready)
                async with calling(gateway.uri()) as phone:
                    await phone.bot_is_done()
                    said_ns = await phone.say("When do you open tomorrow?")
                    await phone.bot_is_done(20, said_ns)  # the stand-in
                record = await gateway.finished(phone.sip_call_id)
                lost = gateway.events(record, "engine_lost")
                assert [event["cause"] for event in lost] == [cause] * tries
                assert lost[-1]["goes_on"] == "cascade"
                (engine,) = record["engines"]
                assert (engine["sessions"], engine["lost"]) == (0, tries)
                logged = await eventually(
                    lambda: gateway.logged("speech_session_lost"), 5, "the log"
                )
                assert [entry["cause"] for entry in logged] == [cause] * tries
                metrics = (await gateway.ask_beside("GET", "/metrics")).text
                errors = [line for line in metrics.splitlines() if "provider_errors_total{" in line]
                assert any(f'kind="{cause}"' in line for line in errors)
            finally:
                gateway.process.terminate()
                await asyncio.to_thread(gateway.process.wait, 30)

    asyncio.run(scenario())
