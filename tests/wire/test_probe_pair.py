"""The probe calls a probe: what it measures is what was put in."""

from __future__ import annotations

import asyncio
import selectors
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from gateway.errors import CallRejected
from gateway.probe.caller import Call, CallPolicy, wait_for_invite
from gateway.probe.media import RtpPeer
from gateway.probe.report import rtp_statistics
from gateway.probe.rtp import Impairments
from gateway.probe.timeline import loud_instants, measure_turns
from gateway.probe.transactions import open_sip_socket

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)).astype(np.int16)
Pair = tuple[Call, RtpPeer, Call, RtpPeer]


def run(test: Callable[[], Awaitable[None]]) -> None:
    def loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(selectors.SelectSelector())

    async def limited() -> None:
        async with asyncio.timeout(30):
            await test()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(limited())


@asynccontextmanager
async def connected(
    policy: CallPolicy | None = None, impairments: Impairments | None = None
) -> AsyncIterator[Pair]:
    caller_media, called_media = RtpPeer(), RtpPeer(impairments=impairments)
    try:
        async with open_sip_socket() as caller_sip, open_sip_socket() as called_sip:
            caller = Call(caller_sip, caller_media)

            async def answer() -> Call:
                invite, source = await wait_for_invite(called_sip)
                called = Call(called_sip, called_media, policy=policy)
                await called.accept(invite, source)
                return called

            async with asyncio.TaskGroup() as group:
                answering = group.create_task(answer())
                await caller.place(f"sip:demo@127.0.0.1:{called_sip.address[1]}")
            yield caller, caller_media, answering.result(), called_media
            await caller.hang_up()
    finally:
        caller_media.close()
        called_media.close()


async def ticks(media: RtpPeer, count: int) -> None:
    for _ in range(count):
        await media.next_tick()


@pytest.mark.parametrize("delay_ms", [100, 400])
def test_response_gap_is_the_delay_of_the_answerer(delay_ms):
    gaps: list[float] = []

    async def test() -> None:
        async with connected() as (_, mine, _, theirs):
            was_loud = False

            def on_audio(audio):
                nonlocal was_loud
                is_loud = bool(len(loud_instants([audio])))
                if was_loud and not is_loud:
                    pause = np.zeros(delay_ms * 8, np.int16)
                    theirs.play(np.concatenate([pause, TONE[:1600]]))
                was_loud = is_loud

            theirs.on_audio = on_audio
            lines = []
            for _ in range(5):
                lines.append(mine.play(TONE[:1600]))
                await ticks(mine, (200 + delay_ms + 300) // 20)
            spoken = [loud_instants(mine.sent[first : last + 1]) for first, last in lines]
            heard = loud_instants([p.audio for p in mine.received if p.audio])
            turns = measure_turns(spoken, heard)
            gaps.extend(t.response_gap_ms for t in turns if t.response_gap_ms is not None)

    run(test)
    assert len(gaps) == 5
    # The answerer starts at its own next tick, 0 to 20 ms after it has decided.
    assert statistics.median(gaps) == pytest.approx(delay_ms + 10, abs=20)


def test_barge_in_stop_is_the_reaction_of_the_answerer():
    stops: list[float] = []

    async def test() -> None:
        async with connected() as (_, mine, _, theirs):
            loop = asyncio.get_running_loop()

            def on_audio(audio):
                if theirs.queued_s and len(loud_instants([audio])):
                    loop.call_later(0.1, theirs._frames.clear)

            theirs.on_audio = on_audio
            lines = []
            for _ in range(3):
                theirs.play(np.tile(TONE, 2))
                await ticks(mine, 25)
                lines.append(mine.play(TONE[:3200]))
                await ticks(mine, 50)
            spoken = [loud_instants(mine.sent[first : last + 1]) for first, last in lines]
            heard = loud_instants([p.audio for p in mine.received if p.audio])
            turns = measure_turns(spoken, heard)
            assert [t.heard_after_stop_ms for t in turns] == [0, 0, 0]
            stops.extend(t.barge_in_stop_ms for t in turns if t.barge_in_stop_ms is not None)

    run(test)
    assert len(stops) == 3
    assert statistics.median(stops) == pytest.approx(110, abs=20)


def test_losses_and_a_clean_stream_are_told_apart():
    async def test() -> None:
        bad = Impairments(loss_percent=20, seed=3)
        async with connected(impairments=bad) as (_, mine, _, theirs):
            await ticks(mine, 100)
            lost = rtp_statistics(mine)["lost"]
            assert isinstance(lost, int)
            assert 8 <= lost <= 35
            assert rtp_statistics(theirs)["lost"] == 0

    run(test)


def test_hold_silences_resume_and_codec_change_go_on():
    async def test() -> None:
        async with connected() as (caller, mine, called, theirs):
            assert (await caller.change("sendonly")).status == 200
            await ticks(mine, 2)
            count = len(mine.received)
            await ticks(mine, 10)
            assert len(mine.received) == count
            assert (await caller.change("sendrecv", ("PCMA",))).status == 200
            await ticks(mine, 10)
            assert len(mine.received) > count
            assert mine.payload_type == theirs.payload_type == 8
            assert called.requests.count("INVITE") == 2

    run(test)


def test_digits_both_ways_and_the_other_side_hangs_up():
    async def test() -> None:
        async with connected() as (caller, mine, called, theirs):
            heard: list[str] = []
            theirs.on_digit = heard.append
            mine.press("12#", duration_ms=60)
            await ticks(mine, 30)
            await caller.send_info_digit("7")
            assert heard == ["1", "2", "#"]
            assert called.digits == "7"
            await called.hang_up()
            assert caller.ended_by == "gateway"

    run(test)


def test_refused_and_cancelled_calls():
    async def test() -> None:
        with pytest.raises(ExceptionGroup) as raised:
            async with connected(CallPolicy(refuse_status=486)):
                pass
        assert {e.status for e in _leaves(raised.value)} == {486}
        mine, theirs = RtpPeer(), RtpPeer()
        try:
            async with open_sip_socket() as ours, open_sip_socket() as other:
                caller = Call(ours, mine)

                async def ring() -> None:
                    invite, source = await wait_for_invite(other)
                    patient = Call(other, theirs, policy=CallPolicy(answer_delay_s=10))
                    with pytest.raises(CallRejected, match="487"):
                        await patient.accept(invite, source)

                async with asyncio.TaskGroup() as group:
                    group.create_task(ring())
                    asyncio.get_running_loop().call_later(0.1, caller.cancel)
                    with pytest.raises(CallRejected, match="487"):
                        await caller.place(f"sip:demo@127.0.0.1:{other.address[1]}")
        finally:
            mine.close()
            theirs.close()

    run(test)


def _leaves(group: BaseExceptionGroup) -> list[CallRejected]:
    return [error for error in group.exceptions if isinstance(error, CallRejected)]
