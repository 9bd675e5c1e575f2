"""A telephone of two plain sockets: says exactly what a test tells it to, right or wrong."""

from __future__ import annotations

import re
import secrets
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

SILENCE = b"\xff" * 160


@dataclass(frozen=True, slots=True)
class Said:
    """One SIP message that came."""

    text: str

    @property
    def status(self) -> int:
        """0 for a request."""
        found = re.match(r"SIP/2\.0 (\d{3})", self.text)
        return int(found[1]) if found else 0

    @property
    def method(self) -> str:
        return "" if self.status else self.text.partition(" ")[0]

    def header(self, name: str) -> str:
        found = re.search(rf"^{name}: *(.*?)\r$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""

    @property
    def body(self) -> str:
        return self.text.partition("\r\n\r\n")[2]


@dataclass(slots=True)
class PlainPhone:
    """One call over UDP.  Nothing happens by itself: no ACK, no audio."""

    gateway: tuple[str, int]
    host: str = "127.0.0.1"
    sip: socket.socket = field(init=False)
    rtp: socket.socket = field(init=False)
    call_id: str = field(default_factory=lambda: f"plain-{secrets.token_hex(8)}")
    tag: str = field(default_factory=lambda: secrets.token_hex(4))
    remote_to: str = "<sip:100@127.0.0.1>"
    target: str = ""
    media: tuple[str, int] = ("", 0)
    """Where the gateway wants RTP."""
    cseq: int = 0
    packets: int = 0
    answer: str = ""
    """Description for those who call."""
    challenge: str = ""
    """Header of a 401 that every INVITE and UPDATE gets."""
    requests: list[Said] = field(default_factory=list)
    """What the gateway asked; answered with 200."""

    def __post_init__(self) -> None:
        self.sip, self.rtp = udp_socket(self.host), udp_socket(self.host)
        self.target = f"sip:100@{self.gateway[0]}:{self.gateway[1]}"

    def close(self) -> None:
        self.sip.close()
        self.rtp.close()

    # --- SIP ---

    def sdp(
        self, *, transport: str = "RTP/AVP", before: str = "", after: str = "", address: str = ""
    ) -> str:
        """An offer of PCMU; lines go before and after its m= line."""
        return (
            f"v=0\r\no=- 7 1 IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {address or self.host}\r\n"
            f"t=0 0\r\n{before}m=audio {self.rtp.getsockname()[1]} {transport} 0 101\r\n"
            f"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n{after}"
        )

    def build(
        self, method: str, body: str = "", kind: str = "application/sdp", more: Sequence[str] = ()
    ) -> str:
        """Write a request of this call; a new transaction, but for ACK."""
        if method != "ACK":
            self.cseq += 1
        host, port = self.sip.getsockname()
        lines = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{secrets.token_hex(8)}",
            f"From: <sip:plain@{host}>;tag={self.tag}",
            f"To: {self.remote_to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq} {method}",
            "Max-Forwards: 70",
            f"Contact: <sip:plain@{host}:{port}>",
            *more,
            *([f"Content-Type: {kind}"] if body else []),
            f"Content-Length: {len(body.encode())}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def send(self, message: str) -> None:
        self.sip.sendto(message.encode(), self.gateway)

    def final(self, timeout_s: float = 5.0) -> Said | None:
        """Wait for the final answer to the last request; None = there is none."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            said = self.receive(left)
            if said and said.status >= 200 and said.header("CSeq").split()[0] == str(self.cseq):
                return said
        return None

    def receive(self, timeout_s: float) -> Said | None:
        self.sip.settimeout(max(0.001, timeout_s))
        try:
            data, source = self.sip.recvfrom(65535)
        except TimeoutError:
            return None
        said = Said(data.decode("utf-8", "replace"))
        if said.method and said.method != "ACK":
            self.requests.append(said)
            kept = re.findall(r"^(?:Via|From|To|Call-ID|CSeq):.*\r\n", said.text, re.M | re.I)
            lines = "".join(kept)
            if not re.search(r"^To:.*;tag=", lines, re.M | re.I):
                lines = re.sub(r"(?im)^(To:.*?)\r$", rf"\1;tag={self.tag}\r", lines)
            if said.method in {"INVITE", "UPDATE"} and self.challenge:
                rest = f"{self.challenge}\r\nContent-Length: 0\r\n\r\n"
                answer = f"SIP/2.0 401 Unauthorized\r\n{lines}{rest}"
            else:
                answer = f"SIP/2.0 200 OK\r\n{lines}{self._contents(said)}"
            self.sip.sendto(answer.encode(), source)
        return said

    def _contents(self, request: Said) -> str:
        """The rest of a 200: to an INVITE, with a description and a tag."""
        if request.method != "INVITE":
            return "Content-Length: 0\r\n\r\n"
        host, port = self.sip.getsockname()
        head = f"Contact: <sip:plain@{host}:{port}>\r\nContent-Type: application/sdp\r\n"
        return f"{head}Content-Length: {len(self.answer)}\r\n\r\n{self.answer}"

    def take_call(self, body: str = "") -> None:
        """Wait for a call, accept it, and wait for the ACK."""
        self.answer = body or self.sdp()
        end = time.monotonic() + 10
        while time.monotonic() < end:
            said = self.receive(end - time.monotonic())
            if said and said.method == "INVITE":
                self.call_id, self.remote_to = said.header("Call-ID"), said.header("From")
                self.take(said)
            elif said and said.method == "ACK":
                return
        raise AssertionError("no call, or no ACK")

    def ask(
        self, method: str, body: str = "", kind: str = "application/sdp", more: Sequence[str] = ()
    ) -> Said:
        """Send a request and give its final answer."""
        self.send(self.build(method, body, kind, more))
        said = self.final()
        assert said is not None, f"no answer to {method}"
        return said

    def call(self, body: str | None = None, more: Sequence[str] = ()) -> Said:
        """INVITE, without the ACK of a 200; a refusal is acknowledged."""
        said = self.ask("INVITE", self.sdp() if body is None else body, more=more)
        self.remote_to = said.header("To")
        if said.status < 300:
            self.take(said)
        else:
            self.send(self.build("ACK"))
        return said

    def take(self, said: Said) -> None:
        """Learn from a 200 to an INVITE."""
        contact = re.search(r"<([^>]+)>", said.header("Contact"))
        port = re.search(r"^m=audio ([1-9]\d*) ", said.body, re.MULTILINE)
        address = re.search(r"^c=IN IP4 (\S+)\r", said.body, re.MULTILINE)
        if contact:
            self.target = contact[1]
        if port and address:
            self.media = (address[1], int(port[1]))

    def ack(self, body: str = "") -> None:
        self.send(self.build("ACK", body))

    def bye(self) -> None:
        with suppress(AssertionError):
            self.ask("BYE")

    def was_hung_up(self) -> bool:
        """Tell whether a BYE has come by now."""
        while self.receive(0.001):
            pass
        return any(request.method == "BYE" for request in self.requests)

    # --- RTP ---

    def speak(self, packets: int, source: socket.socket | None = None, ssrc: int = 77) -> int:
        """Send silence, in step; gives how many packets came to our port meanwhile."""
        came = 0
        for _ in range(packets):
            head = struct.pack("!BBHII", 0x80, 0, self.packets & 0xFFFF, self.packets * 160, ssrc)
            self.packets += 1
            (source or self.rtp).sendto(head + SILENCE, self.media)
            came += self.listen(0.02)
        return came

    def listen(self, seconds: float, at: socket.socket | None = None) -> int:
        """Count the packets that come within a time."""
        heard = at or self.rtp
        end, came = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            heard.settimeout(left)
            with suppress(TimeoutError):
                heard.recvfrom(2048)
                came += 1
        return came


def udp_socket(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, port))
    return made


@contextmanager
def plain_phone(port: int, host: str = "127.0.0.1") -> Iterator[PlainPhone]:
    """A telephone that hangs up, if it was connected."""
    phone = PlainPhone(("127.0.0.1", port), host)
    try:
        yield phone
    finally:
        if "tag=" in phone.remote_to and not phone.was_hung_up():
            phone.bye()
        phone.close()


@contextmanager
def calling(port: int, body: str | None = None, host: str = "127.0.0.1") -> Iterator[PlainPhone]:
    """A telephone whose call is up."""
    with plain_phone(port, host) as phone:
        said = phone.call(body)
        assert said.status == 200, said.text
        phone.ack()
        yield phone
