"""The recognizer's frames: any chunking, and no garbage gets through."""

from __future__ import annotations

import contextlib
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recognizer.protocol import (
    MAX_FRAME_BYTES,
    MAX_PCM_BYTES,
    Cancel,
    Decode,
    Decoded,
    FrameReader,
    ProtocolViolation,
    Refused,
    encode,
)

EXAMPLES = [
    (Decode(id=1, stream=7, final=True, choices=("yes", "no, später")), b"\1\2\3\4"),
    (Decode(id=2, stream=7, rate_hz=16_000, final=False), b""),
    (Cancel(stream=7), b""),
    (Decoded(id=1, text="Two café, please.", log_prob=-0.1, choice=None, decode_ms=12.5), b""),
    (Decoded(id=2, text="", log_prob=None, choice="yes", decode_ms=0.0), b""),
    (Refused(id=3, reason="replaced"), b""),
]
LINE = b"".join(itertools.starmap(encode, EXAMPLES))


@given(st.lists(st.integers(0, len(LINE)), max_size=20))
def test_any_chunking_gives_the_same_messages(cuts):
    reader = FrameReader()
    bounds = [0, *sorted(cuts), len(LINE)]
    got = [m for a, b in itertools.pairwise(bounds) for m in reader.receive(LINE[a:b])]
    assert got == EXAMPLES


def frame(head, pcm=b""):
    return struct.pack("!IH", 2 + len(head) + len(pcm), len(head)) + head + pcm


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!I", 0),
        struct.pack("!I", 1) + b"x",
        struct.pack("!I", MAX_FRAME_BYTES + 1),
        struct.pack("!IH", 4, 9) + b"{}",
        frame(b""),
        frame(b"{}"),
        frame(b"\xff\xfe"),
        frame(b'{"op":"dance"}'),
        frame(b'{"op":"cancel","stream":-1}'),
        frame(b'{"op":"cancel","stream":1,"extra":0}'),
        frame(b'{"op":"cancel","stream":"1"}'),
        frame(b'{"op":"cancel","stream":1}', b"odd"),
        frame(b'{"op":"decode","id":1,"stream":1,"final":true,"choices":[""]}'),
        frame(b'{"op":"decode","id":1,"stream":1,"final":true,"rate_hz":48000}'),
    ],
)
def test_garbage_is_a_violation(garbage):
    with pytest.raises(ProtocolViolation):
        FrameReader().receive(garbage)


@given(st.binary(max_size=300))
def test_random_bytes_give_messages_or_a_violation_and_nothing_else(content):
    with contextlib.suppress(ProtocolViolation):
        FrameReader().receive(content)


def test_too_much_audio_is_not_even_sent():
    with pytest.raises(ValueError, match="too large"):
        encode(Cancel(stream=1), bytes(MAX_PCM_BYTES + 2))
