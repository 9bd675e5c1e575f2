"""The media clock of a worker goes on when its last call has ended: else it would look stuck."""

from __future__ import annotations

import asyncio

from tests.support.gateway_process import GatewayUnderTest
from tests.support.live_gateway import LiveGateway
from tests.support.outside import normal_call


def test_the_clock_ticks_without_calls(default_gateway: GatewayUnderTest) -> None:
    gateway = LiveGateway(default_gateway)

    async def scenario() -> None:
        await gateway.finished(await normal_call(gateway.uri()))
        await gateway.free()
        await asyncio.sleep(3)  # the library would close its device after one
        late_s = await asyncio.to_thread(gateway.gauge, "clock_late_seconds")
        assert late_s < 0.5

    asyncio.run(scenario())
