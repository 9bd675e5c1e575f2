"""One call of the probe: as caller (INVITE ... BYE) or as called party, with its RTP peer.

Everything the other side may ask in the dialog is answered as a plain telephone would.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, replace

from gateway.errors import CallRejected, SipError
from gateway.probe import sdp
from gateway.probe.dialog import Dialog, Headers
from gateway.probe.media import RtpPeer
from gateway.probe.sip_messages import (
    Credentials,
    Message,
    address_of,
    authorization,
    respond,
    uri_of,
)
from gateway.probe.transactions import T1_S, T2_S, Address, ClientTransaction, SipSocket

_SDP_TYPE = ("Content-Type", "application/sdp")


@dataclass(slots=True)
class CallTimes:
    """Instants (`time.monotonic_ns()`) of one call, None until they happen."""

    invite_ns: int | None = None
    """The first INVITE left (that without credentials, if there was a challenge)."""
    ringing_ns: int | None = None
    answered_ns: int | None = None
    """200 came (as caller) or left (as called party)."""
    ack_ns: int | None = None
    ended_ns: int | None = None


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How the called side of a dialog behaves when it is asked for something."""

    refer_status: int = 202
    """Answer to REFER; 202 is followed by NOTIFY 100 and `transfer_status`."""
    transfer_status: int = 200
    answer_delay_s: float = 0.0
    """As called party: how long it rings."""
    refuse_status: int = 0
    """As called party: refuse with this status instead of answering, 0 = answer."""


class Call:
    """One SIP dialog with its audio.  `place` or `accept` it, then use it, then `hang_up`."""

    def __init__(
        self,
        sip: SipSocket,
        media: RtpPeer,
        *,
        user: str = "probe",
        credentials: Credentials | None = None,
        policy: CallPolicy | None = None,
        codecs: tuple[str, ...] = ("PCMU", "PCMA"),
    ) -> None:
        self.times = CallTimes()
        self.ended = asyncio.Event()
        self.ended_by = ""
        """`caller`, `gateway`, or empty while the call lasts."""
        self.status = 0
        """Final status of the INVITE."""
        self.referred_to = ""
        """Target of the last REFER that came."""
        self.digits = ""
        """Digits that came by SIP INFO."""
        self.requests: list[str] = []
        """Methods that the other side sent in the dialog, in order."""
        self._sip, self._media = sip, media
        self._credentials = credentials
        self._policy = policy or CallPolicy()
        self._ours = sdp.offer(sip.address[0], media.port, codecs, ptime_ms=media.ptime_ms)
        self._dialog = Dialog(f"{sip.address[0]}:{sip.address[1]}", user)
        self._hop: Address = ("", 0)
        self._invite: ClientTransaction | None = None
        self._last_ack: Message | None = None
        self._repeat: asyncio.TimerHandle | None = None
        sip.on_request = self._on_request
        sip.on_stray_response = self._on_stray_response

    async def place(self, target: str, extra: Headers = ()) -> None:
        """Call `target` and return when it has answered and our ACK is out.

        Raises:
            CallRejected: its final response was not 2xx.
            SipError: it never answered.
        """
        self._dialog.aim(target)
        self._hop = await _resolve(address_of(target))
        self.times.invite_ns = time.monotonic_ns()
        final = await self._invite_once(extra)
        if final.status in {401, 407} and self._credentials is not None:
            name = "Authorization" if final.status == 401 else "Proxy-Authorization"
            final = await self._invite_once((*extra, (name, self._authorize(final))))
        self.status = final.status
        if final.status >= 300:
            self._end("gateway")
            raise CallRejected(final.status, final.reason)
        self._media.start()

    def cancel(self) -> None:
        """Give up an INVITE that is not yet answered; `place` then raises CallRejected(487)."""
        if self._invite is None:
            return
        self._sip.request(self._dialog.cancel(self._invite.request), self._hop)

    async def accept(self, invite: Message, source: Address) -> None:
        """Accept an incoming INVITE: ring, answer after the policy's delay (or refuse).

        Raises:
            CallRejected: the policy refused it, or the other side cancelled.
        """
        self._dialog.adopt(invite)
        self._hop = source
        self.times.invite_ns = time.monotonic_ns()
        self._sip.respond(invite, self._dialog.response(invite, 180, "Ringing"), source)
        try:
            async with asyncio.timeout(self._policy.answer_delay_s):
                await self.ended.wait()
        except TimeoutError:
            pass
        if self.ended.is_set():
            self._sip.respond(
                invite, self._dialog.response(invite, 487, "Request Terminated"), source
            )
            raise CallRejected(487, "cancelled by the other side")
        if self._policy.refuse_status:
            self.status = self._policy.refuse_status
            self._sip.respond(invite, self._dialog.response(invite, self.status, "Refused"), source)
            self._end("caller")
            raise CallRejected(self.status, "refused as told")
        self.status = 200
        self._media.start()
        self.times.answered_ns = time.monotonic_ns()
        self._answer_offer(invite, source)

    async def change(
        self, direction: sdp.Direction = "sendrecv", codecs: tuple[str, ...] = ()
    ) -> Message:
        """Send a re-INVITE: hold (`sendonly`, `inactive`), resume, or another codec.

        Returns:
            The final response; it is applied to the media when it is 2xx.
        """
        fresh = self._ours
        if codecs:
            ptime_ms = self._media.ptime_ms
            fresh = sdp.offer(self._ours.address, self._ours.port, codecs, ptime_ms=ptime_ms)
        version = self._ours.version + 1
        self._ours = replace(fresh, direction=direction, version=version)
        return await self._invite_once(())

    async def send_info_digit(self, digit: str, duration_ms: int = 160) -> Message:
        """Press a key by SIP INFO (application/dtmf-relay)."""
        body = f"Signal={digit}\r\nDuration={duration_ms}\r\n".encode()
        kind = ("Content-Type", "application/dtmf-relay")
        return await self._request("INFO", (kind,), body).final()

    async def hang_up(self) -> None:
        """Send BYE (CANCEL while it rings) and wait for the answer.  Idempotent."""
        if self.ended.is_set():
            return
        if self.times.answered_ns is None:
            self.cancel()
            return
        self._end("caller")
        try:
            async with asyncio.timeout(4 * T1_S):
                await self._request("BYE").final()
        except (TimeoutError, SipError):
            return  # the other side is gone: so is the call

    async def _invite_once(self, extra: Headers) -> Message:
        """One INVITE transaction with its ACK; 2xx is applied to dialog and media."""
        body = sdp.build(self._ours)
        transaction = self._request("INVITE", (*extra, _SDP_TYPE), body)
        self._invite = transaction
        final = Message(())
        async for final in transaction.responses():
            now = time.monotonic_ns()
            if final.status == 180:
                self.times.ringing_ns = self.times.ringing_ns or now
            elif 200 <= final.status < 300:
                self.times.answered_ns = self.times.answered_ns or now
        self._invite = None
        if final.status < 300:
            self._dialog.confirm(final)
            if final.body:
                self._use(sdp.parse(final.body))
        self._acknowledge(transaction.request, final)
        return final

    def _acknowledge(self, invite: Message, final: Message) -> None:
        self._last_ack = self._dialog.acknowledge(invite, final)
        self._sip.send(self._last_ack, self._hop)
        self.times.ack_ns = self.times.ack_ns or time.monotonic_ns()

    def _use(self, theirs: sdp.AudioSession) -> None:
        """Point the media at what the other side described."""
        self._media.payload_type = theirs.audio_payload_type
        if theirs.event_payload_type is not None:
            self._media.event_payload_type = theirs.event_payload_type
        silent = self._ours.direction == "inactive" or theirs.direction in {
            "sendonly",
            "inactive",
        }
        self._media.remote = None if silent or not theirs.port else (theirs.address, theirs.port)

    def _request(self, method: str, extra: Headers = (), body: bytes = b"") -> ClientTransaction:
        return self._sip.request(self._dialog.request(method, extra, body), self._hop)

    def _authorize(self, challenged: Message) -> str:
        if self._credentials is None:
            raise SipError(challenged.status, "challenged, but there are no credentials")
        name = "WWW-Authenticate" if challenged.status == 401 else "Proxy-Authenticate"
        nonce = secrets.token_hex(8)
        return authorization(
            challenged.get_all(name), self._credentials, "INVITE", self._dialog.target, nonce
        )

    def _on_request(self, request: Message, source: Address) -> None:
        """Answer what the other side asks in our dialog."""
        if request.get("Call-ID") != self._dialog.call_id:
            if request.method != "ACK":
                gone = self._dialog.response(request, 481, "Call/Transaction Does Not Exist")
                self._sip.respond(request, gone, source)
            return
        self.requests.append(request.method)
        match request.method:
            case "ACK":
                self._stop_repeating()
                self.times.ack_ns = self.times.ack_ns or time.monotonic_ns()
            case "INVITE" | "UPDATE":
                self._answer_offer(request, source)
            case "REFER":
                self._answer_refer(request, source)
            case "BYE" | "CANCEL":
                self._sip.respond(request, self._dialog.response(request, 200, "OK"), source)
                self._end("gateway")
            case "INFO":
                self.digits += _info_digit(request.body)
                self._sip.respond(request, self._dialog.response(request, 200, "OK"), source)
            case _:
                self._sip.respond(request, self._dialog.response(request, 200, "OK"), source)

    def _answer_offer(self, request: Message, source: Address) -> None:
        """Answer an (re-)INVITE or UPDATE; an INVITE's 200 is repeated until its ACK."""
        extra: list[tuple[str, str]] = []
        body = b""
        if request.body:
            try:
                theirs = sdp.parse(request.body)
                self._ours = replace(self._ours, version=self._ours.version + 1)
                answer = sdp.answer(self._ours, theirs)
            except sdp.SdpError:
                refused = self._dialog.response(request, 488, "Not Acceptable Here")
                self._sip.respond(request, refused, source)
                return
            self._use(theirs)
            body = sdp.build(answer)
        elif request.method == "INVITE":
            body = sdp.build(self._ours)
        if body:
            extra.append(_SDP_TYPE)
        if expires := request.get("Session-Expires"):
            extra.append(("Session-Expires", expires))
        response = self._dialog.response(request, 200, "OK", tuple(extra), body)
        self._sip.respond(request, response, source)
        if request.method == "INVITE":
            self._repeat_until_ack(response, source, T1_S)

    def _answer_refer(self, request: Message, source: Address) -> None:
        """Accept or refuse a transfer; an accepted one is reported to its end (RFC 3515)."""
        self.referred_to = uri_of(request.get("Refer-To"))
        status = self._policy.refer_status
        reason = "Accepted" if status == 202 else "Declined"
        self._sip.respond(request, self._dialog.response(request, status, reason), source)
        if status == 202:
            self._notify("SIP/2.0 100 Trying", "active;expires=60")
            final = f"SIP/2.0 {self._policy.transfer_status} Done"
            self._notify(final, "terminated;reason=noresource")

    def _notify(self, fragment: str, state: str) -> None:
        headers = (
            ("Event", "refer"),
            ("Subscription-State", state),
            ("Content-Type", "message/sipfrag;version=2.0"),
        )
        self._request("NOTIFY", headers, f"{fragment}\r\n".encode())

    def _repeat_until_ack(self, response: Message, source: Address, interval_s: float) -> None:
        """Section 13.3.1.4: the 2xx is repeated end to end, T1 doubling up to T2."""
        self._stop_repeating()

        def again() -> None:
            self._sip.send(response, source)
            self._repeat_until_ack(response, source, min(2 * interval_s, T2_S))

        self._repeat = asyncio.get_running_loop().call_later(interval_s, again)

    def _stop_repeating(self) -> None:
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None

    def _on_stray_response(self, response: Message) -> None:
        """A repeated final response to INVITE: our ACK was lost."""
        if response.cseq[1] == "INVITE" and self._last_ack is not None:
            self._sip.send(self._last_ack, self._hop)

    def _end(self, by: str) -> None:
        if not self.ended.is_set():
            self._stop_repeating()
            self.times.ended_ns = time.monotonic_ns()
            self.ended_by = by
            self.ended.set()


async def wait_for_invite(sip: SipSocket) -> tuple[Message, Address]:
    """Wait for the first INVITE on a socket; other requests get 481 (OPTIONS 200)."""
    arrived: asyncio.Future[tuple[Message, Address]] = asyncio.get_running_loop().create_future()

    def on_request(request: Message, source: Address) -> None:
        if request.method == "INVITE" and not arrived.done():
            arrived.set_result((request, source))
        elif request.method != "ACK":
            status, reason = (200, "OK") if request.method == "OPTIONS" else (481, "No Such Call")
            sip.respond(request, respond(request, status, reason, to_tag="probe"), source)

    sip.on_request = on_request
    return await arrived


def _info_digit(body: bytes) -> str:
    """The digit of an INFO body: `Signal=5` (dtmf-relay) or just `5` (application/dtmf)."""
    for line in body.decode("ascii", "replace").splitlines():
        name, equals, value = line.partition("=")
        if name.strip().lower() == "signal" and equals:
            return value.strip()
        if not equals and line.strip():
            return line.strip()
    return ""


async def _resolve(address: Address) -> Address:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(*address, family=2, type=2)  # IPv4, datagram
    host, port = found[0][4][:2]
    return str(host), int(port)
