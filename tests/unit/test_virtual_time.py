"""The clock of scenes stands still while a function runs on a thread."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing

from gateway.threads import BlockingEngine
from tests.support.virtual_time import run


def test_a_function_on_a_thread_takes_no_time():
    async def main():
        loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(asyncio.sleep(100))
        await engine.call(threading.Event().wait, 0.05)
        began_s = loop.time()
        await ticking
        return began_s, loop.time()

    with closing(BlockingEngine("test")) as engine:
        assert run(main()) == (0, 100)


def test_one_that_hangs_does_not_stop_the_clock():
    over = threading.Event()

    async def main():
        hanging = asyncio.create_task(engine.call(over.wait))
        await asyncio.sleep(100)
        hanging.cancel()
        await asyncio.wait([hanging])
        return asyncio.get_running_loop().time()

    with closing(BlockingEngine("test")) as engine:
        assert run(main()) == 100
        over.set()
