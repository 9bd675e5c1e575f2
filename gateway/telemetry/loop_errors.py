"""What goes wrong outside every task of an event loop: logged, but never without bound."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import structlog

from gateway.allowance import LogLimiter

log = structlog.get_logger(__name__)

_A_MINUTE = 10


def bound_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log each kind of error that asyncio reports some ten times a minute, then only count it.

    Without descriptors it reports every connection that it cannot accept, with a traceback, many
    thousand a second.
    """
    limiter = LogLimiter(_A_MINUTE)

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        told = str(context.get("message", ""))[:100]
        error = context.get("exception")
        kind = f"{told.split(':')[0]} {type(error).__name__}"
        if not limiter.passes(kind, time.monotonic()):
            return
        held_back = limiter.held_back(kind)
        if isinstance(error, OSError):  # the machine's, no bug of ours: nothing to trace
            log.error("loop_error", problem=f"{told}: {error}", not_logged=held_back)
        else:
            log.error("loop_error", problem=told, not_logged=held_back, exc_info=error)

    loop.set_exception_handler(handle)


class BoundedLines(logging.Filter):
    """Limits the records of a library's logger per minute, by their unformatted text."""

    def __init__(self, count: int = _A_MINUTE) -> None:
        super().__init__()
        self._log_limiter = LogLimiter(count)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged."""
        return self._log_limiter.passes(str(record.msg)[:100], time.monotonic())
