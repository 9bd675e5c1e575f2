"""The counters of a call are those of its audio, over all the streams that it had."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace as Plain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call.inlet import TickBell
from gateway.call.line import _COUNTS, CallFacts, MediaStatistics
from gateway.sip import pj
from gateway.sip.call import SipLine

VIDEO, AUDIO = 0, 1
counts = st.fixed_dictionaries({name: st.integers(0, 10**9) for name in _COUNTS})


@given(counts, counts)
def test_counts_of_two_streams_are_summed_and_all_else_is_the_latest(
    one: dict[str, int], other: dict[str, int]
) -> None:
    first = MediaStatistics("PCMU", **one, received_jitter_ms=9.0, round_trip_ms=80.0)
    second = MediaStatistics("PCMA", **other, received_jitter_ms=1.0, jitter_buffer_ms=40.0)
    both = second.after(first)
    assert all(getattr(both, name) == one[name] + other[name] for name in _COUNTS)
    assert replace(both, **other) == second
    assert first.after(MediaStatistics()) == first


class Leg:
    """The library's call: a video stream before the audio."""

    def __init__(self) -> None:
        self.packets = {VIDEO: 7000, AUDIO: 0}
        self.codec = "PCMU"

    def getInfo(self):  # noqa: N802
        media = [
            Plain(index=VIDEO, type=pj.PJMEDIA_TYPE_VIDEO, status=pj.PJSUA_CALL_MEDIA_ACTIVE),
            Plain(
                index=AUDIO,
                type=pj.PJMEDIA_TYPE_AUDIO,
                status=pj.PJSUA_CALL_MEDIA_ACTIVE,
                dir=pj.PJMEDIA_DIR_ENCODING_DECODING,
            ),
        ]
        return Plain(media=media)

    def getAudioMedia(self, index):  # noqa: N802
        assert index == AUDIO
        return Plain()

    def getStreamInfo(self, index):  # noqa: N802
        return Plain(codecName=self.codec if index == AUDIO else "H264")

    def getStreamStat(self, index):  # noqa: N802
        received, sent = self.packets[index], self.packets[index] // 2
        return Plain(
            rtcp=Plain(rxStat=_side(received), txStat=_side(sent), rttUsec=Plain(mean=20_000)),
            jbuf=Plain(avgDelayMsec=40),
        )


def _side(packets):
    jitter = Plain(mean=2000)
    return Plain(
        pkt=packets, bytes=160 * packets, loss=1, discard=2, dup=3, reorder=4, jitterUsec=jitter
    )


@pytest.fixture
def call():
    nothing = {"attach": lambda *_: None, "join": lambda *_: None, "part": lambda: None}
    guard = Plain(completed=lambda statistics: statistics, described=lambda *_, **__: None)
    loop = asyncio.new_event_loop()
    port = Plain(bell=TickBell(loop), **nothing)
    try:
        facts = CallFacts(call_id="call", direction="in", called="100", caller="200")
        yield SipLine(facts, port, loop, Plain(), guard)
    finally:
        loop.close()


def test_the_audio_counts_whatever_stands_before_it(call):
    leg = Leg()
    call.bind(leg)
    leg.packets[AUDIO] = 50
    call.on_media(leg)
    found = call.statistics()
    assert (found.codec, found.received_packets, found.sent_packets) == ("PCMU", 50, 25)


def test_the_next_stream_counts_from_zero_and_the_call_does_not(call):
    leg = Leg()
    call.bind(leg)
    leg.packets[AUDIO] = 50
    call.on_media(leg)
    call.on_stream_destroyed()
    leg.packets[AUDIO], leg.codec = 6, "PCMA"
    call.on_media(leg)
    for _ in range(3):
        found = call.statistics()
    assert (found.codec, found.received_packets, found.sent_packets) == ("PCMA", 56, 28)
    assert (found.received_bytes, found.received_lost) == (160 * 56, 2)
    leg.packets[AUDIO] = 10
    assert call.statistics().received_packets == 60
    assert found.received_jitter_ms == 2.0
    assert found.round_trip_ms == 20.0
    assert found.jitter_buffer_ms == 40.0
