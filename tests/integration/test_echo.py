"""A caller whose line gives the bot back to itself: it talks on, and can be interrupted."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.audio import echo
from gateway.probe import voices
from gateway.probe.rtp import Impairments
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import calling

pytestmark = pytest.mark.timeout(120)
LINE_ECHO = Impairments(echo_db=-20.0, echo_delay_ms=120.0)
GREETING = (
    "Welcome to the echo test. This greeting is long, so that there is much to come back. "
    "It has three sentences, and nobody may interrupt it. Please ask me something now."
)


def config() -> dict[str, Any]:
    return {"agents": {"desk": {"greeting": GREETING, "llm": {"provider": "script"}}}}


async def listen_and_ask(gateway: LiveGateway, impairments: Impairments) -> dict[str, Any]:
    """Hear the greeting out, ask, hear the answer out."""
    async with calling(gateway.uri(), impairments=impairments) as phone:
        await phone.bot_is_done(30)
        asked_ns = await phone.say("What are your opening hours?")
        await phone.bot_is_done(30, asked_ns)
    return await gateway.finished(phone.sip_call_id)


async def interrupt(gateway: LiveGateway) -> tuple[dict[str, Any], float]:
    """Break into the greeting after three seconds; gives the time to silence too."""
    async with calling(gateway.uri(), impairments=LINE_ECHO) as phone:
        await phone.bot_speaks()
        begun_ns = time.monotonic_ns()
        await phone.until(lambda: time.monotonic_ns() - begun_ns > 3e9, 5, "three seconds")
        phone.media.play(await voices.render("What are your opening hours?"))
        spoke_ns = time.monotonic_ns()
        await phone.until(
            lambda: phone.listener.is_quiet_for(time.monotonic_ns(), 200), 5, "the bot to yield"
        )
        stop_ms = (time.monotonic_ns() - spoke_ns) / 1e6 - 200
        await phone.bot_is_done(30, time.monotonic_ns())
    return await gateway.finished(phone.sip_call_id), stop_ms


def test_a_caller_with_an_echo(tmp_path: Path) -> None:
    if hint := echo.probe():
        pytest.skip(hint)

    with live_gateway(tmp_path, config()) as gateway:
        record = asyncio.run(listen_and_ask(gateway, LINE_ECHO))
        assert [turn["interrupted"] for turn in record["turns"]] == [False, False]
        assert record["turns"][0]["bot_text_heard"] == GREETING
        assert record["turns"][1]["caller_text"]
        delay_ms = record["echo"]["delay_ms"] - LINE_ECHO.echo_delay_ms
        assert 0 <= delay_ms < 250, "the echo's delay, packets and jitter buffer"
        assert abs(record["echo"]["return_loss_db"] - 20) < 3
        assert record["echo"]["enhancement_db"] > 3

        record, stop_ms = asyncio.run(interrupt(gateway))
        assert record["turns"][0]["interrupted"]
        assert record["turns"][0]["bot_text_heard"] in GREETING
        assert record["turns"][1]["caller_text"]
        assert stop_ms < 1000
