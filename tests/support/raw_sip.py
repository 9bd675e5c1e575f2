"""SIP as text, sent and read as it is: for messages that no well-meaning party writes."""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from gateway.probe.sip_messages import Credentials, authorization

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


class RawParty:
    """A UDP socket at an address of the loopback."""

    def __init__(self, port: int, host: str = "127.0.0.2") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.connect(("127.0.0.1", port))
        self.host, self.port, self.there = host, self.socket.getsockname()[1], port

    def close(self) -> None:
        self.socket.close()

    def message(
        self,
        method: str = "INVITE",
        *,
        uri: str = "",
        to: str = "To: <sip:100@127.0.0.1>",
        call_id: str = "",
        cseq: int = 1,
        body: str = SDP,
        extra: Sequence[str] = (),
        from_tag: str = "f",
    ) -> bytes:
        """Write a request; `to` is the whole line, or several."""
        branch = secrets.token_hex(6)
        lines = [
            f"{method} {uri or f'sip:100@127.0.0.1:{self.there}'} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};rport;branch=z9hG4bK{branch}",
            f"From: <sip:200@127.0.0.1>;tag={from_tag}",
            *([to] if to else []),
            f"Call-ID: {call_id or secrets.token_hex(8)}",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
            f"Contact: <sip:200@{self.host}:{self.port}>",
            *extra,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def send(self, message: bytes) -> None:
        self.socket.send(message)

    def heard(self, wait_s: float = 0.5) -> list[bytes]:
        """All that comes until nothing has come for so long."""
        found = []
        self.socket.settimeout(wait_s)
        with suppress(OSError):
            while True:
                found.append(self.socket.recv(65536))
        return found

    def final(self, message: bytes, wait_s: float = 3.0) -> bytes:
        """Send a request; its final answer, acknowledged when it was an INVITE; empty for none."""
        self.send(message)
        end = time.monotonic() + wait_s
        while (left_s := end - time.monotonic()) > 0:
            self.socket.settimeout(left_s)
            try:
                answer = self.socket.recv(65536)
            except OSError:
                break
            if status(answer) >= 200 and header(answer, "CSeq") == header(message, "CSeq"):
                if message.startswith(b"INVITE"):
                    self.send(self._acknowledge(message, answer))
                return answer
        return b""

    def within(self, method: str, invite: bytes, answer: bytes, **changes: str) -> bytes:
        """Write a request within the call that `answer` has made."""
        number = int(header(invite, "CSeq").split()[0]) + (method != "ACK")
        routes = [f"Route: {value}" for value in reversed(headers(answer, "Record-Route"))]
        target = re.search(r"<([^>]+)>", header(answer, "Contact"))
        assert target
        fields: dict[str, str] = {"uri": target[1], "to": f"To: {header(answer, 'To')}"} | changes
        return self.message(
            method,
            call_id=header(invite, "Call-ID"),
            cseq=number,
            body="",
            extra=routes,
            **fields,  # type: ignore[arg-type]
        )

    def call(self, **how: object) -> tuple[bytes, bytes]:
        """Call; gives the INVITE and its final answer."""
        invite = self.message(**how)  # type: ignore[arg-type]
        return invite, self.final(invite)

    def call_with_password(
        self, credentials: Credentials, uri: str = ""
    ) -> tuple[bytes, bytes, str]:
        """Call and answer the challenge; gives the second INVITE, its answer, the Authorization."""
        uri = uri or f"sip:100@127.0.0.1:{self.there}"
        call_id = secrets.token_hex(8)
        _, challenge = self.call(uri=uri, call_id=call_id)
        assert status(challenge) == 401, challenge
        asked = headers(challenge, "WWW-Authenticate")
        proof = "Authorization: " + authorization(asked, credentials, "INVITE", uri, "c0ffee")
        invite, answer = self.call(uri=uri, call_id=call_id, cseq=2, extra=[proof])
        return invite, answer, proof

    def _acknowledge(self, invite: bytes, answer: bytes) -> bytes:
        if status(answer) < 300:
            return self.within("ACK", invite, answer)
        ack = self.message("ACK", call_id=header(invite, "Call-ID"), body="", to="")
        lines = [f"Via: {header(invite, 'Via')}".encode(), f"To: {header(answer, 'To')}".encode()]
        ack = re.sub(rb"Via: [^\r]*", b"\r\n".join(lines), ack)
        return re.sub(rb"CSeq: \d+", f"CSeq: {header(invite, 'CSeq').split()[0]}".encode(), ack)


def status(message: bytes) -> int:
    """Of an answer; 0 for none, and for a request."""
    match = re.match(rb"SIP/2\.0 (\d{3})", message)
    return int(match[1]) if match else 0


def headers(message: bytes, name: str) -> list[str]:
    head = message.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    found = re.findall(rf"^{re.escape(name)}:[ \t]*(.*?)\r?$", head, re.MULTILINE | re.IGNORECASE)
    return [str(value) for value in found]


def header(message: bytes, name: str) -> str:
    return next(iter(headers(message, name)), "")
