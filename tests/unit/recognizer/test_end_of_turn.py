"""Opinions: told when they are there, void when the caller went on, never more than one a turn."""

import asyncio
import logging
import threading

import pytest

from gateway.recognizer.end_of_turn import EndOfTurnScorer
from gateway.threads import BlockingEngine


class Sound:
    """Says of each segment what it was told, once it may."""

    def __init__(self, *says):
        self.says = dict(says)
        self.may = threading.Event()
        self.judged = []

    def probability(self, pcm, rate_hz):
        self.may.wait(10)
        self.judged.append(pcm)
        if isinstance(self.says[pcm], Exception):
            raise self.says[pcm]
        return self.says[pcm]


def told(sound, act):
    """Run `act(form, drop)`, then let the sound be judged; give what was told."""
    found = []

    async def whole():
        engine = BlockingEngine("test")
        try:
            async with asyncio.TaskGroup() as tasks:
                scorer = EndOfTurnScorer(sound, engine)
                act(
                    lambda turn, pcm: scorer.score(tasks, turn, pcm, 8000, found.append),
                    scorer.drop,
                )
                sound.may.set()
        finally:
            sound.may.set()
            engine.close()

    asyncio.run(whole())
    return found


def test_each_turn_is_judged():
    sound = Sound((b"a", 0.7), (b"b", 0.2))

    def act(form, _drop):
        form(1, b"a")
        form(2, b"b")

    assert told(sound, act) == [0.7, 0.2]


def test_only_the_latest_of_a_turn_counts():
    sound = Sound((b"a", 0.7), (b"b", 0.2))

    def act(form, _drop):
        form(1, b"a")
        form(1, b"b")

    assert told(sound, act) == [0.2]


def test_nobody_is_told_what_was_dropped():
    def act(form, drop):
        form(1, b"a")
        drop(1)
        drop(2)

    assert told(Sound((b"a", 0.7)), act) == []


def test_a_failure_costs_one_score(caplog: pytest.LogCaptureFixture):
    def act(form, _drop):
        form(1, b"a")
        form(2, b"b")

    with caplog.at_level(logging.CRITICAL):
        assert told(Sound((b"a", RuntimeError("broken")), (b"b", 0.2)), act) == [0.2]
