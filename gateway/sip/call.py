"""One leg of a call: answer, hang up, transfer, digits.  Satisfies CallLine; loop thread only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import dataclass, replace

from gateway.allowance import Allowance
from gateway.conversation.line import Answered, CallFacts, Digit, Held, HungUp, LineEvent, Resumed
from gateway.errors import CallRejected, SipError, TransferFailed
from gateway.sip import pj
from gateway.sip.edge_peer import FINAL_HEADER
from gateway.sip.input_delay import InputDelay
from gateway.sip.media_port import CallMediaPort
from gateway.sip.native import transactions_of
from gateway.sip.outgoing import OutgoingGuard
from gateway.threads import FrameInlet, FrameOutlet

_ACK_TIMEOUT_S = 8.0  # RFC 3261 says 32 s (timer H): too long for one of four slots
_DIGITS_PER_S, _DIGITS_AT_ONCE = 20.0, 64
"""Automatic dialers press ten a second (50 ms on, 50 ms off)."""
_LAST_BYE_MS = 1000
"""For the BYE of a call that never had an ACK: two transmissions, most likely to nobody."""
_TRANSFER_TIMEOUT_S = 60.0
_DIGIT_MS = 160
_BUSY = 486
_BUFFERED_FRAME_MS = 10.0
"""The library's G.711 and G.722 cut packets into frames of this length."""
_LISTENING = (pj.PJMEDIA_DIR_DECODING, pj.PJMEDIA_DIR_ENCODING_DECODING)


@dataclass(frozen=True, slots=True)
class RtpStatistics:
    """Counters of one call's RTP, both ways."""

    codec: str = ""
    received_packets: int = 0
    received_lost: int = 0
    received_discarded: int = 0
    received_duplicated: int = 0
    received_reordered: int = 0
    received_jitter_ms: float = 0.0
    sent_packets: int = 0
    sent_lost: int = 0
    sent_jitter_ms: float = 0.0
    round_trip_ms: float = 0.0
    jitter_buffer_ms: float = 0.0
    remote_address: str = ""

    def after(self, earlier: RtpStatistics) -> RtpStatistics:
        """The same with the counts of earlier streams of the call added."""
        summed = {
            name: getattr(self, name) + getattr(earlier, name)
            for name in (
                "received_packets",
                "received_lost",
                "received_discarded",
                "received_duplicated",
                "received_reordered",
                "sent_packets",
                "sent_lost",
            )
        }
        return replace(self, **summed)


class SipLine:
    """A call as the rest of the gateway sees it."""

    def __init__(
        self,
        facts: CallFacts,
        port: CallMediaPort,
        loop: asyncio.AbstractEventLoop,
        outgoing: OutgoingGuard,
    ) -> None:
        self.facts = facts
        self._outgoing = outgoing
        self.inlet = FrameInlet(loop)
        self.outlet = FrameOutlet()
        self.statistics = RtpStatistics()
        """Of all streams of the call so far."""
        self._before = RtpStatistics()
        self._input_delay = InputDelay()
        self.ended: HungUp | None = None
        self.on_hold = False
        self.is_transferred = False
        """A REFER of ours has succeeded."""
        self.is_strangers = False
        """Nobody vouches for the caller: see `sip.strangers`."""
        self.ack_timeout_s = _ACK_TIMEOUT_S
        self.port: CallMediaPort | None = port
        port.attach(self.inlet, self.outlet)
        self._leg: Leg | None = None
        self._events: asyncio.Queue[LineEvent] = asyncio.Queue()
        self._confirmed = asyncio.Event()
        self._closed = asyncio.Event()
        self._transfer: asyncio.Future[None] | None = None
        self._digits = Allowance(_DIGITS_AT_ONCE, _DIGITS_AT_ONCE / _DIGITS_PER_S)
        self._hung_up_by_us = False
        self._is_waiting_for_ack = False

    # --- what a conversation may do ---

    @property
    def input_delay_ms(self) -> float:
        """How long ago what is heard now was sent, as far as this end can tell."""
        return self._input_delay.ms

    @property
    def is_confirmed(self) -> bool:
        """The dialog is established: the ACK has come, or gone out."""
        return self._confirmed.is_set()

    async def events(self) -> AsyncIterator[LineEvent]:
        """Yield what happens on the line; `HungUp` is the last."""
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, HungUp):
                return

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
            await self.hang_up(487, "no answer")
            raise CallRejected(408, f"not answered within {timeout_s:g} s") from None

    async def hang_up(self, status: int = 0, reason: str = "") -> None:
        """End the call (BYE, CANCEL or a final response) and wait until it is gone.  Idempotent."""
        self.hang_up_nowait(status, reason)
        await self._closed.wait()

    def hang_up_nowait(self, status: int = 0, reason: str = "") -> None:
        """Do the same without waiting."""
        if self.ended is not None or self._leg is None:
            return
        self._hung_up_by_us = True
        how = pj.CallOpParam()
        how.statusCode = status if status >= 300 else 0
        how.reason = reason
        is_lost = self._is_waiting_for_ack and not self.is_confirmed
        if status == _BUSY:
            how.txOption.headers.append(_final_header())
        try:
            with transactions_of(_LAST_BYE_MS) if is_lost else nullcontext():
                self._leg.hangup(how)
        except pj.Error:
            self.on_disconnected(500, "gone")

    async def transfer(self, target: str) -> None:
        """Blind transfer by REFER (RFC 3515), followed to its final NOTIFY.

        Raises:
            OutgoingRefused: `[outgoing]` does not allow it; nothing was sent.
            TransferFailed: refused, failed at the target, or without an outcome for 60 s.
        """
        leg = self._require_leg()
        if self._transfer is not None:
            raise TransferFailed(491, "another transfer is in progress")
        self._outgoing.begin_transfer(target)
        self._transfer = asyncio.get_running_loop().create_future()
        try:
            leg.xfer(target, pj.CallOpParam())
            async with asyncio.timeout(_TRANSFER_TIMEOUT_S):
                await self._transfer
        except pj.Error as error:
            raise TransferFailed(500, f"REFER to {target} not sent: {error.reason}") from error
        except TimeoutError:
            raise TransferFailed(408, f"no outcome of the transfer to {target}") from None
        finally:
            self._transfer = None

    async def send_digits(self, digits: str) -> None:
        """Send DTMF by RFC 4733; returns when the last has been sent.  Raises SipError."""
        how = pj.CallSendDtmfParam()
        how.method = pj.PJSUA_DTMF_METHOD_RFC2833
        how.digits = digits
        how.duration = _DIGIT_MS
        try:
            self._require_leg().sendDtmf(how)
        except pj.Error as error:
            raise SipError(500, f"cannot send digits {digits}: {error.reason}") from error
        await asyncio.sleep(len(digits) * (_DIGIT_MS + 80) / 1000)

    # --- what the endpoint does with it ---

    def bind(self, leg: Leg) -> None:
        """Join the line to the library's call."""
        self._leg = leg

    def poll_statistics(self) -> RtpStatistics:
        """Read the RTP counters; the last known ones when there is no stream."""
        if self._leg is not None and self.ended is None:
            now = _read_statistics(self._leg)
            if now is not None:
                self.statistics = now.after(self._before)
        return self.statistics

    def watch_delay(self, at_ms: float) -> None:
        """Look at the packets that have come and those that wait."""
        if self._leg is None or self.ended is not None or self.on_hold:
            return
        try:
            if not self._leg.hasMedia():  # the library warns of a look at a stream to come
                return
            stat = self._leg.getStreamStat(0)
        except pj.Error:  # no stream yet, or no more
            return
        received = stat.rtcp.rxStat
        expected = received.pkt - received.dup + received.loss
        self._input_delay.look(at_ms, expected, stat.jbuf.size * _BUFFERED_FRAME_MS)

    def on_stream_destroyed(self) -> None:
        """A re-INVITE or the end: the next stream counts from zero."""
        self.poll_statistics()
        self._before = self.statistics
        self._input_delay.reset()

    def on_confirmed(self) -> None:
        """The dialog is established (ACK received or sent)."""
        if not self._confirmed.is_set():
            self._events.put_nowait(Answered())
        self._confirmed.set()

    def on_media(self, leg: Leg) -> None:
        """The SDP was negotiated anew: join the stream to our port, notice hold and resume."""
        info = leg.getInfo()  # kept in a name: its media are views into it
        media = [m for m in info.media if m.type == pj.PJMEDIA_TYPE_AUDIO]
        active = next((m for m in media if m.status == pj.PJSUA_CALL_MEDIA_ACTIVE), None)
        held = any(
            m.status in (pj.PJSUA_CALL_MEDIA_REMOTE_HOLD, pj.PJSUA_CALL_MEDIA_LOCAL_HOLD)
            for m in media
        )
        if active is not None and self.port is not None:
            stream = leg.getAudioMedia(active.index)
            stream.startTransmit(self.port)
            self.port.startTransmit(stream)
            held = active.dir not in _LISTENING
        if held != self.on_hold:
            self.on_hold = held
            self._events.put_nowait(Held() if held else Resumed())
        self.poll_statistics()

    def on_digit(self, digit: str, *, by_info: bool) -> None:
        """A key was pressed; what no finger can press is dropped: each key is an event on disk."""
        if not self._digits.spend(asyncio.get_running_loop().time()):
            return
        self._events.put_nowait(Digit(digit, "info" if by_info else "rfc4733"))

    def on_transfer_status(self, status: int, reason: str, *, is_final: bool) -> None:
        """News of a REFER of ours."""
        waiter = self._transfer
        if waiter is None or waiter.done() or (status < 300 and not is_final):
            return
        if 200 <= status < 300:
            self.is_transferred = True
            waiter.set_result(None)
        elif is_final or status >= 300:
            waiter.set_exception(TransferFailed(status or 500, reason or "transfer failed"))

    def on_disconnected(self, status: int, reason: str) -> None:
        """The call is over, whoever ended it."""
        if self.ended is not None:
            return
        self.ended = HungUp("gateway" if self._hung_up_by_us else "caller", status, reason)
        if self._transfer is not None and not self._transfer.done():
            self._transfer.set_exception(TransferFailed(487, "the call ended"))
        self._confirmed.set()
        self._closed.set()
        self._events.put_nowait(self.ended)

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

    def _require_leg(self) -> Leg:
        if self._leg is None or self.ended is not None:
            raise SipError(481, "the call is over")
        return self._leg


class Leg(pj.Call):
    """The library's call: every callback is one line, because exceptions in here would be lost."""

    def __init__(
        self, account: pj.Account, line: SipLine, call_id: int = pj.PJSUA_INVALID_ID
    ) -> None:
        super().__init__(account, call_id)
        self._line = line

    def onCallState(self, prm: object) -> None:
        """Follow the INVITE session."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._line.on_confirmed()
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._line.on_disconnected(info.lastStatusCode, info.lastReason)

    def onCallMediaState(self, prm: object) -> None:
        """Follow offer and answer."""
        self._line.on_media(self)

    def onStreamDestroyed(self, prm: object) -> None:
        """Keep the last counters."""
        self._line.on_stream_destroyed()

    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:
        """Pass on a digit."""
        self._line.on_digit(prm.digit, by_info=prm.method == pj.PJSUA_DTMF_METHOD_SIP_INFO)

    def onCallTransferStatus(self, prm: pj.OnCallTransferStatusParam) -> None:
        """Pass on a NOTIFY about our REFER."""
        self._line.on_transfer_status(prm.statusCode, prm.reason, is_final=prm.finalNotify)

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:
        """Refuse: a caller may not make us place calls."""
        prm.statusCode = 603

    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:
        """See a refused REFER, which pjsua reports in no other way."""
        tsx = prm.e.body.tsxState.tsx
        if tsx.method == "REFER" and tsx.statusCode >= 300:
            self._line.on_transfer_status(tsx.statusCode, tsx.statusText, is_final=True)


def _final_header() -> pj.SipHeader:
    """Tell an edge that the dialplan wants this: another worker would say the same."""
    header = pj.SipHeader()
    header.hName, header.hValue = FINAL_HEADER, "yes"
    return header


def _read_statistics(leg: Leg) -> RtpStatistics | None:
    try:
        info = leg.getStreamInfo(0)
        stat = leg.getStreamStat(0)
    except pj.Error:
        return None
    received, sent = stat.rtcp.rxStat, stat.rtcp.txStat
    return RtpStatistics(
        codec=info.codecName,
        received_packets=received.pkt,
        received_lost=received.loss,
        received_discarded=received.discard,
        received_duplicated=received.dup,
        received_reordered=received.reorder,
        received_jitter_ms=round(received.jitterUsec.mean / 1000, 1),
        sent_packets=sent.pkt,
        sent_lost=sent.loss,
        sent_jitter_ms=round(sent.jitterUsec.mean / 1000, 1),
        round_trip_ms=round(stat.rtcp.rttUsec.mean / 1000, 1),
        jitter_buffer_ms=float(stat.jbuf.avgDelayMsec),
        remote_address=info.remoteRtpAddress,
    )
