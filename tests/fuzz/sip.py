"""SIP and SDP: damaged messages over UDP and TCP, and damaged offers within a call."""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from tests.fuzz.descriptions import odd_description
from tests.fuzz.figures import Figures
from tests.fuzz.hostile import GOOD_SDP, HOSTILE, in_dialog, invite, mutate
from tests.fuzz.torture import MESSAGES, Torture

_BURST = 20
_PING_S = 4.0
_METHODS = ("OPTIONS", "REGISTER", "ACK", "BYE", "CANCEL", "INFO", "UPDATE", "PRACK", "NOTIFY",
            "REFER", "SUBSCRIBE", "MESSAGE", "PUBLISH")  # fmt: skip
_STATUS = re.compile(rb"SIP/2\.0 (\d{3})")
_SDP_LINES = (
    "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=ptime:20",
    "a=sendonly", "a=recvonly", "a=inactive", "a=sendrecv", "a=rtcp:1", "a=rtcp-mux", "a=mid:0",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
    "a=candidate:1 1 UDP 1 127.0.0.1 9 typ host", "a=ice-ufrag:x", "a=group:BUNDLE 0 1",
    "a=rtpmap:9 G722/8000", "a=rtpmap:8 PCMA/8000/2", "a=maxptime:1", "a=silenceSupp:off - - - -",
    "a=ssrc:1 cname:x", "a=rtcp-fb:* nack", "a=fingerprint:sha-1 00", "a=setup:active", "b=AS:0",
    "m=audio 40000 RTP/AVP 0", "m=audio 0 RTP/AVP 0", "m=audio 40000 RTP/SAVPF 0 8 9 18 101",
    "m=video 40002 RTP/AVP 96", "m=image 40004 udptl t38", "m=audio 40000/9999 RTP/AVP 0",
    "c=IN IP4 0.0.0.0", "c=IN IP6 ::1", "c=IN IP4 224.0.0.1/127/9", "t=0 0", "v=0", "s= ",
    "o=- 18446744073709551616 -1 IN IP4 127.0.0.1", "k=clear:x", "z=0 0 0",
)  # fmt: skip


class Peer:
    """A UDP socket that answers as a caller must and counts what comes back."""

    def __init__(self, port: int, figures: Figures, address: str = "127.0.0.1") -> None:
        self.figures = figures
        self._number = 0
        self._pongs: set[bytes] = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.connect(("127.0.0.1", port))
        self.via = f"{address}:{self.socket.getsockname()[1]}"
        self.on_final: Callable[[int, bytes], None] = lambda _status, _message: None

    def send(self, data: bytes) -> None:
        with suppress(OSError):  # too long, or refused by ICMP
            self.socket.send(data)
            self.figures.count(data)

    def drain(self, quiet_s: float = 0.0) -> None:
        """Take all that has come; calls that were answered are hung up."""
        self.socket.settimeout(quiet_s)
        with suppress(OSError):
            while message := self.socket.recv(65536):
                self._take(message)

    def ping(self) -> bool:
        """Ask OPTIONS until it is answered: proves life, and that all before was read."""
        self._number += 1
        name = f"ping-{self._number}-{self.via.rpartition(':')[2]}"
        lines = (
            "OPTIONS sip:ping@127.0.0.1 SIP/2.0",
            f"Via: SIP/2.0/UDP {self.via};branch=z9hG4bK{name}",
            f"From: <sip:p@127.0.0.1>;tag={name}", "To: <sip:ping@127.0.0.1>", f"Call-ID: {name}",
            "CSeq: 1 OPTIONS", "Max-Forwards: 70", "Content-Length: 0",
        )  # fmt: skip
        data = ("\r\n".join(lines) + "\r\n\r\n").encode()
        begun, sent = time.monotonic(), 0.0
        while name.encode() not in self._pongs:
            now = time.monotonic()
            if now - begun > _PING_S:
                self.figures.fault(f"no answer to OPTIONS for {_PING_S:g} s")
                return False
            if now - sent > 0.5:
                sent = now
                with suppress(OSError):
                    self.socket.send(data)
            self.drain(0.002)
        self._pongs.clear()
        self.figures.slow_pings += time.monotonic() - begun > 1.0
        return True

    def _take(self, message: bytes) -> None:
        found = _STATUS.match(message)
        if not found:
            method = message.partition(b" ")[0].decode("ascii", "replace")
            self.figures.answers[method if method.isalpha() else "other"] += 1
            if method == "BYE":
                self._agree(message)
            return
        status = int(found[1])
        ping = re.search(rb"Call-ID: *(ping-\S+)", message, re.IGNORECASE)
        if ping:
            self._pongs.add(ping[1])
        elif status >= 200:
            self.figures.answers[str(status)] += 1
            self.on_final(status, message)
            if status < 300 and re.search(rb"CSeq: *\d+ +INVITE", message):
                self._hang_up(message)

    def _hang_up(self, answer: bytes) -> None:
        with suppress(OSError, AssertionError):
            self.socket.send(in_dialog(answer, "ACK"))
            self.socket.send(in_dialog(answer, "BYE"))

    def _agree(self, request: bytes) -> None:
        keep = re.findall(rb"^(?:Via|From|To|Call-ID|CSeq):.*?\r\n", request, re.M | re.I)
        with suppress(OSError):
            self.socket.send(b"SIP/2.0 200 OK\r\n" + b"".join(keep) + b"Content-Length: 0\r\n\r\n")


def corpus(via: str) -> list[bytes]:
    """Valid messages of every method, responses, the hostile ones and the torture tests."""
    good = invite().replace(b"127.0.0.1:5999", via.encode())
    others = [good.replace(b"INVITE", method.encode()) for method in _METHODS]
    within = [
        m.replace(b"To: <sip:100@127.0.0.1>", b"To: <sip:100@127.0.0.1>;tag=x") for m in others
    ]
    answers = [
        re.sub(rb"^INVITE \S+ SIP/2.0", f"SIP/2.0 {status} x".encode(), good)
        for status in (100, 180, 183, 200, 302, 401, 407, 422, 491, 503, 699)
    ]
    torture = [t.datagram(via, f"corpus-{t.name}") for t in MESSAGES]
    return [good] * 5 + others + within + answers + list(HOSTILE.values()) + torture


def fuzz_sip(port: int, seconds: float, seed: int) -> Figures:
    """Damaged messages, most over UDP; every twentieth burst over TCP."""
    figures, chance = Figures("sip"), random.Random(seed)
    peer = Peer(port, figures)
    seeds = corpus(peer.via)
    begun = time.monotonic()
    for burst in _until(begun + seconds):
        messages = [fresh(_damaged(seeds, chance), chance) for _ in range(_BURST)]
        if burst % 20 == 19:
            _over_tcp(port, messages, figures)
        else:
            for message in messages:
                peer.send(message)
        peer.drain()
        if burst % 5 == 4 and not peer.ping():
            break
    peer.drain(0.5)
    peer.socket.close()
    figures.seconds = time.monotonic() - begun
    return figures


def fuzz_sdp(port: int, seconds: float, seed: int) -> Figures:
    """Odd offers: of new calls, and of re-INVITEs and UPDATEs within one call.

    As fast as they are let through to the library, and no faster.
    """
    figures, chance = Figures("sdp"), random.Random(seed)
    begun = time.monotonic()
    while time.monotonic() - begun < seconds and not figures.faults:
        for part, longest_s in ((_new_calls, 10.0), (_one_call, 5.0)):
            share_s = min(longest_s, 0.4 * seconds)
            part(port, min(begun + seconds, time.monotonic() + share_s), figures, chance)
    figures.seconds = time.monotonic() - begun
    return figures


def _new_calls(port: int, end_s: float, figures: Figures, chance: random.Random) -> None:
    peer = Peer(port, figures)
    for burst in _until(end_s):
        body = odd_sdp(chance)
        acknowledged = chance.random() < 0.2
        if acknowledged:  # the offer is ours, the odd one is the answer, in the ACK
            peer._hang_up = lambda answer, body=body: _answer_late(peer, answer, body)  # type: ignore[method-assign, misc]
        message = invite(body="" if acknowledged else body)
        peer.send(message.replace(b"127.0.0.1:5999", peer.via.encode()))
        peer.drain(0.06)
        peer.__dict__.pop("_hang_up", None)
        if burst % 10 == 9 and not peer.ping():
            break
    peer.drain(0.5)
    peer.socket.close()


def _answer_late(peer: Peer, answer: bytes, body: str) -> None:
    head = in_dialog(answer, "ACK").partition(b"Content-Length")[0]
    data = body.encode("utf-8", "replace")
    kind = b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(data)
    with suppress(OSError, AssertionError):
        peer.socket.send(head + kind + data)
        peer.socket.send(in_dialog(answer, "BYE"))


def _one_call(port: int, end_s: float, figures: Figures, chance: random.Random) -> None:
    peer = Peer(port, figures)
    own: list[bytes] = []

    def answered(status: int, message: bytes) -> None:
        if status < 300:
            own.append(message)

    peer.on_final = answered
    peer._hang_up = lambda answer: peer.socket.send(in_dialog(answer, "ACK"))  # type: ignore[method-assign]
    peer.send(invite().replace(b"127.0.0.1:5999", peer.via.encode()))
    for _ in range(20):
        peer.drain(0.1)
        if own:
            break
    else:
        time.sleep(0.3)  # all slots taken, or too many calls a second
        peer.socket.close()
        return
    call, is_up, number = own[0], True, 1

    def follow(status: int, message: bytes) -> None:
        nonlocal is_up
        is_up = is_up and status not in {408, 481}
        if status >= 300 and b"INVITE" in message:
            peer.socket.send(in_dialog(message + b"\r\nContact: <sip:x@127.0.0.1>", "ACK"))

    peer.on_final = follow
    for burst in _until(min(end_s, time.monotonic() + 15)):
        for _ in range(5):
            number += 1
            method = chance.choice(("INVITE", "INVITE", "UPDATE"))
            peer.send(_offer(call, method, number, odd_sdp(chance)))
            peer.drain(0.002)
        if not is_up or (burst % 5 == 4 and not peer.ping()):
            break
    with suppress(OSError):
        bye = re.sub(rb"CSeq: *\d+ ", b"CSeq: %d " % (number + 1), call)
        peer.socket.send(in_dialog(bye, "BYE"))
    peer.drain(0.3)
    peer.socket.close()


def _offer(call: bytes, method: str, number: int, body: str) -> bytes:
    head = in_dialog(call, method).partition(b"Content-Length")[0]
    head = re.sub(rb"CSeq: *\d+", b"CSeq: %d" % number, head)
    contact = b"Contact: <sip:200@127.0.0.1>\r\nContent-Type: application/sdp\r\n"
    data = body.encode("utf-8", "replace")
    return head + contact + b"Content-Length: %d\r\n\r\n" % len(data) + data


def odd_sdp(chance: random.Random) -> str:
    """A session description: readable and odd, or of right and wrong lines."""
    if chance.random() < 0.6:
        return odd_description(chance)
    lines = GOOD_SDP.split("\r\n")
    for _ in range(chance.randint(0, 6)):
        at = chance.randrange(len(lines) + 1)
        match chance.randrange(4):
            case 0:
                lines.insert(at, chance.choice(_SDP_LINES))
            case 1 if lines:
                del lines[at - 1]
            case 2 if lines:
                lines[at - 1] = mutate(lines[at - 1].encode(), chance).decode("utf-8", "replace")
            case _ if lines:
                lines.insert(at, lines[at - 1])
    return "\r\n".join(lines)


def try_torture(peer: Peer, message: Torture, unique: str, wait_s: float = 0.6) -> str:
    """Send one torture message; returns what is wrong with the answer, or nothing."""
    seen: list[int] = []
    peer.on_final = lambda status, answer: (
        seen.append(status) if unique.encode() in answer else None
    )
    peer.send(message.datagram(peer.via, unique))
    end = time.monotonic() + wait_s
    while not seen and time.monotonic() < end:
        peer.drain(0.05)
    if not peer.ping():
        return "the gateway does not answer any more"
    if message.expect == "answered" and (not seen or seen[0] == 400):
        return f"valid, but answered {seen or 'not at all'}"
    if message.expect == "not accepted" and any(status < 300 for status in seen):
        return f"broken, but answered {seen}"
    return ""


def _damaged(seeds: list[bytes], chance: random.Random) -> bytes:
    message = chance.choice(seeds)
    if chance.random() < 0.1:  # two halves of two messages
        other = chance.choice(seeds)
        at = chance.randrange(len(message) + 1)
        message = message[:at] + other[at:]
    return mutate(message, chance) if chance.random() < 0.9 else message


def fresh(message: bytes, chance: random.Random) -> bytes:
    """Make it another transaction, mostly: else it is a repetition that is absorbed."""
    unique = b"branch=z9hG4bK%x" % chance.getrandbits(48)
    return (
        re.sub(rb"branch=z9hG4bK[^;\r\n]*", unique, message) if chance.random() < 0.95 else message
    )


def _over_tcp(port: int, messages: list[bytes], figures: Figures) -> None:
    with (
        suppress(OSError, AssertionError),
        socket.create_connection(("127.0.0.1", port), timeout=5) as peer,
    ):
        for message in messages:
            data = message.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")
            peer.sendall(data)
            figures.count(data)
        peer.settimeout(0.02)
        answer = peer.recv(65536)
        for status in _STATUS.findall(answer):
            figures.answers[f"tcp {status.decode()}"] += 1
        for part in re.split(rb"(?=SIP/2\.0 )", answer):
            if part.startswith(b"SIP/2.0 200") and re.search(rb"CSeq: *\d+ +INVITE", part):
                peer.sendall(in_dialog(part, "ACK") + in_dialog(part, "BYE"))


def _until(end_s: float) -> Iterator[int]:
    number = 0
    while time.monotonic() < end_s:
        yield number
        number += 1
