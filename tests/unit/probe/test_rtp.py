"""RTP packets and RFC 4733 digits."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.probe.rtp import (
    DIGITS,
    DigitReceiver,
    Fates,
    Impairments,
    Packet,
    RtpSyntaxError,
    digit_payloads,
    parse,
)

PACKETS = st.builds(
    Packet,
    payload_type=st.integers(0, 127),
    sequence_number=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=320),
    marker=st.booleans(),
)


@given(PACKETS)
def test_survives_the_wire(packet):
    assert parse(packet.serialise()) == packet


@given(st.binary(max_size=64))
def test_any_datagram_is_read_or_refused(datagram):
    with contextlib.suppress(RtpSyntaxError):
        parse(datagram)


def test_skips_csrc_extension_and_padding():
    # V=2 P X CC=1, PT 0, seq 1, ts 2, ssrc 3, one CSRC, one extension word, "ab", two of padding
    datagram = bytes.fromhex("b1000001000000020000000300000009bede000111223344") + b"ab\x00\x02"
    assert parse(datagram).payload == b"ab"


@pytest.mark.parametrize(
    ("datagram", "field"),
    [
        (b"\x80" * 11, "length"),
        (b"\x40" + bytes(11), "version"),
        (b"\x90" + bytes(11), "extension"),
        (b"\xa0" + bytes(10) + b"\xff", "padding"),
    ],
)
def test_names_the_field_at_fault(datagram, field):
    with pytest.raises(RtpSyntaxError, match=field):
        parse(datagram)


def test_a_press_grows_and_ends_three_times():
    payloads = list(digit_payloads("5", duration_ms=100))
    assert [p[0] for p in payloads] == [5] * 7
    assert [p[1] >> 7 for p in payloads] == [0, 0, 0, 0, 1, 1, 1]
    assert [int.from_bytes(p[2:]) for p in payloads] == [160, 320, 480, 640, 800, 800, 800]


@given(st.text(DIGITS, min_size=1, max_size=8), st.floats(0, 0.8), st.randoms())
def test_each_press_is_heard_once_whatever_is_lost(digits, loss, chance):
    receiver, heard = DigitReceiver(), ""
    for index, digit in enumerate(digits):
        payloads = list(digit_payloads(digit))
        kept = [p for p in payloads if chance.random() >= loss] or payloads[-1:]
        for payload in kept:
            heard += receiver.push(Packet(101, 0, index * 1600, 1, payload)) or ""
    assert heard == digits


def test_events_that_are_no_digits_are_ignored():
    assert DigitReceiver().push(Packet(101, 0, 0, 1, b"\x10\x0a\x00\xa0")) is None
    assert DigitReceiver().push(Packet(101, 0, 0, 1, b"\x05")) is None


def test_fates_follow_their_percentages_and_repeat():
    bad = Impairments(loss_percent=10, jitter_ms=30, wrong_payload_type_percent=5)
    first, second = Fates(bad), Fates(bad)
    fates = [first.draw() for _ in range(4000)]
    assert fates == [second.draw() for _ in range(4000)]
    assert 300 < sum(fate.lost for fate in fates) < 500
    assert 120 < sum(fate.has_wrong_payload_type for fate in fates) < 290
    assert 0.029 < max(fate.delay_s for fate in fates) <= 0.030


def test_packets_are_overtaken_and_doubled():
    fates = Fates(Impairments(reorder_percent=10, duplicate_percent=20))
    drawn = [fates.draw() for _ in range(4000)]
    assert 300 < sum(fate.delay_s > 0.04 for fate in drawn) < 500
    assert 680 < sum(fate.copies == 2 for fate in drawn) < 920
    assert not any(fate.lost for fate in drawn)


def test_a_clean_network_does_nothing_and_a_restart_comes_once():
    fates = Fates(Impairments(new_ssrc_at_packet=3))
    drawn = [fates.draw() for _ in range(6)]
    assert [fate.is_restart for fate in drawn] == [False, False, False, True, False, False]
    assert not any(fate.lost or fate.delay_s or fate.copies > 1 for fate in drawn)
