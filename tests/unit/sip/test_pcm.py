"""Frames into and out of the SIP library's vectors."""

from __future__ import annotations

import pytest

from gateway.audio.format import ANALYSIS
from gateway.sip import pcm, pj

LOUD = bytes(range(256)) + b"\x01\x02" * 32


@pytest.mark.parametrize("read", [pcm.read_by_address, pcm.read_by_item])
@pytest.mark.parametrize("written", [b"", b"\x00", LOUD])
def test_what_is_written_is_read(read, written):
    assert read(pj.ByteVector(written)) == written


@pytest.mark.parametrize("can_address", [True, False])
def test_a_frame_is_the_library_s_own_once_it_was_given(monkeypatch, *, can_address):
    monkeypatch.setattr(pcm, "_CAN_ADDRESS", can_address)
    vector, frame = pcm.FrameVector(), pj.MediaFrame()
    frame.buf = vector.of(LOUD)
    vector.of(bytes(ANALYSIS.frame_bytes))
    assert pcm.read_pcm(frame.buf) == LOUD


@pytest.mark.parametrize("odd", [b"", LOUD[:-1], LOUD + b"\x00"])
def test_what_is_no_whole_frame_is_taken_as_it_is(odd):
    assert pcm.read_pcm(pcm.FrameVector().of(odd)) == odd
