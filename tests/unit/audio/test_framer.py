"""Whole frames out of any chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.framer import Framer


@given(st.lists(st.binary(max_size=50)), st.integers(1, 33))
def test_nothing_is_lost_or_changed(chunks, frame_bytes):
    framer = Framer(frame_bytes)
    frames = [frame for chunk in chunks for frame in framer.push(chunk)] + framer.flush()
    line = b"".join(chunks)
    assert all(len(frame) == frame_bytes for frame in frames)
    assert b"".join(frames).rstrip(b"\0") == line.rstrip(b"\0")
    assert len(frames) == -(-len(line) // frame_bytes)
    assert framer.flush() == []


def test_frame_comes_with_its_last_byte():
    framer = Framer(4)
    assert framer.push(b"abc") == []
    assert framer.push(b"d") == [b"abcd"]
    assert framer.push(b"efghijklm") == [b"efgh", b"ijkl"]
    assert framer.flush() == [b"m\0\0\0"]


def test_refuses_empty_frames():
    with pytest.raises(ValueError, match="positive"):
        Framer(0)
