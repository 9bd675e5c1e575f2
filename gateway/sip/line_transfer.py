"""Transfers of one call by REFER: sent, and followed to their outcome.  Loop thread only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.call.line import TransferOutcome
from gateway.errors import TransferFailed
from gateway.sip import pj
from gateway.sip.transfer import Notification, TransferTracker


class Sender(Protocol):
    """The library's call, as far as transfers go."""

    def xfer(self, uri: str, param: pj.CallOpParam) -> None:
        """Send a REFER.  Raises pj.Error."""


class LineTransfer:
    """Knows of the last REFER of ours."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._tracker: TransferTracker | None = None
        self._news = asyncio.Event()

    @property
    def has_referred(self) -> bool:
        """A REFER of ours has been sent: NOTIFYs are about it."""
        return self._tracker is not None

    @property
    def outcome(self) -> TransferOutcome | None:
        """What became of it; None = there was none, or it is not known yet."""
        return self._tracker.outcome if self._tracker else None

    @property
    def is_in_progress(self) -> bool:
        """Its outcome is being waited for."""
        return self._tracker is not None and self._tracker.outcome is None

    async def send(self, uri: str, sender: Sender, timeout_s: float) -> None:
        """Send a REFER and follow it to its outcome (RFC 3515).

        Raises:
            TransferFailed: refused, failed at the target, or without a known outcome.
        """
        self._tracker = tracker = TransferTracker(self._now_s(), timeout_s)
        try:
            sender.xfer(uri, pj.CallOpParam())
        except pj.Error as error:
            self._tracker = None
            raise TransferFailed(500, f"REFER to {uri} not sent: {error.reason}") from error
        outcome = await self._outcome_of(tracker)
        if not outcome.is_success:
            raise TransferFailed(outcome.status or 408, outcome.text or "transfer failed")

    async def _outcome_of(self, tracker: TransferTracker) -> TransferOutcome:
        try:
            while tracker.outcome is None:
                self._news.clear()
                async with asyncio.timeout_at(tracker.deadline_s):
                    await self._news.wait()
        except TimeoutError:
            pass
        finally:
            outcome = tracker.expire()  # giving up lets the next transfer begin
        return outcome

    def on_answered(self, status: int, reason: str) -> None:
        """The REFER was accepted or refused."""
        if self._tracker is not None:
            self._tracker.responded(status, reason, self._now_s())
            self._news.set()

    def on_notified(self, subscription: str, body: str) -> None:
        """A NOTIFY came within the call: news of the REFER."""
        if self._tracker is not None:
            self._tracker.notified(Notification.of(subscription, body), self._now_s())
            self._news.set()

    def on_call_ended(self, status: int) -> None:
        """The call is over: by a BYE of the other side (200), or for another cause."""
        if self._tracker is not None:
            self._tracker.call_ended(status)
            self._news.set()
