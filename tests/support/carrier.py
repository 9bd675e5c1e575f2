"""A carrier: registrar and proxy that challenges everything, in a thread of its own."""

from __future__ import annotations

import hashlib
import re
import socket
import threading

from gateway.probe import sdp
from gateway.probe.sip_messages import Message, SipSyntaxError, parameter, parse, respond

PASSWORD = "right-secret"
GRANTED_S = 7
"""The gateway refreshes a few seconds before its binding expires."""


class Carrier(threading.Thread):
    """A registrar and proxy that challenges everything; in a thread, with a life of its own."""

    contact_suffix = ""
    """Of its own URI: the transport."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self.broken: set[str] = {"late"}
        """Accounts that get 503."""
        self.registered: dict[str, int] = {}
        """Account -> accepted REGISTERs."""
        self.refused: dict[str, int] = {}
        self.seen: list[Message] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                data, source = self._socket.recvfrom(65536)
                request = parse(data)
            except (TimeoutError, SipSyntaxError):
                continue
            if request.method and (answer := self._answer(request)):
                self._socket.sendto(answer.serialise(), source)

    def stop(self) -> None:
        self._over.set()
        self.join()
        self._socket.close()

    def _answer(self, request: Message) -> Message | None:
        self.seen.append(request)
        match request.method:
            case "ACK":
                return None
            case "REGISTER":
                return self._register(request)
            case "INVITE":
                return self._invite(request)
        return respond(request, 200, "OK", to_tag="carrier")

    def _register(self, request: Message) -> Message:
        user = user_of(request.get("From"))
        if user in self.broken:
            return respond(request, 503, "Service Unavailable", to_tag="r")
        proof = request.get("Authorization")
        if not proof:
            return respond(request, 401, "Unauthorized", to_tag="r", extra=(_challenge("WWW"),))
        if not _is_right(proof, "REGISTER"):
            self.refused[user] = self.refused.get(user, 0) + 1
            return respond(request, 403, "Forbidden", to_tag="r")
        wants = parameter(request.get("Contact"), "expires") or request.get("Expires")
        if wants == "0":
            return respond(request, 200, "OK", to_tag="r")
        self.registered[user] = self.registered.get(user, 0) + 1
        contact = re.sub(r";expires=\d+", "", request.get("Contact"))
        binding = ("Contact", f"{contact};expires={GRANTED_S}")
        return respond(request, 200, "OK", to_tag="r", extra=(binding,))

    def _invite(self, request: Message) -> Message:
        proof = request.get("Proxy-Authorization")
        if not proof:
            challenge = _challenge("Proxy")
            return respond(request, 407, "Who are you", to_tag="i", extra=(challenge,))
        if not _is_right(proof, "INVITE"):
            return respond(request, 403, "Forbidden", to_tag="i")
        body = sdp.build(sdp.answer(sdp.offer("127.0.0.1", 40010), sdp.parse(request.body)))
        kind = ("Content-Type", "application/sdp")
        contact = ("Contact", f"<sip:callee@127.0.0.1:{self.port}{self.contact_suffix}>")
        return respond(request, 200, "OK", to_tag="i", extra=(contact, kind), body=body)


def _challenge(side: str) -> tuple[str, str]:
    value = 'Digest realm="carrier", nonce="a7f0c0ffee", algorithm=MD5, qop="auth"'
    return (f"{side}-Authenticate", value)


def _is_right(proof: str, method: str) -> bool:
    """RFC 2617, worked out by hand."""
    found = {k: a or b for k, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', proof)}

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    secret = md5(f"{found['username']}:carrier:{PASSWORD}")
    tail = f"{found['nonce']}:{found['nc']}:{found['cnonce']}:{found['qop']}"
    return found["response"] == md5(f"{secret}:{tail}:{md5(f'{method}:' + found['uri'])}")


def user_of(header: str) -> str:
    found = re.search(r"sip:([^@>]*)@", header)
    return found[1] if found else ""
