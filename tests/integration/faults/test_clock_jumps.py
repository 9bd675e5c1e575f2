"""The wall clock is set two hours ahead and back under a call: nobody hears it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.support.asking import is_answered, largest_gap_ms
from tests.support.false_clock import false_clock, needs_false_clock, set_clock
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import calling, normal_call


@needs_false_clock
def test_the_wall_clock_jumps(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    set_clock(offset, "+0")

    async def scenario(gateway: LiveGateway) -> None:
        start_s = time.monotonic()
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            since_ns = time.monotonic_ns()
            for jump in ("+7200", "-7200"):
                set_clock(offset, jump)
                await is_answered(phone)
            gap_ms = largest_gap_ms(phone, since_ns)
        took_s = time.monotonic() - start_s
        record = await gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "caller_hung_up"
        assert sum(bool(turn["caller_text"]) for turn in record["turns"]) == 2
        assert 3 < record["talk_s"] <= record["duration_s"] < took_s + 1
        gaps_ms = [t["response_gap_ms"] for t in record["turns"] if t["caller_text"]]
        assert all(0 < gap < 2500 for gap in gaps_ms)
        started, ended = record["started_at"], record["ended_at"]
        assert ended < started, "the clock was not set back"
        assert gap_ms < 500
        after = await gateway.finished(await normal_call(gateway.uri()))
        assert after["end_reason"] == "caller_hung_up"

    config = {"agents": {"desk": {"greeting": "Good morning."}}}
    with live_gateway(tmp_path / "gateway", config, false_clock(offset)) as gateway:
        asyncio.run(scenario(gateway))
