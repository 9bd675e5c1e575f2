"""The recognizer hears of the end of every caller turn, so that it keeps nothing of it."""

import asyncio

import pytest

from gateway.recognizer.client import RecognizerStream, _Link
from gateway.recognizer.protocol import Cancel, Decode, Decoded, FrameReader, encode


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self):
        super().__init__()
        self.reader = FrameReader()
        self.messages = []

    def write(self, data):
        self.messages += [message for message, _ in self.reader.receive(data)]


def test_a_turn_that_was_answered_is_cancelled_too():
    link, wire, replies = _Link(), Wire(), []
    link.connection_made(wire)
    stream = RecognizerStream(link, 7)
    stream.decode(b"\0\0", replies.append, final=True)
    answer = Decoded(id=1, text="Hello.", log_prob=-0.1, choice=None, decode_ms=30.0)
    link.data_received(encode(answer))
    stream.close()
    stream.close()
    assert replies == [answer]
    assert [type(message) for message in wire.messages] == [Decode, Cancel]
    assert wire.messages[-1].stream == 7


@pytest.mark.parametrize(("given", "rate_hz"), [({}, 8000), ({"rate_hz": 16_000}, 16_000)])
def test_the_recognizer_is_told_the_rate(given, rate_hz):
    link, wire = _Link(), Wire()
    link.connection_made(wire)
    RecognizerStream(link, 7).decode(b"\0\0", print, final=True, **given)
    assert [message.rate_hz for message in wire.messages] == [rate_hz]


def test_a_turn_that_asked_nothing_is_not():
    link, wire = _Link(), Wire()
    link.connection_made(wire)
    RecognizerStream(link, 7).close()
    assert wire.messages == []
