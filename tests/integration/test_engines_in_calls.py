"""Whole calls with the doubles of engines, by the front door: sound and words go both ways."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.providers.kit.spurts import GAP_MS
from tests.support.engine_double import EngineDouble, Peer
from tests.support.gemini_double import MODEL, GeminiDouble, GeminiPeer
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.moshi_double import MoshiDouble
from tests.support.outside import calling

GREETING = "Good morning to you all."
ANSWER = "We are open from nine to five."


def is_loud(peer: Peer) -> bool:
    """Return whether the engine has heard speech."""
    samples = np.frombuffer(bytes(peer.heard[: len(peer.heard) & ~1]), "<i2")
    return bool(np.count_nonzero(np.abs(samples.astype(np.int32)) > 1000) > 1000)


async def led(double: EngineDouble, folder: Path, **settings: Any) -> tuple[LiveGateway, Any]:
    """Lead a call in which the engine answers once; return its record and gateway."""
    agent: dict[str, Any] = {"greeting": GREETING, "s2s": {**double.settings(), **settings}}
    if not double.ABILITIES.has_tools:
        agent |= {"tools": [], "builtin_tools": []}
    with ExitStack() as stack:
        gateway = await asyncio.to_thread(
            stack.enter_context, live_gateway(folder, {"agents": {"desk": agent}})
        )
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            peer = double.peers[-1]  # those before were for warming up
            said_ns = await phone.say("Are you open today?")
            await phone.until(lambda: is_loud(peer), 10, "the caller's speech at the engine")
            if isinstance(peer, GeminiPeer):
                await peer.caller_says("Are you open today?", is_final=True)
            await peer.say("r1", peer.tone(1.5), ANSWER)
            await phone.bot_speaks(8, said_ns)
            await phone.bot_is_done(12, said_ns)
            # A reply whose end is told from silence is not over as soon as it is silent.
            over_s = time.monotonic() + GAP_MS / 1000
            await phone.until(lambda: time.monotonic() > over_s, 5, "the end of the reply")
        record = await gateway.finished(phone.sip_call_id)
        connected = gateway.events(record, "engine_connected")
        return record, connected


@pytest.mark.parametrize(
    ("double", "settings"),
    [
        (GeminiDouble(), {"provider": "gemini_live", "model": MODEL}),
        (MoshiDouble(), {"provider": "moshi"}),
    ],
    ids=["gemini_live", "moshi"],
)
def test_a_caller_talks_to_the_engine(
    double: EngineDouble, settings: dict[str, Any], tmp_path: Path
):
    async def scenario() -> None:
        async with double.running():
            record, connected = await led(double, tmp_path, **settings)
        assert [event["provider"] for event in connected] == [settings["provider"]]
        heard = [turn["bot_text_heard"].strip() for turn in record["turns"]]
        assert heard[0] == GREETING
        assert ANSWER in heard
        if double.ABILITIES.has_caller_text:
            assert "Are you open today?" in [turn["caller_text"] for turn in record["turns"]]
        assert double.problems == []

    asyncio.run(scenario())
