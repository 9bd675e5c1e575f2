"""A whole call in which OpenAI Live hands its work to the agent's own model, by the front door."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.live_double import LiveDouble, LivePeer
from tests.support.live_gateway import live_gateway
from tests.support.outside import calling

GREETING = "Good morning to you all."
ANSWER = "We are open from eight to six."


def test_the_agents_script_and_tools_work_for_the_voice(tmp_path: Path):
    double = LiveDouble()
    agent = {
        "greeting": GREETING,
        "s2s": {"provider": "openai_live", "delegation": "client"},
        "tools": ["gateway.script.examples.front_desk_tools:opening_hours"],
    }

    async def scenario(stack: ExitStack) -> None:
        agent["s2s"] |= double.settings()  # type: ignore[operator]
        gateway = await asyncio.to_thread(
            stack.enter_context, live_gateway(tmp_path, {"agents": {"desk": agent}})
        )
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            peer = double.peers[-1]  # those before were for warming up
            assert isinstance(peer, LivePeer)
            await peer.caller_says("What are your opening hours on Monday?", is_final=False)
            await peer.delegate("del_1")
            await phone.until(lambda: peer.results, 15, "what the model has found")
            ((delegation, found), *_) = peer.results
            assert delegation == "del_1"
            since_ns = time.monotonic_ns()
            await peer.say("r1", peer.tone(1.5), ANSWER)
            await phone.bot_is_done(12, since_ns)
        record = await gateway.finished(phone.sip_call_id)
        called = [event["tool"] for event in gateway.events(record, "tool_called")]
        assert called == ["delegated_task", "opening_hours"]
        (finished, *_) = gateway.events(record, "tool_finished")
        assert finished["tool"] == "opening_hours"
        assert found
        assert "could not be done" not in found
        assert ANSWER in [turn["bot_text_heard"].strip() for turn in record["turns"]]
        assert double.problems == []

    async def served(stack: ExitStack) -> None:
        async with double.running():
            await scenario(stack)

    with ExitStack() as stack:
        asyncio.run(served(stack))
