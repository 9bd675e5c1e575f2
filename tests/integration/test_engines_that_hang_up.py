"""Whole calls with a vendor's agent that ends the conversation, by the front door."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.elevenlabs_double import ElevenLabsDouble
from tests.support.engine_double import EngineDouble
from tests.support.hume_double import HumeDouble
from tests.support.live_gateway import live_gateway
from tests.support.outside import calling

GREETING = "Good morning to you all."
GOODBYE = "Goodbye, and thank you for your call."


@pytest.mark.parametrize(
    ("double", "settings"),
    [
        (HumeDouble(), {"provider": "hume_evi"}),
        (ElevenLabsDouble(), {"provider": "elevenlabs_agent"}),
    ],
    ids=["hume_evi", "elevenlabs_agent"],
)
def test_the_call_ends_behind_the_last_words(
    double: EngineDouble, settings: dict[str, Any], tmp_path: Path
):
    async def scenario() -> None:
        agent = {"greeting": GREETING, "s2s": {**double.settings(), **settings}}
        gateway = await asyncio.to_thread(
            stack.enter_context, live_gateway(tmp_path, {"agents": {"desk": agent}})
        )
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            peer = double.peers[-1]
            since_ns = time.monotonic_ns()
            await peer.say("r1", peer.tone(2.0), GOODBYE)
            await peer.connection.close(1000)
            await phone.bot_is_done(12, since_ns)
            await phone.ended()
        record = await gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "bot_hung_up"
        assert record["turns"][-1]["bot_text_heard"].strip() == GOODBYE
        assert len(gateway.events(record, "engine_connected")) == 1
        assert len(gateway.events(record, "engine_hung_up")) == 1
        assert not gateway.events(record, "engine_lost")

    async def served() -> None:
        async with double.running():
            await scenario()

    with ExitStack() as stack:
        asyncio.run(served())
