"""Owned threads of blocking engines."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from gateway.threads import BlockingEngine


@pytest.mark.skipif(sys.platform != "linux", reason="only there a thread has a priority")
def test_an_engine_may_stand_back():
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def main():
        polite, usual = BlockingEngine("polite", nice=3), BlockingEngine("usual")
        try:
            assert await polite.call(niceness) == min(19, niceness() + 3)
            assert await usual.call(niceness) == niceness()
        finally:
            polite.close()
            usual.close()

    asyncio.run(main())
