"""Child processes: one way to end them."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress


async def end_child(process: asyncio.subprocess.Process, timeout_s: float) -> bool:
    """End a child, politely first.

    Returns:
        False when it did not end by itself within `timeout_s` and was killed.
    """
    if process.returncode is not None:
        return True
    with suppress(ProcessLookupError):
        # Not `terminate()`: it collects a child that has just ended, and the loop's own watcher
        # then complains that it never knew it.
        os.kill(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(timeout_s):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return True
