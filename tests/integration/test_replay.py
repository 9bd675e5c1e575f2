"""Real calls, replayed: the decisions come out as they were; the command tells and draws."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gateway.probe.rtp import Impairments
from gateway.replay.hearing import chunks_of, listen_as_recorded
from gateway.replay.recording import read_recording
from gateway.replay.turn_replay import decide_again, first_difference
from gateway.replay.what_if import what_if
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import Telephone, calling

GREETING = "Good morning."
ECHO = Impairments(echo_db=-20.0, echo_delay_ms=120)
PAUSE = Path(__file__).parents[1] / "replay/bundles/pause-in-a-sentence"
"""A recording: what recognition makes of half a sentence differs from call to call."""
REPLAY = [sys.executable, "-m", "gateway", "replay"]


async def barge_in(phone: Telephone) -> None:
    said_ns = await phone.say("What drinks do you have?")
    await phone.bot_speaks(8, said_ns)
    await asyncio.sleep(0.5)
    said_ns = await phone.say("Wait. I want a large tea.")
    await phone.bot_speaks(8, said_ns)


async def pause(phone: Telephone) -> None:
    await phone.say("I would like")
    await asyncio.sleep(0.5)
    said_ns = await phone.say("a large cappuccino.")
    await phone.bot_speaks(8, said_ns)


async def keys(phone: Telephone) -> None:
    await phone.say("When do you open")
    phone.media.press("1")
    await asyncio.sleep(0.3)
    said_ns = await phone.say("on Saturday?")
    await phone.bot_speaks(8, said_ns)
    phone.media.press("2#")
    await asyncio.sleep(1)


async def hold(phone: Telephone) -> None:
    await phone.call.change("sendonly")
    await asyncio.sleep(1.5)
    await phone.call.change("sendrecv")
    said_ns = await phone.say("When do you open tomorrow?")
    await phone.bot_speaks(8, said_ns)
    await phone.call.change("sendonly")
    await asyncio.sleep(0.5)


async def silence(_phone: Telephone) -> None:
    await asyncio.sleep(6)


CALLS = {
    "barge_in": (barge_in, None),
    "pause": (pause, None),
    "keys": (keys, None),
    "hold": (hold, None),
    "silence": (silence, None),
    "echo": (barge_in, ECHO),
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    agent = {"greeting": GREETING, "silence": {"reprompt_after_s": 2.0}}
    with live_gateway(tmp_path_factory.mktemp("replay"), {"agents": {"desk": agent}}) as gateway:
        yield {
            name: asyncio.run(_bundle(gateway, act, impairments))
            for name, (act, impairments) in CALLS.items()
        }


async def _bundle(
    gateway: LiveGateway,
    act: Callable[[Telephone], Awaitable[None]],
    impairments: Impairments | None,
) -> Path:
    async with calling(gateway.uri(), impairments=impairments) as phone:
        await phone.bot_is_done()
        await act(phone)
    record = await gateway.finished(phone.sip_call_id)
    return gateway.gateway.bundle(record)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_replayed_as_it_was(bundles: dict[str, Path], name: str) -> None:
    recording = read_recording(bundles[name])
    assert not recording.remarks
    chunks = chunks_of(listen_as_recorded(recording.audio, recording.events))
    (talk,) = recording.talks
    assert talk.decisions
    again = decide_again(talk, chunks)
    assert first_difference(talk.decisions, again) is None
    assert what_if(talk, chunks, talk.settings).decisions == again


def test_the_command_tells_what_would_have_been_and_draws(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    same = run_replay(*map(str, bundles.values()))
    assert same.returncode == 0, same.stdout + same.stderr
    assert same.stdout.count("all as recorded") == len(bundles)
    picture = tmp_path / "call.svg"
    plot = run_replay(str(bundles["barge_in"]), "--plot", str(picture))
    assert plot.returncode == 0, plot.stderr
    texts = "".join(ET.fromstring(picture.read_text()).itertext())  # noqa: S314 (our own)
    assert GREETING in texts
    assert "cut by speech" in texts
    later = run_replay(str(bundles["barge_in"]), "--set", "eagerness=low")
    assert "would have answered" in later.stdout
    assert "ms later at" in later.stdout
    bolder = ["--set", "unfinished_ms=240", "--set", "whole_ms=240"]
    cut = run_replay(str(PAUSE), *bolder)
    assert cut.returncode == 0, cut.stderr
    assert "would have cut the caller at" in cut.stdout
    anew = run_replay(str(bundles["pause"]), *bolder, "--recognize")
    assert anew.returncode == 0, anew.stderr
    assert "unfinished_ms 1000 -> 240" in anew.stdout


def run_replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*REPLAY, *arguments], capture_output=True, text=True, timeout=100, check=False
    )
