"""Watchdogs: RTP that stops, hold, the longest call, a caller who says nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CallRejected
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import Telephone, calling

pytestmark = pytest.mark.timeout(120)

NO_MEDIA_S, MAX_CALL_S, MAX_HOLD_S = 2, 11, 5
REPROMPT, GOODBYE = "Hello?", "Goodbye."
"""Short: on a busy machine, too, they must be spoken within `MAX_CALL_S`."""
PLAN = """
[[contexts.default.extensions]]
name = "impatient"
called = "1"
steps = [{ talk = "impatient" }]

[[contexts.default.extensions]]
name = "patient"
called = "2"
steps = [{ talk = "patient" }]
"""


def config(folder: Path) -> dict[str, Any]:
    (folder / "plans").mkdir()
    (folder / "plans" / "plan.toml").write_text(PLAN)
    llm = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}
    silence = {"reprompt_after_s": 1.0, "reprompts": [REPROMPT], "goodbye": GOODBYE}
    return {
        "sip": {
            "no_media_timeout_s": NO_MEDIA_S,
            "max_call_s": MAX_CALL_S,
            "max_hold_s": MAX_HOLD_S,
        },
        "dialplan": {"directory": str(folder / "plans")},
        "default_agent": "patient",
        "agents": {
            "impatient": {"greeting": "Good morning.", "llm": llm, "silence": silence},
            "patient": {
                "greeting": "Good morning.",
                "llm": llm,
                "silence": {**silence, "reprompt_after_s": 100.0},
            },
        },
    }


async def rtp_stops(phone: Telephone) -> None:
    """RTP just stops: a caller who lost the network."""
    await phone.bot_is_done()
    phone.media.remote = None


async def long_hold(phone: Telephone) -> None:
    """On hold, silent for longer than `no_media_timeout_s`: parked, until `max_hold_s`."""
    await phone.bot_is_done()
    assert (await phone.call.change("inactive")).status == 200


async def short_hold(phone: Telephone) -> None:
    """A hold longer than `no_media_timeout_s`, then back: the call is still there."""
    await phone.bot_is_done()
    assert (await phone.call.change("sendonly")).status == 200
    phone.media.remote = None
    await asyncio.sleep(NO_MEDIA_S + 1.5)  # what is tested is that nothing happens
    assert not phone.call.ended.is_set()
    assert (await phone.call.change("sendrecv")).status == 200


async def silence(phone: Telephone) -> None:
    """A caller who says nothing."""


def test_calls_that_must_not_last(tmp_path: Path) -> None:
    async def one(gateway: LiveGateway, called: str, act: Any, longest_s: float) -> dict[str, Any]:
        async with calling(gateway.uri(called)) as phone:
            await act(phone)
            await phone.ended(longest_s)
            assert phone.call.ended_by == "gateway"
        return await gateway.finished(phone.sip_call_id)

    async def scenario(gateway: LiveGateway) -> list[dict[str, Any]]:
        return await asyncio.gather(
            one(gateway, "2", rtp_stops, NO_MEDIA_S + 3),
            one(gateway, "2", long_hold, MAX_HOLD_S + 3),
            one(gateway, "2", short_hold, MAX_CALL_S + 3),
            one(gateway, "1", silence, MAX_CALL_S),
        )

    with live_gateway(tmp_path, config(tmp_path)) as gateway:
        lost, held, resumed, silent = asyncio.run(scenario(gateway))
        assert lost["end_reason"] == "no_media"
        assert f"{NO_MEDIA_S} s" in lost["end_text"]
        assert held["end_reason"] == "max_hold"
        assert resumed["end_reason"] == "max_duration"
        assert MAX_CALL_S - 1 < resumed["talk_s"] < MAX_CALL_S + 2
        kinds = [e["kind"] for e in gateway.events(resumed) if e["kind"] in {"held", "resumed"}]
        assert kinds == ["held", "resumed"]
        assert silent["end_reason"] == "silence"
        assert [turn["bot_text_heard"] for turn in silent["turns"]] == [
            "Good morning.",
            REPROMPT,
            GOODBYE,
        ]


def test_who_calls_in_the_moment_in_which_another_hangs_up_is_answered(tmp_path: Path) -> None:
    async def scenario(gateway: LiveGateway) -> None:
        async with AsyncExitStack() as stack:
            phones = [await stack.enter_async_context(calling(gateway.uri("2"))) for _ in range(4)]
            with pytest.raises(CallRejected, match="slots"):
                await stack.enter_async_context(calling(gateway.uri("2")))
            for old in phones:
                async with asyncio.TaskGroup() as group:
                    group.create_task(old.call.hang_up())
                    group.create_task(stack.enter_async_context(calling(gateway.uri("2"))))

    with live_gateway(tmp_path, config(tmp_path)) as gateway:
        asyncio.run(scenario(gateway))
