"""What a caller turn leaves in the recognizer once nobody wants to know any more: nothing."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from gateway.recognizer.end_of_turn import EndOfTurnScorer
from gateway.recognizer.moonshine import Decoding
from gateway.recognizer.protocol import Cancel, Decode, GoesOn
from gateway.recognizer.server import RecognizerServer
from gateway.threads import BlockingEngine

PEER = "worker"


class Model:
    """Decodes and judges nothing before it may."""

    def __init__(self):
        self.begun = [threading.Event(), threading.Event()]
        self.may = threading.Event()
        self.has_judged = threading.Event()
        self.drafts = []
        self.judged = []

    def decode(self, pcm, choices, should_stop, draft, grammar, rate_hz):
        self.drafts.append(draft)
        self.begun[len(self.drafts) - 1].set()
        self.may.wait(10)
        return Decoding("Hello.", -0.1, None, (1, 2))

    def probability(self, pcm, rate_hz):
        self.judged.append(pcm)
        self.has_judged.set()
        return 0.5


@asynccontextmanager
async def decoding(model, decoders=1, **options):
    """A server that decodes, without a socket; what waits in the model goes on at the end."""
    engines = [BlockingEngine(f"decoder-{number}") for number in range(decoders)]
    ear = BlockingEngine("end_of_turn")
    server = RecognizerServer(model, engines, EndOfTurnScorer(model, ear), **options)
    try:
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(server._decode_forever(each, tasks)) for each in engines]
            yield server
            for task in work:
                task.cancel()
    finally:
        model.may.set()
        for engine in (*engines, ear):
            engine.close()


async def happens(event):
    assert await asyncio.get_running_loop().run_in_executor(None, event.wait, 10)


def test_a_turn_that_ends_while_it_is_decoded_leaves_nothing():
    model = Model()

    async def whole():
        async with decoding(model) as server:
            server.take(PEER, Decode(id=1, stream=1, final=True), b"first")
            await happens(model.begun[0])
            server.take(PEER, Cancel(stream=1), b"")
            server.take(PEER, Decode(id=2, stream=2, final=False), b"second")
            model.may.set()
            await happens(model.begun[1])
            server.take(PEER, Cancel(stream=2), b"")
        return server._drafts

    assert asyncio.run(whole()) == {}
    assert model.judged == []


def test_a_caller_who_goes_on_is_not_judged_by_the_sound_of_the_gap():
    model = Model()

    async def whole():
        async with decoding(model) as server:
            server.take(PEER, Decode(id=1, stream=1, final=True), b"gap")
            await happens(model.begun[0])
            server.take(PEER, GoesOn(stream=1), b"")
            server.take(PEER, Decode(id=2, stream=1, final=True), b"end")
            model.may.set()
            await happens(model.has_judged)
        return server._drafts

    assert asyncio.run(whole()) == {(PEER, 1): (1, 2)}
    assert model.judged == [b"end"]


def test_two_callers_are_decoded_at_the_same_time():
    model = Model()

    async def whole():
        async with decoding(model, decoders=2) as server:
            for stream in (1, 2):
                server.take(PEER, Decode(id=stream, stream=stream, final=True), b"said")
            await happens(model.begun[0])
            await happens(model.begun[1])

    asyncio.run(whole())


def test_a_decode_that_never_ends_ends_the_process():
    model = Model()

    async def whole():
        given_up = asyncio.Event()
        async with decoding(model, hung_after_s=0.05, give_up=given_up.set) as server:
            server.take(PEER, Decode(id=1, stream=1, final=True), b"said")
            async with asyncio.timeout(10):
                await given_up.wait()
            model.may.set()

    asyncio.run(whole())


def test_a_decode_that_ends_does_not():
    model = Model()
    model.may.set()

    async def whole():
        given_up = asyncio.Event()
        async with decoding(model, hung_after_s=0.1, give_up=given_up.set) as server:
            server.take(PEER, Decode(id=1, stream=1, final=True), b"said")
            await happens(model.has_judged)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await given_up.wait()

    asyncio.run(whole())
