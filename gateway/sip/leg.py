"""The library's call: passes what it reports on to the line.  Loop thread only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.sip import pj
from gateway.sip.line_keys import LineKeys
from gateway.sip.line_transfer import LineTransfer
from gateway.sip.message import parse_request


class LegSink(Protocol):
    """Receives the library's reports about one call; see `SipLine`."""

    keys: LineKeys
    transfers: LineTransfer
    place_again: Callable[[], bool] | None

    def on_confirmed(self) -> None:
        """The dialog is established."""

    def on_answer_from(self, host: str) -> None:
        """An answer to an INVITE, or an INVITE, came from an IP address."""

    def on_silence(self, status: int, reason: str) -> None:
        """A request got no answer at all."""

    def on_disconnected(self, status: int, reason: str) -> None:
        """The call is over."""

    def on_media(self, leg: Leg) -> None:
        """The SDP was negotiated anew."""

    def on_stream(self, stream: int) -> None:
        """A stream was made."""

    def on_stream_destroyed(self) -> None:
        """It is gone."""


class Leg(pj.Call):
    """The library's call: every callback is one line, because exceptions in here would be lost."""

    def __init__(
        self, account: pj.Account, line: LegSink, call_id: int = pj.PJSUA_INVALID_ID
    ) -> None:
        super().__init__(account, call_id)
        self._line = line
        self._redirected = (0, "")
        """The answer that told us to call elsewhere."""

    def onCallRedirected(self, prm: pj.OnCallRedirectedParam) -> int:
        """Refuse redirection: the called side does not decide where calls go."""
        tsx = prm.e.body.tsxState.tsx
        self._redirected = (tsx.statusCode, tsx.statusText)
        return pj.PJSIP_REDIRECT_STOP

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        """Follow the INVITE session."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._line.on_confirmed()
        elif info.state == pj.PJSIP_INV_STATE_EARLY:
            self._line.place_again = None  # the call was answered
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            status, reason = self._redirected
            if status // 100 != 3:  # else the library says 487, as if the call were given up
                status, reason = info.lastStatusCode, info.lastReason
            silent = (pj.PJSIP_EVENT_TIMER, pj.PJSIP_EVENT_TRANSPORT_ERROR)
            is_event = prm.e.type == pj.PJSIP_EVENT_TSX_STATE
            if is_event and prm.e.body.tsxState.type in silent:
                self._line.on_silence(status, reason)
            else:
                self._line.on_disconnected(status, reason)

    def onCallMediaState(self, prm: object) -> None:
        """Follow offer and answer."""
        self._line.on_media(self)

    def onStreamCreated(self, prm: pj.OnStreamCreatedParam) -> None:
        """Pass on the library's stream."""
        self._line.on_stream(int(prm.stream))

    def onStreamDestroyed(self, prm: object) -> None:
        """Keep the last counters."""
        self._line.on_stream_destroyed()

    def onDtmfEvent(self, prm: pj.OnDtmfEventParam) -> None:
        """Pass on a report of a key."""
        self._line.keys.on_event(prm)

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:
        """Refuse: a caller may not make us place calls."""
        prm.statusCode = 603

    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:
        """See answers to a REFER, and every NOTIFY: the library reports only some of them."""
        state = prm.e.body.tsxState
        if state.tsx.method == "INVITE" and state.type == pj.PJSIP_EVENT_RX_MSG:
            host, _, _ = state.src.rdata.srcAddress.rpartition(":")
            self._line.on_answer_from(host)  # for a call of theirs the guard knows better
        elif state.tsx.method == "REFER":
            self._line.transfers.on_answered(state.tsx.statusCode, state.tsx.statusText)
        elif state.tsx.method == "NOTIFY" and state.type == pj.PJSIP_EVENT_RX_MSG:
            request = parse_request(state.src.rdata.wholeMsg)  # the screen has read it before
            self._line.transfers.on_notified(request.header("subscription-state"), request.body)


def sip_header(name: str, value: str) -> pj.SipHeader:
    """Make a header for the library to send."""
    header = pj.SipHeader()
    header.hName, header.hValue = name, value
    return header
