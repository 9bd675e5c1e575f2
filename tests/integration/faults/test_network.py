"""Loss, jitter, reordering, duplicates: the caller is understood, what came is counted right."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gateway.probe.rtp import Impairments
from tests.support.asking import ask, quick_desk
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import calling

LINES = {
    "1 % loss": Impairments(loss_percent=1, seed=4),
    "10 % loss": Impairments(loss_percent=10, seed=4),
    "60 ms jitter": Impairments(jitter_ms=60),
    "out of order and twice": Impairments(reorder_percent=15, duplicate_percent=25),
}
QUESTIONS = ("When do you open tomorrow?", "Do you open on Monday?", "When do you open?")


def test_a_caller_on_a_bad_line(tmp_path: Path) -> None:
    """All lines at once; two of three questions at least are understood at once."""

    async def call(gateway: LiveGateway, bad: Impairments) -> tuple[dict[str, Any], int]:
        async with calling(gateway.uri(), impairments=bad) as phone:
            await phone.bot_is_done()
            for question in QUESTIONS:
                assert await ask(phone, question) < 4000
                await phone.bot_is_done()
            assert not phone.call.ended.is_set()
        return await gateway.finished(phone.sip_call_id), len(phone.media.sent)

    async def scenario(gateway: LiveGateway) -> None:
        async with asyncio.TaskGroup() as group:
            calls = {name: group.create_task(call(gateway, bad)) for name, bad in LINES.items()}
        for name, task in calls.items():
            record, sent = task.result()
            said = [turn["caller_text"] for turn in record["turns"] if turn["caller_text"]]
            understood = [text for text in said if "open" in text.lower()]
            assert len(understood) >= 2, f"{name}: {said}"
            rtp, bad = record["rtp"], LINES[name]
            assert rtp["received_packets"] > 0.8 * sent
            if bad.loss_percent:
                lost_percent = 100 * rtp["received_lost"] / sent
                assert abs(lost_percent - bad.loss_percent) < 0.6 * bad.loss_percent + 1, name

    with quick_desk() as desk, live_gateway(tmp_path, {"agents": {"desk": desk}}) as gateway:
        asyncio.run(scenario(gateway))
