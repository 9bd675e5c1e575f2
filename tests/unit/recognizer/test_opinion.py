"""An opinion comes with the transcript or not at all; it never delays one for long."""

import asyncio
import logging
import threading

import pytest

from gateway.recognizer.opinion import Opinions, take
from gateway.threads import BlockingEngine


class Sound:
    """Says what it was told once it may."""

    def __init__(self, says=0.7, is_free=True):
        self.says = says
        self.free = threading.Event()
        if is_free:
            self.free.set()

    def probability(self, pcm):
        self.free.wait(10)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


async def ask(sound, decode_s=0.0):
    engine = BlockingEngine("test")
    try:
        async with asyncio.TaskGroup() as tasks:
            opinion = tasks.create_task(Opinions(sound, engine).judge(b""))
            await asyncio.wait((opinion,), timeout=decode_s)
            return await take(opinion)
    finally:
        sound.free.set()
        engine.close()


def test_an_opinion_in_time_counts():
    assert asyncio.run(ask(Sound(0.7), decode_s=10)) == 0.7


def test_a_late_one_does_not():
    assert asyncio.run(ask(Sound(is_free=False))) is None


def test_a_failure_costs_one_opinion(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.CRITICAL):
        assert asyncio.run(ask(Sound(RuntimeError("broken")), decode_s=10)) is None
