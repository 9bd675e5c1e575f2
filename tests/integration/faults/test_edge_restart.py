"""The edge is killed under a call: it is back at once, the call goes on and ends by a BYE."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.errors import SipError
from tests.support.asking import is_answered, largest_gap_ms, quick_desk
from tests.support.edge import needs_kamailio
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.outside import calling, normal_call


@needs_kamailio
def test_the_edge_is_killed_under_a_call(tmp_path: Path) -> None:
    folder = tmp_path / "edge"

    async def scenario(gateway: LiveGateway) -> None:
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done(10)
            since_ns = time.monotonic_ns()
            edge = int((folder / "kamailio.pid").read_text())
            os.kill(edge, signal.SIGKILL)
            await is_answered(phone)

            def is_back() -> bool:
                with suppress(FileNotFoundError):
                    return (folder / "kamailio.pid").read_text().strip() not in ("", str(edge))
                return False

            await eventually(is_back, 15, "another edge")
            fresh = await eventually_called(gateway)
            await is_answered(phone)
            assert largest_gap_ms(phone, since_ns) < 500
        record = await gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "caller_hung_up"
        assert sum(bool(turn["caller_text"]) for turn in record["turns"]) == 2
        assert (await gateway.finished(fresh))["end_reason"] == "caller_hung_up"

    config: dict[str, Any] = {
        "sip": {"port": free_port()},
        "workers": {"edge": "kamailio"},
        "edge": {"directory": str(folder), "probe_s": 1, "processes": 2},
    }
    with quick_desk() as desk:
        config["agents"] = {"desk": desk}
        with live_gateway(tmp_path / "gateway", config) as gateway:
            asyncio.run(scenario(gateway))


async def eventually_called(gateway: LiveGateway) -> str:
    """A new call, as soon as the edge takes one."""
    async with asyncio.timeout(10):
        while True:
            with suppress(SipError, OSError):  # nobody there yet
                return await normal_call(gateway.uri())
            await asyncio.sleep(0.3)
