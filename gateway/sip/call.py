"""SipLine: a SIP dialog with its media as a `Line`.  Loop thread only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext, suppress

from gateway.audio.format import AudioFormat
from gateway.call.inlet import FrameInlet
from gateway.call.line import (
    Answered,
    CallFacts,
    Capability,
    End,
    Held,
    HungUp,
    LineEvent,
    MediaStatistics,
    Resumed,
    TransferOutcome,
)
from gateway.call.media import FrameOutlet
from gateway.errors import CallRejected, SipError, TransferFailed
from gateway.sip import pj
from gateway.sip.dialing import referred_uri
from gateway.sip.edge_peer import FINAL_HEADER
from gateway.sip.endings import phrase_of, status_of
from gateway.sip.leg import Leg, sip_header
from gateway.sip.line_keys import LineKeys
from gateway.sip.line_media import LineMedia
from gateway.sip.line_transfer import LineTransfer
from gateway.sip.media_port import CallMediaPort
from gateway.sip.native import transactions_of
from gateway.sip.outgoing import OutgoingGuard
from gateway.sip.request_screen import OFFERS_PER_S, StreamRate
from gateway.sip.rtp_guard import RtpGuard

_ACK_TIMEOUT_S = 8.0  # RFC 3261 says 32 s (timer H): too long for one of four slots
_LAST_BYE_MS = 1000
"""For the BYE of a call that never had an ACK: two transmissions, most likely to no host."""
_BUSY = 486
_TRANSFER_ONLY: frozenset[Capability] = frozenset({"transfer"})
_TRANSFER_AND_DIGITS: frozenset[Capability] = frozenset({"transfer", "digits"})


class SipLine:
    """A call as the rest of the gateway sees it."""

    def __init__(
        self,
        facts: CallFacts,
        port: CallMediaPort,
        loop: asyncio.AbstractEventLoop,
        outgoing: OutgoingGuard,
        guard: RtpGuard,
    ) -> None:
        self.facts = facts
        self._media = LineMedia(guard, loop.time)
        self.their_tag = ""
        """Of an incoming call's From; empty for a placed one."""
        self._requests = 0
        """That came within the call."""
        self.offers = StreamRate(OFFERS_PER_S)
        """That came within the call, after the first."""
        self._outgoing = outgoing
        self._loop = loop
        self.inlet = FrameInlet(loop, port.bell)
        self.outlet = FrameOutlet()
        self.ended: HungUp | None = None
        self.place_again: Callable[[], bool] | None = None
        """Places the call at another server; return whether there is one."""
        self.on_hold = False
        self.is_untrusted = False
        self.expected_codec = ""
        """The limits of `sip.untrusted` apply to the caller."""
        self.ack_timeout_s = _ACK_TIMEOUT_S
        self.port: CallMediaPort | None = port
        port.attach(self.inlet, self.outlet)
        self._leg: Leg | None = None
        self._events: asyncio.Queue[LineEvent] = asyncio.Queue()
        self._confirmed = asyncio.Event()
        self._closed = asyncio.Event()
        self.transfers = LineTransfer(self._now_s)
        self.keys = LineKeys(self._events.put_nowait, self._now_s)
        self._hung_up_by_us = False
        self._is_up = False
        self._is_waiting_for_ack = False
        self._is_ringing = False

    # --- what a conversation may do ---

    @property
    def media_format(self) -> AudioFormat:
        """What it carries: the band of the codec that was agreed on."""
        return self.inlet.format

    @property
    def input_delay_ms(self) -> float:
        """How long ago what is heard now was sent, as far as this end can tell."""
        return self._media.input_delay_ms

    @property
    def output_delay_ms(self) -> float:
        """How much later than its tick audio is sent, as far as this end can tell."""
        return self._media.output_delay_ms

    @property
    def is_confirmed(self) -> bool:
        """The dialog is established: the ACK has come, or gone out."""
        return self._confirmed.is_set()

    @property
    def transfer_outcome(self) -> TransferOutcome | None:
        """What became of the last REFER of ours; None = there was none, or it is not known yet."""
        return self.transfers.outcome

    @property
    def is_ending(self) -> bool:
        """It is over, or we have asked for its end."""
        return self._hung_up_by_us or self.ended is not None

    async def events(self) -> AsyncIterator[LineEvent]:
        """Yield what happens on the line; `HungUp` is the last."""
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, HungUp):
                return

    def ring(self) -> None:
        """Send 180 (RFC 3261, 13.3.1.1), once; without it the caller waits in silence."""
        is_new = self.facts.direction == "in" and not self._is_waiting_for_ack
        if is_new and not self._is_ringing and not self._confirmed.is_set():
            self._is_ringing = True
            with suppress(SipError):  # the caller may have gone, which `answer` reports
                self._answer(180)

    async def answer(self) -> None:
        """Accept an incoming call and wait for the ACK.

        Raises:
            SipError: the caller went away or never sent its ACK, or the offer could not be
                negotiated.
        """
        if self._confirmed.is_set() and self.ended is None:
            return
        self._answer(200)
        self._is_waiting_for_ack = True
        try:
            await self._until_confirmed(self.ack_timeout_s)
        except TimeoutError:
            raise CallRejected(408, f"no ACK within {self.ack_timeout_s:g} s") from None

    async def wait_answered(self, timeout_s: float) -> None:
        """Wait until an outgoing call is answered; a call that rings longer is cancelled.

        Raises:
            CallRejected: refused, busy, or not answered in time.
        """
        try:
            await self._until_confirmed(timeout_s)
        except TimeoutError:
            await self.hang_up(End("no_answer", "no answer", 487))
            raise CallRejected(408, f"not answered within {timeout_s:g} s") from None

    async def hang_up(self, end: End) -> None:
        """End the call (BYE, CANCEL or a final response) and wait until it is gone.  Idempotent."""
        self.hang_up_nowait(end)
        await self._closed.wait()

    def hang_up_nowait(self, end: End) -> None:
        """Do the same without waiting."""
        if self.ended is not None or self._leg is None:
            return
        self._hung_up_by_us = True
        self._media.close()
        status = 0 if self._is_up else status_of(end)
        how = pj.CallOpParam()
        how.statusCode = status
        how.reason = phrase_of(end)
        is_lost = self._is_waiting_for_ack and not self.is_confirmed
        if status == _BUSY:
            how.txOption.headers.append(_final_header())
        try:
            with transactions_of(_LAST_BYE_MS) if is_lost else nullcontext():
                self._leg.hangup(how)
        except pj.Error:
            self.on_disconnected(500, "gone")

    async def transfer(self, target: str, timeout_s: float) -> None:
        """Blind transfer by REFER (RFC 3515), followed to its outcome.

        Raises:
            OutgoingRefused: `[outgoing]` does not allow it; nothing was sent.
            TransferFailed: refused, failed at the target, or without a known outcome.
        """
        leg = self._require_leg()
        if self.transfers.is_in_progress:
            raise TransferFailed(491, "another transfer is in progress")
        trunk = self.facts.trunk
        self._outgoing.begin_transfer(target, trunk)
        uri = referred_uri(target, self._outgoing.server_of(trunk) or self.facts.source)
        await self.transfers.send(uri, leg, timeout_s)

    async def send_digits(self, digits: str) -> None:
        """Send keys by signalling; returns when the last has been sent.  Raises SipError."""
        await self.keys.send(digits, self._require_leg())

    @property
    def can(self) -> frozenset[Capability]:
        """What the transport can do in this call: keys are signalled if both sides know how."""
        if self.keys.uses_tones(has_events=self._media.has_events(self._leg)):
            return _TRANSFER_ONLY
        return _TRANSFER_AND_DIGITS

    # --- what the endpoint does with it ---

    def bind(self, leg: Leg) -> None:
        """Join the line to the library's call."""
        self._leg = leg

    def unbind(self) -> None:
        """Let go of the library's call, which is over; another one follows."""
        self._leg = None

    def statistics(self) -> MediaStatistics:
        """Read the RTP counters; the last known ones when there is no stream."""
        return self._media.statistics(self._leg if self.ended is None else None)

    @property
    def is_in_conversation(self) -> bool:
        """True from the call's first conversation on."""
        return self.inlet.is_heard

    def watch_media(self) -> None:
        """Look at the packets that have come and those that wait, and at their sender."""
        if self._leg is None or self.ended is not None:
            return
        is_measured = self.is_in_conversation
        source = self._media.watch(self._leg, is_measured=is_measured, on_hold=self.on_hold)
        if source is not None:
            self._events.put_nowait(source)

    def signs_of_life(self) -> tuple[object, ...]:
        """Return what changes whenever the other side is heard: RTP, RTCP, requests in the call."""
        return self._media.packets, self._media.last_report(), self._requests

    def on_answer_from(self, host: str) -> None:
        """An answer to our INVITE came from an IP address."""
        self._media.answered_from(host)

    def on_request(self) -> None:
        """A request of the other side came within the call."""
        self._requests += 1

    def on_stream_destroyed(self) -> None:
        """A re-INVITE or the end: the next stream counts from zero."""
        self.keys.on_stream_destroyed()
        self._media.stream_destroyed(self._leg if self.ended is None else None)

    def on_confirmed(self) -> None:
        """The dialog is established (ACK received or sent)."""
        if not self._confirmed.is_set() and self._media.is_negotiated:
            self._is_up = True
            self._events.put_nowait(Answered())
        self._confirmed.set()
        self._media.confirmed(self._leg)

    def on_media(self, leg: Leg) -> None:
        """The SDP was negotiated anew: join the stream to our port, notice hold and resume."""
        held = self._media.negotiated(leg, self.port)
        if held != self.on_hold:
            self.on_hold = held
            self._events.put_nowait(Held() if held else Resumed())
        self.statistics()

    def on_stream(self, stream: int) -> None:
        """A stream was made; it waits for the ACK: without one the address may be a victim's."""
        self._media.stream_made(stream)
        self.keys.on_stream(stream)
        if not self._confirmed.is_set() and self.facts.direction == "in":
            self._media.pause_until_confirmed(stream)

    def on_disconnected(self, status: int, reason: str) -> None:
        """The call is over, at either side's wish."""
        if self.ended is not None:
            return
        self.place_again = None
        self._media.close()
        self.ended = HungUp("gateway" if self._hung_up_by_us else "caller", status, reason)
        self.transfers.on_call_ended(status if self.ended.by == "caller" else 487)
        self._confirmed.set()
        self._closed.set()
        self._events.put_nowait(self.ended)

    def on_silence(self, status: int, reason: str) -> None:
        """The library has given the call up: a request got no answer at all."""
        if self.place_again is None or self.is_confirmed or self._hung_up_by_us:
            self.on_disconnected(status, reason)
        else:  # not within the library's callback
            self._loop.call_soon(self._try_elsewhere, self.place_again, status, reason)

    def _try_elsewhere(self, place_again: Callable[[], bool], status: int, reason: str) -> None:
        if self.ended is None and (self._hung_up_by_us or not place_again()):
            self.on_disconnected(status, reason)

    def drop_ended_leg(self) -> None:
        """Let go of the library's call if it is over."""
        if self.ended is not None:
            self._leg = None

    def release(self) -> CallMediaPort | None:
        """Let go of the library's objects; returns the port for the next call."""
        port, self.port = self.port, None
        self.inlet.close()
        self._leg = None
        if port is not None:
            port.detach()
        return port

    def _answer(self, status: int) -> None:
        how = pj.CallOpParam()
        how.statusCode = status
        try:
            self._require_leg().answer(how)
        except pj.Error as error:
            raise SipError(500, f"cannot answer with {status}: {error.reason}") from error

    async def _until_confirmed(self, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            await self._confirmed.wait()
        if self.ended is not None:
            raise CallRejected(self.ended.status, self.ended.reason)
        if not self._media.is_negotiated:
            raise CallRejected(488, "the other side described no media")

    def _now_s(self) -> float:
        return self._loop.time()

    def _require_leg(self) -> Leg:
        if self._leg is None or self.ended is not None:
            raise SipError(481, "the call is over")
        return self._leg


def _final_header() -> pj.SipHeader:
    """Mark a refusal as the dialplan's: another worker would answer the same."""
    return sip_header(FINAL_HEADER, "yes")
