"""PostgreSQL stops under a call and comes back: the call goes on, the list misses nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.asking import is_answered
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import calling, normal_call
from tests.support.postgresql import PostgreSQL, running_postgresql


def test_the_database_is_gone_and_back(tmp_path: Path) -> None:
    async def scenario(gateway: LiveGateway, postgresql: PostgreSQL) -> None:
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            await asyncio.to_thread(postgresql.stop)
            await is_answered(phone)
        during = await normal_call(gateway.uri())
        assert (await gateway.ask_beside("GET", "/readyz")).status_code == 200
        assert (await gateway.ask_beside("GET", "/v1/calls")).status_code == 503
        for sip_call_id in (phone.sip_call_id, during):
            assert (await gateway.finished(sip_call_id))["end_reason"] == "caller_hung_up"
        await asyncio.to_thread(postgresql.start)

        def listed() -> bool:
            answer = gateway.ask("GET", "/v1/calls")
            if answer.status_code != 200:
                return False
            calls = answer.json()["calls"]
            return {c["sip_call_id"] for c in calls if c["state"] == "finished"} == {
                phone.sip_call_id,
                during,
            }

        await eventually(listed, 20, "both calls in the list")

    with running_postgresql() as postgresql:
        config = {
            "agents": {"desk": {"greeting": "Good morning."}},
            "records": {"database": postgresql.url()},
        }
        with live_gateway(tmp_path / "gateway", config) as gateway:
            asyncio.run(scenario(gateway, postgresql))
