"""Keys of one call, both ways: telephone-event, INFO, tones.  Loop thread only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

import structlog

from gateway.allowance import Allowance
from gateway.call.line import Digit
from gateway.config.models import DtmfMethod
from gateway.errors import SipError
from gateway.sip import pj
from gateway.sip.decision import Answer
from gateway.sip.dtmf import TelephoneEvents, read_info
from gateway.sip.message import SipRequest
from gateway.sip.rtp_stream import EventMemory

log = structlog.get_logger(__name__)

_DIGITS_PER_S, _DIGITS_AT_ONCE = 20.0, 64
"""Automatic dialers press ten a second (50 ms on, 50 ms off)."""
_KEY_MS, _PAUSE_MS = 160, 80
_IS_END = 2  # PJMEDIA_STREAM_DTMF_IS_END (pjmedia/stream.h)


class Sender(Protocol):
    """The library's call, as far as keys go."""

    def sendDtmf(self, param: pj.CallSendDtmfParam) -> None:
        """Send keys.  Raises pj.Error."""


class LineKeys:
    """Knows which keys were pressed and how to press some."""

    def __init__(self, post: Callable[[Digit], None], now_s: Callable[[], float]) -> None:
        self._post = post
        self._now_s = now_s
        self.method: DtmfMethod = "auto"
        self._spent = Allowance(_DIGITS_AT_ONCE, _DIGITS_AT_ONCE / _DIGITS_PER_S)
        self._events = TelephoneEvents()
        self._memory: EventMemory | None = None
        self._last_info = 0
        """CSeq of the latest INFO: what is repeated was pressed once."""

    # --- pressed by the other side ---

    def on_stream(self, stream: int) -> None:
        """A stream was made."""
        self._memory = EventMemory(stream)
        if not self._memory.is_found:
            log.debug("telephone_event_note_not_found")  # repeated keys may be missed

    def on_stream_destroyed(self) -> None:
        """It is gone."""
        self._memory = None

    def on_event(self, event: pj.OnDtmfEventParam) -> None:
        """Accept a report of the library; INFO is read by `on_info` alone."""
        if event.method != pj.PJSUA_DTMF_METHOD_RFC2833:
            return
        key = self._events.press(event.digit, event.timestamp, event.duration)
        if event.flags & _IS_END and self._memory is not None:
            self._memory.clear()
        self._pressed(key, "rfc4733")

    def on_info(self, request: SipRequest, sequence: int) -> Answer:
        """Read an INFO within the call and say how to answer it."""
        package = request.header("info-package")
        info = read_info(request.header("content-type"), request.body, package)
        if sequence > self._last_info:
            self._last_info = sequence
            self._pressed(info.key, "info")
        return Answer(info.status, info.reason, info.headers)

    def _pressed(self, key: str, method: Literal["rfc4733", "info"]) -> None:
        """Post a key; what no finger can press is dropped: each key is an event on disk."""
        if key and self._spent.spend(self._now_s()):
            self._post(Digit(key, method))

    def uses_tones(self, *, has_events: bool) -> bool:
        """Return whether keys are sent as tones: by setting, or for lack of a better way."""
        return self.method == "tones" or (self.method == "auto" and not has_events)

    # --- pressed by us ---

    async def send(self, digits: str, sender: Sender) -> None:
        """Press keys by signalling; returns when the last was sent.  Raises SipError."""
        how = pj.CallSendDtmfParam()
        is_info = self.method == "info"
        how.method = pj.PJSUA_DTMF_METHOD_SIP_INFO if is_info else pj.PJSUA_DTMF_METHOD_RFC2833
        how.digits = digits
        how.duration = _KEY_MS
        try:
            sender.sendDtmf(how)
        except pj.Error as error:
            raise SipError(500, f"cannot send digits {digits}: {error.reason}") from error
        await asyncio.sleep(len(digits) * (_KEY_MS + _PAUSE_MS) / 1000)
