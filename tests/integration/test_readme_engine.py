"""The line of the README that switches the demo's agent to an engine, in a call to its double."""

from __future__ import annotations

import asyncio
import re
import time
import tomllib
from pathlib import Path
from typing import Any

from tests.support.live_gateway import live_gateway
from tests.support.openai_double import OpenAiDouble
from tests.support.outside import LoudEar, calling
from tests.support.served_doubles import served
from tests.support.speaking_double import LETTER_MS, Saying, Script, length_ms

ROOT = Path(__file__).parents[2]
GREETING = "Good morning."
ANSWER = "We are open from eight to four."
SCRIPT = Script(turns=[("When are you open?", Saying(ANSWER))], told={"": Saying(GREETING)})
"""An agent without a greeting asks its engine to begin, and tells it nothing."""


def printed_agents() -> dict[str, Any]:
    """Return the agents of the README's section, as they are printed."""
    section = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .partition("## One engine that hears and speaks\n")[2]
    )
    agents: dict[str, Any] = tomllib.loads(
        re.findall(r"^```toml\n(.*?)^```", section, re.M | re.S)[0]
    )["agents"]
    return agents


def test_the_printed_agent_talks_by_its_engine(tmp_path: Path) -> None:
    agents = printed_agents()
    (agent,) = agents.values()
    assert agent["s2s"]["provider"] == "openai_realtime"
    double = OpenAiDouble(SCRIPT)

    async def scenario() -> str:
        async with calling(gateway.uri()) as phone:
            ear = LoudEar(phone)
            await ear.hears(length_ms(GREETING) - LETTER_MS, 0)
            asked_ns = time.monotonic_ns()
            await phone.say("When are you open?")
            await ear.hears(length_ms(ANSWER) - LETTER_MS, asked_ns)
        return phone.sip_call_id

    with served([double]):
        agent["s2s"] |= double.settings()  # its address and its key, instead of the vendor's
        with live_gateway(tmp_path, {"agents": agents}) as gateway:
            call_id = asyncio.run(scenario())
            record = asyncio.run(gateway.finished(call_id))
    assert double.problems == []
    assert record["agent"] == "front-desk"
    assert [turn["bot_text_heard"].strip() for turn in record["turns"]] == [GREETING, ANSWER]
    assert record["turns"][1]["caller_text"] == "When are you open?"
